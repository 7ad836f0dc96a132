"""Every SQL statement about released lines."""

from collections.abc import Sequence

from billing.credit_notes.model import CreditNoteId
from billing.invoices.model import InvoiceId, ReleasedLineId
from billing.parties.model import CustomerId
from billing.released.model import ReleasedLine
from kernel.database import Tx
from kernel.errors import not_found
from kernel.paging import Page, Window, page_of
from kernel.structs import load


async def insert(tx: Tx, lines: Sequence[ReleasedLine]) -> None:
    """Of one credit note."""
    note = lines[0]
    await tx.conn.execute(
        """
        INSERT INTO released_lines
            (tenant_id, id, credit_note_id, invoice_id, invoice_line_id, customer_id, legal_entity_id,
             description, item, quantity, period, currency, amount_minor, tax, tax_behavior, created_at)
        SELECT $1, l.id, $2, $3, l.source, $4, $5, l.description, l.item, l.quantity, l.period, $6, l.amount,
               l.tax, $7, $8
        FROM unnest($9::uuid[], $10::uuid[], $11::text[], $12::text[], $13::numeric[], $14::jsonb[],
                    $15::bigint[], $16::jsonb[])
             AS l (id, source, description, item, quantity, period, amount, tax)
        """,
        tx.tenant,
        note.credit_note_id,
        note.invoice_id,
        note.customer_id,
        note.legal_entity_id,
        note.currency,
        note.tax_behavior,
        note.created_at,
        [line.id for line in lines],
        [line.invoice_line_id for line in lines],
        [line.description for line in lines],
        [line.item for line in lines],
        [line.quantity for line in lines],
        [line.period for line in lines],
        [line.amount.minor for line in lines],
        [line.tax for line in lines],
    )


async def find_many(tx: Tx, ids: Sequence[ReleasedLineId]) -> list[ReleasedLine]:
    """In the order in which they are named."""
    rows = await tx.conn.fetch(
        """
        SELECT id, credit_note_id, invoice_id, invoice_line_id, customer_id, legal_entity_id, description,
               item, quantity, period, currency, amount_minor, tax, tax_behavior, billed_by, created_at
        FROM released_lines
        WHERE tenant_id = $1 AND id = ANY($2::uuid[])
        """,
        tx.tenant,
        ids,
    )
    return _in_order([load(row, ReleasedLine) for row in rows], ids)


async def lock_many(tx: Tx, ids: Sequence[ReleasedLineId]) -> list[ReleasedLine]:
    """Those who bill them take turns, always in the same order."""
    rows = await tx.conn.fetch(
        """
        SELECT id, credit_note_id, invoice_id, invoice_line_id, customer_id, legal_entity_id, description,
               item, quantity, period, currency, amount_minor, tax, tax_behavior, billed_by, created_at
        FROM released_lines
        WHERE tenant_id = $1 AND id = ANY($2::uuid[])
        ORDER BY id
        FOR NO KEY UPDATE
        """,
        tx.tenant,
        ids,
    )
    return _in_order([load(row, ReleasedLine) for row in rows], ids)


async def lock_of_note(tx: Tx, credit_note_id: CreditNoteId) -> list[ReleasedLine]:
    rows = await tx.conn.fetch(
        """
        SELECT id, credit_note_id, invoice_id, invoice_line_id, customer_id, legal_entity_id, description,
               item, quantity, period, currency, amount_minor, tax, tax_behavior, billed_by, created_at
        FROM released_lines
        WHERE tenant_id = $1 AND credit_note_id = $2
        ORDER BY id
        FOR NO KEY UPDATE
        """,
        tx.tenant,
        credit_note_id,
    )
    return [load(row, ReleasedLine) for row in rows]


async def mark_billed(tx: Tx, ids: Sequence[ReleasedLineId], *, by: InvoiceId) -> int:
    """How many there were to mark: one that has been billed is never billed again."""
    marked = await tx.conn.fetch(
        """
        UPDATE released_lines
        SET billed_by = $3
        WHERE tenant_id = $1 AND id = ANY($2::uuid[]) AND billed_by IS NULL
        RETURNING id
        """,
        tx.tenant,
        ids,
        by,
    )
    return len(marked)


async def page(
    tx: Tx,
    window: Window,
    *,
    customer_id: CustomerId | None,
    credit_note_id: CreditNoteId | None,
    billed: bool | None,
) -> Page[ReleasedLine]:
    rows = await tx.conn.fetch(
        """
        SELECT id, credit_note_id, invoice_id, invoice_line_id, customer_id, legal_entity_id, description,
               item, quantity, period, currency, amount_minor, tax, tax_behavior, billed_by, created_at
        FROM released_lines
        WHERE tenant_id = $1
          AND id < $2
          AND ($4::uuid IS NULL OR customer_id = $4)
          AND ($5::uuid IS NULL OR credit_note_id = $5)
          AND ($6::boolean IS NULL OR (billed_by IS NOT NULL) = $6)
        ORDER BY id DESC
        LIMIT $3
        """,
        tx.tenant,
        window.before,
        window.rows,
        customer_id,
        credit_note_id,
        billed,
    )
    return page_of(rows, ReleasedLine, window)


def _in_order(found: Sequence[ReleasedLine], ids: Sequence[ReleasedLineId]) -> list[ReleasedLine]:
    by_id = {line.id: line for line in found}
    for missing in ids:
        if missing not in by_id:
            raise not_found("released line", missing)
    return [by_id[each] for each in ids]
