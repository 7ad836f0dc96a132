"""Every SQL statement about drafts of credit notes."""

from billing.credit_notes.model import CreditNoteId
from billing.invoices.model import InvoiceId
from billing.parties.model import CustomerId
from kernel.database import Tx
from kernel.errors import not_found
from kernel.paging import Page, Window, page_of
from kernel.structs import load
from refunds.drafts.model import DraftCreditNote


async def insert(tx: Tx, draft: DraftCreditNote) -> None:
    await tx.conn.execute(
        """
        INSERT INTO draft_credit_notes
            (tenant_id, id, customer_id, invoice_id, on_invoice, on_customer, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        """,
        tx.tenant,
        draft.id,
        draft.customer_id,
        draft.invoice_id,
        draft.on_invoice,
        draft.on_customer,
        draft.created_at,
    )


async def update(tx: Tx, draft: DraftCreditNote) -> None:
    await tx.conn.execute(
        """
        UPDATE draft_credit_notes
        SET customer_id = $3, invoice_id = $4, on_invoice = $5, on_customer = $6
        WHERE tenant_id = $1 AND id = $2
        """,
        tx.tenant,
        draft.id,
        draft.customer_id,
        draft.invoice_id,
        draft.on_invoice,
        draft.on_customer,
    )


async def delete(tx: Tx, draft_id: CreditNoteId) -> None:
    await tx.conn.execute(
        """
        DELETE FROM draft_credit_notes
        WHERE tenant_id = $1 AND id = $2
        """,
        tx.tenant,
        draft_id,
    )


async def get(tx: Tx, draft_id: CreditNoteId) -> DraftCreditNote:
    row = await tx.conn.fetchrow(
        """
        SELECT id, customer_id, invoice_id, on_invoice, on_customer, created_at
        FROM draft_credit_notes
        WHERE tenant_id = $1 AND id = $2
        """,
        tx.tenant,
        draft_id,
    )
    if row is None:
        raise not_found("draft credit note", draft_id)
    return load(row, DraftCreditNote)


async def lock(tx: Tx, draft_id: CreditNoteId) -> DraftCreditNote:
    """Issuing, editing and deleting one draft take turns."""
    row = await tx.conn.fetchrow(
        """
        SELECT id, customer_id, invoice_id, on_invoice, on_customer, created_at
        FROM draft_credit_notes
        WHERE tenant_id = $1 AND id = $2
        FOR UPDATE
        """,
        tx.tenant,
        draft_id,
    )
    if row is None:
        raise not_found("draft credit note", draft_id)
    return load(row, DraftCreditNote)


async def page(
    tx: Tx, window: Window, *, customer_id: CustomerId | None, invoice_id: InvoiceId | None
) -> Page[DraftCreditNote]:
    rows = await tx.conn.fetch(
        """
        SELECT id, customer_id, invoice_id, on_invoice, on_customer, created_at
        FROM draft_credit_notes
        WHERE tenant_id = $1
          AND id < $2
          AND ($4::uuid IS NULL OR customer_id = $4)
          AND ($5::uuid IS NULL OR invoice_id = $5)
        ORDER BY id DESC
        LIMIT $3
        """,
        tx.tenant,
        window.before,
        window.rows,
        customer_id,
        invoice_id,
    )
    return page_of(rows, DraftCreditNote, window)
