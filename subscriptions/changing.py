"""What a subscription becomes when its plan or its quantity changes. Pure.

Terms of the same interval keep the anchor and the current period. With another interval a period of that
length begins: now, or when the current one is over.
"""

from datetime import datetime
from zoneinfo import ZoneInfo

import msgspec

from billing.parties.model import Proration
from kernel.decimals import Quantity
from kernel.errors import Conflict, Invalid
from kernel.periods import Interval, Period, Unit, nth_period
from subscriptions import pricing, schedule
from subscriptions.events import SubscriptionChanged
from subscriptions.model import PendingChange, Plan, PriceModel, Status, Subscription
from subscriptions.proration import Share, share_of
from subscriptions.schedule import TRIAL

CHANGEABLE = frozenset({Status.TRIALING, Status.ACTIVE, Status.PAST_DUE})


def check(subscription: Subscription) -> None:
    if subscription.is_over:
        raise Conflict("subscription_over", f"The subscription is {subscription.status} already.")
    if subscription.status not in CHANGEABLE:
        raise Conflict("subscription_state", f"A {subscription.status} subscription cannot be changed.")


def check_not_cancelled(subscription: Subscription, *, before: datetime) -> None:
    """That no cancellation takes effect by then: when the change would hold, or its period would begin."""
    if subscription.cancel_at is not None and subscription.cancel_at <= before:
        raise Conflict(
            "cancellation_scheduled",
            f"The subscription is cancelled at {subscription.cancel_at.isoformat()}, and the change would go "
            "past that. Undo the cancellation first.",
        )


def terms_asked(
    subscription: Subscription, held: Plan, plan: Plan, quantity: Quantity | None
) -> PendingChange:
    """From the plan it has to another, or the same; without a quantity it keeps its own where it can.

    Raises Invalid where the plan has no such price, and Conflict `nothing_to_change`.
    """
    if subscription.currency not in {price.currency for price in plan.prices}:
        raise Invalid(
            "price_missing",
            f"The subscription is in {subscription.currency}, and {plan.reference!r} has no such price.",
            param="plan",
        )
    price = pricing.price_in(plan, subscription.currency)
    kept = pricing.ONE if price.model is PriceModel.FLAT else subscription.quantity
    change = PendingChange(
        plan_id=plan.id,
        version=plan.version,
        quantity=pricing.billed_quantity(price, kept if quantity is None else quantity),
        restarts=_length(plan.interval) != _length(held.interval),
    )
    if (change.plan_id, change.version, change.quantity) == (
        subscription.plan_id,
        subscription.version,
        subscription.quantity,
    ):
        raise Conflict("nothing_to_change", f"The subscription is on {plan.reference!r} on these terms.")
    return change


def from_now(
    subscription: Subscription, change: PendingChange, interval: Interval, *, now: datetime, zone: ZoneInfo
) -> Subscription:
    """A trial goes on as it is; what comes after it is on the new terms."""
    changed = _with_terms(subscription, change)
    if not change.restarts or subscription.period_number == TRIAL:
        return changed
    first = schedule.counted_from(interval, changed.billing_anchor, at=now, zone=zone)
    return msgspec.structs.replace(
        changed,
        anchor_at=first.anchor_at,
        period_number=first.period_number,
        current_period=first.period,
        next_billing_at=first.period.end,
    )


def share_to_bill(
    before: Subscription,
    after: Subscription,
    interval: Interval,
    *,
    now: datetime,
    zone: ZoneInfo,
    by: Proration,
) -> Share | None:
    """What of a full period the change has to bill: a period that begins, or the rest of the one it is in."""
    if after.period_number == TRIAL:
        return None
    nominal = nth_period(after.anchor_at, interval, after.period_number, zone)
    begins = after.current_period != before.current_period
    if begins and after.current_period == nominal:
        return Share(part=1, whole=1)
    if by is Proration.NONE:
        if not begins:
            return None
        by = Proration.DAY  # a stub is never billed whole
    return share_of(Period(now, after.current_period.end), nominal, zone, by)


def from_next_period(subscription: Subscription) -> Subscription:
    """With its pending change, where there is one: as it is when the current period is over."""
    change = subscription.pending_change
    if change is None:
        return subscription
    changed = _with_terms(subscription, change)
    if not change.restarts:
        return changed
    return msgspec.structs.replace(changed, anchor_at=subscription.current_period.end, period_number=TRIAL)


def event_of(subscription: Subscription) -> SubscriptionChanged:
    return SubscriptionChanged(
        subscription_id=subscription.id,
        customer_id=subscription.customer_id,
        plan_id=subscription.plan_id,
        version=subscription.version,
        quantity=subscription.quantity,
    )


def _with_terms(subscription: Subscription, change: PendingChange) -> Subscription:
    """What was to change later is replaced by this."""
    return msgspec.structs.replace(
        subscription,
        plan_id=change.plan_id,
        version=change.version,
        quantity=change.quantity,
        pending_change=None,
    )


def _length(interval: Interval) -> tuple[Unit, int]:
    """A year is twelve months, and a week seven days."""
    match interval.unit:
        case Unit.YEAR:
            return Unit.MONTH, 12 * interval.count
        case Unit.WEEK:
            return Unit.DAY, 7 * interval.count
        case unit:
            return unit, interval.count
