"""When a subscription's periods begin and end. Pure."""

from datetime import datetime
from zoneinfo import ZoneInfo

from kernel.periods import Interval, Period, Unit, nth_boundary, nth_period
from kernel.structs import Value

TRIAL = -1


class Start(Value, frozen=True, kw_only=True):
    """Where a subscription stands when it begins."""

    anchor_at: datetime
    period_number: int
    period: Period
    trial_ends_at: datetime | None


def start(interval: Interval, *, free_days: int, now: datetime, zone: ZoneInfo) -> Start:
    """Billing is anchored where it begins: now, or when the free days are over."""
    if not free_days:
        period = nth_period(now, interval, 0, zone)
        return Start(anchor_at=now, period_number=0, period=period, trial_ends_at=None)
    ends_at = nth_boundary(now, Interval(Unit.DAY, free_days), 1, zone)
    return Start(anchor_at=ends_at, period_number=TRIAL, period=Period(now, ends_at), trial_ends_at=ends_at)
