"""Giving an offer to a subscription that runs."""

from collections.abc import Mapping
from datetime import datetime

from msgspec.structs import replace

from billing.invoices import store as invoices
from billing.parties import store as parties
from billing.parties.model import Customer
from kernel.database import Tx
from kernel.errors import Conflict, Invalid
from promotions import store as promotions
from promotions.asked import Wanted, check_asked, offers_asked
from promotions.duration import is_over, serving
from promotions.engine import Held
from promotions.model import FreePeriod, RedemptionId
from promotions.redeem import Asked, grant, redeem
from subscriptions import schedule, store
from subscriptions.bill import basket_of
from subscriptions.caught_up import caught_up
from subscriptions.model import Granted, NewGrant, Subscription, SubscriptionId
from subscriptions.remind import schedule_reminders
from subscriptions.schedule_phases import after_offers, phases_of
from subscriptions.terms import terms_of


async def grant_offer(
    tx: Tx, subscription_id: SubscriptionId, request: NewGrant, *, again: bool = False
) -> Granted:
    """From the next period on. Idempotent: while the subscription holds the offer, that is the answer, unless
    it is given `again`.

    By its reference it is given to customers who are not new, too; a code is for those it says.
    """
    found = await store.get(tx, subscription_id)
    customer = await parties.lock_customer(tx, found.customer_id)
    subscription = await caught_up(tx, await store.lock(tx, subscription_id), at=tx.now)
    wanted = await _wanted(tx, request, customer)
    held = await promotions.held(tx, subscription.redemption_ids)
    terms = (await terms_of(tx, [subscription], to_bill=False))[subscription.id]
    is_new = request.offer is not None or not await invoices.has_any(tx, customer.id)

    earlier = _running(held, wanted, subscription)
    if earlier is not None and not again:
        return Granted(is_new=False, redemption=earlier.redemption, subscription=subscription)
    check_asked(tx, wanted, customer)
    (asked,) = wanted.asked
    check(subscription, asked)
    basket = basket_of(subscription, terms, is_new_customer=is_new, is_first_invoice=is_new)
    serves = serving(
        asked.offer.duration,
        applies_from=next_served(subscription, now=tx.now),
        anchor_at=subscription.anchor_at,
        zone=terms.entity.zone,
    )
    granted = grant(asked, customer.id, basket, serves, now=tx.now)
    following = after_offers([granted], subscription)
    if following and subscription.phases:
        raise Conflict(
            "phases_scheduled",
            "The offer is followed by another plan, and phases of this subscription are to come already.",
        )
    phases = await phases_of(tx, subscription, terms.plan, following) or subscription.phases
    ids = (*subscription.redemption_ids, granted.redemption.id)
    subscription = replace(subscription, redemption_ids=ids, phases=phases)

    await redeem(tx, [granted], customer)
    await schedule_reminders(tx, [granted])
    await store.update(tx, subscription)
    return Granted(is_new=True, redemption=granted.redemption, subscription=subscription)


def check(subscription: Subscription, asked: Asked) -> None:
    if subscription.is_over:
        raise Conflict("subscription_over", f"The subscription is {subscription.status} already.")
    if isinstance(asked.offer.benefit, FreePeriod):
        raise Conflict(
            "offer_before_invoice",
            "The offer gives days before the first invoice: give it when the customer signs up.",
            param="offer",
        )


async def _wanted(tx: Tx, request: NewGrant, customer: Customer) -> Wanted:
    if (request.offer is None) is (request.coupon is None):
        raise Invalid("offer_or_coupon", "Name an offer, or a coupon.", param="offer")
    codes = () if request.coupon is None else (request.coupon,)
    return await offers_asked(tx, request.offer, codes, customer)


def _running(held: Mapping[RedemptionId, Held], wanted: Wanted, subscription: Subscription) -> Held | None:
    """The earlier grant of the same offer that still goes on: by its code, if it is asked for by code."""
    start = subscription.current_period.start
    return next(
        (
            each
            for each in held.values()
            if wanted.is_given_by(each.redemption) and each.redemption.is_live and not is_over(each, at=start)
        ),
        None,
    )


def next_served(subscription: Subscription, *, now: datetime) -> datetime:
    """The start of the first period that an offer given now can serve."""
    begins_at = schedule.paid_from(subscription)
    return begins_at if begins_at > now else subscription.current_period.end
