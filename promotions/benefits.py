"""What each benefit takes off the lines of a basket, in whole minor units. Pure.

A new benefit is one more case in `off`. Every amount is rounded half up once, on the sum of its lines, and
borne by them by weight.
"""

from collections.abc import Iterable, Sequence
from itertools import compress
from math import gcd
from operator import add, and_, gt, mul, sub
from typing import NamedTuple, TypeAlias

from kernel.decimals import PPM
from kernel.money import allocate_minor, round_half_up
from kernel.text import Reference
from promotions.basket import Basket, BasketLine, InReach, Share
from promotions.model import FixedAmount, FixedPrice, FreePeriod, FreeUnits, Per, Percent, Percentages, Policy

_MICRO = 10**6


# An amount, and the weight with which each line bears it; None where that is what is left of the line.
Off: TypeAlias = tuple[int, list[int] | None]


class Reach(NamedTuple):
    """Which lines an offer is for, and which of those recur and do not: a 1 for each that does, or a 0.

    `kinds` is all of it in one: 0 for a line of others, 1 for one that is billed once, 2 for one that recurs.
    """

    lines: Sequence[int]
    recurring: Sequence[int]
    once: Sequence[int]
    kinds: Sequence[int]


class Sums(NamedTuple):
    """Of the lines that an offer is for: what is left of them, and exactly of those that recur and do not."""

    left: int
    recurring: int
    once: int


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
        self._reaches: dict[tuple[Reference, ...], Reach] = {}
        self._sums: dict[tuple[Reference, ...], Sums] = {}

    def reach(self, plans: tuple[Reference, ...]) -> Reach:
        found = self._reaches.get(plans)
        if found is None:
            found = self._reaches[plans] = _reach(self.lines, plans)
        return found

    def sums(self, plans: tuple[Reference, ...]) -> Sums:
        """Offers for the same lines compete on the same sums."""
        found = self._sums.get(plans)
        if found is None:
            lines, recurring, once, _ = self.reach(plans)
            found = self._sums[plans] = Sums(
                sum(compress(self.left, lines)),
                sum(compress(self.exact, recurring)),
                sum(compress(self.exact, once)),
            )
        return found

    def take(self, each: InReach, off: Off) -> list[int]:
        """What comes off each line, which is then no longer there."""
        reach, (minor, weights) = self.reach(each.offer.conditions.plans), off
        if weights is None:
            parts = allocate_minor(minor, list(map(mul, self.left, reach.lines)))
        else:
            parts = _within(minor, weights, self.left)
        self.left = list(map(sub, self.left, parts))
        self._sums = {}
        if isinstance(each.offer.benefit, Percent):
            self._compound(each.offer.benefit.percent, each.covers, reach)
        elif self.scale == 1:
            self.exact = self.left
        else:
            self.exact = [
                left * self.scale if part else exact
                for left, part, exact in zip(self.left, parts, self.exact, strict=True)
            ]
        return parts

    def _compound(self, percent: int, covers: Share, reach: Reach) -> None:
        """In small numbers: 20 % leave 4 of 5."""
        common = gcd(percent * covers.part, percent * covers.whole, covers.whole * PPM)
        whole = covers.whole * PPM // common
        once, recurring = whole - percent * covers.whole // common, whole - percent * covers.part // common
        self.exact = list(map(mul, self.exact, map((whole, once, recurring).__getitem__, reach.kinds)))
        self.scale *= whole


def off(each: InReach, rest: Rest) -> Off:
    """What the offer would take off what is left: never more than that."""
    covers, plans = each.covers, each.offer.conditions.plans
    match each.offer.benefit:
        case Percent(percent=percent):
            if rest.policy.percentages is Percentages.FULL_AMOUNT:
                return _of_full_amount(percent, covers, rest, rest.reach(plans))
            return _compounded(percent, covers, rest, plans)
        case FixedAmount(amount=amount):
            wanted = round_half_up(amount.minor * covers.part, covers.whole)
            return min(wanted, rest.sums(plans).left), None
        case FixedPrice(amount=amount, per=per):
            return _above(amount.minor, per, covers, rest, rest.reach(plans))
        case FreeUnits(units=units):
            return _units_free(units.micro, covers, rest, rest.reach(plans))
        case FreePeriod():
            return 0, None


def _compounded(percent: int, covers: Share, rest: Rest, plans: tuple[Reference, ...]) -> Off:
    """What is left exactly, after this one too, rounded, says how much is to come off now."""
    left, recurring, once = rest.sums(plans)
    if covers.part == covers.whole:
        after = (recurring + once) * (PPM - percent)
        return max(left + round_half_up(-after, rest.scale * PPM), 0), None
    whole = covers.whole * PPM
    after = recurring * (whole - percent * covers.part) + once * (whole - percent * covers.whole)
    minor = left + round_half_up(-after, rest.scale * whole)
    return max(minor, 0), _weights(rest.left, covers, rest.reach(plans))


def _of_full_amount(percent: int, covers: Share, rest: Rest, reach: Reach) -> Off:
    whole = covers.whole * PPM
    bounds = [
        min(full * percent, left * whole)
        for full, left in zip(_weights(rest.full, covers, reach), rest.left, strict=True)
    ]
    return (round_half_up(sum(bounds), whole), bounds)


def _above(price: int, per: Per, covers: Share, rest: Rest, reach: Reach) -> Off:
    """What is above the price, for the share of the period in which the offer holds."""
    weights = list(map(mul, rest.left, reach.recurring))
    if per is Per.UNIT:
        units = _units(rest.lines, reach)
        weights = [weight if micro else 0 for weight, micro in zip(weights, units, strict=True)]
        price = round_half_up(price * sum(units), _MICRO)
    above = max(sum(weights) - price, 0)
    return (round_half_up(above * covers.part, covers.whole), weights)


def _units_free(free: int, covers: Share, rest: Rest, reach: Reach) -> Off:
    """Line by line until there are no free units left: the last line may be free in part."""
    weights: list[int] = []
    divisor = 1
    for left, has in zip(rest.left, _units(rest.lines, reach), strict=True):
        taken = min(free, has)
        free -= taken
        if 0 < taken < has:
            weights, divisor = [weight * has for weight in weights], has
        weights.append(left * (taken if taken < has else bool(taken)))
    return (round_half_up(sum(weights) * covers.part, divisor * covers.whole), weights)


def _units(lines: Sequence[BasketLine], reach: Reach) -> list[int]:
    """Millionths of what recurs, of each line."""
    return [
        line.quantity.micro if its and line.quantity is not None else 0
        for line, its in zip(lines, reach.recurring, strict=True)
    ]


def _reach(lines: Sequence[BasketLine], plans: tuple[Reference, ...]) -> Reach:
    its = [line.discountable for line in lines]
    if plans:
        its = list(map(and_, its, [line.plan in plans for line in lines]))
    recurring = list(map(and_, its, [line.recurring for line in lines]))
    return Reach(its, recurring, list(map(sub, its, recurring)), list(map(add, its, recurring)))


def _weights(amounts: Iterable[int], covers: Share, reach: Reach) -> list[int]:
    """Amounts by the share in which the offer holds for them, in parts of `covers.whole`."""
    return list(map(mul, amounts, map((0, covers.whole, covers.part).__getitem__, reach.kinds)))


def _within(minor: int, weights: list[int], most: Sequence[int]) -> list[int]:
    """Shared out by weight; what a line cannot bear is borne by the others that have a weight."""
    parts = allocate_minor(minor, weights)
    if not any(map(gt, parts, most)):
        return parts
    parts = list(map(min, parts, most))
    room = [limit - part if weight else 0 for limit, part, weight in zip(most, parts, weights, strict=True)]
    more = allocate_minor(minor - sum(parts), room)
    return list(map(add, parts, more))
