"""What a pause makes of a subscription. Pure.

A paused subscription entitles to nothing and is not billed. Resumed before the period it has paid for is
over, it goes on in it; otherwise, or where the rest of that period was credited, a new one begins.
"""

from collections.abc import Sequence
from datetime import datetime

from msgspec.structs import replace

from kernel.errors import Conflict, Invalid
from kernel.periods import Period
from subscriptions.model import PeriodInvoice, Status, Subscription
from subscriptions.schedule import TRIAL


def check(subscription: Subscription, *, at: datetime, resume_at: datetime | None) -> None:
    """That it can be paused then, which is now or the end of its period, until `resume_at`."""
    if subscription.is_over:
        raise Conflict("subscription_over", f"The subscription is {subscription.status} already.")
    subscription.to(Status.PAUSED)
    if resume_at is not None and resume_at <= at:
        raise Invalid(
            "resume_time",
            f"It is paused from {at.isoformat()}, and can be resumed later than that.",
            param="resume_at",
        )


def paused(subscription: Subscription, *, at: datetime, resume_at: datetime | None) -> Subscription:
    return subscription.to(
        Status.PAUSED, next_billing_at=None, pause_at=None, paused_at=at, resume_at=resume_at
    )


def goes_on(subscription: Subscription, billed: Sequence[PeriodInvoice], *, at: datetime) -> bool:
    """Whether the period it was paused in still runs, as a trial or paid for."""
    credited = bool(billed) and all(each.stopped_at is not None for each in billed)
    return at < subscription.current_period.end and not credited


def resumed(subscription: Subscription) -> Subscription:
    """In the period it was paused in."""
    return _running(subscription, next_billing_at=subscription.current_period.end)


def before_anew(subscription: Subscription, *, at: datetime) -> Subscription:
    """So that its next period begins then, from which periods are counted."""
    over = Period(subscription.current_period.start, at)
    return _running(subscription, anchor_at=at, period_number=TRIAL, current_period=over, next_billing_at=at)


def _running(subscription: Subscription, **changes: object) -> Subscription:
    return replace(subscription.to(Status.ACTIVE, **changes), paused_at=None, resume_at=None)
