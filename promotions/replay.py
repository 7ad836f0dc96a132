"""What the engine was asked when something was billed, kept so that it can be asked again. Pure.

An offer's benefit and conditions do not change once it is made; how much of its budget was left, and which
share of a period it covered, did. That is frozen here, with the lines as they were before offers.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime

from msgspec.structs import replace

from kernel.money import Money
from kernel.structs import Value
from promotions import engine
from promotions.basket import Basket, Decision, InReach, Share
from promotions.model import Benefit, Offer, OfferId, Policy


class OfferThen(Value, frozen=True, kw_only=True, omit_defaults=True):
    """An offer that was held; of a part of a period, `benefit` is what it gave for that part."""

    offer_id: OfferId
    benefit: Benefit
    periods_used: int = 0
    covers: Share = Share()
    budget: Money | None = None
    spent: Money | None = None


class Decided(Value, frozen=True, kw_only=True):
    """A question to the engine, and its answer. Who the customer was is not kept: it was asked before."""

    at: datetime
    basket: Basket
    offers: tuple[OfferThen, ...]
    policy: Policy
    decision: Decision


def decide(basket: Basket, held: Iterable[InReach], policy: Policy, *, now: datetime) -> Decided:
    """Of offers that are held already."""
    asked = tuple(held)
    assert all(each.granted for each in asked), "what is billed takes off what was given"
    return Decided(
        at=now,
        basket=replace(basket, country=None, customer_metadata={}),
        offers=tuple(map(_then, asked)),
        policy=policy,
        decision=engine.evaluate(basket, asked, policy, now=now),
    )


def again(decided: Decided, offers: Mapping[OfferId, Offer], more: Iterable[InReach] = ()) -> Decision:
    """What the engine answers today, by the offers as they are; `more` are in reach beside those."""
    asked = [_now(each, offers[each.offer_id]) for each in decided.offers]
    return engine.evaluate(decided.basket, [*asked, *more], decided.policy, now=decided.at)


def _then(each: InReach) -> OfferThen:
    return OfferThen(
        offer_id=each.offer.id,
        benefit=each.offer.benefit,
        periods_used=each.periods_used,
        covers=each.covers,
        budget=each.offer.budget,
        spent=each.offer.spent,
    )


def _now(then: OfferThen, offer: Offer) -> InReach:
    return InReach(
        offer=replace(offer, benefit=then.benefit, budget=then.budget, spent=then.spent),
        granted=True,
        periods_used=then.periods_used,
        covers=then.covers,
    )
