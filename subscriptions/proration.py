"""What is left of a line when a subscription stops inside the period it pays for. Pure.

By the day, as the seller's calendar counts them: the day of a cancellation is not used and is credited.
"""

from datetime import datetime
from zoneinfo import ZoneInfo

from billing.invoices.model import Line
from kernel.money import Money, round_half_up, zero
from kernel.periods import days_between


def unused(line: Line, *, at: datetime, zone: ZoneInfo) -> Money:
    """`round_half_up(net x unused days / days the line covers)`, from the line as billed."""
    if line.period is None:
        return zero(line.net.currency)
    covered = line.period.days(zone)
    left = min(max(days_between(at, line.period.end, zone), 0), covered)
    if not covered:
        return zero(line.net.currency)
    return Money(round_half_up(line.net.minor * left, covered), line.net.currency)
