"""Every SQL statement about what becomes of the offers that subscriptions hold."""

from billing.invoices.model import InvoiceId
from billing.parties.model import CustomerId
from kernel.database import Tx
from kernel.money import Currency, Money
from kernel.structs import Value, load
from promotions.model import OfferId, Redemption, RedemptionId
from subscriptions import store
from subscriptions.model import Subscription, SubscriptionId


class Converted(Value, frozen=True, kw_only=True):
    id: RedemptionId
    offer_id: OfferId
    customer_id: CustomerId


class Standing(Value, frozen=True, kw_only=True):
    """What is left of the invoices, one at least, that asked for money since a redemption applies."""

    id: RedemptionId
    is_credited: bool
    is_fraud: bool


class Counts(Value, frozen=True, kw_only=True):
    """`offered` are all who had it or have it reserved, `started` those who redeemed it.

    Of these `converted` have paid an invoice that asked for money, for `ended` what it gives is over, and for
    `running` it goes on. `released` and `revoked` are those from whom it was taken back.
    """

    offered: int
    started: int
    converted: int
    ended: int
    running: int
    released: int
    revoked: int


class Sums(Value, frozen=True, kw_only=True):
    currency: Currency
    given: Money
    revenue: Money


async def holder(tx: Tx, redemption: Redemption) -> Subscription | None:
    found = await tx.conn.fetchval(
        """
        SELECT id
        FROM subscriptions
        WHERE tenant_id = $1 AND customer_id = $2 AND $3 = ANY(redemption_ids)
        """,
        tx.tenant,
        redemption.customer_id,
        redemption.id,
    )
    return await store.get(tx, SubscriptionId.of(found)) if found else None


async def mark_reminded(tx: Tx, redemption_id: RedemptionId) -> bool:
    """False when somebody was reminded before."""
    marked = await tx.conn.fetchval(
        """
        UPDATE redemptions
        SET reminded_at = $3
        WHERE tenant_id = $1 AND id = $2 AND reminded_at IS NULL
        RETURNING id
        """,
        tx.tenant,
        redemption_id,
        tx.now,
    )
    return marked is not None


async def mark_converted(tx: Tx, invoice_id: InvoiceId) -> list[Converted]:
    """Those for which this is the first invoice that was paid: with money, and not taken back by credits."""
    rows = await tx.conn.fetch(
        """
        UPDATE redemptions r
        SET converted_at = t.settled_at
        FROM subscription_invoices l
        JOIN subscriptions s ON s.tenant_id = l.tenant_id AND s.id = l.subscription_id
        JOIN invoice_settlements t ON t.tenant_id = l.tenant_id AND t.invoice_id = l.invoice_id
        WHERE r.tenant_id = $1
          AND l.tenant_id = $1
          AND l.invoice_id = $2
          AND (l.period_start >= r.applies_from OR l.period_start > r.redeemed_at)
          AND t.status = 'settled'
          AND t.paid_minor + t.offset_minor > t.credited_minor
          AND r.id = ANY(s.redemption_ids)
          AND r.status IN ('redeemed', 'exhausted')
          AND r.converted_at IS NULL
        RETURNING r.id, r.offer_id, r.customer_id
        """,
        tx.tenant,
        invoice_id,
    )
    return [load(row, Converted) for row in rows]


async def standing(tx: Tx, subscription_id: SubscriptionId) -> list[Standing]:
    """In the order in which offers are locked."""
    rows = await tx.conn.fetch(
        """
        SELECT r.id,
               bool_and(t.credited_minor = t.total_minor) AS is_credited,
               bool_or(EXISTS (
                   SELECT FROM credit_notes c
                   WHERE c.tenant_id = $1 AND c.invoice_id = t.invoice_id AND c.reason = 'fraud'
               )) AS is_fraud
        FROM subscriptions s
        JOIN redemptions r ON r.tenant_id = s.tenant_id AND r.id = ANY(s.redemption_ids)
        JOIN subscription_invoices l
          ON l.tenant_id = s.tenant_id AND l.subscription_id = s.id
         AND (l.period_start >= r.applies_from OR l.period_start > r.redeemed_at)
        JOIN invoice_settlements t ON t.tenant_id = l.tenant_id AND t.invoice_id = l.invoice_id
        WHERE s.tenant_id = $1 AND s.id = $2 AND r.status IN ('redeemed', 'exhausted') AND t.total_minor > 0
        GROUP BY r.id, r.offer_id
        ORDER BY r.offer_id, r.id
        """,
        tx.tenant,
        subscription_id,
    )
    return [load(row, Standing) for row in rows]


async def counts(tx: Tx, offer_id: OfferId) -> Counts:
    """Whoever left before what it gives was over is not among those for whom it ended."""
    row = await tx.conn.fetchrow(
        """
        WITH redeemed AS (
            SELECT r.status, r.converted_at, s.ended_at AS left_at,
                   r.reserved_at IS NULL OR r.currency IS NOT NULL AS has_started,
                   CASE WHEN o.benefit ->> 'type' = 'free_period' THEN r.applies_from
                        ELSE COALESCE(r.ended_at, r.ends_at) END AS over_at
            FROM redemptions r
            JOIN offers o ON o.tenant_id = r.tenant_id AND o.id = r.offer_id
            LEFT JOIN subscriptions s
              ON s.tenant_id = r.tenant_id AND s.customer_id = r.customer_id AND r.id = ANY(s.redemption_ids)
            WHERE r.tenant_id = $1 AND r.offer_id = $2
        )
        SELECT count(*) AS offered,
               count(*) FILTER (WHERE has_started) AS started,
               count(converted_at) AS converted,
               count(*) FILTER (WHERE status IN ('redeemed', 'exhausted')
                                  AND over_at <= LEAST($3, left_at)) AS ended,
               count(*) FILTER (WHERE status IN ('redeemed', 'exhausted')
                                  AND left_at IS NULL AND (over_at > $3) IS NOT FALSE) AS running,
               count(*) FILTER (WHERE status = 'released') AS released,
               count(*) FILTER (WHERE status = 'revoked') AS revoked
        FROM redeemed
        """,
        tx.tenant,
        offer_id,
        tx.now,
    )
    assert row is not None, "a count has a row"
    return load(row, Counts)


async def sums(tx: Tx, offer_id: OfferId) -> list[Sums]:
    """By currency: what came off, and what was billed and not credited since it was given."""
    rows = await tx.conn.fetch(
        """
        WITH redeemed AS (
            SELECT id, customer_id, applies_from, redeemed_at, currency, given_minor
            FROM redemptions
            WHERE tenant_id = $1 AND offer_id = $2 AND status IN ('redeemed', 'exhausted')
        ), billed AS (
            SELECT DISTINCT i.id, i.currency, i.net_minor
            FROM redeemed r
            JOIN subscriptions s
              ON s.tenant_id = $1 AND s.customer_id = r.customer_id AND r.id = ANY(s.redemption_ids)
            JOIN subscription_invoices l
              ON l.tenant_id = $1 AND l.subscription_id = s.id
             AND (l.period_start >= r.applies_from OR l.period_start > r.redeemed_at)
            JOIN invoices i ON i.tenant_id = $1 AND i.id = l.invoice_id
        ), credited AS (
            SELECT c.invoice_id, sum(c.net_minor) AS net_minor
            FROM credit_note_sources c
            JOIN billed b ON b.id = c.invoice_id
            WHERE c.tenant_id = $1
            GROUP BY c.invoice_id
        )
        SELECT currency, sum(given)::bigint AS given_minor, sum(revenue)::bigint AS revenue_minor
        FROM (SELECT currency, given_minor AS given, 0 AS revenue FROM redeemed
              UNION ALL
              SELECT b.currency, 0, b.net_minor - COALESCE(c.net_minor, 0)
              FROM billed b
              LEFT JOIN credited c ON c.invoice_id = b.id) each
        WHERE currency IS NOT NULL
        GROUP BY currency
        ORDER BY currency
        """,
        tx.tenant,
        offer_id,
    )
    return [load(row, Sums) for row in rows]
