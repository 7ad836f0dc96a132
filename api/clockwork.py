"""Advancing a test tenant's clock: the command that sets it out, and each step on its way."""

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated

import msgspec

from api import due
from api.access import store as access
from api.access.model import Mode
from billing.parties import store as parties
from kernel import clocks, jobs, outbox
from kernel.clocks import Clock, ClockAdvanced, ClockAdvancing
from kernel.database import Tx
from kernel.errors import Conflict, Invalid
from kernel.jobs import Unfinished
from kernel.structs import Input, Value

FARTHEST = timedelta(days=5 * 366)
LATEST = datetime(2100, 1, 1, tzinfo=UTC)


class ClockStatus(StrEnum):
    REAL_TIME = "real_time"  # it was never advanced
    ADVANCING = "advancing"
    READY = "ready"  # it stands still


class TenantClock(Value, frozen=True, kw_only=True):
    """What time it is for a test tenant. On its way `advanced_from` and `advancing_to` say how far it is.

    `unfinished` are jobs that have fallen due and are not done: on their way, failed or given up.
    """

    status: ClockStatus
    now_at: datetime
    advanced_from: datetime | None
    advancing_to: datetime | None
    unfinished: tuple[Unfinished, ...]


class Advance(Input, frozen=True, kw_only=True):
    """A tenant that has no customer yet may begin its first advance in the past, at `starts_at`."""

    to: Annotated[datetime, msgspec.Meta(tz=True)]
    starts_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


async def tenant_clock(tx: Tx) -> TenantClock:
    await _check_is_test(tx)
    return await _shown(tx, await clocks.find(tx))


async def advance(tx: Tx, request: Advance) -> TenantClock:
    """Set out; a worker does the rest. A tenant's first advance begins in real time, and ends that for it."""
    await _check_is_test(tx)
    clock = await clocks.find(tx)
    start = tx.now if clock else request.starts_at or tx.wall

    check(clock, start=start, to=request.to)
    if request.starts_at is not None:
        check_start(clock, request.starts_at, wall=tx.wall, is_used=await parties.has_customers(tx))

    moving = await clocks.set_out(tx, start=start, to=request.to)
    if moving is None:
        raise _is_advancing()
    tx.go_by(moving.now_at)
    outbox.publish(tx, ClockAdvancing(advanced_from=start, advancing_to=request.to))
    return await _shown(tx, moving)


def check(clock: Clock | None, *, start: datetime, to: datetime) -> None:
    if clock is not None and clock.advancing_to is not None:
        raise _is_advancing()
    if to < start:
        raise Invalid(
            "clock_backwards", f"A clock does not go back; this one is at {start.isoformat()}.", param="to"
        )
    if to - start > FARTHEST or to > LATEST:
        raise Invalid(
            "clock_too_far", "A clock is advanced by five years at most, and not past 2099.", param="to"
        )


def check_start(clock: Clock | None, starts_at: datetime, *, wall: datetime, is_used: bool) -> None:
    if clock is not None or is_used:
        raise Conflict(
            "clock_has_started",
            "Only a tenant that has no customer and was never advanced can begin at another time.",
            param="starts_at",
        )
    if not timedelta() <= wall - starts_at <= FARTHEST:
        raise Invalid(
            "clock_start", "A clock begins at a time in the past, five years ago at most.", param="starts_at"
        )


async def tick(tx: Tx, clock: Clock) -> bool:
    """The next step of a clock that is held: to the next due time, or to the end. False when there is none.

    To be called when nothing can be done where it stands.
    """
    if clock.advancing_to is None:
        return False
    there = await due.due_of(tx)
    if await due.awaited(tx, clock, there):
        return False

    if there.next_at is not None and there.next_at <= clock.advancing_to:
        await clocks.move(tx, to=there.next_at)
    elif clock.now_at < clock.advancing_to:
        await clocks.move(tx, to=clock.advancing_to)
    else:
        await clocks.arrive(tx)
        left = len(await jobs.unfinished(tx))
        outbox.publish(tx, ClockAdvanced(now_at=clock.now_at, unfinished_jobs=left))
    return True


async def _shown(tx: Tx, clock: Clock | None) -> TenantClock:
    if clock is None:
        return TenantClock(
            status=ClockStatus.REAL_TIME,
            now_at=tx.wall,
            advanced_from=None,
            advancing_to=None,
            unfinished=tuple(await jobs.unfinished(tx)),
        )
    on_its_way = clock.advancing_to is not None
    return TenantClock(
        status=ClockStatus.ADVANCING if on_its_way else ClockStatus.READY,
        now_at=clock.now_at,
        advanced_from=clock.advanced_from if on_its_way else None,
        advancing_to=clock.advancing_to,
        unfinished=tuple(await jobs.unfinished(tx)),
    )


async def _check_is_test(tx: Tx) -> None:
    if await access.mode(tx) is Mode.LIVE:
        raise Conflict(
            "clock_live",
            "A live tenant goes by real time. Use a key of its test tenant, rk_test_….",
            param="Authorization",
        )


def _is_advancing() -> Conflict:
    return Conflict(
        "clock_advancing",
        "The clock is on its way. Wait until GET /v1/test_clock says ready.",
    )
