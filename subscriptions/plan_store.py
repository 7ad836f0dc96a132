"""Every SQL statement about plans, their versions and prices."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from uuid import UUID

from kernel.database import Tx
from kernel.errors import Conflict, not_found
from kernel.paging import Page, Window, next_cursor
from kernel.periods import Interval, Unit
from kernel.structs import Row, load
from subscriptions.model import Plan, PlanId, Price


async def insert_plan(tx: Tx, plan: Plan) -> None:
    inserted = await tx.conn.fetchval(
        """
        INSERT INTO plans (tenant_id, id, reference, name, kind, version, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        ON CONFLICT (tenant_id, reference) DO NOTHING
        RETURNING id
        """,
        tx.tenant,
        plan.id,
        plan.reference,
        plan.name,
        plan.kind,
        plan.version,
        plan.created_at,
    )
    if inserted is None:
        raise Conflict("reference_taken", f"There is a plan {plan.reference!r} already.", param="reference")


async def insert_version(tx: Tx, plan: Plan) -> None:
    await tx.conn.execute(
        """
        INSERT INTO plan_versions
            (tenant_id, plan_id, version, interval_unit, interval_count, tax_rate_id, tax_behavior, meters,
             entitlements, created_at, trial_days, minimum_term)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
        """,
        tx.tenant,
        plan.id,
        plan.version,
        plan.interval.unit,
        plan.interval.count,
        plan.tax_rate_id,
        plan.tax_behavior,
        plan.meters,
        plan.entitlements,
        tx.now,
        plan.trial_days,
        plan.minimum_term,
    )
    await tx.conn.execute(
        """
        INSERT INTO prices
            (tenant_id, id, plan_id, version, model, currency, unit_price, package_size, tiers, setup_fee)
        SELECT $1, p.id, $2, $3, p.model, p.currency, p.unit_price, p.package_size, p.tiers, p.setup_fee
        FROM unnest($4::uuid[], $5::text[], $6::text[], $7::numeric[], $8::numeric[], $9::jsonb[],
                    $10::numeric[])
             AS p (id, model, currency, unit_price, package_size, tiers, setup_fee)
        """,
        tx.tenant,
        plan.id,
        plan.version,
        [price.id for price in plan.prices],
        [price.model for price in plan.prices],
        [price.currency for price in plan.prices],
        [price.unit_price for price in plan.prices],
        [price.package_size for price in plan.prices],
        [price.tiers for price in plan.prices],
        [price.setup_fee for price in plan.prices],
    )


async def set_newest_version(tx: Tx, plan: Plan) -> None:
    await tx.conn.execute(
        """
        UPDATE plans
        SET version = $3
        WHERE tenant_id = $1 AND id = $2
        """,
        tx.tenant,
        plan.id,
        plan.version,
    )


async def lock_plan(tx: Tx, key: str) -> Plan:
    """The plan in its newest version; two new versions take turns."""
    await tx.conn.execute(
        """
        SELECT 1
        FROM plans
        WHERE tenant_id = $1 AND (id = $2 OR reference = $3)
        FOR NO KEY UPDATE
        """,
        tx.tenant,
        PlanId.read(key),
        key,
    )
    return await plan(tx, key)


async def plan(tx: Tx, key: str | PlanId) -> Plan:
    """By id or by reference, in its newest version."""
    rows = await tx.conn.fetch(
        """
        SELECT p.id, p.reference, p.name, p.kind, v.version, v.interval_unit, v.interval_count,
               v.tax_rate_id, v.tax_behavior, v.meters, v.entitlements, v.trial_days, v.minimum_term,
               p.created_at,
               r.id AS price_id, r.model, r.currency, r.unit_price, r.package_size, r.tiers,
               r.setup_fee
        FROM plans p
        JOIN plan_versions v ON v.tenant_id = p.tenant_id AND v.plan_id = p.id AND v.version = p.version
        JOIN prices r ON r.tenant_id = v.tenant_id AND r.plan_id = v.plan_id AND r.version = v.version
        WHERE p.tenant_id = $1 AND (p.id = $2 OR p.reference = $3)
        ORDER BY r.currency
        """,
        tx.tenant,
        PlanId.read(key),
        str(key),
    )
    found = _plans(rows)
    if not found:
        raise not_found("plan", key)
    return found[0]


async def versions_of(tx: Tx, keys: Collection[tuple[PlanId, int]]) -> dict[tuple[PlanId, int], Plan]:
    """Plans in the versions that are asked for."""
    rows = await tx.conn.fetch(
        """
        SELECT p.id, p.reference, p.name, p.kind, v.version, v.interval_unit, v.interval_count,
               v.tax_rate_id, v.tax_behavior, v.meters, v.entitlements, v.trial_days, v.minimum_term,
               p.created_at,
               r.id AS price_id, r.model, r.currency, r.unit_price, r.package_size, r.tiers,
               r.setup_fee
        FROM plans p
        JOIN plan_versions v ON v.tenant_id = p.tenant_id AND v.plan_id = p.id
        JOIN prices r ON r.tenant_id = v.tenant_id AND r.plan_id = v.plan_id AND r.version = v.version
        JOIN unnest($2::uuid[], $3::int[]) AS k (plan_id, version)
          ON k.plan_id = v.plan_id AND k.version = v.version
        WHERE p.tenant_id = $1
        ORDER BY r.currency
        """,
        tx.tenant,
        [plan_id for plan_id, _ in keys],
        [version for _, version in keys],
    )
    return {(plan.id, plan.version): plan for plan in _plans(rows)}


async def plans_named(tx: Tx, keys: Collection[str]) -> dict[str, Plan]:
    """By id or by reference, in their newest versions; all of them have to be there."""
    if not keys:
        return {}
    rows = await tx.conn.fetch(
        """
        SELECT p.id, p.reference, p.name, p.kind, v.version, v.interval_unit, v.interval_count,
               v.tax_rate_id, v.tax_behavior, v.meters, v.entitlements, v.trial_days, v.minimum_term,
               p.created_at,
               r.id AS price_id, r.model, r.currency, r.unit_price, r.package_size, r.tiers,
               r.setup_fee
        FROM plans p
        JOIN plan_versions v ON v.tenant_id = p.tenant_id AND v.plan_id = p.id AND v.version = p.version
        JOIN prices r ON r.tenant_id = v.tenant_id AND r.plan_id = v.plan_id AND r.version = v.version
        WHERE p.tenant_id = $1 AND (p.id = ANY($2::uuid[]) OR p.reference = ANY($3::text[]))
        ORDER BY r.currency
        """,
        tx.tenant,
        [plan_id for key in keys if (plan_id := PlanId.read(key))],
        list(keys),
    )
    found = {name: plan for plan in _plans(rows) for name in (str(plan.id), str(plan.reference))}
    for missing in [key for key in keys if key not in found]:
        raise not_found("plan", missing)
    return found


async def plans(tx: Tx, window: Window) -> Page[Plan]:
    rows = await tx.conn.fetch(
        """
        SELECT p.id, p.reference, p.name, p.kind, v.version, v.interval_unit, v.interval_count,
               v.tax_rate_id, v.tax_behavior, v.meters, v.entitlements, v.trial_days, v.minimum_term,
               p.created_at,
               r.id AS price_id, r.model, r.currency, r.unit_price, r.package_size, r.tiers,
               r.setup_fee
        FROM (
            SELECT id, reference, name, kind, version, created_at, tenant_id
            FROM plans
            WHERE tenant_id = $1 AND id < $2
            ORDER BY id DESC
            LIMIT $3
        ) p
        JOIN plan_versions v ON v.tenant_id = $1 AND v.plan_id = p.id AND v.version = p.version
        JOIN prices r ON r.tenant_id = $1 AND r.plan_id = v.plan_id AND r.version = v.version
        ORDER BY p.id DESC, r.currency
        """,
        tx.tenant,
        window.before,
        window.rows,
    )
    found = _plans(rows)
    return Page(
        data=found[: window.limit], next_cursor=next_cursor([{"id": plan.id.uuid} for plan in found], window)
    )


def _plans(rows: Iterable[Row]) -> list[Plan]:
    """Each row is a price, with the plan and version that it is of."""
    prices: dict[tuple[UUID, int], list[Row]] = defaultdict(list)
    for row in rows:
        prices[row["id"], row["version"]].append(row)
    return [
        load(
            of_one[0],
            Plan,
            interval=Interval(Unit(of_one[0]["interval_unit"]), of_one[0]["interval_count"]),
            prices=tuple(load(row, Price, id=row["price_id"]) for row in of_one),
        )
        for of_one in prices.values()
    ]
