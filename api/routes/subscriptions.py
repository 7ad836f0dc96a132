"""Subscriptions."""

from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from api.filters import OfCustomer
from api.operations import command, query
from kernel.database import Tx
from kernel.paging import Page, Window
from refunds import cancel_subscription as cancelling
from refunds import change_subscription as changing
from refunds import pause_subscription as pausing
from refunds.model import (
    Cancellation,
    Change,
    NewCancellation,
    NewChange,
    NewSubscriptionPause,
    SubscriptionPause,
)
from subscriptions import renew, resume, store
from subscriptions import schedule_phases as phasing
from subscriptions.grant_offer import grant_offer
from subscriptions.model import (
    Granted,
    NewGrant,
    NewSubscription,
    PhaseSchedule,
    Renewal,
    Signup,
    Subscription,
    SubscriptionId,
)
from subscriptions.sign_up import subscribe


@query("/v1/subscriptions", scope="subscriptions:read")
async def list_subscriptions(
    tx: NamedDependency[Tx], window: NamedDependency[Window], of_customer: OfCustomer
) -> Page[Subscription]:
    """List subscriptions, newest first."""
    return await store.page(tx, window, customer_id=of_customer)


@query("/v1/subscriptions/{subscription_id}", scope="subscriptions:read")
async def get_subscription(
    tx: NamedDependency[Tx], subscription_id: FromPath[SubscriptionId]
) -> Subscription:
    """Read a subscription."""
    return await store.get(tx, subscription_id)


@command("/v1/subscriptions", scope="subscriptions:write", status=201)
async def create_subscription(tx: NamedDependency[Tx], data: JSONBody[NewSubscription]) -> Signup:
    """Subscribe a customer who is there already. Each call makes one: send an Idempotency-Key."""
    return await subscribe(tx, data)


@command("/v1/subscriptions/{subscription_id}/renew", scope="subscriptions:write")
async def renew_subscription(tx: NamedDependency[Tx], subscription_id: FromPath[SubscriptionId]) -> Renewal:
    """Begin and bill the next period, when the current one is over. The worker does it by itself."""
    return await renew.renew(tx, subscription_id)


@command("/v1/subscriptions/{subscription_id}/offers", scope="subscriptions:write", status=201)
async def grant_subscription_offer(
    tx: NamedDependency[Tx], subscription_id: FromPath[SubscriptionId], data: JSONBody[NewGrant]
) -> Granted:
    """Give an offer to a subscription that runs, from its next period on.

    By its reference, also to customers who are not new. Safe to repeat: while the subscription holds the
    offer, that is the answer, with `is_new: false`.
    """
    return await grant_offer(tx, subscription_id, data)


@command("/v1/subscriptions/{subscription_id}/cancel", scope="subscriptions:write")
async def cancel_subscription(
    tx: NamedDependency[Tx],
    subscription_id: FromPath[SubscriptionId],
    data: JSONBody[NewCancellation],
) -> Cancellation:
    """Cancel now, at the end of the period, or at a time.

    The unused days are credited by a credit note, and what was paid for them goes back in the refund mode.
    """
    return await cancelling.cancel_subscription(tx, subscription_id, data)


@command("/v1/subscriptions/{subscription_id}/undo_cancellation", scope="subscriptions:write")
async def undo_cancellation(
    tx: NamedDependency[Tx], subscription_id: FromPath[SubscriptionId]
) -> Subscription:
    """Undo a cancellation that has not taken effect yet."""
    return await cancelling.undo_cancellation(tx, subscription_id)


@command("/v1/subscriptions/{subscription_id}/change", scope="subscriptions:write")
async def change_subscription(
    tx: NamedDependency[Tx], subscription_id: FromPath[SubscriptionId], data: JSONBody[NewChange]
) -> Change:
    """Change the plan or the quantity, now or at the end of the period.

    Now, the unused part of what was billed is credited, the rest of the period is billed on the new terms,
    and the credit pays the new invoice. A dry run shows both to the cent.
    """
    return await changing.change_subscription(tx, subscription_id, data)


@command("/v1/subscriptions/{subscription_id}/undo_change", scope="subscriptions:write")
async def undo_change(tx: NamedDependency[Tx], subscription_id: FromPath[SubscriptionId]) -> Subscription:
    """Undo a change that was to come with the next period."""
    return await changing.undo_change(tx, subscription_id)


@command("/v1/subscriptions/{subscription_id}/schedule_phases", scope="subscriptions:write")
async def schedule_phases(
    tx: NamedDependency[Tx], subscription_id: FromPath[SubscriptionId], data: JSONBody[PhaseSchedule]
) -> Subscription:
    """Say which plans and quantities follow, in place of what was to follow before.

    Each begins with a period: after so many on the terms before it, or with the first from a time on.
    """
    return await phasing.schedule_phases(tx, subscription_id, data)


@command("/v1/subscriptions/{subscription_id}/pause", scope="subscriptions:write")
async def pause_subscription(
    tx: NamedDependency[Tx],
    subscription_id: FromPath[SubscriptionId],
    data: JSONBody[NewSubscriptionPause],
) -> SubscriptionPause:
    """Pause now or at the end of the period: no entitlements, and no bills until it is resumed.

    Paused again, only the time at which it is resumed changes.
    """
    return await pausing.pause_subscription(tx, subscription_id, data)


@command("/v1/subscriptions/{subscription_id}/resume", scope="subscriptions:write")
async def resume_subscription(tx: NamedDependency[Tx], subscription_id: FromPath[SubscriptionId]) -> Renewal:
    """Resume a paused subscription, or undo a pause that is to come.

    It goes on in the period it was paused in while that runs; otherwise a new one begins and is billed.
    """
    return await resume.resume_subscription(tx, subscription_id)


ROUTES = [
    list_subscriptions,
    get_subscription,
    create_subscription,
    grant_subscription_offer,
    renew_subscription,
    change_subscription,
    undo_change,
    cancel_subscription,
    undo_cancellation,
    schedule_phases,
    pause_subscription,
    resume_subscription,
]
