"""Every SQL statement about back-tests, and the past they are tried on."""

from collections.abc import Collection, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo

from billing.invoices.model import InvoiceId
from billing.parties.model import CustomerId
from kernel.database import Tx
from kernel.decimals import Measure
from kernel.errors import not_found
from kernel.money import Currency, Money
from kernel.paging import Page, Window, page_of
from kernel.periods import Period
from kernel.structs import Row, load
from kernel.text import Reference
from promotions.model import Offer, OfferId
from promotions.replay import Decided
from subscriptions.backtests.model import BackTest, BackTestId
from subscriptions.backtests.replaying import PastInvoice, PastLine
from subscriptions.model import SubscriptionId

NOBODY = CustomerId(bytes(16))


async def insert(tx: Tx, back_test: BackTest) -> None:
    await tx.conn.execute(
        """
        INSERT INTO back_tests
            (tenant_id, id, request, status, done, total, mark, findings, error, created_at, ended_at)
        VALUES ($1, $2, $3, $4, $5, $6, NULL, $7, $8, $9, $10)
        """,
        tx.tenant,
        back_test.id,
        back_test.request,
        back_test.status,
        back_test.done,
        back_test.total,
        back_test.findings,
        back_test.error,
        back_test.created_at,
        back_test.ended_at,
    )


async def get(tx: Tx, back_test_id: BackTestId) -> BackTest:
    row = await tx.conn.fetchrow(
        """
        SELECT id, request, status, done, total, findings, error, created_at, ended_at
        FROM back_tests
        WHERE tenant_id = $1 AND id = $2
        """,
        tx.tenant,
        back_test_id,
    )
    if row is None:
        raise not_found("back test", back_test_id)
    return load(row, BackTest)


async def lock(tx: Tx, back_test_id: BackTestId) -> tuple[BackTest, CustomerId]:
    """And the last customer it has gone through."""
    row = await tx.conn.fetchrow(
        """
        SELECT id, request, status, done, total, mark, findings, error, created_at, ended_at
        FROM back_tests
        WHERE tenant_id = $1 AND id = $2
        FOR NO KEY UPDATE
        """,
        tx.tenant,
        back_test_id,
    )
    if row is None:
        raise not_found("back test", back_test_id)
    return load(row, BackTest), CustomerId.of(row["mark"]) if row["mark"] else NOBODY


async def update(tx: Tx, back_test: BackTest, mark: CustomerId | None) -> None:
    await tx.conn.execute(
        """
        UPDATE back_tests
        SET status = $3, done = $4, total = $5, mark = $6, findings = $7, error = $8, ended_at = $9
        WHERE tenant_id = $1 AND id = $2
        """,
        tx.tenant,
        back_test.id,
        back_test.status,
        back_test.done,
        back_test.total,
        mark,
        back_test.findings,
        back_test.error,
        back_test.ended_at,
    )


async def page(tx: Tx, window: Window) -> Page[BackTest]:
    rows = await tx.conn.fetch(
        """
        SELECT id, request, status, done, total, findings, error, created_at, ended_at
        FROM back_tests
        WHERE tenant_id = $1 AND id < $2
        ORDER BY id DESC
        LIMIT $3
        """,
        tx.tenant,
        window.before,
        window.rows,
    )
    return page_of(rows, BackTest, window)


# ── The past ────────────────────────────────────────────────────────────────────────────────────────────


async def count_invoices(
    tx: Tx, starts_at: datetime, ends_at: datetime, customers: Collection[CustomerId]
) -> int:
    return int(
        await tx.conn.fetchval(
            """
            SELECT count(*)
            FROM invoices i
            JOIN subscription_invoices s ON s.tenant_id = $1 AND s.invoice_id = i.id
            WHERE i.tenant_id = $1 AND i.issued_at >= $2 AND i.issued_at < $3 AND i.kind <> 'corrected'
              AND ($4::uuid[] = '{}' OR i.customer_id = ANY ($4))
            """,
            tx.tenant,
            starts_at,
            ends_at,
            list(customers),
        )
    )


async def next_customers(
    tx: Tx,
    starts_at: datetime,
    ends_at: datetime,
    customers: Collection[CustomerId],
    *,
    after: CustomerId,
    limit: int,
) -> dict[CustomerId, int]:
    """In the order of their ids, those who have invoices in the range, and how many."""
    rows = await tx.conn.fetch(
        """
        SELECT c.id, i.times
        FROM customers c
        CROSS JOIN LATERAL (
            SELECT count(*) AS times
            FROM invoices
            WHERE tenant_id = $1 AND customer_id = c.id AND issued_at >= $3 AND issued_at < $4
        ) i
        WHERE c.tenant_id = $1 AND c.id > $2 AND i.times > 0
          AND ($5::uuid[] = '{}' OR c.id = ANY ($5))
        ORDER BY c.id
        LIMIT $6
        """,
        tx.tenant,
        after,
        starts_at,
        ends_at,
        list(customers),
        limit,
    )
    return {CustomerId.of(row["id"]): row["times"] for row in rows}


async def invoices_of(
    tx: Tx, starts_at: datetime, ends_at: datetime, customers: Sequence[CustomerId]
) -> list[list[PastInvoice]]:
    """What their subscriptions were billed, by customer and in its order; not what was put right later."""
    rows = await tx.conn.fetch(
        """
        SELECT i.id, i.customer_id, i.currency, i.issued_at, i.time_zone, i.buyer, c.metadata,
               s.subscription_id, s.period_start, s.period_end, s.decided, u.anchor_at,
               NOT EXISTS (
                   SELECT FROM invoices e
                   WHERE e.tenant_id = $1 AND e.customer_id = i.customer_id
                     AND (e.issued_at, e.id) < (i.issued_at, i.id)
               ) AS is_first,
               ARRAY (
                   SELECT ROW (l.item, l.quantity, l.recurring, l.discountable, l.amount_minor,
                               l.discount_minor, l.period_start, l.period_end)
                   FROM invoice_lines l
                   WHERE l.tenant_id = $1 AND l.invoice_id = i.id
                   ORDER BY l.position
               ) AS lines
        FROM invoices i
        JOIN subscription_invoices s ON s.tenant_id = $1 AND s.invoice_id = i.id
        JOIN subscriptions u ON u.tenant_id = $1 AND u.id = s.subscription_id
        JOIN customers c ON c.tenant_id = $1 AND c.id = i.customer_id
        WHERE i.tenant_id = $1 AND i.customer_id = ANY ($4::uuid[])
          AND i.issued_at >= $2 AND i.issued_at < $3 AND i.kind <> 'corrected'
        ORDER BY i.customer_id, i.issued_at, i.id
        """,
        tx.tenant,
        starts_at,
        ends_at,
        customers,
    )
    past = [_past(row) for row in rows]
    return [list(of_one) for _, of_one in groupby(past, key=lambda each: each.customer_id)]


async def offers_of(tx: Tx, offer_ids: Collection[OfferId]) -> dict[OfferId, Offer]:
    rows = await tx.conn.fetch(
        """
        SELECT id, reference, name, lane, benefit, conditions, duration, at_end, max_redemptions, redeemed,
               max_per_customer, budget_minor, spent_minor, budget_currency AS currency, status, metadata,
               created_at
        FROM offers
        WHERE tenant_id = $1 AND id = ANY ($2::uuid[])
        """,
        tx.tenant,
        list(offer_ids),
    )
    return {offer.id: offer for offer in (load(row, Offer) for row in rows)}


async def decided(tx: Tx, invoice_id: InvoiceId) -> Decided | None:
    """What was decided about the offers of an invoice; None where none was in reach."""
    kept = await tx.conn.fetchval(
        """
        SELECT decided
        FROM subscription_invoices
        WHERE tenant_id = $1 AND invoice_id = $2
        """,
        tx.tenant,
        invoice_id,
    )
    return load(kept, Decided) if kept else None


def _past(row: Row) -> PastInvoice:
    currency = Currency(row["currency"])
    return PastInvoice(
        id=InvoiceId.of(row["id"]),
        customer_id=CustomerId.of(row["customer_id"]),
        subscription_id=SubscriptionId.of(row["subscription_id"]),
        issued_at=row["issued_at"],
        period=Period(row["period_start"], row["period_end"]),
        anchor_at=row["anchor_at"],
        zone=ZoneInfo(row["time_zone"]),
        country=row["buyer"]["address"]["country"],
        customer_metadata=row["metadata"],
        is_first=row["is_first"],
        currency=currency,
        lines=tuple(_line(each, currency) for each in row["lines"]),
        decided=load(row["decided"], Decided) if row["decided"] else None,
    )


def _line(row: Any, currency: Currency) -> PastLine:
    item, quantity, recurring, discountable, amount, discount, start, end = row
    return PastLine(
        item=item and Reference(item),
        quantity=Measure(quantity),
        recurring=recurring,
        discountable=discountable,
        amount=Money(amount, currency),
        discount=Money(discount, currency),
        period=Period(start, end) if start else None,
    )
