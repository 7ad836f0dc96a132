"""Periods are half-open, `[start, end)`, and months count from the anchor: 31 Jan, 28 Feb, 31 Mar."""

import calendar
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Annotated
from zoneinfo import ZoneInfo

import msgspec


class Unit(StrEnum):
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"


class Interval(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long one period is: 1 month, 2 weeks, 1 year."""

    unit: Unit
    count: Annotated[int, msgspec.Meta(ge=1, le=366)] = 1

    @property
    def length(self) -> tuple[Unit, int]:
        """For comparing two of them: a year is twelve months, and a week seven days."""
        match self.unit:
            case Unit.YEAR:
                return Unit.MONTH, 12 * self.count
            case Unit.WEEK:
                return Unit.DAY, 7 * self.count
            case unit:
                return unit, self.count


class Period(msgspec.Struct, frozen=True, gc=False):
    start: datetime
    end: datetime

    def __contains__(self, instant: datetime) -> bool:
        return self.start <= instant < self.end

    def days(self, zone: ZoneInfo) -> int:
        """Calendar days it covers as seen in `zone`."""
        return days_between(self.start, self.end, zone)


def days_between(start: datetime, end: datetime, zone: ZoneInfo) -> int:
    return (local_date(end, zone) - local_date(start, zone)).days


def local_date(instant: datetime, zone: ZoneInfo) -> date:
    return instant.astimezone(zone).date()


def nth_boundary(anchor: datetime, interval: Interval, n: int, zone: ZoneInfo) -> datetime:
    """The start of period `n` (0 is the anchor), at the anchor's wall clock time in `zone`."""
    local = anchor.astimezone(zone)
    count = interval.count * n
    match interval.unit:
        case Unit.DAY:
            moved = local.date() + timedelta(days=count)
        case Unit.WEEK:
            moved = local.date() + timedelta(weeks=count)
        case Unit.MONTH:
            moved = plus_months(local.date(), count)
        case Unit.YEAR:
            moved = plus_months(local.date(), 12 * count)
    return datetime.combine(moved, local.timetz()).astimezone(anchor.tzinfo)


def nth_period(anchor: datetime, interval: Interval, n: int, zone: ZoneInfo) -> Period:
    return Period(nth_boundary(anchor, interval, n, zone), nth_boundary(anchor, interval, n + 1, zone))


def plus_months(day: date, months: int) -> date:
    """The same day of a later month, or that month's last day when it is shorter."""
    year, month0 = divmod(day.year * 12 + day.month - 1 + months, 12)
    last = calendar.monthrange(year, month0 + 1)[1]
    return date(year, month0 + 1, min(day.day, last))
