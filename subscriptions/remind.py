"""Reminding a customer that an offer ends for them, so many days before it does."""

from collections.abc import Sequence
from datetime import datetime

from kernel import jobs, outbox
from kernel.database import Tx
from kernel.money import Money, total
from kernel.structs import Value
from promotions import store as promotions
from promotions.duration import over_at, remind_at
from promotions.engine import Held
from promotions.model import AtEnd, RedemptionId
from subscriptions import offer_store
from subscriptions.bill import Terms, basket_of
from subscriptions.changing import from_next_period
from subscriptions.events import OfferEndsSoon
from subscriptions.model import Plan, Status, Subscription
from subscriptions.terms import terms_of

REMINDING = "remind_of_offer"


class After(Value, frozen=True, kw_only=True):
    """What the next period is of, and what recurs in it costs before any offer."""

    plan: Plan
    price: Money


class Ending(Value, frozen=True, kw_only=True):
    """An offer that is about to end for a subscription, and what comes next: nothing, where that ends too."""

    held: Held
    subscription: Subscription
    plan: Plan
    ends_at: datetime
    next: After | None


async def schedule_reminders(tx: Tx, granted: Sequence[Held]) -> None:
    """Of those whose end is known and of which somebody is to be told: one statement, or none."""
    due = [(held.redemption.id, remind_at(held, now=tx.now)) for held in granted]
    await jobs.schedule_all(
        tx, REMINDING, [({"redemption_id": str(each)}, at) for each, at in due if at is not None]
    )


async def remind(tx: Tx, redemption_id: RedemptionId) -> None:
    """Once, unless what it gives is gone already."""
    ending = await find_ending(tx, redemption_id)

    if ending is not None and await offer_store.mark_reminded(tx, redemption_id):
        outbox.publish(
            tx,
            OfferEndsSoon(
                offer_id=ending.held.offer.id,
                redemption_id=redemption_id,
                subscription_id=ending.subscription.id,
                customer_id=ending.subscription.customer_id,
                ends_at=ending.ends_at,
            ),
        )


async def find_ending(tx: Tx, redemption_id: RedemptionId) -> Ending | None:
    """None where the end of the offer is not what comes next."""
    held = (await promotions.held(tx, [redemption_id]))[redemption_id]
    subscription = await offer_store.holder(tx, held.redemption)
    ends_at = over_at(held)
    if subscription is None or ends_at is None or not is_to_end(subscription, held, ends_at, now=tx.now):
        return None
    following = from_next_period(subscription)
    terms = (await terms_of(tx, [subscription], to_bill=False))[subscription.id]
    then = (await terms_of(tx, [following], to_bill=False))[following.id]
    return Ending(
        held=held,
        subscription=subscription,
        plan=terms.plan,
        ends_at=ends_at,
        next=None if held.offer.at_end is AtEnd.END else After(plan=then.plan, price=_price(following, then)),
    )


def is_to_end(subscription: Subscription, held: Held, ends_at: datetime, *, now: datetime) -> bool:
    """Whether the offer's end is what comes: not the subscription's own, and not a rest."""
    if subscription.is_over or subscription.status is Status.PAUSED:
        return False
    if subscription.cancel_at is not None and subscription.cancel_at <= ends_at:
        return False
    return held.redemption.is_live and now < ends_at


def _price(subscription: Subscription, terms: Terms) -> Money:
    basket = basket_of(subscription, terms, is_new_customer=False)
    return total((line.amount for line in basket.lines if line.recurring), subscription.currency)
