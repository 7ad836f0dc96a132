"""For how long an offer goes on, and which part of a period that is. Pure.

Days and months are counted from the first period it may serve, months from the subscription's anchor as its
periods are: four months of a plan billed by the year are four twelfths of it, whatever days they have.
"""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec

from kernel.money import Money
from kernel.periods import Interval, Period, Unit, days_between, local_date, nth_boundary
from kernel.structs import Value
from promotions.engine import Held, Share, is_used_up
from promotions.model import Days, Duration, FreePeriod, Months, Redemption, Status, Until

_MONTH = Interval(Unit.MONTH)


class Serving(Value, frozen=True, kw_only=True):
    """The periods a redemption is to serve: those that begin then or later, until it ends."""

    applies_from: datetime
    ends_at: datetime | None


def serving(duration: Duration, *, applies_from: datetime, anchor_at: datetime, zone: ZoneInfo) -> Serving:
    return Serving(applies_from=applies_from, ends_at=end_of(duration, applies_from, anchor_at, zone))


def end_of(
    duration: Duration, applies_from: datetime, anchor_at: datetime, zone: ZoneInfo
) -> datetime | None:
    """When it is over; None where it is counted in periods, or goes on for ever."""
    match duration:
        case Days(count=count):
            return nth_boundary(applies_from, Interval(Unit.DAY), count, zone)
        case Months(count=count):
            begun = _months(anchor_at, applies_from, zone)
            if begun is None:
                return nth_boundary(applies_from, _MONTH, count, zone)
            return nth_boundary(anchor_at, _MONTH, begun + count, zone)
        case Until(at=at):
            return at
        case _:
            return None


def covered(
    period: Period,
    ends_at: datetime | None,
    anchor_at: datetime,
    zone: ZoneInfo,
    *,
    begins_at: datetime | None = None,
) -> Share:
    """The part of a period that is before the end: in months where all lie on them, or in days.

    What lies before `begins_at` does not count either. What has no end covers the whole of it.
    """
    if ends_at is None:
        return Share()
    first, last = max(period.start, begins_at or period.start), min(period.end, ends_at)
    if (first, last) == (period.start, period.end):
        return Share()
    if last <= first:
        return Share(part=0)
    months = [_months(anchor_at, at, zone) for at in (period.start, first, last, period.end)]
    match months:
        case [int(start), int(begins), int(ends), int(end)]:
            return Share(part=ends - begins, whole=end - start)
        case _:
            return Share(
                part=days_between(first, last, zone),
                whole=max(days_between(period.start, period.end, zone), 1),
            )


def _months(anchor_at: datetime, at: datetime, zone: ZoneInfo) -> int | None:
    """How many months after the anchor it is, where it is a whole number of them."""
    anchor, day = local_date(anchor_at, zone), local_date(at, zone)
    months = (day.year - anchor.year) * 12 + day.month - anchor.month
    return months if nth_boundary(anchor_at, _MONTH, months, zone) == at else None


# ── What a period leaves of an offer ────────────────────────────────────────────────────────────────────


def is_over(held: Held, *, at: datetime) -> bool:
    ends_at = held.redemption.ends_at
    return is_used_up(held.offer, held.redemption.periods_used) or (ends_at is not None and ends_at <= at)


def before_period(redemption: Redemption, start: datetime) -> Redemption:
    """As it was when the period began: what has served it already is not used up by it."""
    if redemption.served_at != start:
        return redemption
    return msgspec.structs.replace(redemption, periods_used=redemption.periods_used - 1)


def after_invoice(held: Held, off: Money | None, period: Period) -> Redemption:
    """After one more invoice of a period, which it took something off or not: exhausted when it can no more.

    What has served the period already is not counted again.
    """
    redemption = held.redemption
    if off is not None:
        counted = redemption.served_at != period.start
        redemption = msgspec.structs.replace(
            given(redemption, off),
            periods_used=redemption.periods_used + counted,
            served_at=period.start,
        )
    elif redemption.status is Status.EXHAUSTED:
        return redemption
    if not is_over(Held(offer=held.offer, redemption=redemption), at=period.end):
        return redemption
    return exhausted(Held(offer=held.offer, redemption=redemption), at=period.end)


def exhausted(held: Held, *, at: datetime) -> Redemption:
    """It has given all that it was for, which lasts until a time: its own, where it has one."""
    return msgspec.structs.replace(held.redemption.to(Status.EXHAUSTED), ended_at=end_of_time(held) or at)


def end_of_time(held: Held) -> datetime | None:
    """When what it gives is over, where that is a time that was known when it was given."""
    if isinstance(held.offer.benefit, FreePeriod):
        return held.redemption.applies_from
    return held.redemption.ends_at


def over_at(held: Held) -> datetime | None:
    """When what it gives is over; what is counted in periods knows that with the last of them."""
    return end_of_time(held) or held.redemption.ended_at


def remind_at(held: Held, *, now: datetime) -> datetime | None:
    """When to say that it is over soon; None while nobody knows, and where nobody is to be told."""
    days, ends_at = held.offer.remind_days_before, over_at(held)
    if days is None or ends_at is None or ends_at <= now:
        return None
    return max(ends_at - timedelta(days=days), now)


def given(redemption: Redemption, off: Money) -> Redemption:
    assert redemption.given is not None, "what is reserved serves nothing"
    return msgspec.structs.replace(redemption, given=redemption.given + off)
