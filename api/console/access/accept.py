"""Opening a one-time link: the password is set, every older session ends, and a new one begins."""

from datetime import datetime

from api.console.access import passwords, sessions, store
from api.console.access.keyed import Keyed
from api.console.access.model import Invitation, link_is_over
from api.console.access.passwords import Passwords
from kernel.database import Pool


async def open_invitation(pool: Pool, token: str, *, keyed: Keyed, now: datetime) -> Invitation:
    """Looking at a link does not use it: programs look at links as well."""
    invitation = await store.invitation(pool, keyed.hash("invitation", token))
    if invitation is None:
        raise link_is_over()
    invitation.check_open(now=now)
    return invitation


async def accept_invitation(
    pool: Pool,
    token: str,
    password: str,
    repeated: str,
    *,
    keyed: Keyed,
    hasher: Passwords,
    now: datetime,
) -> str:
    """The id of the session that begins."""
    invitation = await open_invitation(pool, token, keyed=keyed, now=now)

    passwords.check(password, repeated, email=invitation.email)
    password_hash = await hasher.hash(password)

    async with pool.acquire() as conn, conn.transaction():
        await store.lock_password(conn, invitation.admin_id)
        if not await store.use_invitation(conn, keyed.hash("invitation", token), now=now):
            raise link_is_over()
        await store.save_password(conn, invitation.admin_id, password_hash)
        await store.revoke_sessions(conn, invitation.admin_id, now=now)
        return await sessions.begin(conn, invitation.admin_id, keyed=keyed, now=now)
