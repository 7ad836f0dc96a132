"""Every SQL statement about invoices. Issued ones are written in record.py."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

from billing.invoices.model import Draft, Invoice, InvoiceId, InvoiceSettlement, Line, Status
from billing.parties.model import CustomerId
from billing.tax.model import Category, GroupTax, TaxGroup
from kernel.database import Tx
from kernel.decimals import Rate
from kernel.errors import not_found
from kernel.money import Currency, Money
from kernel.paging import Page, Window, next_cursor, page_of
from kernel.periods import Period
from kernel.structs import Row, load

# ── Issued invoices ─────────────────────────────────────────────────────────────────────────────────────


async def get(tx: Tx, invoice_id: InvoiceId) -> Invoice:
    found = await find_many(tx, [invoice_id])
    if not found:
        raise not_found("invoice", invoice_id)
    return found[0]


async def lock(tx: Tx, invoice_id: InvoiceId) -> Invoice:
    """The invoice, with its settlement row locked: whoever settles or credits it takes turns."""
    await tx.conn.execute(
        """
        SELECT 1
        FROM invoice_settlements
        WHERE tenant_id = $1 AND invoice_id = $2
        FOR NO KEY UPDATE
        """,
        tx.tenant,
        invoice_id,
    )
    return await get(tx, invoice_id)


async def lock_many(tx: Tx, ids: Sequence[InvoiceId]) -> list[Invoice]:
    """Newest first; locked one after the other, the oldest before the others."""
    await tx.conn.execute(
        """
        SELECT 1
        FROM invoice_settlements
        WHERE tenant_id = $1 AND invoice_id = ANY($2::uuid[])
        ORDER BY invoice_id
        FOR NO KEY UPDATE
        """,
        tx.tenant,
        ids,
    )
    found = await find_many(tx, ids)
    for missing in set(ids) - {invoice.id for invoice in found}:
        raise not_found("invoice", missing)
    return found


async def page(tx: Tx, window: Window, *, customer_id: CustomerId | None) -> Page[Invoice]:
    rows = await tx.conn.fetch(
        """
        SELECT id
        FROM invoices
        WHERE tenant_id = $1 AND id < $2 AND ($4::uuid IS NULL OR customer_id = $4)
        ORDER BY id DESC
        LIMIT $3
        """,
        tx.tenant,
        window.before,
        window.rows,
        customer_id,
    )
    shown = [InvoiceId.of(row["id"]) for row in rows[: window.limit]]
    return Page(data=await find_many(tx, shown), next_cursor=next_cursor(rows, window))


async def has_any(tx: Tx, customer_id: CustomerId) -> bool:
    """Whether the customer has ever been sent an invoice."""
    return bool(
        await tx.conn.fetchval(
            """
            SELECT EXISTS (
                SELECT FROM invoices
                WHERE tenant_id = $1 AND customer_id = $2
            )
            """,
            tx.tenant,
            customer_id,
        )
    )


async def find_many(tx: Tx, ids: Sequence[InvoiceId], *, with_lines: bool = True) -> list[Invoice]:
    """Newest first, in three statements however many they are."""
    heads = await tx.conn.fetch(
        """
        SELECT i.id, i.number, i.legal_entity_id, i.customer_id, i.currency, i.language, i.issued_on,
               i.due_on, i.seller, i.buyer, i.vat_due, i.time_zone, i.collection, i.tax_behavior, i.net_minor,
               i.tax_minor, i.total_minor, i.note, i.metadata, i.issued_at, i.kind,
               i.refers_to AS "references",
               s.paid_minor, s.offset_minor, s.pending_minor, s.credited_minor, s.status, s.settled_at
        FROM invoices i
        JOIN invoice_settlements s ON s.tenant_id = i.tenant_id AND s.invoice_id = i.id
        WHERE i.tenant_id = $1 AND i.id = ANY($2::uuid[])
        ORDER BY i.id DESC
        """,
        tx.tenant,
        ids,
    )
    lines = await _lines_of(tx, ids) if with_lines else defaultdict(list)
    taxes = await _taxes_of(tx, ids)
    return [_invoice(row, lines, taxes) for row in heads]


def _invoice(
    row: Row,
    lines: dict[InvoiceId, list[Line]],
    taxes: dict[InvoiceId, list[GroupTax]],
) -> Invoice:
    invoice_id = InvoiceId.of(row["id"])
    return load(
        row,
        Invoice,
        lines=tuple(lines[invoice_id]),
        taxes=tuple(taxes[invoice_id]),
        settlement=_settlement(row),
    )


def _settlement(row: Row) -> InvoiceSettlement:
    due = row["total_minor"] - row["paid_minor"] - row["offset_minor"]
    return load({**dict(row.items()), "due_minor": due}, InvoiceSettlement)


async def _lines_of(tx: Tx, ids: Sequence[InvoiceId]) -> dict[InvoiceId, list[Line]]:
    rows = await tx.conn.fetch(
        """
        SELECT id, invoice_id, description, quantity, unit_price, recurring, period_start, period_end,
               currency, amount_minor, discount_minor, included_tax_minor, net_minor, allowances,
               tax_category, tax_rate_ppm, tax_reason, item, discountable
        FROM invoice_lines
        WHERE tenant_id = $1 AND invoice_id = ANY($2::uuid[])
        ORDER BY invoice_id, position
        """,
        tx.tenant,
        ids,
    )
    lines: dict[InvoiceId, list[Line]] = defaultdict(list)
    for row in rows:
        lines[InvoiceId.of(row["invoice_id"])].append(
            load(row, Line, tax=line_group(row), period=line_period(row))
        )
    return lines


async def _taxes_of(tx: Tx, ids: Sequence[InvoiceId]) -> dict[InvoiceId, list[GroupTax]]:
    rows = await tx.conn.fetch(
        """
        SELECT invoice_id, category, rate_ppm, reason, currency, base_minor, tax_minor
        FROM invoice_taxes
        WHERE tenant_id = $1 AND invoice_id = ANY($2::uuid[])
        ORDER BY invoice_id, category, rate_ppm, reason
        """,
        tx.tenant,
        ids,
    )
    taxes: dict[InvoiceId, list[GroupTax]] = defaultdict(list)
    for row in rows:
        taxes[InvoiceId.of(row["invoice_id"])].append(group_tax(row))
    return taxes


def line_group(row: Row) -> TaxGroup:
    return TaxGroup(Category(row["tax_category"]), Rate(row["tax_rate_ppm"]), row["tax_reason"])


def group_tax(row: Row) -> GroupTax:
    currency = Currency(row["currency"])
    return GroupTax(
        group=TaxGroup(Category(row["category"]), Rate(row["rate_ppm"]), row["reason"]),
        base=Money(row["base_minor"], currency),
        tax=Money(row["tax_minor"], currency),
    )


def line_period(row: Row) -> Period | None:
    return Period(row["period_start"], row["period_end"]) if row["period_start"] else None


# ── Settlement: the mutable row beside the invoice ──────────────────────────────────────────────────────


async def update_settlement(
    tx: Tx,
    invoice_id: InvoiceId,
    *,
    paid: Money,
    offset: Money,
    pending: Money,
    credited: Money,
    status: Status,
    settled_at: datetime | None,
) -> None:
    """Write the whole row, read under its lock; the table's checks hold the caps."""
    await tx.conn.execute(
        """
        UPDATE invoice_settlements
        SET paid_minor = $3, offset_minor = $4, pending_minor = $5, credited_minor = $6,
            status = $7, settled_at = $8
        WHERE tenant_id = $1 AND invoice_id = $2
        """,
        tx.tenant,
        invoice_id,
        paid.minor,
        offset.minor,
        pending.minor,
        credited.minor,
        status,
        settled_at,
    )


# ── Drafts ──────────────────────────────────────────────────────────────────────────────────────────────


async def insert_draft(tx: Tx, draft: Draft) -> None:
    await tx.conn.execute(
        """
        INSERT INTO draft_invoices
            (tenant_id, id, customer_id, currency, lines, discounts, tax_behavior, note, metadata,
             created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
        """,
        tx.tenant,
        draft.id,
        draft.customer_id,
        draft.currency,
        draft.lines,
        draft.discounts,
        draft.tax_behavior,
        draft.note,
        draft.metadata,
        draft.created_at,
    )


async def update_draft(tx: Tx, draft: Draft) -> None:
    await tx.conn.execute(
        """
        UPDATE draft_invoices
        SET customer_id = $3, currency = $4, lines = $5, discounts = $6, tax_behavior = $7, note = $8,
            metadata = $9
        WHERE tenant_id = $1 AND id = $2
        """,
        tx.tenant,
        draft.id,
        draft.customer_id,
        draft.currency,
        draft.lines,
        draft.discounts,
        draft.tax_behavior,
        draft.note,
        draft.metadata,
    )


async def delete_draft(tx: Tx, draft_id: InvoiceId) -> None:
    await tx.conn.execute(
        """
        DELETE FROM draft_invoices
        WHERE tenant_id = $1 AND id = $2
        """,
        tx.tenant,
        draft_id,
    )


async def get_draft(tx: Tx, draft_id: InvoiceId) -> Draft:
    row = await tx.conn.fetchrow(
        """
        SELECT id, customer_id, currency, lines, discounts, tax_behavior, note, metadata, created_at
        FROM draft_invoices
        WHERE tenant_id = $1 AND id = $2
        """,
        tx.tenant,
        draft_id,
    )
    if row is None:
        raise not_found("draft invoice", draft_id)
    return load(row, Draft)


async def lock_draft(tx: Tx, draft_id: InvoiceId) -> Draft:
    """Issuing, editing and deleting one draft take turns."""
    row = await tx.conn.fetchrow(
        """
        SELECT id, customer_id, currency, lines, discounts, tax_behavior, note, metadata, created_at
        FROM draft_invoices
        WHERE tenant_id = $1 AND id = $2
        FOR UPDATE
        """,
        tx.tenant,
        draft_id,
    )
    if row is None:
        raise not_found("draft invoice", draft_id)
    return load(row, Draft)


async def drafts(tx: Tx, window: Window) -> Page[Draft]:
    rows = await tx.conn.fetch(
        """
        SELECT id, customer_id, currency, lines, discounts, tax_behavior, note, metadata, created_at
        FROM draft_invoices
        WHERE tenant_id = $1 AND id < $2
        ORDER BY id DESC
        LIMIT $3
        """,
        tx.tenant,
        window.before,
        window.rows,
    )
    return page_of(rows, Draft, window)
