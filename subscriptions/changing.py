"""What a subscription becomes when its plan or its quantity changes. Pure.

Terms of the same interval keep the anchor and the current period. With another interval a period of that
length begins: now, or when the current one is over.
"""

from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

import msgspec

from billing.parties.model import Proration
from kernel.decimals import Quantity
from kernel.errors import Conflict, Invalid
from kernel.money import Currency
from kernel.periods import Interval, Period, nth_period
from subscriptions import pricing, schedule
from subscriptions.events import SubscriptionChanged
from subscriptions.model import (
    Addon,
    NewPhase,
    PendingChange,
    Phase,
    Plan,
    Price,
    PriceModel,
    Status,
    Subscription,
)
from subscriptions.proration import Share, share_of
from subscriptions.schedule import TRIAL

CHANGEABLE = frozenset({Status.TRIALING, Status.ACTIVE, Status.PAST_DUE})


def check(subscription: Subscription) -> None:
    if subscription.is_over:
        raise Conflict("subscription_over", f"The subscription is {subscription.status} already.")
    if subscription.status not in CHANGEABLE:
        raise Conflict("subscription_state", f"A {subscription.status} subscription cannot be changed.")


def check_goes_on(subscription: Subscription, change: PendingChange, *, at: datetime) -> None:
    """That what is to come leaves room for a change at a time, which is now or the end of the period.

    Where periods of another length begin, the current one ends, and with it what was to come at its end.
    """
    counted = subscription.period_number != TRIAL
    begins_now = change.restarts and counted and at < subscription.current_period.end
    until = subscription.current_period.end if begins_now else at
    if begins_now and subscription.pause_at is not None:
        raise Conflict(
            "pause_scheduled",
            f"The subscription pauses at {subscription.pause_at.isoformat()}, and the change would begin a "
            "period that goes past that. Resume it first.",
        )
    if subscription.cancel_at is not None and subscription.cancel_at <= until:
        raise Conflict(
            "cancellation_scheduled",
            f"The subscription is cancelled at {subscription.cancel_at.isoformat()}, and the change would go "
            "past that. Undo the cancellation first.",
        )


def terms_asked(
    subscription: Subscription,
    held: Plan,
    plan: Plan,
    quantity: Quantity | None,
    addons: tuple[Addon, ...] | None,
) -> PendingChange:
    """From the plan it has to another, or the same; without a quantity it keeps its own where it can.

    Raises Invalid where the plan has no such price, and Conflict `nothing_to_change`.
    """
    price = _price(plan, subscription.currency)
    change = PendingChange(
        plan_id=plan.id,
        version=plan.version,
        quantity=_quantity(price, quantity, kept=subscription.quantity),
        addons=addons,
        restarts=restarts(held, plan),
    )
    same_addons = addons is None or addons == subscription.addons
    if same_addons and (change.plan_id, change.version, change.quantity) == (
        subscription.plan_id,
        subscription.version,
        subscription.quantity,
    ):
        raise Conflict("nothing_to_change", f"The subscription is on {plan.reference!r} on these terms.")
    return change


def phases_asked(
    subscription: Subscription, held: Plan, asked: Sequence[tuple[NewPhase, Plan]]
) -> tuple[Phase, ...]:
    """After the plan it has, each after the one before it."""
    phases: list[Phase] = []
    quantity = subscription.quantity
    for new, plan in asked:
        if (new.after_periods is None) == (new.begins_at is None):
            raise Invalid(
                "phase_form", "A phase has after_periods or begins_at, one of them.", param="phases"
            )
        price = _price(plan, subscription.currency)
        quantity = _quantity(price, new.quantity, kept=quantity)
        phase = Phase(
            plan_id=plan.id,
            version=plan.version,
            quantity=quantity,
            restarts=restarts(held, plan),
            after_periods=new.after_periods,
            begins_at=new.begins_at,
        )
        phases.append(phase)
        held = plan
    return tuple(phases)


def restarts(held: Plan, plan: Plan) -> bool:
    """Whether periods are counted anew from one plan, or version, to the other."""
    return plan.interval.length != held.interval.length


def _price(plan: Plan, currency: Currency) -> Price:
    if currency not in {price.currency for price in plan.prices}:
        raise Invalid(
            "price_missing",
            f"The subscription is in {currency}, and {plan.reference!r} has no such price.",
            param="plan",
        )
    return pricing.price_in(plan, currency)


def _quantity(price: Price, asked: Quantity | None, *, kept: Quantity) -> Quantity:
    if asked is None:
        asked = pricing.ONE if price.model is PriceModel.FLAT else kept
    return pricing.billed_quantity(price, asked)


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
    share = share_of(Period(now, after.current_period.end), nominal, zone, by)
    return share if share.part else None


def from_next_period(subscription: Subscription) -> Subscription:
    """With its phase or its pending change that is due: as it is when the current period is over."""
    subscription, phase = _next_phase(subscription)
    change = phase or subscription.pending_change
    if change is None:
        return subscription
    changed = _with_terms(subscription, change)
    if not change.restarts:
        return changed
    return msgspec.structs.replace(changed, anchor_at=subscription.current_period.end, period_number=TRIAL)


def _next_phase(subscription: Subscription) -> tuple[Subscription, Phase | None]:
    """The first phase where it is due; one that counts periods has one less to wait for."""
    if not subscription.phases:
        return subscription, None
    first, *later = subscription.phases
    if first.after_periods is not None and _is_paid(subscription):
        first = msgspec.structs.replace(first, after_periods=first.after_periods - 1)
    if first.begins_at is None:
        is_due = first.after_periods == 0
    else:
        is_due = first.begins_at <= subscription.current_period.end
    to_come = (*later,) if is_due else (first, *later)
    return msgspec.structs.replace(subscription, phases=to_come), first if is_due else None


def _is_paid(subscription: Subscription) -> bool:
    """The current period, which is no trial and not the time before the start."""
    trial_ends_at = subscription.trial_ends_at
    is_trial = trial_ends_at is not None and subscription.current_period.start < trial_ends_at
    return subscription.status is not Status.INCOMPLETE and not is_trial


def event_of(subscription: Subscription) -> SubscriptionChanged:
    return SubscriptionChanged(
        subscription_id=subscription.id,
        customer_id=subscription.customer_id,
        plan_id=subscription.plan_id,
        version=subscription.version,
        quantity=subscription.quantity,
        addons=subscription.addons,
    )


def _with_terms(subscription: Subscription, change: PendingChange) -> Subscription:
    """What was to change later is replaced by this."""
    return msgspec.structs.replace(
        subscription,
        plan_id=change.plan_id,
        version=change.version,
        quantity=change.quantity,
        addons=subscription.addons if change.addons is None else change.addons,
        pending_change=None,
    )
