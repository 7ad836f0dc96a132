"""Every SQL statement that bills periods, one or thousands at a time."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from billing.invoices.model import InvoiceId
from kernel.database import Tx
from kernel.structs import Value, load
from promotions.replay import Decided
from subscriptions.model import Subscription, SubscriptionId
from subscriptions.store import addons_out, subscription_of


class Failure(Value, frozen=True, kw_only=True):
    """Why a subscription could not be billed; `code` is one of the problem codes."""

    subscription_id: SubscriptionId
    code: str
    detail: str


class PutAside(Failure, frozen=True, kw_only=True):
    """How often it was tried, and when it is again: never by itself where `retry_at` is None."""

    attempts: int
    failed_at: datetime
    retry_at: datetime | None


class Mark(Value, frozen=True, kw_only=True):
    """How far a run has read, in the order of what is due."""

    next_billing_at: datetime
    id: SubscriptionId


async def claim_due(tx: Tx, *, limit: int, after: Mark | None) -> list[Subscription]:
    """Locked, and passing over what others have locked. Those about to be cancelled are not renewed."""
    rows = await tx.conn.fetch(
        """
        SELECT id, customer_id, plan_id, version, currency, quantity, addons, status, collection,
               redemption_ids, anchor_at, period_number, current_period_start, current_period_end,
               trial_ends_at, next_billing_at, term_ends_at, billing_anchor, pending_change, phases,
               pause_at, paused_at, resume_at, cancel_at, cancelled_at, ended_at, metadata, created_at
        FROM subscriptions s
        WHERE s.tenant_id = $1
          AND next_billing_at <= $2
          AND (next_billing_at, id) > ($4, $5)
          AND (cancel_at IS NULL OR cancel_at > next_billing_at)
          AND NOT EXISTS (
              SELECT FROM renewal_failures f
              WHERE f.tenant_id = $1 AND f.subscription_id = s.id AND (retry_at IS NULL OR retry_at > $2)
          )
        ORDER BY next_billing_at, id
        LIMIT $3
        FOR NO KEY UPDATE OF s SKIP LOCKED
        """,
        tx.tenant,
        tx.now,
        limit,
        after.next_billing_at if after else _EVER,
        after.id if after else UUID(int=0),
    )
    return [subscription_of(row) for row in rows]


_EVER = datetime.min.replace(tzinfo=UTC)


async def next_renewal(tx: Tx) -> datetime | None:
    """When the next of the tenant's subscriptions is due, or to be tried again."""
    due: datetime | None = await tx.conn.fetchval(
        """
        SELECT LEAST(
            (SELECT min(next_billing_at) FROM subscriptions s
             WHERE s.tenant_id = $1 AND (cancel_at IS NULL OR cancel_at > next_billing_at)
               AND NOT EXISTS (SELECT FROM renewal_failures f
                               WHERE f.tenant_id = $1 AND f.subscription_id = s.id)),
            (SELECT min(retry_at) FROM renewal_failures WHERE tenant_id = $1)
        )
        """,
        tx.tenant,
    )
    return due


async def count_due(tx: Tx) -> int:
    """How many a run would claim."""
    due: int = await tx.conn.fetchval(
        """
        SELECT count(*)
        FROM subscriptions s
        WHERE s.tenant_id = $1
          AND next_billing_at <= $2
          AND (cancel_at IS NULL OR cancel_at > next_billing_at)
          AND NOT EXISTS (
              SELECT FROM renewal_failures f
              WHERE f.tenant_id = $1 AND f.subscription_id = s.id AND (retry_at IS NULL OR retry_at > $2)
          )
        """,
        tx.tenant,
        tx.now,
    )
    return due


class Begun(Value, frozen=True, kw_only=True):
    """A subscription whose next period has begun; without an invoice, nothing is billed.

    `change_number` is above zero where another period began at the same instant.
    """

    subscription: Subscription
    invoice_id: InvoiceId | None
    change_number: int
    decided: Decided | None = None


async def advance(tx: Tx, begun: Sequence[Begun]) -> None:
    """Their periods, and which invoice is for which: a period that has one is not billed again."""
    subscriptions = [each.subscription for each in begun]
    await tx.conn.execute(
        """
        WITH begun AS (
            SELECT *
            FROM unnest($2::uuid[], $3::text[], $4::int[], $5::timestamptz[], $6::timestamptz[],
                        $7::timestamptz[], $8::timestamptz[], $9::uuid[], $10::int[], $11::jsonb[])
                 AS b (id, status, period_number, period_start, period_end, next_billing_at, ended_at,
                       invoice_id, change_number, decided)
        ), link AS (
            INSERT INTO subscription_invoices
                (tenant_id, subscription_id, period_start, period_end, invoice_id, decided, change_number)
            SELECT $1, id, period_start, period_end, invoice_id, decided,
                   -- what one that ended is billed for stands beside the bill of its period
                   CASE
                       WHEN ended_at IS NULL THEN change_number
                       ELSE (SELECT COALESCE(max(i.change_number), 0) + 1
                             FROM subscription_invoices i
                             WHERE i.tenant_id = $1 AND i.subscription_id = begun.id
                               AND i.period_start = begun.period_start)
                   END
            FROM begun
            WHERE invoice_id IS NOT NULL
        )
        UPDATE subscriptions s
        SET status = b.status, period_number = b.period_number, current_period_start = b.period_start,
            current_period_end = b.period_end, next_billing_at = b.next_billing_at, ended_at = b.ended_at
        FROM begun b
        WHERE s.tenant_id = $1 AND s.id = b.id
        """,
        tx.tenant,
        [each.id for each in subscriptions],
        [each.status for each in subscriptions],
        [each.period_number for each in subscriptions],
        [each.current_period.start for each in subscriptions],
        [each.current_period.end for each in subscriptions],
        [each.next_billing_at for each in subscriptions],
        [each.ended_at for each in subscriptions],
        [each.invoice_id for each in begun],
        [each.change_number for each in begun],
        [each.decided for each in begun],
    )


async def begin_pauses(tx: Tx, subscription_ids: Sequence[SubscriptionId]) -> None:
    """That were to begin with the end of their period."""
    if not subscription_ids:
        return
    await tx.conn.execute(
        """
        UPDATE subscriptions
        SET paused_at = pause_at, pause_at = NULL
        WHERE tenant_id = $1 AND id = ANY($2::uuid[])
        """,
        tx.tenant,
        subscription_ids,
    )


async def carry_out_changes(tx: Tx, changed: Sequence[Subscription]) -> None:
    """The terms and the anchor of those for which they have moved, which most have not."""
    if not changed:
        return
    await tx.conn.execute(
        """
        UPDATE subscriptions s
        SET plan_id = c.plan_id, version = c.version, quantity = c.quantity, anchor_at = c.anchor_at,
            pending_change = NULL, phases = c.phases, addons = c.addons
        FROM unnest($2::uuid[], $3::uuid[], $4::int[], $5::numeric[], $6::timestamptz[], $7::jsonb[],
                    $8::jsonb[])
             AS c (id, plan_id, version, quantity, anchor_at, phases, addons)
        WHERE s.tenant_id = $1 AND s.id = c.id
        """,
        tx.tenant,
        [each.id for each in changed],
        [each.plan_id for each in changed],
        [each.version for each in changed],
        [each.quantity for each in changed],
        [each.anchor_at for each in changed],
        [each.phases or None for each in changed],
        [addons_out(each.addons) for each in changed],
    )


# ── What could not be billed ────────────────────────────────────────────────────────────────────────────


async def put_failures(tx: Tx, failures: Sequence[Failure], *, retry_after: Sequence[timedelta]) -> None:
    """Once more for each: the n-th failure is tried again after the n-th wait, and no more after the last."""
    if not failures:
        return
    await tx.conn.execute(
        """
        INSERT INTO renewal_failures AS f
            (tenant_id, subscription_id, code, detail, attempts, failed_at, retry_at)
        SELECT $1, n.id, n.code, n.detail, 1, $5::timestamptz, $5::timestamptz + ($6::interval[])[1]
        FROM unnest($2::uuid[], $3::text[], $4::text[]) AS n (id, code, detail)
        ON CONFLICT (tenant_id, subscription_id) DO UPDATE
        SET code      = EXCLUDED.code,
            detail    = EXCLUDED.detail,
            attempts  = f.attempts + 1,
            failed_at = EXCLUDED.failed_at,
            retry_at  = EXCLUDED.failed_at + ($6::interval[])[f.attempts + 1]
        """,
        tx.tenant,
        [failure.subscription_id for failure in failures],
        [failure.code for failure in failures],
        [failure.detail for failure in failures],
        tx.now,
        retry_after,
    )


async def put_aside(tx: Tx) -> list[PutAside]:
    """All that waits, oldest first."""
    rows = await tx.conn.fetch(
        """
        SELECT subscription_id, code, detail, attempts, failed_at, retry_at
        FROM renewal_failures
        WHERE tenant_id = $1
        ORDER BY failed_at, subscription_id
        """,
        tx.tenant,
    )
    return [load(row, PutAside) for row in rows]


async def forget_failures(tx: Tx, subscription_ids: Sequence[SubscriptionId]) -> None:
    """What has been billed, or is over, has no failure any more."""
    await tx.conn.execute(
        """
        DELETE FROM renewal_failures
        WHERE tenant_id = $1 AND subscription_id = ANY($2::uuid[])
        """,
        tx.tenant,
        subscription_ids,
    )
