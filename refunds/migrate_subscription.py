"""Carrying out one subscription's part of a migration: the newest version of its plan, from now on."""

from kernel import outbox
from kernel.database import Tx, savepoint
from kernel.errors import DomainError
from refunds.change_subscription import change_subscription
from refunds.model import NewChange
from subscriptions import store
from subscriptions.events import MigrationFailed
from subscriptions.model import SubscriptionId

# Somebody was faster, or it has been done before.
DONE = frozenset({"nothing_to_change", "subscription_over"})


async def migrate_due(tx: Tx, subscription_id: SubscriptionId) -> None:
    """What cannot be changed stays as it is, and says why."""
    try:
        async with savepoint(tx):
            await change_subscription(tx, subscription_id, NewChange(newest_version=True))
    except DomainError as refusal:
        if refusal.code in DONE:
            return
        subscription = await store.get(tx, subscription_id)
        outbox.publish(
            tx,
            MigrationFailed(
                subscription_id=subscription.id,
                customer_id=subscription.customer_id,
                code=refusal.code,
                detail=refusal.detail,
            ),
        )
