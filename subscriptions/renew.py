"""Renewing a subscription: the next period begins and is billed."""

from billing.parties import store as parties
from billing.parties.model import LegalEntity
from kernel import jobs, outbox
from kernel.database import Tx
from kernel.errors import Conflict
from kernel.periods import nth_period
from promotions import engine
from promotions import store as promotions
from promotions.model import AtEnd
from subscriptions import store
from subscriptions.bill_period import bill_period
from subscriptions.events import SubscriptionEnded, SubscriptionRenewed
from subscriptions.model import Plan, Renewal, Status, Subscription, SubscriptionId
from subscriptions.sign_up import RENEWAL


async def renew(tx: Tx, subscription_id: SubscriptionId) -> Renewal:
    """Raises Conflict `renewal_not_due` before the current period is over, or when there is none."""
    found = await store.get(tx, subscription_id)
    customer = await parties.lock_customer(tx, found.customer_id)
    subscription = await store.lock(tx, subscription_id)
    plan = await store.plan(tx, subscription.plan_id, subscription.version)
    entity = await parties.legal_entity(tx, customer.legal_entity_id)

    check(subscription, tx)
    if await _ends_with_its_offer(tx, subscription):
        return await _end(tx, subscription)
    renewed = next_period(subscription, plan, entity)

    await store.update(tx, renewed)
    invoice = await bill_period(tx, customer, renewed, plan)
    await jobs.schedule(tx, RENEWAL, {"subscription_id": str(renewed.id)}, due=renewed.current_period.end)
    outbox.publish(
        tx,
        SubscriptionRenewed(subscription_id=renewed.id, customer_id=customer.id, invoice_id=invoice.id),
    )
    return Renewal(subscription=renewed, invoice=invoice)


def check(subscription: Subscription, tx: Tx) -> None:
    if subscription.next_billing_at is None:
        raise Conflict("renewal_not_due", f"The subscription is {subscription.status}.")
    if subscription.next_billing_at > tx.now:
        raise Conflict(
            "renewal_not_due",
            f"The current period ends at {subscription.next_billing_at.isoformat()}.",
        )
    if subscription.cancel_at is not None and subscription.cancel_at <= subscription.next_billing_at:
        raise Conflict(
            "renewal_not_due",
            f"The subscription is cancelled at {subscription.cancel_at.isoformat()}. Undo that first.",
        )


def next_period(subscription: Subscription, plan: Plan, entity: LegalEntity) -> Subscription:
    number = subscription.period_number + 1
    period = nth_period(subscription.anchor_at, plan.interval, number, entity.zone)
    status = Status.ACTIVE if subscription.status is Status.TRIALING else subscription.status
    return subscription.to(status, period_number=number, current_period=period, next_billing_at=period.end)


async def _ends_with_its_offer(tx: Tx, subscription: Subscription) -> bool:
    if subscription.redemption_id is None:
        return False
    redemption = await promotions.redemption(tx, subscription.redemption_id)
    offer = await promotions.offer(tx, redemption.offer_id)
    return offer.at_end is AtEnd.END and engine.is_used_up(offer, redemption.periods_used)


async def _end(tx: Tx, subscription: Subscription) -> Renewal:
    ended = subscription.to(Status.ENDED, next_billing_at=None, ended_at=tx.now)

    await store.update(tx, ended)
    outbox.publish(tx, SubscriptionEnded(subscription_id=ended.id, customer_id=ended.customer_id))
    return Renewal(subscription=ended, invoice=None)
