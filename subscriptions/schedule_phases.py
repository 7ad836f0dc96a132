"""Agreeing ahead on the plans and quantities that follow one another on a subscription."""

from collections.abc import Sequence

from msgspec.structs import replace

from billing.parties import store as parties
from kernel import outbox
from kernel.database import Tx
from kernel.errors import Conflict
from promotions.engine import Held
from promotions.model import Forever, FreePeriod, MoveTo, Periods
from subscriptions import addons, changing, plan_store, store
from subscriptions.caught_up import caught_up
from subscriptions.events import PhasesScheduled
from subscriptions.model import NewPhase, Phase, PhaseSchedule, Plan, Subscription, SubscriptionId
from subscriptions.schedule import TRIAL


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


def after_offers(held: Sequence[Held], subscription: Subscription) -> tuple[NewPhase, ...]:
    """Where an offer says that another plan follows it, that plan. Raises Conflict where two do."""
    following = [phase for each in held for phase in _after_offer(each, subscription)]
    if len(following) > 1:
        raise Conflict(
            "offers_move_to_plans",
            "Two of these offers say which plan follows them: take one of them.",
            param="coupons",
        )
    return tuple(following)


def _after_offer(held: Held, subscription: Subscription) -> tuple[NewPhase, ...]:
    offer, ends_at = held.offer, held.redemption.ends_at
    if not isinstance(offer.at_end, MoveTo):
        return ()
    if isinstance(offer.benefit, FreePeriod):
        return (NewPhase(plan=offer.at_end.plan, begins_at=subscription.trial_ends_at),)
    if ends_at is not None:
        return (NewPhase(plan=offer.at_end.plan, begins_at=ends_at),)
    assert not isinstance(offer.duration, Forever), "what never ends is followed by nothing"
    count = offer.duration.count if isinstance(offer.duration, Periods) else 1
    period = subscription.current_period
    begun = subscription.period_number != TRIAL and held.redemption.applies_from > period.start
    return (NewPhase(plan=offer.at_end.plan, after_periods=count + begun),)


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
