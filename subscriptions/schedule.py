"""When a subscription's periods begin and end. Pure.

Anniversary: they are counted from where billing begins. Calendar: from a day of the month, and what comes
before it is a stub, a part of a nominal period whose end it shares. Either way the next period begins where
the one before it ends.
"""

import calendar
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from kernel.errors import Invalid
from kernel.periods import Interval, Period, Unit, local_date, nth_boundary
from kernel.structs import Value
from subscriptions.model import BillingAnchor, Status, Subscription

# The number of a period that is followed by the first one that is counted: a trial, for instance.
TRIAL = -1

# A start is no farther from now than this, and bills no more periods that are over.
FARTHEST = timedelta(days=366)
MOST_PERIODS = 60


class Start(Value, frozen=True, kw_only=True):
    """Where a subscription stands when it begins."""

    anchor_at: datetime
    period_number: int
    period: Period
    trial_ends_at: datetime | None


def start(
    interval: Interval, billing_anchor: BillingAnchor | None, *, free_days: int, at: datetime, zone: ZoneInfo
) -> Start:
    """Billing begins then, or when the free days are over."""
    if not free_days:
        return counted_from(interval, billing_anchor, at=at, zone=zone)
    ends_at = nth_boundary(at, Interval(Unit.DAY, free_days), 1, zone)
    return Start(anchor_at=ends_at, period_number=TRIAL, period=Period(at, ends_at), trial_ends_at=ends_at)


def until(starts: Start, *, now: datetime) -> Start:
    """Before a start that is to come."""
    starts_at = starts.period.start
    return Start(
        anchor_at=starts.trial_ends_at or starts_at,
        period_number=TRIAL,
        period=Period(now, starts_at),
        trial_ends_at=starts.trial_ends_at,
    )


def paid_from(subscription: Subscription) -> datetime:
    """When the first period begins that is paid for: at the start, or when the trial is over."""
    if subscription.trial_ends_at is not None:
        return subscription.trial_ends_at
    begun = subscription.status is not Status.INCOMPLETE
    return subscription.current_period.start if begun else subscription.current_period.end


def check_start(interval: Interval, starts_at: datetime | None, *, now: datetime, zone: ZoneInfo) -> None:
    if starts_at is None:
        return
    if abs(starts_at - now) > FARTHEST:
        raise Invalid(
            "start_time", "A subscription starts within a year, before or after now.", param="starts_at"
        )
    if nth_boundary(starts_at, interval, MOST_PERIODS, zone) <= now:
        raise Invalid(
            "start_time",
            f"More than {MOST_PERIODS} periods have begun since: start it later.",
            param="starts_at",
        )


def counted_from(
    interval: Interval, billing_anchor: BillingAnchor | None, *, at: datetime, zone: ZoneInfo
) -> Start:
    """The first period that is billed, and the anchor it is counted from."""
    months = _months(interval)
    if billing_anchor is None or months is None:
        anchor_at, number = at, 0
    else:
        anchor_at, number = _calendar(months, billing_anchor, at=at, zone=zone)
    period = following(Period(at, at), interval, anchor_at, number, zone)
    return Start(anchor_at=anchor_at, period_number=number, period=period, trial_ends_at=None)


def following(last: Period, interval: Interval, anchor_at: datetime, number: int, zone: ZoneInfo) -> Period:
    """The period of that number, which begins where the one before it ended."""
    return Period(last.end, nth_boundary(anchor_at, interval, number + 1, zone))


def check(interval: Interval, billing_anchor: BillingAnchor | None) -> None:
    if billing_anchor is None:
        return
    months = _months(interval)
    if months is None or (billing_anchor.month is not None and months < 12 and 12 % months):
        raise Invalid(
            "billing_anchor_interval",
            "A day of the month is for plans billed by months or years, a month for those that fill a "
            "year evenly.",
            param="billing_anchor",
        )


def _months(interval: Interval) -> int | None:
    match interval.unit:
        case Unit.MONTH:
            return interval.count
        case Unit.YEAR:
            return 12 * interval.count
        case _:
            return None


def _calendar(
    months: int, billing_anchor: BillingAnchor, *, at: datetime, zone: ZoneInfo
) -> tuple[datetime, int]:
    """The anchor lies in a month that has the day, some periods before the next one that begins on it."""
    today = local_date(at, zone)
    month = today.year * 12 + today.month - 1
    while _day(month, billing_anchor.day) <= today or not _is_meant(month, months, billing_anchor):
        month += 1
    before = range(1, 96 // months + 2)
    back = max(before, key=lambda n: (_day(month - n * months, billing_anchor.day).day, -n))
    anchored = _day(month - back * months, billing_anchor.day)
    return datetime.combine(anchored, time(), zone).astimezone(at.tzinfo), back - 1


def _is_meant(month: int, months: int, billing_anchor: BillingAnchor) -> bool:
    """Where no month of the year is named, any will do, and where the months do not fill a year."""
    if billing_anchor.month is None or (months < 12 and 12 % months):
        return True
    return (month - (billing_anchor.month - 1)) % min(months, 12) == 0


def _day(month: int, day: int) -> date:
    """That day of a month counted from the year 0, or its last one."""
    year, month0 = divmod(month, 12)
    return date(year, month0 + 1, min(day, calendar.monthrange(year, month0 + 1)[1]))
