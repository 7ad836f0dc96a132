"""Taking an account away from an admin. With the last one goes all that opens the console for them."""

from datetime import datetime

from api.access.model import AccountId
from api.console.access import store
from api.console.access.invite import named
from kernel.database import Conn
from kernel.text import Email


async def remove_admin(conn: Conn, email: Email, account_id: AccountId | None, *, now: datetime) -> bool:
    """From one account, or from all. False when they open none of these. To be called inside a transaction.

    The password goes too: invited again, they set a new one.
    """
    admin = await store.admin_named(conn, named(email))
    if admin is None:
        return False
    await store.lock_password(conn, admin.id)  # nobody signs in, or is invited, in the meantime
    removed = await store.delete_accounts(conn, admin.id, account_id)
    if not await store.has_an_account(conn, admin.id):
        await store.close_invitation(conn, admin.id)
        await store.forget_password(conn, admin.id)
        await store.revoke_sessions(conn, admin.id, now=now)
    return removed > 0
