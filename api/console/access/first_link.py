"""The link by which a new house is opened: for whoever sees the screen of `make up`."""

from datetime import datetime

from api.access.model import AccountId
from api.console.access import store
from api.console.access.invite import invite_admin
from api.console.access.keyed import Keyed
from kernel.database import Pool
from kernel.text import Email

EMAIL = Email("admin@example.com")


async def first_admin_token(pool: Pool, account_id: AccountId, *, keyed: Keyed, now: datetime) -> str | None:
    """A new one each time, until somebody has set a password."""
    async with pool.acquire() as conn, conn.transaction():
        if await store.somebody_has_a_password(conn):
            return None
        return await invite_admin(conn, EMAIL, account_id, keyed=keyed, now=now)
