"""What an offer must be like. Pure."""

from datetime import datetime

from msgspec.structs import replace

from kernel.errors import Conflict, Invalid
from kernel.money import Money
from kernel.structs import sent_fields
from promotions.conditions import currencies_of
from promotions.model import (
    Benefit,
    Conditions,
    Duration,
    FixedAmount,
    FixedPrice,
    Forever,
    FreePeriod,
    FreeUnits,
    MoveTo,
    NewOffer,
    Offer,
    OfferChange,
    OfferStatus,
    Once,
    Percent,
    Until,
)


def check(request: NewOffer, *, now: datetime) -> None:
    _check_benefit(request)
    _check_duration(request.duration, now=now)
    if isinstance(request.at_end, MoveTo) and isinstance(request.duration, Forever):
        raise Invalid("at_end_of_forever", "Nothing follows what never ends.", param="at_end")
    _check_reminder(request)
    _check_conditions(request.conditions)
    if request.budget is not None:
        _check_budget(request.budget, request.benefit)
    _check_currencies(request)


def _check_reminder(offer: NewOffer | Offer) -> None:
    if offer.remind_days_before is not None and isinstance(offer.duration, Forever):
        raise Invalid(
            "remind_of_forever", "What never ends has no end to remind of.", param="remind_days_before"
        )


def _check_benefit(request: NewOffer) -> None:
    match request.benefit:
        case Percent(percent=percent) if not percent:
            raise _nothing("percent")
        case FixedAmount(amount=amount) if amount.minor <= 0:
            raise _nothing("amount")
        case FixedPrice(amount=amount) if amount.minor < 0:
            raise Invalid("fixed_price_negative", "A price is zero or more.", param="benefit.amount")
        case FreeUnits(units=units) if not units:
            raise _nothing("units")
        case FreePeriod():
            _check_free_period(request)
        case _:
            pass


def _nothing(field: str) -> Invalid:
    return Invalid("benefit_nothing", "An offer takes something off.", param=f"benefit.{field}")


def _check_free_period(request: NewOffer) -> None:
    """It is over before the first invoice: what is said of invoices is not about it."""
    if not isinstance(request.duration, Once):
        raise Invalid(
            "duration_of_free_period",
            "A free period lasts its days; leave the duration out.",
            param="duration",
        )
    if request.lane:
        raise Invalid(
            "lane_of_free_period",
            "A free period takes nothing off an invoice and is in no lane: leave it out.",
            param="lane",
        )
    if request.budget is not None:
        raise Invalid(
            "budget_of_free_period",
            "A free period takes nothing off that a budget could count: leave it out.",
            param="budget",
        )


def _check_duration(duration: Duration, *, now: datetime) -> None:
    if isinstance(duration, Until) and duration.at <= now:
        raise Invalid("duration_over", "Choose a time that is still to come.", param="duration.at")


def _check_conditions(conditions: Conditions) -> None:
    _check_times(conditions)
    currencies = [amount.currency for amount in conditions.min_amounts]
    if len(set(currencies)) < len(currencies) or any(each.minor <= 0 for each in conditions.min_amounts):
        raise Invalid(
            "min_amounts_form",
            "Give each currency one amount, above zero.",
            param="conditions.min_amounts",
        )
    if conditions.min_quantity is not None and not conditions.min_quantity:
        raise Invalid(
            "min_quantity_zero", "Every basket has that: leave it out.", param="conditions.min_quantity"
        )


def _check_currencies(request: NewOffer) -> None:
    """There must be one in which the offer can be had."""
    allowed = list(currencies_of(request))
    if allowed and not set(allowed[0]).intersection(*allowed[1:]):
        raise Invalid(
            "offer_in_no_currency",
            "The benefit, the budget and the conditions name no currency in common.",
            param="conditions.currencies",
        )


def changed(offer: Offer, change: OfferChange) -> Offer:
    """The offer after the change. Raises Conflict `offer_fixed` where that would change a promise."""
    if offer.status is OfferStatus.ARCHIVED:
        raise Conflict("offer_state", "The offer is archived: make a new one.")
    sent = sent_fields(change)
    for name in ("benefit", "duration", "at_end", "lane"):
        if sent.pop(name, getattr(offer, name)) != getattr(offer, name):
            raise _fixed(f"The {name.replace('_', ' ')} of an offer does not change", name)
    after = replace(offer, **sent)
    _check_times_changed(offer, after)
    _check_cap_changed(offer, after)
    _check_budget_changed(offer, after)
    _check_reminder(after)
    return after if after.budget is not None else replace(after, spent=None)


def _check_times(conditions: Conditions) -> None:
    if conditions.starts_at and conditions.ends_at and conditions.ends_at <= conditions.starts_at:
        raise Invalid(
            "offer_ends_before_start", "The offer ends before it begins.", param="conditions.ends_at"
        )


def _check_budget(budget: Money, benefit: Benefit) -> None:
    if budget.minor <= 0:
        raise Invalid("budget_nothing", "A budget is more than nothing.", param="budget")
    if isinstance(benefit, FixedAmount) and benefit.amount.currency != budget.currency:
        raise Invalid("budget_currency", "The budget is in the currency of the amount off.", param="budget")


def _check_times_changed(offer: Offer, after: Offer) -> None:
    was, is_now = offer.conditions, after.conditions
    if replace(is_now, starts_at=was.starts_at, ends_at=was.ends_at) != was:
        raise _fixed("Of an offer's conditions only the times change", "conditions")
    if is_now.starts_at != was.starts_at and offer.redeemed:
        raise _fixed("It has been redeemed, so when it started does not change", "conditions.starts_at")
    _check_times(is_now)


def _check_cap_changed(offer: Offer, after: Offer) -> None:
    if after.max_redemptions is None or after.max_redemptions == offer.max_redemptions:
        return
    if offer.max_redemptions is None:
        raise _fixed("It was made without a cap, so nobody counted", "max_redemptions")
    if after.max_redemptions < offer.redeemed:
        raise _fixed(f"It has been redeemed {offer.redeemed} times", "max_redemptions")


def _check_budget_changed(offer: Offer, after: Offer) -> None:
    if after.budget is None or after.budget == offer.budget:
        return
    if offer.budget is None or offer.spent is None:
        raise _fixed("It was made without a budget, so nobody counted", "budget")
    if after.budget.currency != offer.budget.currency:
        raise _fixed(f"Its budget is in {offer.budget.currency}", "budget")
    if after.budget.minor < offer.spent.minor:
        raise _fixed(f"It has taken off {offer.spent} already", "budget")
    _check_budget(after.budget, offer.benefit)


def _fixed(why: str, param: str) -> Conflict:
    return Conflict("offer_fixed", f"{why}: make a new offer.", param=param)
