"""What offers take off a basket, and why the others do not. Pure.

Lanes run in order, each on what the one before has left. Inside a lane the offer that takes off most wins;
ties go to the offer made first. Every offer in reach ends up allocated or refused, never both.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import groupby

import msgspec

from billing.invoices import totals
from billing.invoices.model import NewDiscount
from kernel.money import Currency, Money, allocate, total
from kernel.structs import Value
from kernel.text import Reference
from promotions.model import (
    FixedAmount,
    Forever,
    FreePeriod,
    Offer,
    OfferId,
    OfferStatus,
    Once,
    Percent,
    Periods,
    Redemption,
    Status,
)


class BasketLine(Value, frozen=True, kw_only=True):
    """What offers may take off a line, and the plan it is for; none where it is for something else."""

    amount: Money
    plan: Reference | None


class Basket(Value, frozen=True, kw_only=True):
    """What is about to be billed, line by line, and whose it is: a plan, and its add-ons."""

    plan: Reference
    addons: tuple[Reference, ...] = ()
    currency: Currency
    is_new_customer: bool
    lines: tuple[BasketLine, ...]


class InReach(Value, frozen=True, kw_only=True):
    """An offer this customer may use; `granted` once they hold it, with the periods it has served."""

    offer: Offer
    granted: bool = False
    periods_used: int = 0


class Allocation(Value, frozen=True, kw_only=True):
    """One offer's part, line by line, in the basket's order."""

    offer_id: OfferId
    reference: Reference
    name: str
    amounts: tuple[Money, ...]


class Refusal(Value, frozen=True, kw_only=True):
    """Why an offer did not apply; `code` is stable."""

    offer_id: OfferId
    reference: Reference
    code: str
    detail: str


class Decision(Value, frozen=True, kw_only=True):
    allocations: tuple[Allocation, ...]
    refusals: tuple[Refusal, ...]


NOTHING = Decision(allocations=(), refusals=())


class Held(Value, frozen=True, kw_only=True):
    """An offer a customer has been given."""

    offer: Offer
    redemption: Redemption


def evaluate(basket: Basket, offers: Iterable[InReach], *, now: datetime) -> Decision:
    allocations: list[Allocation] = []
    refusals: list[Refusal] = []
    left = [line.amount for line in basket.lines]

    for _, lane in groupby(sorted(offers, key=_order), key=lambda each: each.offer.lane):
        eligible, refused = _sorted_out(basket, lane, now=now)
        refusals += refused
        best, beaten = _best(eligible, basket, left)
        refusals += beaten
        if best is not None:
            allocations.append(best)
            left = [amount - off for amount, off in zip(left, best.amounts, strict=True)]

    return Decision(allocations=tuple(allocations), refusals=tuple(refusals))


def refusal_of(basket: Basket, each: InReach, *, now: datetime) -> Refusal | None:
    """Why this offer cannot be used for this basket now; None when it can.

    Of what was agreed when it was granted only the plan can change: on another one it takes nothing off.
    """
    offer = each.offer
    conditions = offer.conditions
    for_plan = (
        not conditions.plans or any(plan in conditions.plans for plan in (basket.plan, *basket.addons)),
        "offer_other_plan",
        f"The offer is not for the plan {basket.plan!r}.",
    )
    if each.granted:
        checks = [(not is_used_up(offer, each.periods_used), *_USED_UP), for_plan]
        return _first_no(offer, checks)
    checks = [
        (offer.status is OfferStatus.ACTIVE, "offer_inactive", "The offer is not running."),
        (
            conditions.starts_at is None or conditions.starts_at <= now,
            "offer_not_started",
            f"The offer begins at {conditions.starts_at}.",
        ),
        (
            conditions.ends_at is None or now < conditions.ends_at,
            "offer_ended",
            f"The offer ended at {conditions.ends_at}.",
        ),
        (
            not conditions.new_customers_only or basket.is_new_customer,
            "offer_new_customers_only",
            "The offer is for customers who have not subscribed before.",
        ),
        for_plan,
        (
            _is_in(basket.currency, offer),
            "offer_other_currency",
            f"The offer is not for {basket.currency}.",
        ),
        (
            offer.max_redemptions is None or offer.redeemed < offer.max_redemptions,
            "offer_sold_out",
            "The offer has been used as often as it may be.",
        ),
    ]
    return _first_no(offer, checks)


def _first_no(offer: Offer, checks: Iterable[tuple[bool, str, str]]) -> Refusal | None:
    return next((_no(offer, code, detail) for holds, code, detail in checks if not holds), None)


_USED_UP = ("offer_used_up", "The offer has served all its periods.")


def is_used_up(offer: Offer, periods_used: int) -> bool:
    if isinstance(offer.benefit, FreePeriod):
        return True  # it gave its days before the first invoice
    match offer.duration:
        case Once():
            return periods_used >= 1
        case Periods(count=count):
            return periods_used >= count
        case Forever():
            return False


def after_invoice(held: Held, *, served: bool) -> Redemption:
    """The redemption after one more invoice, which it has served or not: exhausted when it can no more."""
    used = held.redemption.periods_used + served
    status = Status.EXHAUSTED if is_used_up(held.offer, used) else held.redemption.status
    return msgspec.structs.replace(held.redemption.to(status), periods_used=used)


def free_days(offer: Offer) -> int:
    return offer.benefit.days if isinstance(offer.benefit, FreePeriod) else 0


def _sorted_out(
    basket: Basket, lane: Iterable[InReach], *, now: datetime
) -> tuple[list[Offer], list[Refusal]]:
    eligible, refused = [], []
    for each in lane:
        refusal = refusal_of(basket, each, now=now)
        if refusal is not None:
            refused.append(refusal)
        elif isinstance(each.offer.benefit, FreePeriod):
            refused.append(_no(each.offer, "offer_before_invoice", "The offer gives days, not money."))
        else:
            eligible.append(each.offer)
    return eligible, refused


def _best(
    eligible: Sequence[Offer], basket: Basket, left: Sequence[Money]
) -> tuple[Allocation | None, list[Refusal]]:
    if not eligible:
        return None, []
    taken = [(offer, amount_off(offer, within_reach(offer, basket, left))) for offer in eligible]
    winner, amount = min(taken, key=lambda each: (-each[1].minor, each[0].id))
    beaten = [
        _no(offer, "offer_beaten", f"{winner.name!r} takes off more in the same lane.")
        for offer, _ in taken
        if offer.id != winner.id
    ]
    parts = allocate(amount, [line.minor for line in within_reach(winner, basket, left)])
    allocation = Allocation(
        offer_id=winner.id, reference=winner.reference, name=winner.name, amounts=tuple(parts)
    )
    return allocation, beaten


def within_reach(offer: Offer, basket: Basket, left: Sequence[Money]) -> list[Money]:
    """What is left of each line that the offer is for: of all, unless it names plans."""
    plans = offer.conditions.plans
    return [
        amount if not plans or line.plan in plans else Money(0, amount.currency)
        for line, amount in zip(basket.lines, left, strict=True)
    ]


def amount_off(offer: Offer, left: Sequence[Money]) -> Money:
    """Computed and rounded once, on the sum of what is left; never more than that."""
    whole = total(left, left[0].currency)
    match offer.benefit:
        case Percent(percent=percent):
            return totals.amount_of(NewDiscount(name=offer.name, percent=percent), whole)
        case FixedAmount(amount=amount):
            return totals.amount_of(NewDiscount(name=offer.name, amount=amount), whole)
        case FreePeriod():
            return Money(0, whole.currency)


def _is_in(currency: Currency, offer: Offer) -> bool:
    if isinstance(offer.benefit, FixedAmount) and offer.benefit.amount.currency != currency:
        return False
    return not offer.conditions.currencies or currency in offer.conditions.currencies


def _order(each: InReach) -> tuple[int, OfferId]:
    return each.offer.lane, each.offer.id


def _no(offer: Offer, code: str, detail: str) -> Refusal:
    return Refusal(offer_id=offer.id, reference=offer.reference, code=code, detail=detail)
