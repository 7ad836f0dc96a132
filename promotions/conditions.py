"""Whether an offer may be used, and why not. Pure.

One condition is one row: the field of the offer that asks for it, the code and sentence of its refusal, and
whether it is asked of every invoice or once, when the offer is given.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from itertools import compress
from operator import attrgetter
from typing import NamedTuple

from kernel.money import Currency, Money
from promotions.basket import Basket, InReach, Refusal, lines_for, refused
from promotions.model import (
    FreePeriod,
    NewOffer,
    Offer,
    OfferStatus,
    Once,
    Periods,
)


class Asked(NamedTuple):
    """What all the offers are asked about."""

    basket: Basket
    now: datetime


class Condition(NamedTuple):
    field: str
    code: str
    holds: Callable[[Offer, Asked], bool]
    sentence: Callable[[Offer, Asked], str]
    each_invoice: bool = False
    once_reserved: bool = True  # asked again when what was reserved is redeemed


# The first that does not hold is the reason that is given.
CONDITIONS = (
    Condition(
        "conditions.starts_at",
        "offer_not_started",
        lambda offer, asked: offer.conditions.starts_at is None or offer.conditions.starts_at <= asked.now,
        lambda offer, _: f"The offer begins at {offer.conditions.starts_at}.",
        once_reserved=False,
    ),
    Condition(
        "conditions.ends_at",
        "offer_ended",
        lambda offer, asked: offer.conditions.ends_at is None or asked.now < offer.conditions.ends_at,
        lambda offer, _: f"The offer ended at {offer.conditions.ends_at}.",
        once_reserved=False,
    ),
    Condition(
        "conditions.new_customers_only",
        "offer_new_customers_only",
        lambda _, asked: asked.basket.is_new_customer,
        lambda *_: "The offer is for customers who have not subscribed before.",
    ),
    Condition(
        "conditions.first_invoice_only",
        "offer_not_first_invoice",
        lambda _, asked: asked.basket.is_first_invoice,
        lambda *_: "The offer is for the first invoice of a customer.",
    ),
    Condition(
        "conditions.plans",
        "offer_other_plan",
        lambda offer, asked: any(plan in offer.conditions.plans for plan in asked.basket.plans),
        lambda _, asked: f"The offer is not for the plan {asked.basket.plan!r}.",
        each_invoice=True,
    ),
    Condition(
        "benefit.currency",
        "offer_other_currency",
        lambda offer, asked: offer.benefit.currency == asked.basket.currency,
        lambda _, asked: _other_currency(asked),
        each_invoice=True,
    ),
    Condition(
        "budget",
        "offer_other_currency",
        lambda offer, asked: offer.budget is None or offer.budget.currency == asked.basket.currency,
        lambda _, asked: _other_currency(asked),
        each_invoice=True,
    ),
    Condition(
        "conditions.currencies",
        "offer_other_currency",
        lambda offer, asked: asked.basket.currency in offer.conditions.currencies,
        lambda _, asked: _other_currency(asked),
        each_invoice=True,
    ),
    Condition(
        "conditions.min_amounts",
        "offer_other_currency",
        lambda offer, asked: _least(offer, asked.basket.currency) is not None,
        lambda _, asked: _other_currency(asked),
        each_invoice=True,
    ),
    Condition(
        "conditions.countries",
        "offer_other_country",
        lambda offer, asked: asked.basket.country in offer.conditions.countries,
        lambda _, asked: f"The offer is not for customers in {asked.basket.country or 'an unknown country'}.",
    ),
    Condition(
        "conditions.customer_metadata",
        "offer_other_customer",
        lambda offer, asked: not _differing(offer, asked.basket),
        lambda offer, asked: (
            f"The offer is for other customers: look at {_differing(offer, asked.basket)} in their metadata."
        ),
    ),
    Condition(
        "conditions.min_quantity",
        "offer_quantity_too_low",
        lambda offer, asked: _has_quantity(offer, asked.basket),
        lambda offer, _: f"The offer wants a quantity of {offer.conditions.min_quantity} at least.",
        each_invoice=True,
    ),
    Condition(
        "conditions.min_amounts",
        "offer_amount_too_low",
        lambda offer, asked: _has_amount(offer, asked.basket),
        lambda offer, asked: f"The offer wants an amount of {_least(offer, asked.basket.currency)} at least.",
        each_invoice=True,
    ),
    Condition(
        "max_redemptions",
        "offer_sold_out",
        lambda offer, _: offer.max_redemptions is None or offer.redeemed < offer.max_redemptions,
        lambda *_: "The offer has been used as often as it may be.",
        once_reserved=False,
    ),
)


class Rows(NamedTuple):
    """Rows, and what reads all of their fields from an offer at once: what is not set asks for nothing."""

    rows: Sequence[Condition]
    fields: Callable[[Offer], Sequence[object]]

    @classmethod
    def of(cls, rows: Sequence[Condition]) -> "Rows":
        return cls(rows, attrgetter(*(row.field for row in rows)))


_WHEN_GIVEN = Rows.of(CONDITIONS)
_WHEN_REDEEMED = Rows.of([row for row in CONDITIONS if row.once_reserved])
_EACH_INVOICE = Rows.of([row for row in CONDITIONS if row.each_invoice])


def refusal_of(basket: Basket, each: InReach, *, now: datetime) -> Refusal | None:
    """Why this offer cannot be used for this basket now; None when it can."""
    return refusal_when(Asked(basket, now), each)


def refusal_when(asked: Asked, each: InReach) -> Refusal | None:
    """Who was granted it was the right person at the right time: what is asked again is what they buy.

    What was reserved came at the right time, and has its slot.
    """
    offer = each.offer
    if not each.covers.part or (each.granted and is_used_up(offer, each.periods_used)):
        return refused(offer, "offer_used_up", "The offer has served all its periods.")
    if each.granted:
        rows, fields = _EACH_INVOICE
    elif each.reserved:
        rows, fields = _WHEN_REDEEMED
    else:
        if offer.status is not OfferStatus.ACTIVE:
            return refused(offer, "offer_inactive", f"The offer is {offer.status}.")
        rows, fields = _WHEN_GIVEN
    for row in compress(rows, fields(offer)):
        if not row.holds(offer, asked):
            return refused(offer, row.code, row.sentence(offer, asked))
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
    if offer.benefit.currency is not None:
        yield (offer.benefit.currency,)
    if offer.budget is not None:
        yield (offer.budget.currency,)
    if offer.conditions.min_amounts:
        yield tuple(amount.currency for amount in offer.conditions.min_amounts)


def _other_currency(asked: Asked) -> str:
    return f"The offer is not for {asked.basket.currency}."


def _differing(offer: Offer, basket: Basket) -> str:
    """The keys of the customer's metadata that have not one of the values asked for."""
    wanted, has = offer.conditions.customer_metadata, basket.customer_metadata
    return ", ".join(key for key, values in wanted.items() if has.get(key) not in values)


def _has_quantity(offer: Offer, basket: Basket) -> bool:
    """Before there are lines, nothing is asked for."""
    least = offer.conditions.min_quantity
    if not least or not basket.lines:
        return True
    return sum([line.quantity or 0 for line in lines_for(offer, basket) if line.recurring]) >= least


def _has_amount(offer: Offer, basket: Basket) -> bool:
    least = _least(offer, basket.currency)
    if least is None or not basket.lines:
        return True
    return sum([line.amount.minor for line in lines_for(offer, basket)]) >= least.minor


def _least(offer: Offer, currency: Currency) -> Money | None:
    return next((each for each in offer.conditions.min_amounts if each.currency == currency), None)
