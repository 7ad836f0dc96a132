"""Every SQL statement that moves subscriptions to another version of their plan."""

from collections.abc import Sequence
from datetime import datetime

from billing.parties.model import CustomerId
from kernel.database import Tx
from kernel.money import Currency
from kernel.structs import Value, load
from subscriptions.model import PlanId, SubscriptionId


class Target(Value, frozen=True, kw_only=True):
    """The version, the currencies of its prices and of its flat ones, and the versions of other lengths.

    Add-ons beside the versions of `alone_from` cannot go on beside it.
    """

    plan_id: PlanId
    version: int
    currencies: tuple[Currency, ...]
    flat_in: tuple[Currency, ...]
    restarts_from: tuple[int, ...]
    alone_from: tuple[int, ...]


class Pending(Value, frozen=True, kw_only=True):
    """A subscription that takes the version with the period that begins then."""

    id: SubscriptionId
    customer_id: CustomerId
    change_at: datetime


async def put_pending(
    tx: Tx, target: Target, chosen: Sequence[SubscriptionId] | None, *, limit: int
) -> list[Pending]:
    """As a change to come, on those that have none; a flat price is for a quantity of one."""
    rows = await tx.conn.fetch(
        """
        WITH older AS (
            SELECT id
            FROM subscriptions
            WHERE tenant_id = $1
              AND plan_id = $2
              AND version < $3
              AND status NOT IN ('cancelled', 'ended')
              AND currency = ANY($4::text[])
              AND pending_change IS NULL
              AND phases IS NULL
              AND (addons = '[]' OR NOT version = ANY($10::int[]))
              AND ($5::uuid[] IS NULL OR id = ANY($5))
            ORDER BY id
            LIMIT $6
            FOR NO KEY UPDATE
        ), moved AS (
            UPDATE subscriptions s
            SET pending_change = jsonb_build_object(
                    'plan_id', $7::text,
                    'version', $3,
                    'quantity', CASE WHEN s.currency = ANY($8::text[]) THEN '1'
                                     ELSE trim_scale(s.quantity)::text END,
                    'restarts', s.version = ANY($9::int[])
                )
            FROM older o
            WHERE s.tenant_id = $1 AND s.id = o.id
            RETURNING s.id, s.customer_id, s.current_period_end AS change_at
        )
        SELECT id, customer_id, change_at
        FROM moved
        ORDER BY id
        """,
        tx.tenant,
        target.plan_id,
        target.version,
        target.currencies,
        chosen,
        limit,
        str(target.plan_id),
        target.flat_in,
        target.restarts_from,
        target.alone_from,
    )
    return [load(row, Pending) for row in rows]


async def to_change(
    tx: Tx, target: Target, chosen: Sequence[SubscriptionId] | None, *, limit: int
) -> list[SubscriptionId]:
    """Those that can take the version in the middle of a period."""
    rows = await tx.conn.fetch(
        """
        SELECT id
        FROM subscriptions
        WHERE tenant_id = $1
          AND plan_id = $2
          AND version < $3
          AND status IN ('trialing', 'active', 'past_due')
          AND currency = ANY($4::text[])
          AND pending_change IS NULL
          AND phases IS NULL
          AND (addons = '[]' OR NOT version = ANY($7::int[]))
          AND ($5::uuid[] IS NULL OR id = ANY($5))
        ORDER BY id
        LIMIT $6
        """,
        tx.tenant,
        target.plan_id,
        target.version,
        target.currencies,
        chosen,
        limit,
        target.alone_from,
    )
    return [SubscriptionId.of(row["id"]) for row in rows]


async def there(tx: Tx, chosen: Sequence[SubscriptionId]) -> set[SubscriptionId]:
    rows = await tx.conn.fetch(
        """
        SELECT id
        FROM subscriptions
        WHERE tenant_id = $1 AND id = ANY($2::uuid[])
        """,
        tx.tenant,
        chosen,
    )
    return {SubscriptionId.of(row["id"]) for row in rows}
