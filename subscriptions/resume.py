"""Resuming a subscription that is paused, or that was to be: by hand, or at the time that was set."""

from datetime import datetime

from msgspec.structs import replace

from billing.dunning import store as dunning
from billing.parties import store as parties
from kernel import outbox
from kernel.database import Tx
from kernel.errors import Conflict
from subscriptions import pausing, store
from subscriptions.caught_up import caught_up
from subscriptions.changing import from_next_period
from subscriptions.events import PauseUndone, SubscriptionResumed
from subscriptions.fall_past_due import standing
from subscriptions.model import Renewal, Status, Subscription, SubscriptionId
from subscriptions.renew import next_period, record
from subscriptions.terms import terms_of

RESUMING = "resume_subscription"


async def resume_subscription(tx: Tx, subscription_id: SubscriptionId) -> Renewal:
    """A pause that is to come is undone. Raises Conflict `subscription_not_paused`."""
    subscription = await caught_up(tx, await _locked(tx, subscription_id), at=tx.now)

    if subscription.status is Status.PAUSED:
        return await _resume(tx, subscription, at=tx.now)
    if subscription.pause_at is None:
        raise Conflict(
            "subscription_not_paused",
            f"The subscription is {subscription.status}, and no pause of it is to come.",
        )
    kept = replace(subscription, pause_at=None, resume_at=None)

    await store.update(tx, kept)
    outbox.publish(tx, PauseUndone(subscription_id=kept.id, customer_id=kept.customer_id))
    return Renewal(subscription=kept, invoice=None)


async def resume_due(tx: Tx, subscription_id: SubscriptionId) -> None:
    """Resume it as of the time that was set, unless that has changed or it is cancelled before."""
    subscription = await _locked(tx, subscription_id)
    at, cancel_at = subscription.resume_at, subscription.cancel_at

    if at is None or at > tx.now or (cancel_at is not None and cancel_at <= at):
        return
    subscription = await caught_up(tx, subscription, at=at)

    if subscription.status is Status.PAUSED:
        await _resume(tx, subscription, at=at)


async def _resume(tx: Tx, subscription: Subscription, *, at: datetime) -> Renewal:
    billed = await store.invoices_of_period(tx, subscription)
    if pausing.goes_on(subscription, billed, at=at):
        renewal = Renewal(subscription=pausing.resumed(subscription), invoice=None)
    else:
        same_start = at == subscription.current_period.start
        renewal = await _begin(tx, subscription, at=at, change_number=len(billed) if same_start else 0)

    running = renewal.subscription
    if not running.is_over:
        running = running.to(standing(running.status, overdue=await _overdue(tx, running)))
        outbox.publish(tx, SubscriptionResumed(subscription_id=running.id, customer_id=running.customer_id))
    await store.update(tx, running)
    return Renewal(subscription=running, invoice=renewal.invoice)


async def _begin(tx: Tx, subscription: Subscription, *, at: datetime, change_number: int) -> Renewal:
    before = pausing.before_anew(subscription, at=at)
    terms = await terms_of(tx, [from_next_period(before)])

    decided = next_period(before, terms[before.id], now=tx.now)

    [renewal] = await record(tx, [replace(decided, change_number=change_number)])
    return renewal


async def _overdue(tx: Tx, subscription: Subscription) -> bool:
    return await dunning.any_overdue(tx, await store.invoices_of(tx, subscription.id))


async def _locked(tx: Tx, subscription_id: SubscriptionId) -> Subscription:
    found = await store.get(tx, subscription_id)
    await parties.lock_customer(tx, found.customer_id)
    return await store.lock(tx, subscription_id)
