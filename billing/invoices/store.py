"""Every SQL statement about invoices. Issued ones are written in record.py."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from billing.invoices.model import Draft, Invoice, InvoiceId, InvoiceSettlement, Line, Rejection, Status
from billing.parties.model import CustomerId
from billing.tax.model import Category, GroupTax, TaxGroup
from kernel.database import Tx
from kernel.decimals import Rate
from kernel.errors import Conflict, DomainError, not_found
from kernel.money import Currency, Money
from kernel.paging import Page, Window, next_cursor, page_of
from kernel.periods import Period
from kernel.rows import named
from kernel.structs import Row, load

# ── Issued invoices ─────────────────────────────────────────────────────────────────────────────────────


async def get(tx: Tx, invoice_id: InvoiceId) -> Invoice:
    found = await find_many(tx, [invoice_id])
    if not found:
        raise await _missing(tx, invoice_id)
    return found[0]


async def lock(tx: Tx, invoice_id: InvoiceId) -> Invoice:
    """The invoice, with its settlement row locked: whoever settles or credits it takes turns."""
    (invoice,) = await lock_many(tx, [invoice_id])
    return invoice


async def lock_many(
    tx: Tx, ids: Sequence[InvoiceId], *, with_sources: bool = False, with_lines: bool = True
) -> list[Invoice]:
    """Newest first; locked one after the other, the oldest before the others, and read in one statement.

    `with_sources` locks as well, and gives, the invoices whose notes pay on these. Of all that is read only
    the settlements can change, and these are as they are when their lock is there.
    """
    rows = await tx.conn.fetch(
        """
        SELECT i.id, i.number, i.legal_entity_id, i.customer_id, i.currency, i.language, i.issued_on,
               i.due_on, i.seller, i.buyer, i.vat_due, i.time_zone, i.collection, i.tax_behavior, i.net_minor,
               i.tax_minor, i.total_minor, i.note, i.metadata, i.issued_at, i.kind,
               i.refers_to AS "references", i.deductions,
               s.paid_minor, s.offset_minor, s.pending_minor, s.credited_minor, s.status, s.settled_at,
               s.corrected_by, s.deducted_by, s.rejection,
               ARRAY (SELECT ROW (l.id, l.description, l.quantity, l.unit_price, l.recurring, l.period_start,
                                  l.period_end, l.currency, l.amount_minor, l.discount_minor,
                                  l.included_tax_minor, l.net_minor, l.allowances::text, l.tax_category,
                                  l.tax_rate_ppm, l.tax_reason, l.item, l.discountable)
                      FROM invoice_lines l
                      WHERE l.tenant_id = $1 AND l.invoice_id = i.id AND $3
                      ORDER BY l.position) AS lines,
               ARRAY (SELECT ROW (t.category, t.rate_ppm, t.reason, t.currency, t.base_minor, t.tax_minor)
                      FROM invoice_taxes t
                      WHERE t.tenant_id = $1 AND t.invoice_id = i.id
                      ORDER BY t.category, t.rate_ppm, t.reason) AS taxes
        FROM invoice_settlements s
        JOIN invoices i ON i.tenant_id = s.tenant_id AND i.id = s.invoice_id
        WHERE s.tenant_id = $1
          AND s.invoice_id IN (
              SELECT unnest($2::uuid[])
              UNION
              SELECT c.invoice_id
              FROM settlements e
              JOIN credit_notes c ON c.tenant_id = e.tenant_id AND c.id = e.credit_note_id
              WHERE e.tenant_id = $1 AND e.invoice_id = ANY($2::uuid[]) AND e.undone_at IS NULL
                AND NOT e.is_own AND $4
          )
        ORDER BY s.invoice_id
        FOR NO KEY UPDATE OF s
        """,
        tx.tenant,
        ids,
        with_lines,
        with_sources,
    )
    found = [_invoice(row) for row in reversed(rows)]
    for missing in set(ids) - {invoice.id for invoice in found}:
        raise await _missing(tx, missing)
    return found


async def _missing(tx: Tx, invoice_id: InvoiceId) -> DomainError:
    """Issuing keeps the id: whoever has that of a draft is told what to do."""
    is_draft = await tx.conn.fetchval(
        """
        SELECT EXISTS (
            SELECT FROM draft_invoices
            WHERE tenant_id = $1 AND id = $2
        )
        """,
        tx.tenant,
        invoice_id,
    )
    if not is_draft:
        return not_found("invoice", invoice_id)
    return Conflict(
        "invoice_is_draft",
        f"{invoice_id} is a draft. Issue it first: POST /v1/draft_invoices/{invoice_id}/issue.",
    )


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
    """Newest first, in one statement however many they are."""
    rows = await tx.conn.fetch(
        """
        SELECT i.id, i.number, i.legal_entity_id, i.customer_id, i.currency, i.language, i.issued_on,
               i.due_on, i.seller, i.buyer, i.vat_due, i.time_zone, i.collection, i.tax_behavior, i.net_minor,
               i.tax_minor, i.total_minor, i.note, i.metadata, i.issued_at, i.kind,
               i.refers_to AS "references", i.deductions,
               s.paid_minor, s.offset_minor, s.pending_minor, s.credited_minor, s.status, s.settled_at,
               s.corrected_by, s.deducted_by, s.rejection,
               ARRAY (SELECT ROW (l.id, l.description, l.quantity, l.unit_price, l.recurring, l.period_start,
                                  l.period_end, l.currency, l.amount_minor, l.discount_minor,
                                  l.included_tax_minor, l.net_minor, l.allowances::text, l.tax_category,
                                  l.tax_rate_ppm, l.tax_reason, l.item, l.discountable)
                      FROM invoice_lines l
                      WHERE l.tenant_id = $1 AND l.invoice_id = i.id AND $3
                      ORDER BY l.position) AS lines,
               ARRAY (SELECT ROW (t.category, t.rate_ppm, t.reason, t.currency, t.base_minor, t.tax_minor)
                      FROM invoice_taxes t
                      WHERE t.tenant_id = $1 AND t.invoice_id = i.id
                      ORDER BY t.category, t.rate_ppm, t.reason) AS taxes
        FROM invoices i
        JOIN invoice_settlements s ON s.tenant_id = i.tenant_id AND s.invoice_id = i.id
        WHERE i.tenant_id = $1 AND i.id = ANY($2::uuid[])
        ORDER BY i.id DESC
        """,
        tx.tenant,
        ids,
        with_lines,
    )
    return [_invoice(row) for row in rows]


_LINE = named(
    "id description quantity unit_price recurring period_start period_end currency amount_minor"
    " discount_minor included_tax_minor net_minor allowances tax_category tax_rate_ppm tax_reason item"
    " discountable"
)
_TAX = named("category rate_ppm reason currency base_minor tax_minor")


def _invoice(row: Row) -> Invoice:
    return load(
        row,
        Invoice,
        lines=tuple(_line(_LINE(line)) for line in row["lines"]),
        taxes=tuple(group_tax(_TAX(tax)) for tax in row["taxes"]),
        settlement=_settlement(row),
    )


def _line(row: Row) -> Line:
    return load(
        row,
        Line,
        allowances=msgspec.json.decode(row["allowances"]),
        tax=line_group(row),
        period=line_period(row),
    )


def _settlement(row: Row) -> InvoiceSettlement:
    due = row["total_minor"] - row["paid_minor"] - row["offset_minor"]
    return load({**dict(row.items()), "due_minor": due}, InvoiceSettlement)


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


async def mark_rejected(tx: Tx, invoice_id: InvoiceId, rejection: Rejection) -> bool:
    """False when that it was rejected is there already."""
    marked = await tx.conn.fetchval(
        """
        UPDATE invoice_settlements
        SET rejection = $3
        WHERE tenant_id = $1 AND invoice_id = $2 AND rejection IS NULL
        RETURNING invoice_id
        """,
        tx.tenant,
        invoice_id,
        rejection,
    )
    return marked is not None


async def mark_corrected(tx: Tx, invoice_id: InvoiceId, *, by: InvoiceId) -> None:
    """Another invoice stands in its place. Its settlement row has been locked."""
    await tx.conn.execute(
        """
        UPDATE invoice_settlements
        SET corrected_by = $3
        WHERE tenant_id = $1 AND invoice_id = $2
        """,
        tx.tenant,
        invoice_id,
        by,
    )


async def mark_deducted(tx: Tx, deposit_id: InvoiceId, *, by: InvoiceId) -> None:
    await tx.conn.execute(
        """
        UPDATE invoice_settlements
        SET deducted_by = $3
        WHERE tenant_id = $1 AND invoice_id = $2
        """,
        tx.tenant,
        deposit_id,
        by,
    )


# ── Drafts ──────────────────────────────────────────────────────────────────────────────────────────────


async def insert_draft(tx: Tx, draft: Draft) -> None:
    await tx.conn.execute(
        """
        INSERT INTO draft_invoices
            (tenant_id, id, customer_id, currency, lines, discounts, tax_behavior, note, metadata,
             created_at, kind, deposits, released_lines)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
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
        draft.kind,
        draft.deposits,
        draft.released_lines,
    )


async def update_draft(tx: Tx, draft: Draft) -> None:
    await tx.conn.execute(
        """
        UPDATE draft_invoices
        SET customer_id = $3, currency = $4, lines = $5, discounts = $6, tax_behavior = $7, note = $8,
            metadata = $9, kind = $10, deposits = $11, released_lines = $12
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
        draft.kind,
        draft.deposits,
        draft.released_lines,
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
        SELECT id, customer_id, currency, lines, discounts, tax_behavior, note, metadata, created_at, kind,
               deposits, released_lines
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
        SELECT id, customer_id, currency, lines, discounts, tax_behavior, note, metadata, created_at, kind,
               deposits, released_lines
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
        SELECT id, customer_id, currency, lines, discounts, tax_behavior, note, metadata, created_at, kind,
               deposits, released_lines
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
