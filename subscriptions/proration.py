"""What a part of a period costs, and what is left of a line when it is no longer used. Pure.

Parts are counted in days of the seller's calendar, or in seconds. They are half-open: the day (or second) of
a change is billed on the new plan, the day of a cancellation is not used and is credited.

charge = price x billed days / days of the full nominal period, so that a stub costs less than a period
credit = round_half_up(billed x unused days / days the line covers), of the line as billed

The used part of a line is the rest of it: part and rest are the whole, however they are counted.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec

from billing.invoices.model import Line, PricedLine
from billing.parties.model import Proration
from kernel.decimals import UnitPrice
from kernel.money import Money, round_half_up, zero
from kernel.periods import Period, days_between
from kernel.structs import Value
from promotions.model import FixedAmount, FixedPrice, Offer

_SECOND = timedelta(seconds=1)
_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


class Share(Value, frozen=True, kw_only=True):
    """`part` of `whole` days or seconds. Nothing of nothing is no share at all."""

    part: int
    whole: int


def share_of(part: Period, whole: Period, zone: ZoneInfo, by: Proration) -> Share:
    """The share that one period is of another, which may be longer on both sides."""
    return Share(
        part=counted(part.start, part.end, zone, by), whole=counted(whole.start, whole.end, zone, by)
    )


def counted(start: datetime, end: datetime, zone: ZoneInfo, by: Proration) -> int:
    """Days or seconds that begin in `[start, end)`, the one that `start` falls into among them."""
    assert by is not Proration.NONE, "what is not prorated has no parts"
    if by is Proration.DAY:
        return days_between(start, end, zone)
    return (end - _EPOCH) // _SECOND - (start - _EPOCH) // _SECOND


def prorated(lines: Sequence[PricedLine], share: Share, period: Period) -> list[PricedLine]:
    """The share of lines that are not discounted yet, for the period given; of no days there are none."""
    if not share.part:
        return []
    return [_prorated(line, share, period) for line in lines]


def _prorated(line: PricedLine, share: Share, period: Period) -> PricedLine:
    amount = line.unit_price.times(line.quantity, line.amount.currency, part=share.part, whole=share.whole)
    unit_price = UnitPrice.giving(amount, line.quantity)
    return msgspec.structs.replace(line, unit_price=unit_price, amount=amount, period=period)


def offer_for(offer: Offer, share: Share) -> Offer:
    """What a held offer gives for a part of a period: an amount or a price in part, the rest as it is."""
    benefit = offer.benefit
    if not isinstance(benefit, FixedAmount | FixedPrice):
        return offer
    minor = round_half_up(benefit.amount.minor * share.part, share.whole)
    part = Money(minor, benefit.amount.currency)
    return msgspec.structs.replace(offer, benefit=msgspec.structs.replace(benefit, amount=part))


def unused(line: Line, *, at: datetime, zone: ZoneInfo, by: Proration) -> Money:
    """What of the line as billed pays for the time from `at` on; only what recurs can be left unused."""
    if line.period is None or not line.recurring:
        return zero(line.billed.currency)
    covered = counted(line.period.start, line.period.end, zone, by)
    left = min(max(counted(at, line.period.end, zone, by), 0), covered)
    if not covered:
        return zero(line.billed.currency)
    return Money(round_half_up(line.billed.minor * left, covered), line.billed.currency)
