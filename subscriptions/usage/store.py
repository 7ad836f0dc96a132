"""Every SQL statement about usage."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from uuid import UUID

from billing.parties.model import CustomerId
from kernel.database import Tx
from kernel.paging import Page, Window, page_of
from kernel.periods import Period
from kernel.structs import Row, load
from subscriptions.meters.model import MeterId
from subscriptions.model import SubscriptionId
from subscriptions.usage.model import Open, Usage, UsageId, UsageRecord
from subscriptions.usage.rules import Target

# ── Recording ───────────────────────────────────────────────────────────────────────────────────────────


async def lock_subscriptions(
    tx: Tx, subscription_ids: Collection[SubscriptionId], customer_ids: Collection[CustomerId]
) -> list[Target]:
    """Those named, and all of the customers. Records do not wait for one another, only for bills."""
    rows = await tx.conn.fetch(
        """
        SELECT id, customer_id, plan_id, version, status IN ('cancelled', 'ended') AS is_over,
               LEAST(created_at, anchor_at) AS began_at
        FROM subscriptions
        WHERE tenant_id = $1 AND (id = ANY($2::uuid[]) OR customer_id = ANY($3::uuid[]))
        ORDER BY id
        FOR SHARE
        """,
        tx.tenant,
        list(subscription_ids),
        list(customer_ids),
    )
    return [load(row, Target) for row in rows]


async def of_events(tx: Tx, event_ids: Collection[str]) -> dict[str, UsageRecord]:
    rows = await tx.conn.fetch(
        """
        SELECT id, event_id, customer_id, subscription_id, meter_id, quantity, value, at, counts_at,
               created_at
        FROM usage_records
        WHERE tenant_id = $1 AND event_id = ANY($2::text[])
        """,
        tx.tenant,
        list(event_ids),
    )
    return {record.event_id: record for record in (load(row, UsageRecord) for row in rows)}


async def insert(tx: Tx, records: Sequence[UsageRecord]) -> set[UsageId]:
    """Which of them were written: an event that is there already is left as it is.

    In the order of the events, so that two batches that overlap wait for one another and never in a circle.
    What has been billed up to a time counts from there on, but for a trial's, which is never billed.
    """
    rows = await tx.conn.fetch(
        """
        WITH sent AS (
            SELECT *
            FROM unnest($2::uuid[], $3::text[], $4::uuid[], $5::uuid[], $6::uuid[], $7::numeric[],
                        $8::text[], $9::timestamptz[])
                 AS r (id, event_id, customer_id, subscription_id, meter_id, quantity, value, at)
        ), recorded AS (
            INSERT INTO usage_records
                (tenant_id, id, event_id, customer_id, subscription_id, meter_id, quantity, value, at,
                 counts_at, created_at)
            SELECT $1, r.id, r.event_id, r.customer_id, r.subscription_id, r.meter_id, r.quantity, r.value,
                   r.at,
                   CASE WHEN r.at < s.trial_ends_at THEN r.at ELSE GREATEST(r.at, u.billed_until) END,
                   $10
            FROM sent r
            JOIN subscriptions s ON s.tenant_id = $1 AND s.id = r.subscription_id
            LEFT JOIN subscription_usage u ON u.tenant_id = $1 AND u.subscription_id = r.subscription_id
            ORDER BY r.event_id
            ON CONFLICT (tenant_id, event_id) DO NOTHING
            RETURNING id, subscription_id
        ), kept AS (
            INSERT INTO subscription_usage (tenant_id, subscription_id)
            SELECT $1, subscription_id
            FROM recorded
            GROUP BY subscription_id
            ORDER BY subscription_id
            ON CONFLICT (tenant_id, subscription_id) DO NOTHING
        )
        SELECT id
        FROM recorded
        """,
        tx.tenant,
        [record.id for record in records],
        [record.event_id for record in records],
        [record.customer_id for record in records],
        [record.subscription_id for record in records],
        [record.meter_id for record in records],
        [record.quantity for record in records],
        [record.value for record in records],
        [record.at for record in records],
        tx.now,
    )
    return {UsageId.of(row["id"]) for row in rows}


async def page(
    tx: Tx,
    window: Window,
    *,
    customer_id: CustomerId | None,
    subscription_id: SubscriptionId | None,
    meter_id: MeterId | None,
) -> Page[UsageRecord]:
    rows = await tx.conn.fetch(
        """
        SELECT id, event_id, customer_id, subscription_id, meter_id, quantity, value, at, counts_at,
               created_at
        FROM usage_records
        WHERE tenant_id = $1
          AND id < $2
          AND ($4::uuid IS NULL OR customer_id = $4)
          AND ($5::uuid IS NULL OR subscription_id = $5)
          AND ($6::uuid IS NULL OR meter_id = $6)
        ORDER BY id DESC
        LIMIT $3
        """,
        tx.tenant,
        window.before,
        window.rows,
        customer_id,
        subscription_id,
        meter_id,
    )
    return page_of(rows, UsageRecord, window)


# ── What is still to be billed ──────────────────────────────────────────────────────────────────────────


async def open_usage(
    tx: Tx, until: Mapping[SubscriptionId, datetime], *, ahead: timedelta = timedelta(0)
) -> list[Open]:
    """Until a time for each; of those whose plan has meters or that have used something.

    Where nothing comes after, what was reported with a time a little ahead belongs to it too.
    """
    rows = await tx.conn.fetch(
        """
        SELECT s.id AS subscription_id, s.plan_id, s.version, s.currency,
               u.subscription_id IS NOT NULL AS is_kept,
               COALESCE(u.billed_until, s.current_period_start) AS starts_at,
               k.until AS ends_at,
               s.status = 'incomplete' OR COALESCE(k.until <= s.trial_ends_at, false) AS is_free,
               q.meter_id, q.meter, q.name, q.aggregation, q.quantity
        FROM unnest($2::uuid[], $3::timestamptz[]) AS k (subscription_id, until)
        JOIN subscriptions s ON s.tenant_id = $1 AND s.id = k.subscription_id
        JOIN plan_versions v
          ON v.tenant_id = s.tenant_id AND v.plan_id = s.plan_id AND v.version = s.version
        LEFT JOIN subscription_usage u ON u.tenant_id = s.tenant_id AND u.subscription_id = s.id
        LEFT JOIN LATERAL (
            SELECT m.id AS meter_id, m.reference AS meter, m.name, m.aggregation,
                   CASE m.aggregation
                       WHEN 'sum' THEN sum(r.quantity)
                       WHEN 'max' THEN max(r.quantity)
                       WHEN 'last' THEN (array_agg(r.quantity ORDER BY r.at DESC, r.id DESC)
                                         FILTER (WHERE m.aggregation = 'last'))[1]
                       ELSE count(DISTINCT r.value) FILTER (WHERE m.aggregation = 'unique')
                   END AS quantity
            FROM usage_records r
            JOIN meters m ON m.tenant_id = $1 AND m.id = r.meter_id
            WHERE r.tenant_id = $1
              AND r.subscription_id = u.subscription_id
              AND (r.counts_at >= u.billed_until OR u.billed_until IS NULL)
              -- what was used in a trial has been free, whenever it is reported
              AND (r.counts_at >= s.trial_ends_at OR s.trial_ends_at IS NULL
                   OR s.current_period_start < s.trial_ends_at)
              AND r.counts_at < k.until + $4
            GROUP BY m.id, m.reference, m.name, m.aggregation
        ) q ON true
        WHERE u.subscription_id IS NOT NULL OR v.meters <> '[]'
        ORDER BY s.id, q.meter
        """,
        tx.tenant,
        list(until),
        list(until.values()),
        ahead,
    )
    return [_open(list(of_one)) for _, of_one in groupby(rows, key=_subscription_of)]


def _subscription_of(row: Row) -> UUID:
    found: UUID = row["subscription_id"]
    return found


def _open(rows: Sequence[Row]) -> Open:
    """Each row is a meter that has counted something; without any there is one, of none."""
    first = rows[0]
    return load(
        first,
        Open,
        period=Period(first["starts_at"], first["ends_at"]),
        counted=[dict(row.items()) for row in rows if row["meter_id"] is not None],
    )


async def close(tx: Tx, billed: Sequence[Usage]) -> None:
    """What counts before the end of these periods has been billed. The subscriptions are locked."""
    kept = [usage for usage in billed if usage.is_kept]
    if not kept:
        return
    await tx.conn.execute(
        """
        UPDATE subscription_usage u
        SET billed_until = b.until
        FROM unnest($2::uuid[], $3::timestamptz[]) AS b (subscription_id, until)
        WHERE u.tenant_id = $1 AND u.subscription_id = b.subscription_id
        """,
        tx.tenant,
        [usage.subscription_id for usage in kept],
        [usage.period.end for usage in kept],
    )
