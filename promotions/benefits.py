"""What each benefit takes off the lines of a basket, in whole minor units. Pure.

A new benefit is one more case in `off`. Every amount is rounded half up once, on the sum of its lines, and
borne by them by weight.
"""

from collections.abc import Sequence
from typing import NamedTuple

from kernel.decimals import PPM
from kernel.money import allocate_minor, round_half_up
from promotions.basket import Basket, BasketLine, InReach
from promotions.model import FixedAmount, FixedPrice, FreePeriod, FreeUnits, Per, Percent, Percentages, Policy

_MICRO = 10**6


class Off(NamedTuple):
    """An amount, and the weight with which each line bears it."""

    minor: int
    weights: list[int]


class Rest:
    """What is left of the lines while offers come off them, one after the other.

    `exact / scale` is what percentages would have left of a line had nobody rounded: they compound on that,
    so that it does not matter which comes first. What takes off an amount begins again with whole cents.
    """

    __slots__ = ("currency", "exact", "full", "left", "lines", "policy", "scale")

    def __init__(self, basket: Basket, policy: Policy) -> None:
        self.lines = basket.lines
        self.currency = basket.currency
        self.policy = policy
        self.full = [line.amount.minor for line in basket.lines]
        self.left = self.full
        self.exact = self.full
        self.scale = 1

    def take(self, each: InReach, off: Off) -> list[int]:
        """What comes off each line, which is then no longer there."""
        parts = _within(off, self.left)
        self.left = [left - part for left, part in zip(self.left, parts, strict=True)]
        benefit, reach = each.offer.benefit, reach_of(each, self.lines)
        if isinstance(benefit, Percent):
            whole = each.covers.whole * PPM
            self.exact = [
                exact * (whole - benefit.percent * share)
                for exact, share in zip(self.exact, reach, strict=True)
            ]
            self.scale *= whole
        else:
            self.exact = [
                left * self.scale if share else exact
                for left, exact, share in zip(self.left, self.exact, reach, strict=True)
            ]
        return parts


def reach_of(each: InReach, lines: Sequence[BasketLine]) -> list[int]:
    """The share of each line that the offer is for, in parts of `covers.whole`: nothing, a part, or all."""
    plans = each.offer.conditions.plans
    recurring, once = each.covers.part, each.covers.whole
    if isinstance(each.offer.benefit, FixedPrice | FreeUnits):
        once = 0
    return [
        (recurring if line.recurring else once)
        if line.discountable and (not plans or line.plan in plans)
        else 0
        for line in lines
    ]


def off(each: InReach, rest: Rest) -> Off:
    """What the offer would take off what is left: never more than that."""
    reach = reach_of(each, rest.lines)
    match each.offer.benefit:
        case Percent(percent=percent) if rest.policy.percentages is Percentages.FULL_AMOUNT:
            return _of_full_amount(percent, each, rest, reach)
        case Percent(percent=percent):
            return _compounded(percent, each, rest, reach)
        case FixedAmount(amount=amount):
            weights = [left if share else 0 for left, share in zip(rest.left, reach, strict=True)]
            wanted = round_half_up(amount.minor * each.covers.part, each.covers.whole)
            return Off(min(wanted, sum(weights)), weights)
        case FixedPrice(amount=amount, per=per):
            return _above(amount.minor, per, each, rest, reach)
        case FreeUnits(units=units):
            return _units_free(units.micro, each, rest, reach)
        case FreePeriod():
            return Off(0, [0] * len(reach))


def _compounded(percent: int, each: InReach, rest: Rest, reach: Sequence[int]) -> Off:
    """What is left exactly, after this one too, rounded, says how much is to come off now."""
    whole = each.covers.whole * PPM
    before = sum(left for left, share in zip(rest.left, reach, strict=True) if share)
    after = sum(
        exact * (whole - percent * share) for exact, share in zip(rest.exact, reach, strict=True) if share
    )
    minor = before + round_half_up(-after, rest.scale * whole)
    return Off(max(minor, 0), _weights(rest.left, reach))


def _of_full_amount(percent: int, each: InReach, rest: Rest, reach: Sequence[int]) -> Off:
    whole = each.covers.whole * PPM
    weights = [
        min(full * percent * share, left * whole)
        for full, left, share in zip(rest.full, rest.left, reach, strict=True)
    ]
    return Off(round_half_up(sum(weights), whole), weights)


def _above(price: int, per: Per, each: InReach, rest: Rest, reach: Sequence[int]) -> Off:
    """What is above the price, for the share of the period in which the offer holds."""
    weights = _weights(rest.left, reach)
    if per is Per.UNIT:
        units = [line.quantity.micro if line.quantity else 0 for line in rest.lines]
        weights = [weight if micro else 0 for weight, micro in zip(weights, units, strict=True)]
        price = round_half_up(
            price * sum(micro for micro, share in zip(units, reach, strict=True) if share), _MICRO
        )
    whole = each.covers.whole
    above = max(sum(weights) - price * each.covers.part, 0)
    return Off(round_half_up(above, whole), weights)


def _units_free(units: int, each: InReach, rest: Rest, reach: Sequence[int]) -> Off:
    """Line by line until there are no free units left: one line at most is free in part."""
    free, divisor = [], 1
    for line, share in zip(rest.lines, reach, strict=True):
        has = line.quantity.micro if share and line.quantity else 0
        taken = min(units, has)
        units -= taken
        divisor = has if 0 < taken < has else divisor
        free.append((taken, has))
    weights = [
        left * (divisor if taken == has else taken) if taken else 0
        for left, (taken, has) in zip(rest.left, free, strict=True)
    ]
    return Off(round_half_up(sum(weights) * each.covers.part, divisor * each.covers.whole), weights)


def _weights(left: Sequence[int], reach: Sequence[int]) -> list[int]:
    return [each * share for each, share in zip(left, reach, strict=True)]


def _within(off: Off, left: Sequence[int]) -> list[int]:
    """Shared out by weight; what a line cannot bear is borne by the others that have a weight."""
    parts = allocate_minor(off.minor, off.weights)
    if all(part <= most for part, most in zip(parts, left, strict=True)):
        return parts
    parts = [min(part, most) for part, most in zip(parts, left, strict=True)]
    room = [most - part if weight else 0 for part, most, weight in zip(parts, left, off.weights, strict=True)]
    more = allocate_minor(off.minor - sum(parts), room)
    return [part + extra for part, extra in zip(parts, more, strict=True)]
