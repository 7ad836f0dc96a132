"""What offers take off a basket, and why the others do not. Pure.

Lanes run in order, each on what the one before has left. Inside a lane the offer that takes off most wins;
ties go to the offer made first. In a cumulative lane all of them come off. Every offer in reach ends up
allocated or refused, never both.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import groupby, repeat
from operator import attrgetter, itemgetter

from kernel.money import Money
from promotions import benefits
from promotions.basket import (
    Allocation,
    Basket,
    BasketLine,
    Decision,
    Held,
    InReach,
    Refusal,
    Share,
    refused,
)
from promotions.benefits import Off, Rest
from promotions.conditions import Asked, is_used_up, refusal_of, refusal_when
from promotions.model import First, FreePeriod, Offer, Percent, Policy

__all__ = [
    "BUDGET_SPENT",
    "NOTHING",
    "Allocation",
    "Basket",
    "BasketLine",
    "Decision",
    "Held",
    "InReach",
    "Refusal",
    "Share",
    "budget_spent",
    "evaluate",
    "free_days",
    "is_used_up",
    "refusal_of",
]

NOTHING = Decision(allocations=(), refusals=())
BUDGET_SPENT = "offer_budget_spent"

_AS_USUAL = Policy()
_lane_of, _made = attrgetter("offer.lane"), attrgetter("offer.id.bytes")
_place = attrgetter("offer.lane", "offer.id.bytes")


def evaluate(
    basket: Basket, in_reach: Iterable[InReach], policy: Policy = _AS_USUAL, *, now: datetime
) -> Decision:
    asked, rest = Asked(basket, now), Rest(basket, policy)
    allocations: list[Allocation] = []
    refusals: list[Refusal] = []

    for number, lane in groupby(_in_order(in_reach), key=_lane_of):
        eligible = []
        for each in lane:
            refusal = refusal_when(asked, each)
            if refusal is not None:
                refusals.append(refusal)
            elif isinstance(each.offer.benefit, FreePeriod):
                refusals.append(
                    refused(each.offer, "offer_before_invoice", "The offer gives days, not money.")
                )
            else:
                eligible.append(each)
        allocated, beaten = (
            _all(eligible, rest) if number in policy.cumulative_lanes else _best(eligible, rest)
        )
        allocations += allocated
        refusals += beaten

    return Decision(allocations=tuple(allocations), refusals=tuple(refusals))


def free_days(offer: Offer) -> int:
    return offer.benefit.days if isinstance(offer.benefit, FreePeriod) else 0


def _in_order(in_reach: Iterable[InReach]) -> list[InReach]:
    """By lane, and there by when they were made. An offer that is in reach twice comes off once."""
    ordered = sorted(in_reach, key=_place)
    if len(set(map(_made, ordered))) == len(ordered):
        return ordered
    once: dict[bytes, InReach] = {}
    for each in sorted(ordered, key=_serves_longest):
        once.setdefault(each.offer.id.bytes, each)
    return sorted(once.values(), key=_place)


def _serves_longest(each: InReach) -> tuple[bool, int, int, int]:
    return not each.granted, each.periods_used, -each.covers.part, each.covers.whole


def _best(eligible: Sequence[InReach], rest: Rest) -> tuple[list[Allocation], list[Refusal]]:
    """Of those that have the budget for it the one that takes off most, and of equals the first."""
    offs, refusals = [], []
    for each in eligible:
        off = benefits.off(each, rest)
        if _is_within_budget(each.offer, off[0]):
            offs.append((off[0], each, off))
        else:
            refusals.append(budget_spent(each.offer))
    if not offs:
        return [], refusals

    most, winner, off = max(offs, key=itemgetter(0))
    more = f"{winner.offer.name!r} takes off more in the same lane."
    as_much = f"{winner.offer.name!r} takes off as much in the same lane, and was made first."
    for minor, each, _ in offs:
        if each is not winner:
            refusals.append(refused(each.offer, "offer_beaten", more if minor < most else as_much))
    return [_allocation(winner, off, rest)], refusals


def _all(eligible: Sequence[InReach], rest: Rest) -> tuple[list[Allocation], list[Refusal]]:
    """One after the other, in the order of the policy."""
    percent_first = rest.policy.order is First.PERCENT
    allocations, refusals = [], []
    for each in sorted(
        eligible, key=lambda each: isinstance(each.offer.benefit, Percent) is not percent_first
    ):
        off = benefits.off(each, rest)
        if _is_within_budget(each.offer, off[0]):
            allocations.append(_allocation(each, off, rest))
        else:
            refusals.append(budget_spent(each.offer))
    return allocations, refusals


def _is_within_budget(offer: Offer, minor: int) -> bool:
    if offer.budget is None:
        return True
    spent = offer.spent.minor if offer.spent is not None else 0
    return spent + minor <= offer.budget.minor


def budget_spent(offer: Offer) -> Refusal:
    return refused(offer, BUDGET_SPENT, "What would come off is more than is left of the offer's budget.")


def _allocation(each: InReach, off: Off, rest: Rest) -> Allocation:
    offer, currency = each.offer, rest.currency
    return Allocation(
        offer_id=offer.id,
        reference=offer.reference,
        name=offer.name,
        amounts=tuple(map(Money, rest.take(each, off), repeat(currency))),
    )
