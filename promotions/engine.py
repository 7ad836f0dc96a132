"""What offers take off a basket, and why the others do not. Pure.

Lanes run in order, each on what the one before has left. Inside a lane the offer that takes off most wins;
ties go to the offer made first. In a cumulative lane all of them come off. Every offer in reach ends up
allocated or refused, never both.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import groupby

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
from promotions.conditions import is_used_up, refusal_of
from promotions.model import First, FreePeriod, Offer, OfferId, Percent, Policy

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
    "evaluate",
    "free_days",
    "is_used_up",
    "refusal_of",
]

NOTHING = Decision(allocations=(), refusals=())
BUDGET_SPENT = "offer_budget_spent"
_AS_USUAL = Policy()


def evaluate(
    basket: Basket, in_reach: Iterable[InReach], policy: Policy = _AS_USUAL, *, now: datetime
) -> Decision:
    rest = Rest(basket, policy)
    allocations: list[Allocation] = []
    refusals: list[Refusal] = []

    for number, lane in groupby(sorted(in_reach, key=_order), key=lambda each: each.offer.lane):
        eligible = []
        for each in lane:
            refusal = _refusal(basket, each, now=now)
            if refusal is None:
                eligible.append(each)
            else:
                refusals.append(refusal)
        come_off = _all if number in policy.cumulative_lanes else _best
        allocated, beaten = come_off(eligible, rest)
        allocations += allocated
        refusals += beaten

    return Decision(allocations=tuple(allocations), refusals=tuple(refusals))


def free_days(offer: Offer) -> int:
    return offer.benefit.days if isinstance(offer.benefit, FreePeriod) else 0


def _refusal(basket: Basket, each: InReach, *, now: datetime) -> Refusal | None:
    refusal = refusal_of(basket, each, now=now)
    if refusal is None and isinstance(each.offer.benefit, FreePeriod):
        return refused(each.offer, "offer_before_invoice", "The offer gives days, not money.")
    return refusal


def _all(eligible: Sequence[InReach], rest: Rest) -> tuple[list[Allocation], list[Refusal]]:
    """One after the other, in the order of the policy."""
    allocated, refusals = [], []
    for each in sorted(eligible, key=lambda each: _comes_first(each, rest.policy)):
        off = benefits.off(each, rest)
        if is_within_budget(each.offer, off.minor):
            allocated.append(_allocation(each, off, rest))
        else:
            refusals.append(_budget_spent(each.offer))
    return allocated, refusals


def _best(eligible: Sequence[InReach], rest: Rest) -> tuple[list[Allocation], list[Refusal]]:
    """The one that takes off most of those that have the budget for it, given in the order they were made."""
    offs = [(each, benefits.off(each, rest)) for each in eligible]
    refusals = [
        _budget_spent(each.offer) for each, off in offs if not is_within_budget(each.offer, off.minor)
    ]
    offs = [(each, off) for each, off in offs if is_within_budget(each.offer, off.minor)]
    if not offs:
        return [], refusals
    winner, most = max(offs, key=lambda each: each[1].minor)
    refusals += [
        refused(each.offer, "offer_beaten", _beaten_by(winner.offer, more=off.minor < most.minor))
        for each, off in offs
        if each is not winner
    ]
    return [_allocation(winner, most, rest)], refusals


def is_within_budget(offer: Offer, minor: int) -> bool:
    if offer.budget is None:
        return True
    spent = offer.spent.minor if offer.spent is not None else 0
    return spent + minor <= offer.budget.minor


def _budget_spent(offer: Offer) -> Refusal:
    return refused(offer, BUDGET_SPENT, "What would come off is more than is left of the offer's budget.")


def _beaten_by(winner: Offer, *, more: bool) -> str:
    if more:
        return f"{winner.name!r} takes off more in the same lane."
    return f"{winner.name!r} takes off as much in the same lane, and was made first."


def _allocation(each: InReach, off: Off, rest: Rest) -> Allocation:
    return Allocation(
        offer_id=each.offer.id,
        reference=each.offer.reference,
        name=each.offer.name,
        amounts=tuple(Money(minor, rest.currency) for minor in rest.take(each, off)),
    )


def _order(each: InReach) -> tuple[int, OfferId]:
    return each.offer.lane, each.offer.id


def _comes_first(each: InReach, policy: Policy) -> tuple[bool, OfferId]:
    is_percent = isinstance(each.offer.benefit, Percent)
    return is_percent is not (policy.order is First.PERCENT), each.offer.id
