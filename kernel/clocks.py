"""A test tenant may have a clock of its own. It stands still, until it is told to advance to a time.

(real time) ──set out──▶ advancing ──arrive──▶ ready
                             ▲                   │
                             └─────set out───────┘

A worker moves it from one due time to the next, and at each does all that has fallen due; what was reached
is kept, so that another goes on where one died. Whoever works in such a tenant holds the clock meanwhile:
one at a time, or what falls due together would be done in any order.
"""

from datetime import datetime, timedelta
from uuid import UUID

from kernel.database import Tx
from kernel.events import Event
from kernel.structs import Value, load

LEASE = timedelta(seconds=60)


class ClockAdvancing(Event, frozen=True, kw_only=True, tag="test_clock.advancing"):
    advanced_from: datetime
    advancing_to: datetime


class ClockAdvanced(Event, frozen=True, kw_only=True, tag="test_clock.advanced"):
    """Everything up to then has happened, but for the jobs that are unfinished."""

    now_at: datetime
    unfinished_jobs: int


class Clock(Value, frozen=True, kw_only=True):
    """`now_at` is the tenant's own time; `previous_at` is where the clock stood before.

    `waits_since` is wall time: when it came to where it is, or set out from there. `held_until`, too, is.
    """

    now_at: datetime
    previous_at: datetime | None
    advanced_from: datetime
    advancing_to: datetime | None
    waits_since: datetime
    held_until: datetime | None


async def find(tx: Tx) -> Clock | None:
    row = await tx.conn.fetchrow(
        """
        SELECT now_at, previous_at, advanced_from, advancing_to, waits_since, held_until
        FROM test_clocks
        WHERE tenant_id = $1
        """,
        tx.tenant,
    )
    return load(row, Clock) if row else None


async def go_by(tx: Tx) -> Clock | None:
    """From here on the transaction goes by the tenant's clock, if it has one."""
    clock = await find(tx)
    if clock is not None:
        tx.go_by(clock.now_at)
    return clock


async def set_out(tx: Tx, *, start: datetime, to: datetime) -> Clock | None:
    """Begin to advance from `start`. None when the clock is on its way, or has moved from there."""
    row = await tx.conn.fetchrow(
        """
        INSERT INTO test_clocks (tenant_id, now_at, advanced_from, advancing_to, waits_since)
        VALUES ($1, $2, $2, $3, $4)
        ON CONFLICT (tenant_id) DO UPDATE
        SET advanced_from = EXCLUDED.advanced_from,
            advancing_to  = EXCLUDED.advancing_to,
            waits_since   = EXCLUDED.waits_since
        WHERE test_clocks.advancing_to IS NULL AND test_clocks.now_at = EXCLUDED.now_at
        RETURNING now_at, previous_at, advanced_from, advancing_to, waits_since, held_until
        """,
        tx.tenant,
        start,
        to,
        tx.wall,
    )
    return load(row, Clock) if row else None


async def hold(tx: Tx, holder: UUID, *, lease: timedelta = LEASE) -> Clock | None:
    """Be the one who works by this clock, for the length of a lease. None when somebody else is."""
    row = await tx.conn.fetchrow(
        """
        UPDATE test_clocks
        SET held_by = $2, held_until = $4
        WHERE tenant_id = $1 AND (held_by IS NULL OR held_by = $2 OR held_until <= $3)
        RETURNING now_at, previous_at, advanced_from, advancing_to, waits_since, held_until
        """,
        tx.tenant,
        holder,
        tx.wall,
        tx.wall + lease,
    )
    return load(row, Clock) if row else None


async def release(tx: Tx, holder: UUID) -> None:
    await tx.conn.execute(
        """
        UPDATE test_clocks
        SET held_by = NULL, held_until = NULL
        WHERE tenant_id = $1 AND held_by = $2
        """,
        tx.tenant,
        holder,
    )


async def move(tx: Tx, *, to: datetime) -> None:
    """Nothing is left to wait for where the clock stands."""
    await tx.conn.execute(
        """
        UPDATE test_clocks
        SET previous_at = now_at, now_at = $2, waits_since = $3
        WHERE tenant_id = $1
        """,
        tx.tenant,
        to,
        tx.wall,
    )


async def arrive(tx: Tx) -> None:
    await tx.conn.execute(
        """
        UPDATE test_clocks
        SET advancing_to = NULL
        WHERE tenant_id = $1
        """,
        tx.tenant,
    )
