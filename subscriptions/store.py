"""Every SQL statement about subscriptions, what was billed for them, and signups."""

from collections.abc import Sequence
from datetime import datetime
from itertools import groupby
from uuid import UUID

from billing.invoices.model import InvoiceId
from billing.parties.model import CustomerId
from kernel.database import Tx
from kernel.decimals import Quantity
from kernel.errors import not_found
from kernel.ids import Id
from kernel.paging import Page, Window, next_cursor
from kernel.periods import Period
from kernel.structs import Row, load
from promotions.replay import Decided
from subscriptions.model import Addon, Given, PeriodInvoice, PlanId, Subscription, SubscriptionId

# ── Subscriptions ───────────────────────────────────────────────────────────────────────────────────────


async def insert(
    tx: Tx,
    subscription: Subscription,
    *,
    invoice_id: InvoiceId | None,
    decided: Decided | None,
    granted: Sequence[Id],
) -> None:
    """With the invoice of its first period, what was decided for it, and what it was signed up for.

    A signup for a plan may come again when the first one is over: the newest counts.
    """
    await tx.conn.execute(
        """
        WITH link AS (
            INSERT INTO subscription_invoices
                (tenant_id, subscription_id, period_start, period_end, invoice_id, decided)
            SELECT $1, $2, $13, $14, $19, $25
            WHERE $19::uuid IS NOT NULL
        ), signup AS (
            INSERT INTO signups (tenant_id, customer_id, granted, subscription_id, created_at)
            SELECT $1, $3, g.id, $2, $18
            FROM unnest($20::uuid[]) AS g (id)
            ON CONFLICT (tenant_id, customer_id, granted) DO UPDATE
            SET subscription_id = EXCLUDED.subscription_id, created_at = EXCLUDED.created_at
        )
        INSERT INTO subscriptions
            (tenant_id, id, customer_id, plan_id, version, currency, quantity, status, collection,
             redemption_ids, anchor_at, period_number, current_period_start, current_period_end,
             trial_ends_at, next_billing_at, metadata, created_at, billing_anchor,
             term_ends_at, phases, addons)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $21,
                $22, $23, $24)
        """,
        tx.tenant,
        subscription.id,
        subscription.customer_id,
        subscription.plan_id,
        subscription.version,
        subscription.currency,
        subscription.quantity,
        subscription.status,
        subscription.collection,
        subscription.redemption_ids,
        subscription.anchor_at,
        subscription.period_number,
        subscription.current_period.start,
        subscription.current_period.end,
        subscription.trial_ends_at,
        subscription.next_billing_at,
        subscription.metadata,
        subscription.created_at,
        invoice_id,
        granted,
        subscription.billing_anchor,
        subscription.term_ends_at,
        subscription.phases or None,
        addons_out(subscription.addons),
        decided,
    )


async def update(tx: Tx, subscription: Subscription) -> None:
    await tx.conn.execute(
        """
        UPDATE subscriptions
        SET plan_id = $3, version = $4, quantity = $5, status = $6, anchor_at = $7, period_number = $8,
            current_period_start = $9, current_period_end = $10, next_billing_at = $11,
            pending_change = $12, cancelled_at = $13, ended_at = $14,
            pause_at = $15, paused_at = $16, resume_at = $17, phases = $18, addons = $19,
            redemption_ids = $20
        WHERE tenant_id = $1 AND id = $2
        """,
        tx.tenant,
        subscription.id,
        subscription.plan_id,
        subscription.version,
        subscription.quantity,
        subscription.status,
        subscription.anchor_at,
        subscription.period_number,
        subscription.current_period.start,
        subscription.current_period.end,
        subscription.next_billing_at,
        subscription.pending_change,
        subscription.cancelled_at,
        subscription.ended_at,
        subscription.pause_at,
        subscription.paused_at,
        subscription.resume_at,
        subscription.phases or None,
        addons_out(subscription.addons),
        subscription.redemption_ids,
    )


async def put_cancellation(
    tx: Tx, subscription_id: SubscriptionId, cancel_at: datetime | None, cancellation: object | None
) -> None:
    """What is to happen at a time to come, or no longer."""
    await tx.conn.execute(
        """
        UPDATE subscriptions
        SET cancel_at = $3, cancellation = $4
        WHERE tenant_id = $1 AND id = $2
        """,
        tx.tenant,
        subscription_id,
        cancel_at,
        cancellation,
    )


async def cancellation(tx: Tx, subscription_id: SubscriptionId) -> dict[str, object] | None:
    """The cancellation that is to happen, as it was asked for."""
    asked: dict[str, object] | None = await tx.conn.fetchval(
        """
        SELECT cancellation
        FROM subscriptions
        WHERE tenant_id = $1 AND id = $2
        """,
        tx.tenant,
        subscription_id,
    )
    return asked


async def get(tx: Tx, subscription_id: SubscriptionId) -> Subscription:
    row = await tx.conn.fetchrow(
        """
        SELECT id, customer_id, plan_id, version, currency, quantity, addons, status, collection,
               redemption_ids, anchor_at, period_number, current_period_start, current_period_end,
               trial_ends_at, next_billing_at, term_ends_at, billing_anchor, pending_change, phases,
               pause_at, paused_at, resume_at, cancel_at, cancelled_at, ended_at, metadata, created_at
        FROM subscriptions
        WHERE tenant_id = $1 AND id = $2
        """,
        tx.tenant,
        subscription_id,
    )
    if row is None:
        raise not_found("subscription", subscription_id)
    return subscription_of(row)


async def lock(tx: Tx, subscription_id: SubscriptionId) -> Subscription:
    """Renewing, changing and cancelling one subscription take turns."""
    row = await tx.conn.fetchrow(
        """
        SELECT id, customer_id, plan_id, version, currency, quantity, addons, status, collection,
               redemption_ids, anchor_at, period_number, current_period_start, current_period_end,
               trial_ends_at, next_billing_at, term_ends_at, billing_anchor, pending_change, phases,
               pause_at, paused_at, resume_at, cancel_at, cancelled_at, ended_at, metadata, created_at
        FROM subscriptions
        WHERE tenant_id = $1 AND id = $2
        FOR NO KEY UPDATE
        """,
        tx.tenant,
        subscription_id,
    )
    if row is None:
        raise not_found("subscription", subscription_id)
    return subscription_of(row)


async def page(tx: Tx, window: Window, *, customer_id: CustomerId | None) -> Page[Subscription]:
    rows = await tx.conn.fetch(
        """
        SELECT id, customer_id, plan_id, version, currency, quantity, addons, status, collection,
               redemption_ids, anchor_at, period_number, current_period_start, current_period_end,
               trial_ends_at, next_billing_at, term_ends_at, billing_anchor, pending_change, phases,
               pause_at, paused_at, resume_at, cancel_at, cancelled_at, ended_at, metadata, created_at
        FROM subscriptions
        WHERE tenant_id = $1 AND id < $2 AND ($4::uuid IS NULL OR customer_id = $4)
        ORDER BY id DESC
        LIMIT $3
        """,
        tx.tenant,
        window.before,
        window.rows,
        customer_id,
    )
    shown = [subscription_of(row) for row in rows[: window.limit]]
    return Page(data=shown, next_cursor=next_cursor(rows, window))


async def has_subscribed(tx: Tx, customer_id: CustomerId) -> bool:
    return bool(
        await tx.conn.fetchval(
            """
            SELECT EXISTS (
                SELECT FROM subscriptions
                WHERE tenant_id = $1 AND customer_id = $2
            )
            """,
            tx.tenant,
            customer_id,
        )
    )


async def entitlements(tx: Tx, key: str | CustomerId) -> tuple[CustomerId, list[Given]] | None:
    """What each subscription that entitles gives, and what is used of it; None where there is no customer."""
    rows = await tx.conn.fetch(
        """
        SELECT c.id AS customer_id, s.id AS subscription_id, v.entitlements,
               (SELECT jsonb_agg(jsonb_build_array(w.entitlements, a.quantity))
                FROM jsonb_to_recordset(s.addons) AS a (plan_id uuid, version integer, quantity text)
                JOIN plan_versions w
                  ON w.tenant_id = $1 AND w.plan_id = a.plan_id AND w.version = a.version) AS addons,
               s.current_period_end AS resets_at, q.meter, q.quantity
        FROM customers c
        LEFT JOIN subscriptions s
          ON s.tenant_id = c.tenant_id AND s.customer_id = c.id
         AND s.status IN ('trialing', 'active', 'past_due')
        LEFT JOIN plan_versions v
          ON v.tenant_id = s.tenant_id AND v.plan_id = s.plan_id AND v.version = s.version
        LEFT JOIN LATERAL (
            SELECT m.reference AS meter,
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
              AND r.subscription_id = s.id
              AND (v.entitlements @? '$.*.quota' OR s.addons <> '[]')
              AND r.counts_at >= s.current_period_start
              AND r.at >= s.current_period_start  -- what came late counts against the quota of its time
              AND r.at < s.current_period_end
            GROUP BY m.reference, m.aggregation
        ) q ON true
        WHERE c.tenant_id = $1 AND (c.id = $2 OR c.reference = $3)
        ORDER BY s.id, q.meter
        """,
        tx.tenant,
        CustomerId.read(key),
        str(key),
    )
    if not rows:
        return None
    by_subscription = groupby(
        (row for row in rows if row["subscription_id"]), key=lambda row: UUID(str(row["subscription_id"]))
    )
    return CustomerId.of(rows[0]["customer_id"]), [_given(list(of_one)) for _, of_one in by_subscription]


def _given(rows: Sequence[Row]) -> Given:
    """Each row is a meter that has counted something; without any there is one, of none."""
    used = {row["meter"]: row["quantity"] for row in rows if row["meter"] is not None}
    return load(rows[0], Given, used=used, addons=rows[0]["addons"] or ())


async def running_of(tx: Tx, customer_id: CustomerId) -> dict[SubscriptionId, datetime]:
    """A customer's subscriptions that are not over, with the end of their periods."""
    rows = await tx.conn.fetch(
        """
        SELECT id, current_period_end
        FROM subscriptions
        WHERE tenant_id = $1 AND customer_id = $2 AND status NOT IN ('cancelled', 'ended')
        ORDER BY id
        """,
        tx.tenant,
        customer_id,
    )
    return {SubscriptionId.of(row["id"]): row["current_period_end"] for row in rows}


def subscription_of(row: Row) -> Subscription:
    return load(
        row,
        Subscription,
        current_period=Period(row["current_period_start"], row["current_period_end"]),
        phases=row["phases"] or (),
        addons=tuple(_addon_in(each) for each in row["addons"]),
    )


def addons_out(addons: Sequence[Addon]) -> tuple[dict[str, str | int], ...]:
    """With plain uuids, so that they can be joined."""
    return tuple(
        {"plan_id": str(each.plan_id.uuid), "version": each.version, "quantity": str(each.quantity)}
        for each in addons
    )


def _addon_in(kept: dict[str, str]) -> Addon:
    return Addon(
        plan_id=PlanId.of(UUID(kept["plan_id"])),
        version=int(kept["version"]),
        quantity=Quantity(kept["quantity"]),
    )


# ── Which invoice paid for which period ─────────────────────────────────────────────────────────────────


async def link_change(
    tx: Tx, subscription: Subscription, invoice_id: InvoiceId, decided: Decided | None = None
) -> None:
    """The next invoice of a change in the current period. The subscription has been locked."""
    await tx.conn.execute(
        """
        INSERT INTO subscription_invoices
            (tenant_id, subscription_id, period_start, period_end, invoice_id, decided, change_number)
        SELECT $1, $2, $3, $4, $5, $6, COALESCE(max(change_number), 0) + 1
        FROM subscription_invoices
        WHERE tenant_id = $1 AND subscription_id = $2 AND period_start = $3
        """,
        tx.tenant,
        subscription.id,
        subscription.current_period.start,
        subscription.current_period.end,
        invoice_id,
        decided,
    )


async def link_in_place_of(tx: Tx, first: InvoiceId, corrected: InvoiceId) -> None:
    """For the period of the first, which a note has taken back whole: what it stopped for stays stopped."""
    await tx.conn.execute(
        """
        INSERT INTO subscription_invoices
            (tenant_id, subscription_id, period_start, period_end, invoice_id, stopped_at, change_number)
        SELECT $1, l.subscription_id, l.period_start, l.period_end, $3, l.stopped_at,
               (SELECT max(m.change_number) + 1
                FROM subscription_invoices m
                WHERE m.tenant_id = $1 AND m.subscription_id = l.subscription_id
                  AND m.period_start = l.period_start)
        FROM subscription_invoices l
        WHERE l.tenant_id = $1 AND l.invoice_id = $2
        """,
        tx.tenant,
        first,
        corrected,
    )


async def stop_lines(tx: Tx, subscription: Subscription) -> None:
    """What the current period has been billed is not used from here on: it has been credited."""
    await tx.conn.execute(
        """
        UPDATE subscription_invoices
        SET stopped_at = $4
        WHERE tenant_id = $1 AND subscription_id = $2 AND period_start = $3 AND stopped_at IS NULL
        """,
        tx.tenant,
        subscription.id,
        subscription.current_period.start,
        tx.now,
    )


async def invoices_of_period(tx: Tx, subscription: Subscription) -> list[PeriodInvoice]:
    """What the current period was billed on: its own invoice, and those of changes in it."""
    rows = await tx.conn.fetch(
        """
        SELECT invoice_id, change_number, stopped_at
        FROM subscription_invoices
        WHERE tenant_id = $1 AND subscription_id = $2 AND period_start = $3
        ORDER BY change_number
        """,
        tx.tenant,
        subscription.id,
        subscription.current_period.start,
    )
    return [load(row, PeriodInvoice) for row in rows]


async def of_invoice(tx: Tx, invoice_id: InvoiceId) -> SubscriptionId | None:
    """The subscription that an invoice bills, if it bills one."""
    found = await tx.conn.fetchval(
        """
        SELECT subscription_id
        FROM subscription_invoices
        WHERE tenant_id = $1 AND invoice_id = $2
        """,
        tx.tenant,
        invoice_id,
    )
    return SubscriptionId.of(found) if found else None


async def invoices_of(tx: Tx, subscription_id: SubscriptionId) -> list[InvoiceId]:
    rows = await tx.conn.fetch(
        """
        SELECT invoice_id
        FROM subscription_invoices
        WHERE tenant_id = $1 AND subscription_id = $2
        ORDER BY period_start, change_number
        """,
        tx.tenant,
        subscription_id,
    )
    return [InvoiceId.of(row["invoice_id"]) for row in rows]


async def first_invoice(tx: Tx, subscription_id: SubscriptionId) -> InvoiceId | None:
    """Of the first period that was billed."""
    found = await tx.conn.fetchval(
        """
        SELECT invoice_id
        FROM subscription_invoices
        WHERE tenant_id = $1 AND subscription_id = $2 AND change_number = 0
        ORDER BY period_start
        LIMIT 1
        """,
        tx.tenant,
        subscription_id,
    )
    return InvoiceId.of(found) if found else None


# ── Signups ─────────────────────────────────────────────────────────────────────────────────────────────


async def signed_up(tx: Tx, customer_id: CustomerId, granted: Id) -> SubscriptionId | None:
    """The subscription that this customer's signup for an offer led to, be it over or not."""
    found = await tx.conn.fetchval(
        """
        SELECT subscription_id
        FROM signups
        WHERE tenant_id = $1 AND customer_id = $2 AND granted = $3
        """,
        tx.tenant,
        customer_id,
        granted,
    )
    return SubscriptionId.of(found) if found else None


async def running_signup(tx: Tx, customer_id: CustomerId) -> SubscriptionId | None:
    """The subscription of this customer's signup that is not over."""
    found = await tx.conn.fetchval(
        """
        SELECT s.id
        FROM signups g
        JOIN subscriptions s ON s.tenant_id = g.tenant_id AND s.id = g.subscription_id
        WHERE g.tenant_id = $1 AND g.customer_id = $2 AND s.status NOT IN ('cancelled', 'ended')
        ORDER BY s.id DESC
        LIMIT 1
        """,
        tx.tenant,
        customer_id,
    )
    return SubscriptionId.of(found) if found else None
