"""Agreeing ahead on the plans and quantities that follow one another on a subscription."""

from collections.abc import Sequence

from msgspec.structs import replace

from billing.parties import store as parties
from kernel import outbox
from kernel.database import Tx
from kernel.errors import Conflict
from promotions.model import Forever, FreePeriod, MoveTo, Offer, Periods
from subscriptions import addons, changing, plan_store, store
from subscriptions.caught_up import caught_up
from subscriptions.events import PhasesScheduled
from subscriptions.model import NewPhase, Phase, PhaseSchedule, Plan, Subscription, SubscriptionId


async def schedule_phases(tx: Tx, subscription_id: SubscriptionId, request: PhaseSchedule) -> Subscription:
    """In place of what was to follow before."""
    found = await store.get(tx, subscription_id)
    await parties.lock_customer(tx, found.customer_id)
    subscription = await caught_up(tx, await store.lock(tx, subscription_id), at=tx.now)
    held = subscription.plan_id, subscription.version
    plan = (await plan_store.versions_of(tx, [held]))[held]

    if subscription.is_over:
        raise Conflict("subscription_over", f"The subscription is {subscription.status} already.")
    if subscription.pending_change is not None and request.phases:
        raise Conflict("change_scheduled", "A change of this subscription is to come: undo it first.")
    scheduled = replace(subscription, phases=await phases_of(tx, subscription, plan, request.phases))

    await store.update(tx, scheduled)
    outbox.publish(
        tx,
        PhasesScheduled(
            subscription_id=scheduled.id, customer_id=scheduled.customer_id, phases=len(scheduled.phases)
        ),
    )
    return scheduled


def after_offer(offer: Offer, subscription: Subscription) -> tuple[NewPhase, ...]:
    """Where the offer says that another plan follows it, that plan."""
    if not isinstance(offer.at_end, MoveTo):
        return ()
    if isinstance(offer.benefit, FreePeriod):
        return (NewPhase(plan=offer.at_end.plan, begins_at=subscription.trial_ends_at),)
    assert not isinstance(offer.duration, Forever), "what never ends is followed by nothing"
    count = offer.duration.count if isinstance(offer.duration, Periods) else 1
    return (NewPhase(plan=offer.at_end.plan, after_periods=count),)


async def phases_of(
    tx: Tx, subscription: Subscription, held: Plan, asked: Sequence[NewPhase]
) -> tuple[Phase, ...]:
    """With each plan in its newest version, as of now. The add-ons go on beside them."""
    plans = [(phase, await plan_store.plan(tx, phase.plan)) for phase in asked]
    agreed = await plan_store.versions_of(tx, subscription.versions) if plans and subscription.addons else {}

    for _, plan in plans:
        addons.check_base(plan)
        addons.check_kept(plan, subscription, agreed)
    return changing.phases_asked(subscription, held, plans)
