"""Migrating subscriptions of older versions of a plan to the newest, thousands in one statement.

With their next period: the version is their pending change. Now: a job for each, so that each is one
transaction, with its credit note and its invoice.
"""

from collections.abc import Sequence

from kernel import jobs, outbox
from kernel.database import Tx
from kernel.errors import not_found
from subscriptions import addons, changing, migration_store, plan_store
from subscriptions.events import SubscriptionChangeScheduled
from subscriptions.migration_store import Target
from subscriptions.model import Migration, MigrationWhen, NewMigration, Plan, PriceModel, SubscriptionId

MIGRATING = "migrate_subscription"
MOST = 10_000


async def migrate_plan(tx: Tx, key: str, request: NewMigration, *, most: int = MOST) -> Migration:
    newest = await plan_store.lock_plan(tx, key)
    addons.check_base(newest)
    await _check_there(tx, request.subscriptions)
    target = await _target(tx, newest)

    if request.when is MigrationWhen.NOW:
        moved = await migration_store.to_change(tx, target, request.subscriptions, limit=most)
        data = [{"subscription_id": str(subscription_id)} for subscription_id in moved]
        await jobs.schedule_each(tx, MIGRATING, data, due=tx.now)
    else:
        moved = await _with_next_period(tx, target, request.subscriptions, most=most)
    return Migration(
        plan_id=newest.id,
        version=newest.version,
        subscriptions=tuple(moved),
        has_more=len(moved) == most,
    )


async def _with_next_period(
    tx: Tx, target: Target, chosen: Sequence[SubscriptionId] | None, *, most: int
) -> list[SubscriptionId]:
    pending = await migration_store.put_pending(tx, target, chosen, limit=most)
    outbox.publish(
        tx,
        *(
            SubscriptionChangeScheduled(
                subscription_id=each.id, customer_id=each.customer_id, change_at=each.change_at
            )
            for each in pending
        ),
    )
    return [each.id for each in pending]


async def _check_there(tx: Tx, chosen: Sequence[SubscriptionId] | None) -> None:
    found = await migration_store.there(tx, chosen) if chosen else set()
    for subscription_id in chosen or ():
        if subscription_id not in found:
            raise not_found("subscription", subscription_id)


async def _target(tx: Tx, newest: Plan) -> Target:
    versions = await plan_store.versions_of(tx, [(newest.id, n + 1) for n in range(newest.version)])
    return Target(
        plan_id=newest.id,
        version=newest.version,
        currencies=tuple(price.currency for price in newest.prices),
        flat_in=tuple(price.currency for price in newest.prices if price.model is PriceModel.FLAT),
        restarts_from=tuple(each.version for each in versions.values() if changing.restarts(each, newest)),
        alone_from=tuple(each.version for each in versions.values() if not addons.go_on(each, newest)),
    )
