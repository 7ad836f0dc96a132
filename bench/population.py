"""Subscriptions that are due: every price model, a third of them with an offer, at two sellers' tenants."""

from datetime import UTC, datetime, timedelta

import asyncpg

from bench import house
from kernel.database import open_pool, transaction
from kernel.ids import TenantId
from tests.subscriptions.population import a_population

TENANTS = 2
BEGAN = datetime(2026, 1, 15, 11, 0, tzinfo=UTC)
DUE = BEGAN + timedelta(days=31)

# They are copies of each price model without an offer, with one for ever, and with one for two periods.
LEFT_OUT = "hello|short|trial|whole"


async def populate(database: str, subscriptions: int) -> list[TenantId]:
    """`subscriptions` in all, evenly over the tenants, made by copying one of each kind."""
    pool = await open_pool(house.app_url_of(database), size=1)
    tenants = []
    async with house.as_owner(database) as owner:
        for n in range(TENANTS):
            tenant = await tenant_named(owner, f"bench-{n}")
            async with transaction(pool, tenant, now=BEGAN) as tx:
                await a_population(tx)
            await _copy(owner, tenant, subscriptions // TENANTS)
            tenants.append(tenant)
        await owner.execute("VACUUM ANALYZE")
    await pool.close()
    return tenants


async def tenant_named(owner: "asyncpg.Connection[asyncpg.Record]", name: str) -> TenantId:
    tenant, account = TenantId.new(), TenantId.new()
    await owner.execute(
        "INSERT INTO accounts (id, name, created_at) VALUES ($1, $2, $3)", account.uuid, name, BEGAN
    )
    await owner.execute(
        "INSERT INTO tenants (id, account_id, name, mode, created_at) VALUES ($1, $2, $3, 'test', $4)",
        tenant.uuid,
        account.uuid,
        name,
        BEGAN,
    )
    return tenant


async def _copy(owner: "asyncpg.Connection[asyncpg.Record]", tenant: TenantId, count: int) -> None:
    """Each copy has a customer and a redemption of its own; the originals are over, and not billed.

    A row is copied as a whole, whatever columns it has.
    """
    async with owner.transaction():
        await owner.execute(
            """
            CREATE TEMP TABLE copies ON COMMIT DROP AS
            SELECT uuidv7() AS subscription_id, uuidv7() AS customer_id, uuidv7() AS redemption_id, n,
                   ids[1 + n % cardinality(ids)] AS original
            FROM generate_series(1, $2::int) AS n,
                 (SELECT array_agg(s.id ORDER BY s.id) AS ids
                  FROM subscriptions s
                  JOIN customers c ON c.tenant_id = s.tenant_id AND c.id = s.customer_id
                  WHERE s.tenant_id = $1 AND c.reference !~ $3) AS kinds
            """,
            tenant.uuid,
            count,
            LEFT_OUT,
        )
        for statement in (
            """
            INSERT INTO customers
            SELECT (jsonb_populate_record(c, jsonb_build_object(
                        'id', k.customer_id, 'reference', 'copy-' || k.n,
                        'payment_method', 'pm_card_visa'))).*
            FROM copies k
            JOIN subscriptions s ON s.tenant_id = $1 AND s.id = k.original
            JOIN customers c ON c.tenant_id = $1 AND c.id = s.customer_id
            """,
            """
            INSERT INTO redemptions
            SELECT (jsonb_populate_record(r, jsonb_build_object(
                        'id', k.redemption_id, 'customer_id', k.customer_id))).*
            FROM copies k
            JOIN subscriptions s ON s.tenant_id = $1 AND s.id = k.original
            JOIN redemptions r ON r.tenant_id = $1 AND r.id = s.redemption_ids[1]
            """,
            """
            INSERT INTO subscriptions
            SELECT (jsonb_populate_record(s, jsonb_build_object(
                        'id', k.subscription_id, 'customer_id', k.customer_id,
                        'redemption_ids', CASE WHEN s.redemption_ids = '{}' THEN ARRAY[]::uuid[]
                                               ELSE ARRAY[k.redemption_id] END))).*
            FROM copies k
            JOIN subscriptions s ON s.tenant_id = $1 AND s.id = k.original
            """,
            """
            UPDATE subscriptions s
            SET status = 'cancelled', next_billing_at = NULL
            FROM customers c
            WHERE s.tenant_id = $1 AND c.tenant_id = $1 AND c.id = s.customer_id
              AND c.reference NOT LIKE 'copy-%'
            """,
        ):
            await owner.execute(statement, tenant.uuid)
        await owner.execute("UPDATE events SET state = 'dispatched' WHERE tenant_id = $1", tenant.uuid)
