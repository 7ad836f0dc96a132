"""A signed-in browser: its cookie holds an id of 256 bits, the database a keyed hash of it."""

from datetime import datetime

from api.console.access import store
from api.console.access.keyed import Keyed, chance
from api.console.access.model import SESSION_IDLES, SESSION_LASTS, AdminId, Session, SignedOut
from kernel.database import Conn, Pool


async def begin(conn: "Conn | Pool", admin_id: AdminId, *, keyed: Keyed, now: datetime) -> str:
    """A new id, whatever cookie the browser came with: nobody can have planted it."""
    session_id = chance()
    await store.delete_old_sessions(conn, admin_id, before=now)
    await store.insert_session(
        conn, keyed.hash("session", session_id), admin_id, now=now, expires_at=now + SESSION_LASTS
    )
    return session_id


async def find(conn: "Conn | Pool", session_id: str | None, *, keyed: Keyed, now: datetime) -> Session:
    """Raises SignedOut when there is none that lives."""
    if session_id is None:
        raise SignedOut
    session = await store.session(conn, keyed.hash("session", session_id))
    if session is None or not session.is_live(now=now):
        raise SignedOut
    if session.is_to_be_seen(now=now):
        await store.save_seen(conn, session.id_hash, now=now)
    return session


async def end(conn: "Conn | Pool", session_id: str | None, *, keyed: Keyed, now: datetime) -> None:
    """What is no session, or none any more, ends as well."""
    if session_id is not None:
        await store.revoke_session(conn, keyed.hash("session", session_id), now=now)


async def live(conn: "Conn | Pool", admin_id: AdminId, *, now: datetime) -> list[Session]:
    return await store.live_sessions(conn, admin_id, now=now, seen_after=now - SESSION_IDLES)
