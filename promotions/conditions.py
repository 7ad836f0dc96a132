"""Whether an offer may be used, and why not. Pure.

One condition is one row: what it is called, the code and sentence of its refusal, and whether it is asked of
every invoice or once, when the offer is given.
"""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import NamedTuple

from kernel.money import Currency, Money, total
from promotions.basket import Basket, InReach, Refusal, lines_for, refused
from promotions.model import FixedAmount, FixedPrice, FreePeriod, NewOffer, Offer, OfferStatus, Once, Periods


class Asked(NamedTuple):
    offer: Offer
    basket: Basket
    now: datetime


class Condition(NamedTuple):
    """`field` is one of the offer's, or of its conditions."""

    field: str
    code: str
    holds: Callable[[Asked], bool]
    sentence: str | Callable[[Asked], str]
    each_invoice: bool = False


# The first that does not hold is the reason that is given.
CONDITIONS = (
    Condition(
        "status",
        "offer_inactive",
        lambda it: it.offer.status is OfferStatus.ACTIVE,
        "The offer is not running.",
    ),
    Condition(
        "starts_at",
        "offer_not_started",
        lambda it: it.offer.conditions.starts_at is None or it.offer.conditions.starts_at <= it.now,
        lambda it: f"The offer begins at {it.offer.conditions.starts_at}.",
    ),
    Condition(
        "ends_at",
        "offer_ended",
        lambda it: it.offer.conditions.ends_at is None or it.now < it.offer.conditions.ends_at,
        lambda it: f"The offer ended at {it.offer.conditions.ends_at}.",
    ),
    Condition(
        "new_customers_only",
        "offer_new_customers_only",
        lambda it: it.basket.is_new_customer or not it.offer.conditions.new_customers_only,
        "The offer is for customers who have not subscribed before.",
    ),
    Condition(
        "first_invoice_only",
        "offer_not_first_invoice",
        lambda it: it.basket.is_first_invoice or not it.offer.conditions.first_invoice_only,
        "The offer is for the first invoice of a customer.",
    ),
    Condition(
        "plans",
        "offer_other_plan",
        lambda it: _is_for_plan(it.offer, it.basket),
        lambda it: f"The offer is not for the plan {it.basket.plan!r}.",
        each_invoice=True,
    ),
    Condition(
        "currencies",
        "offer_other_currency",
        lambda it: all(it.basket.currency in currencies for currencies in currencies_of(it.offer)),
        lambda it: f"The offer is not for {it.basket.currency}.",
        each_invoice=True,
    ),
    Condition(
        "countries",
        "offer_other_country",
        lambda it: not it.offer.conditions.countries or it.basket.country in it.offer.conditions.countries,
        lambda it: f"The offer is not for customers in {it.basket.country or 'an unknown country'}.",
    ),
    Condition(
        "customer_metadata",
        "offer_other_customer",
        lambda it: not _differing(it),
        lambda it: f"The offer is for other customers: look at {_differing(it)} in their metadata.",
    ),
    Condition(
        "min_quantity",
        "offer_quantity_too_low",
        lambda it: _has_quantity(it.offer, it.basket),
        lambda it: f"The offer wants a quantity of {it.offer.conditions.min_quantity} at least.",
        each_invoice=True,
    ),
    Condition(
        "min_amounts",
        "offer_amount_too_low",
        lambda it: _has_amount(it.offer, it.basket),
        lambda it: f"The offer wants an amount of {_least(it.offer, it.basket.currency)} at least.",
        each_invoice=True,
    ),
    Condition(
        "max_redemptions",
        "offer_sold_out",
        lambda it: it.offer.max_redemptions is None or it.offer.redeemed < it.offer.max_redemptions,
        "The offer has been used as often as it may be.",
    ),
)
_OF_EACH_INVOICE = tuple(each for each in CONDITIONS if each.each_invoice)


def refusal_of(basket: Basket, each: InReach, *, now: datetime) -> Refusal | None:
    """Why this offer cannot be used for this basket now; None when it can.

    Who was granted it was the right person at the right time: what is asked again is what they buy.
    """
    if each.granted and (is_used_up(each.offer, each.periods_used) or not each.covers.part):
        return refused(each.offer, "offer_used_up", "The offer has served all its periods.")
    asked = Asked(each.offer, basket, now)
    for condition in _OF_EACH_INVOICE if each.granted else CONDITIONS:
        if not condition.holds(asked):
            say = condition.sentence
            return refused(each.offer, condition.code, say if isinstance(say, str) else say(asked))
    return None


def is_used_up(offer: Offer, periods_used: int) -> bool:
    """Whether it has served all the periods it counts. One that ends at a time says so elsewhere."""
    if isinstance(offer.benefit, FreePeriod):
        return True  # it gave its days before the first invoice
    match offer.duration:
        case Once():
            return periods_used >= 1
        case Periods(count=count):
            return periods_used >= count
        case _:
            return False


def currencies_of(offer: Offer | NewOffer) -> Iterator[tuple[Currency, ...]]:
    """In which currencies each thing that knows a currency lets the offer be used: it takes all of them."""
    if offer.conditions.currencies:
        yield offer.conditions.currencies
    if isinstance(offer.benefit, FixedAmount | FixedPrice):
        yield (offer.benefit.amount.currency,)
    if offer.budget is not None:
        yield (offer.budget.currency,)
    if offer.conditions.min_amounts:
        yield tuple(amount.currency for amount in offer.conditions.min_amounts)


def _is_for_plan(offer: Offer, basket: Basket) -> bool:
    plans = offer.conditions.plans
    return not plans or basket.plan in plans or any(addon in plans for addon in basket.addons)


def _differing(it: Asked) -> str:
    """The keys of the customer's metadata that have not one of the values asked for."""
    has = it.basket.customer_metadata
    keys = [
        key for key, values in it.offer.conditions.customer_metadata.items() if has.get(key) not in values
    ]
    return ", ".join(keys)


def _has_quantity(offer: Offer, basket: Basket) -> bool:
    least = offer.conditions.min_quantity
    if not least or not basket.lines:
        return True
    units = (line.quantity for line in lines_for(offer, basket) if line.recurring and line.quantity)
    return sum(quantity.micro for quantity in units) >= least.micro


def _has_amount(offer: Offer, basket: Basket) -> bool:
    least = _least(offer, basket.currency)
    if least is None or not basket.lines:
        return True
    return total((line.amount for line in lines_for(offer, basket)), basket.currency) >= least


def _least(offer: Offer, currency: Currency) -> Money | None:
    return next((each for each in offer.conditions.min_amounts if each.currency == currency), None)
