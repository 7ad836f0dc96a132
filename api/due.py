"""When a tenant next has something to do: everything that may wait in it, put together in one place.

Work has two times. It falls due at one of the tenant's own; once it has, wall time says when it is tried.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import TypeAlias

from kernel import clocks, jobs
from kernel.clocks import Clock
from kernel.database import Tx
from kernel.jobs import Due
from subscriptions import billing_store

# How long a clock that advances waits, by wall time, for what has fallen due and is not to be had at once.
PATIENCE = timedelta(seconds=5)

Earliest: TypeAlias = Callable[[Tx], Awaitable[datetime | None]]

# Beside events and jobs: each tells the earliest time of the tenant's own at which there is work of its kind.
BY_DATE: Sequence[Earliest] = (billing_store.next_renewal,)


async def next_look(tx: Tx) -> datetime | None:
    """The wall time from which it is worth looking into the tenant again."""
    clock = await clocks.go_by(tx)
    due = await due_of(tx)
    if clock is None:
        return _earlier(due.at, due.next_at)
    if clock.held_until is not None and clock.held_until > tx.wall:
        return clock.held_until
    if clock.advancing_to is not None and not await awaited(tx, clock, due):
        return tx.wall
    return due.at


async def due_of(tx: Tx) -> Due:
    due = await jobs.due(tx)
    for earliest in BY_DATE:
        at = await earliest(tx)
        if at is not None and at <= tx.now:
            due = Due(at=tx.wall, next_at=due.next_at)
        else:
            due = Due(at=due.at, next_at=_earlier(due.next_at, at))
    return due


async def awaited(tx: Tx, clock: Clock, due: Due) -> bool:
    """Whether the clock, on its way, has to wait where it stands, for some of what is due there."""
    if due.at is None or due.at <= tx.wall:
        return due.at is not None
    return await jobs.awaited(tx, after=clock.previous_at, until=clock.waits_since + PATIENCE)


def _earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    return min((each for each in (one, other) if each is not None), default=None)
