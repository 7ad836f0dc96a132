"""Signing in. A guess is counted before it is looked at, so that a thousand at once are no more than five."""

from datetime import datetime

from api.console.access import backoff, sessions, store
from api.console.access.backoff import Lane
from api.console.access.invite import named
from api.console.access.keyed import Keyed
from api.console.access.model import Refused
from api.console.access.passwords import Passwords
from kernel.database import Pool
from kernel.structs import Value

LONGEST_NAME = 254


class Attempt(Value, frozen=True, kw_only=True):
    """`device` names a browser from which this admin signed in before, `cookie` is what it came with."""

    email: str
    password: str
    address: str
    device: str | None
    cookie: str | None

    def __repr__(self) -> str:
        return f"Attempt(from {self.address})"


async def sign_in(pool: Pool, attempt: Attempt, *, keyed: Keyed, hasher: Passwords, now: datetime) -> str:
    """The id of the session that begins."""
    name = named(attempt.email)[:LONGEST_NAME]
    lanes = backoff.lanes(keyed, name=name, address=attempt.address, device=attempt.device)
    await _count(pool, lanes, now=now)
    admin = await store.admin_named(pool, name)

    kept = None if admin is None else admin.password_hash
    if not await hasher.match(kept, attempt.password):
        raise _wrong()
    assert admin is not None, "nobody's password never matches"
    assert kept is not None, "it has just matched"

    # The one moment at which we know the password and may hash it again.
    newer = await hasher.hash(attempt.password) if hasher.is_outdated(kept) else None
    async with pool.acquire() as conn, conn.transaction():
        # Looking at it took a while. Whoever set another password meanwhile ended what the old one opens.
        if await store.lock_password(conn, admin.id) != kept:
            raise _wrong()
        if newer is not None:
            await store.save_password(conn, admin.id, newer)
        await store.forgive(conn, [lane.id for lane in lanes], now=now)
        await sessions.end(conn, attempt.cookie, keyed=keyed, now=now)
        return await sessions.begin(conn, admin.id, keyed=keyed, now=now)


def _wrong() -> Refused:
    return Refused(403, "This e-mail address and password do not belong together.")


async def _count(pool: Pool, lanes: list[Lane], *, now: datetime) -> None:
    await store.forget_old_counts(pool, now=now, after=backoff.FORGOTTEN_AFTER)
    free = {lane.id: lane.free for lane in lanes}
    async with pool.acquire() as conn, conn.transaction():
        counts = await store.lock_counts(conn, sorted(free), now=now)
        wait = backoff.wait_seconds(counts, now=now)
        if wait:
            raise Refused(
                429,
                f"There were too many attempts. Try again in {wait} seconds.",
                retry_after=wait,
            )
        for count in counts:
            await store.save_count(conn, backoff.counted(count, free=free[count.lane], now=now))
