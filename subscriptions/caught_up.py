"""Beginning the periods that should have begun by now: what is changed or cancelled is the current one."""

from datetime import datetime

from kernel.database import Tx
from subscriptions.model import Subscription
from subscriptions.renew import renew


async def caught_up(tx: Tx, subscription: Subscription, *, at: datetime) -> Subscription:
    """With every period begun that should have by then, unless it was to be cancelled before that."""
    while _begins_another(subscription, at):
        subscription = (await renew(tx, subscription.id)).subscription
    return subscription


def _begins_another(subscription: Subscription, at: datetime) -> bool:
    begins_at, cancel_at = subscription.next_billing_at, subscription.cancel_at
    return begins_at is not None and begins_at <= at and (cancel_at is None or begins_at < cancel_at)
