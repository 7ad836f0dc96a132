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
    if clock.advancing_to is not None and not await awaited(tx, clock):
        return tx.wall
    return due.at


async def due_of(tx: Tx) -> Due:
    due = await jobs.due(tx)
    for at in await _dates(tx):
        if at <= tx.now:
            due = Due(at=tx.wall, next_at=due.next_at)
        else:
            due = Due(at=due.at, next_at=_earlier(due.next_at, at))
    return due


async def awaited(tx: Tx, clock: Clock) -> bool:
    """Whether the clock, on its way, has to wait where it stands."""
    if any(at <= tx.now for at in await _dates(tx)):
        return True
    return await jobs.awaited(tx, after=clock.previous_at, until=clock.waits_since + PATIENCE)


async def _dates(tx: Tx) -> list[datetime]:
    found = [await earliest(tx) for earliest in BY_DATE]
    return [at for at in found if at is not None]


def _earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    return min((each for each in (one, other) if each is not None), default=None)
