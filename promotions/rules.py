"""What an offer must be like. Pure."""

from msgspec.structs import replace

from kernel.errors import Conflict, Invalid
from kernel.money import Money
from kernel.structs import sent_fields
from promotions.model import (
    Benefit,
    Conditions,
    FixedAmount,
    Forever,
    FreePeriod,
    MoveTo,
    NewOffer,
    Offer,
    OfferChange,
    OfferStatus,
    Once,
    Percent,
)


def check(request: NewOffer) -> None:
    conditions = request.conditions
    match request.benefit:
        case Percent(percent=percent) if not percent:
            raise Invalid("benefit_nothing", "An offer takes something off.", param="benefit.percent")
        case FixedAmount(amount=amount) if amount.minor <= 0:
            raise Invalid("benefit_nothing", "An offer takes something off.", param="benefit.amount")
        case FreePeriod() if not isinstance(request.duration, Once):
            raise Invalid(
                "duration_of_free_period",
                "A free period lasts its days; leave the duration out.",
                param="duration",
            )
        case _:
            pass
    if isinstance(request.at_end, MoveTo) and isinstance(request.duration, Forever):
        raise Invalid("at_end_of_forever", "Nothing follows what never ends.", param="at_end")
    _check_times(conditions)
    if request.budget is not None:
        _check_budget(request.budget, request.benefit)


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
