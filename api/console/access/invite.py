"""A one-time link that makes somebody an admin of an account, or gives an admin a new password."""

from contextlib import suppress
from datetime import datetime

from api.access.model import AccountId
from api.console.access import store
from api.console.access.keyed import Keyed, chance
from api.console.access.model import INVITATION_LASTS
from kernel.database import Conn
from kernel.text import Email

LONGEST_TYPED = 1000


async def invite_admin(
    conn: Conn, email: Email, account_id: AccountId, *, keyed: Keyed, now: datetime
) -> str:
    """The token of the link, which is not kept. To be called inside a transaction."""
    admin_id = await store.put_admin(conn, named(email), now=now)
    await store.put_account(conn, admin_id, account_id, now=now)

    token = chance()
    await store.put_invitation(
        conn, admin_id, keyed.hash("invitation", token), now=now, expires_at=now + INVITATION_LASTS
    )
    return token


def named(email: str) -> Email:
    """How an admin is called, however it is typed: large letters, decomposed ones, `xn--…`."""
    text = email.strip()[:LONGEST_TYPED]
    with suppress(ValueError):
        text = Email.parse(text)
    return Email(text.lower())
