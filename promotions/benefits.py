"""What each benefit takes off the lines of a basket, in whole minor units. Pure.

A new benefit is one more case in `off`. Every amount is rounded half up once, on the sum of its lines, and
borne by them by weight.
"""

from collections.abc import Sequence
from itertools import compress
from math import gcd
from operator import add, gt, mul, sub
from typing import TypeAlias

from kernel.decimals import PPM
from kernel.money import allocate_minor, round_half_up
from kernel.text import Reference
from promotions.basket import Basket, InReach, Share
from promotions.model import FixedAmount, FixedPrice, FreePeriod, FreeUnits, Per, Percent, Percentages, Policy

_MICRO = 10**6


Plans: TypeAlias = tuple[Reference, ...]
# An amount, and the weight with which each line bears it; None where that is what is left of the line.
Off: TypeAlias = tuple[int, list[int] | None]


class Rest:
    """What is left of the lines while offers come off them, one after the other.

    `exact / scale` is what percentages would have left of a line had nobody rounded: they compound on that,
    so that it does not matter which comes first. What takes off an amount begins again with whole cents.
    """

    __slots__ = ("_reaches", "_sums", "currency", "exact", "full", "left", "lines", "policy", "scale")

    def __init__(self, basket: Basket, policy: Policy) -> None:
        self.lines = basket.lines
        self.currency = basket.currency
        self.policy = policy
        self.full = self.left = self.exact = [line.amount.minor for line in basket.lines]
        self.scale = 1
        self._reaches: dict[Plans, list[bool]] = {}
        self._sums: dict[Plans, tuple[int, int]] = {}

    def reach(self, plans: Plans) -> list[bool]:
        """Which lines an offer for these plans is for."""
        found = self._reaches.get(plans)
        if found is None:
            found = [line.discountable for line in self.lines]
            if plans:
                found = [its and line.plan in plans for its, line in zip(found, self.lines, strict=True)]
            self._reaches[plans] = found
        return found

    def shares(self, covers: Share, plans: Plans) -> Sequence[int]:
        """What of each line it is for, in parts of `covers.whole`: of one that recurs the part it covers."""
        reach = self.reach(plans)
        if covers.whole == covers.part == 1:
            return reach
        return [
            (covers.part if line.recurring else covers.whole) if its else 0
            for its, line in zip(reach, self.lines, strict=True)
        ]

    def sums(self, plans: Plans) -> tuple[int, int]:
        """What is left of those lines, and exactly: offers for the same ones compete on the same sums."""
        found = self._sums.get(plans)
        if found is None:
            reach = self.reach(plans)
            found = self._sums[plans] = sum(compress(self.left, reach)), sum(compress(self.exact, reach))
        return found

    def take(self, each: InReach, off: Off) -> list[int]:
        """What comes off each line, which is then no longer there."""
        plans, (minor, weights) = each.offer.conditions.plans, off
        if weights is None:
            parts = allocate_minor(minor, list(map(mul, self.left, self.reach(plans))))
        else:
            parts = _within(minor, weights, self.left)
        self.left = list(map(sub, self.left, parts))
        self._sums = {}
        if isinstance(each.offer.benefit, Percent):
            self._compound(each.offer.benefit.percent, each.covers, plans)
        elif self.scale == 1:
            self.exact = self.left
        else:
            self.exact = [
                left * self.scale if part else exact
                for left, part, exact in zip(self.left, parts, self.exact, strict=True)
            ]
        return parts

    def _compound(self, percent: int, covers: Share, plans: Plans) -> None:
        """In small numbers: 20 % leave 4 of 5."""
        common = gcd(percent, PPM)
        percent, whole = percent // common, PPM // common * covers.whole
        self.exact = [
            exact * (whole - percent * share)
            for exact, share in zip(self.exact, self.shares(covers, plans), strict=True)
        ]
        self.scale *= whole


def off(each: InReach, rest: Rest) -> Off:
    """What the offer would take off what is left: never more than that."""
    covers, plans = each.covers, each.offer.conditions.plans
    match each.offer.benefit:
        case Percent(percent=percent):
            if rest.policy.percentages is Percentages.FULL_AMOUNT:
                return _of_full_amount(percent, covers, rest, plans)
            return _compounded(percent, covers, rest, plans)
        case FixedAmount(amount=amount):
            wanted = round_half_up(amount.minor * covers.part, covers.whole)
            return min(wanted, rest.sums(plans)[0]), None
        case FixedPrice(amount=amount, per=per):
            return _above(amount.minor, per, covers, rest, plans)
        case FreeUnits(units=units):
            return _units_free(units.micro, covers, rest, plans)
        case FreePeriod():
            return 0, None


def _compounded(percent: int, covers: Share, rest: Rest, plans: Plans) -> Off:
    """What is left exactly, after this one too, rounded, says how much is to come off now."""
    left, exact = rest.sums(plans)
    if covers.part == covers.whole:
        after = exact * (PPM - percent)
        return max(left + round_half_up(-after, rest.scale * PPM), 0), None
    whole, shares = covers.whole * PPM, rest.shares(covers, plans)
    after = exact * whole - percent * sum(map(mul, rest.exact, shares))
    minor = left + round_half_up(-after, rest.scale * whole)
    return max(minor, 0), list(map(mul, rest.left, shares))


def _of_full_amount(percent: int, covers: Share, rest: Rest, plans: Plans) -> Off:
    whole = covers.whole * PPM
    bounds = [
        min(full * percent * share, left * whole)
        for full, left, share in zip(rest.full, rest.left, rest.shares(covers, plans), strict=True)
    ]
    return round_half_up(sum(bounds), whole), bounds


def _above(price: int, per: Per, covers: Share, rest: Rest, plans: Plans) -> Off:
    """What is above the price, for the share of the period in which the offer holds."""
    recurs = _recurs(rest, plans)
    if per is Per.UNIT:
        units = _units(rest, recurs)
        recurs = list(map(bool, units))
        price = round_half_up(price * sum(units), _MICRO)
    weights = list(map(mul, rest.left, recurs))
    above = max(sum(weights) - price, 0)
    return round_half_up(above * covers.part, covers.whole), weights


def _units_free(free: int, covers: Share, rest: Rest, plans: Plans) -> Off:
    """Line by line until there are no free units left: the last line may be free in part."""
    weights: list[int] = []
    divisor = 1
    for left, has in zip(rest.left, _units(rest, _recurs(rest, plans)), strict=True):
        taken = min(free, has)
        free -= taken
        if 0 < taken < has:
            weights, divisor = [weight * has for weight in weights], has
        weights.append(left * (taken if taken < has else bool(taken)))
    return round_half_up(sum(weights) * covers.part, divisor * covers.whole), weights


def _recurs(rest: Rest, plans: Plans) -> list[bool]:
    return [its and line.recurring for its, line in zip(rest.reach(plans), rest.lines, strict=True)]


def _units(rest: Rest, recurs: Sequence[bool]) -> list[int]:
    """Millionths of what recurs, of each line."""
    return [
        line.quantity.micro if its and line.quantity is not None else 0
        for line, its in zip(rest.lines, recurs, strict=True)
    ]


def _within(minor: int, weights: list[int], most: Sequence[int]) -> list[int]:
    """Shared out by weight; what a line cannot bear is borne by the others that have a weight."""
    parts = allocate_minor(minor, weights)
    if not any(map(gt, parts, most)):
        return parts
    parts = list(map(min, parts, most))
    room = [limit - part if weight else 0 for limit, part, weight in zip(most, parts, weights, strict=True)]
    more = allocate_minor(minor - sum(parts), room)
    return list(map(add, parts, more))
