"""Every SQL statement about settlements."""

from collections.abc import Collection, Sequence

from billing.credit_notes.model import CreditNote, CreditNoteId
from billing.invoices.model import Invoice, InvoiceId
from billing.parties.model import CustomerId
from billing.payments.model import PaymentId
from billing.settlement.model import (
    ApplicableInvoice,
    ApplicableNote,
    Application,
    Deduction,
    Receipt,
    Settlement,
    SettlementId,
    Unused,
)
from kernel.database import Tx
from kernel.errors import not_found
from kernel.money import Money
from kernel.paging import Page, Window, page_of
from kernel.structs import load


async def insert(
    tx: Tx,
    invoice_id: InvoiceId,
    amount: Money,
    *,
    payment_id: PaymentId | None = None,
    credit_note_id: CreditNoteId | None = None,
    deposit_id: InvoiceId | None = None,
    is_own: bool = False,
    settlement_id: SettlementId | None = None,
) -> SettlementId:
    """`is_own`: what a credit note takes off an invoice that it is on."""
    settlement_id = settlement_id or SettlementId.new()
    await tx.conn.execute(
        """
        INSERT INTO settlements
            (tenant_id, id, invoice_id, payment_id, credit_note_id, currency, amount_minor, created_at,
             is_own, deposit_id)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
        """,
        tx.tenant,
        settlement_id,
        invoice_id,
        payment_id,
        credit_note_id,
        amount.currency,
        amount.minor,
        tx.now,
        is_own,
        deposit_id,
    )
    return settlement_id


async def get(tx: Tx, settlement_id: SettlementId) -> Settlement:
    found = await find_many(tx, [settlement_id])
    if not found:
        raise not_found("settlement", settlement_id)
    return found[0]


async def find_many(tx: Tx, ids: Sequence[SettlementId]) -> list[Settlement]:
    """In the order in which they were made."""
    rows = await tx.conn.fetch(
        """
        SELECT id, invoice_id, payment_id, credit_note_id, deposit_id, is_own, currency, amount_minor,
               created_at, undone_at
        FROM settlements
        WHERE tenant_id = $1 AND id = ANY($2::uuid[])
        ORDER BY id
        """,
        tx.tenant,
        ids,
    )
    return [load(row, Settlement) for row in rows]


async def page(
    tx: Tx,
    window: Window,
    *,
    invoice_id: InvoiceId | None,
    credit_note_id: CreditNoteId | None,
    payment_id: PaymentId | None,
) -> Page[Settlement]:
    rows = await tx.conn.fetch(
        """
        SELECT id, invoice_id, payment_id, credit_note_id, deposit_id, is_own, currency, amount_minor,
               created_at, undone_at
        FROM settlements
        WHERE tenant_id = $1
          AND id < $2
          AND ($4::uuid IS NULL OR invoice_id = $4)
          AND ($5::uuid IS NULL OR credit_note_id = $5)
          AND ($6::uuid IS NULL OR payment_id = $6)
        ORDER BY id DESC
        LIMIT $3
        """,
        tx.tenant,
        window.before,
        window.rows,
        invoice_id,
        credit_note_id,
        payment_id,
    )
    return page_of(rows, Settlement, window)


async def of_payment(tx: Tx, payment_id: PaymentId) -> list[Settlement]:
    """What a payment settles now, the newest first."""
    rows = await tx.conn.fetch(
        """
        SELECT id, invoice_id, payment_id, credit_note_id, deposit_id, is_own, currency, amount_minor,
               created_at, undone_at
        FROM settlements
        WHERE tenant_id = $1 AND payment_id = $2 AND undone_at IS NULL
        ORDER BY id DESC
        """,
        tx.tenant,
        payment_id,
    )
    return [load(row, Settlement) for row in rows]


async def undo(tx: Tx, settlement_id: SettlementId) -> None:
    await tx.conn.execute(
        """
        UPDATE settlements
        SET undone_at = $3
        WHERE tenant_id = $1 AND id = $2
        """,
        tx.tenant,
        settlement_id,
        tx.now,
    )


async def lock_applications(tx: Tx, invoice_id: InvoiceId) -> list[Application]:
    """What notes of other invoices pay on this one, with those notes locked, one after the other.

    Not the note that took back the invoice which this one corrects: what it pays here was money.
    """
    rows = await tx.conn.fetch(
        """
        SELECT s.id, s.credit_note_id, c.invoice_id AS own_invoice_id, s.currency, s.amount_minor
        FROM settlements s
        JOIN credit_notes c ON c.tenant_id = s.tenant_id AND c.id = s.credit_note_id
        JOIN credit_note_settlements n ON n.tenant_id = c.tenant_id AND n.credit_note_id = c.id
        WHERE s.tenant_id = $1 AND s.invoice_id = $2 AND s.undone_at IS NULL AND NOT s.is_own
          AND c.corrected_by IS DISTINCT FROM s.invoice_id
        ORDER BY c.id, s.id
        FOR NO KEY UPDATE OF n
        """,
        tx.tenant,
        invoice_id,
    )
    return [load(row, Application) for row in rows]


async def applications(tx: Tx, invoice_id: InvoiceId) -> list[Application]:
    """The same, to look at: nothing is locked."""
    rows = await tx.conn.fetch(
        """
        SELECT s.id, s.credit_note_id, c.invoice_id AS own_invoice_id, s.currency, s.amount_minor
        FROM settlements s
        JOIN credit_notes c ON c.tenant_id = s.tenant_id AND c.id = s.credit_note_id
        WHERE s.tenant_id = $1 AND s.invoice_id = $2 AND s.undone_at IS NULL AND NOT s.is_own
          AND c.corrected_by IS DISTINCT FROM s.invoice_id
        ORDER BY c.id, s.id
        """,
        tx.tenant,
        invoice_id,
    )
    return [load(row, Application) for row in rows]


async def not_in_money(tx: Tx, invoice_id: InvoiceId) -> Money:
    """What of its deposits no money is there for: notes paid it, or it is due again after a dispute.

    What was credited of the invoice and had been paid is that part first, so that it is left out here.
    """
    row = await tx.conn.fetchrow(
        """
        SELECT i.currency,
               GREATEST(0, COALESCE((
                   SELECT sum(LEAST(e.amount_minor,
                                    n.applied + d.total_minor - d.paid_minor - d.offset_minor))
                   FROM settlements e
                   JOIN invoice_settlements d ON d.tenant_id = e.tenant_id AND d.invoice_id = e.deposit_id
                   CROSS JOIN LATERAL (
                       SELECT COALESCE(sum(a.amount_minor), 0) AS applied
                       FROM settlements a
                       WHERE a.tenant_id = $1 AND a.invoice_id = e.deposit_id AND a.undone_at IS NULL
                         AND a.credit_note_id IS NOT NULL AND NOT a.is_own
                   ) n
                   WHERE e.tenant_id = $1 AND e.invoice_id = i.id AND e.deposit_id IS NOT NULL
                     AND e.undone_at IS NULL
               ), 0) - COALESCE((
                   SELECT sum(c.total_minor - c.to_invoice_minor)
                   FROM credit_note_sources c
                   WHERE c.tenant_id = $1 AND c.invoice_id = i.id
               ), 0))::bigint AS minor
        FROM invoices i
        WHERE i.tenant_id = $1 AND i.id = $2
        """,
        tx.tenant,
        invoice_id,
    )
    assert row is not None, "the invoice has been read"
    return load(row, Money)


async def deducted_at_issue(tx: Tx, invoice: Invoice) -> list[Deduction]:
    """What notes of other invoices paid on this one in the transaction that issued it."""
    rows = await tx.conn.fetch(
        """
        SELECT c.number, s.currency, s.amount_minor
        FROM settlements s
        JOIN credit_notes c ON c.tenant_id = s.tenant_id AND c.id = s.credit_note_id
        WHERE s.tenant_id = $1 AND s.invoice_id = $2 AND NOT s.is_own
          AND s.created_at = $3 AND (s.undone_at IS NULL OR s.undone_at > $3)
        ORDER BY s.id
        """,
        tx.tenant,
        invoice.id,
        invoice.issued_at,
    )
    return [load(row, Deduction) for row in rows]


async def receipts(tx: Tx, invoice: Invoice) -> list[Receipt]:
    """All that settles the invoice now, in the order in which it came, but for what its page deducts."""
    rows = await tx.conn.fetch(
        """
        SELECT s.id, s.currency, s.amount_minor, s.created_at AS settled_at, p.received_on, p.means,
               p.reference, c.number
        FROM settlements s
        LEFT JOIN payments p ON p.tenant_id = s.tenant_id AND p.id = s.payment_id
        LEFT JOIN credit_notes c ON c.tenant_id = s.tenant_id AND c.id = s.credit_note_id
        WHERE s.tenant_id = $1 AND s.invoice_id = $2 AND s.undone_at IS NULL AND s.deposit_id IS NULL
        ORDER BY s.id
        """,
        tx.tenant,
        invoice.id,
    )
    return [load(row, Receipt) for row in rows]


async def unused_notes(tx: Tx, customer_ids: Collection[CustomerId]) -> list[Unused]:
    """Of these customers, the oldest first; none where notes are to pay nothing by themselves.

    Nor is one used while something that paid its invoice is in dispute.
    """
    rows = await tx.conn.fetch(
        """
        SELECT c.id AS credit_note_id, c.invoice_id
        FROM credit_notes c
        JOIN credit_note_settlements s ON s.tenant_id = c.tenant_id AND s.credit_note_id = c.id
        WHERE c.tenant_id = $1 AND c.customer_id = ANY($2::uuid[]) AND s.status <> 'used'
          AND s.total_minor > s.applied_minor + s.refunded_minor + s.held_minor + s.promised_minor
                              + s.marked_minor
          AND NOT EXISTS (
              SELECT
              FROM settings
              WHERE tenant_id = $1 AND settle_credit_notes = 'never'
          )
          AND NOT EXISTS (
              SELECT
              FROM payments p
              WHERE p.tenant_id = $1 AND p.invoice_id = c.invoice_id
                AND p.disputed_minor > p.charged_back_minor
          )
        ORDER BY c.id
        """,
        tx.tenant,
        list(customer_ids),
    )
    return [load(row, Unused) for row in rows]


async def disputed_notes(tx: Tx, note_ids: Collection[CreditNoteId]) -> list[str]:
    """The numbers of those that leave more than is undisputed of what paid their invoice."""
    rows = await tx.conn.fetch(
        """
        SELECT c.number
        FROM credit_notes c
        JOIN credit_note_settlements s ON s.tenant_id = c.tenant_id AND s.credit_note_id = c.id
        JOIN invoice_settlements i ON i.tenant_id = c.tenant_id AND i.invoice_id = c.invoice_id
        CROSS JOIN LATERAL (
            SELECT COALESCE(sum(p.disputed_minor - p.charged_back_minor), 0) AS minor
            FROM payments p
            WHERE p.tenant_id = $1 AND p.invoice_id = c.invoice_id
        ) AS held
        WHERE c.tenant_id = $1 AND c.id = ANY($2::uuid[]) AND held.minor > 0
          AND s.total_minor - s.applied_minor - s.refunded_minor - s.held_minor - s.promised_minor
              - s.marked_minor > i.paid_minor - held.minor
        ORDER BY c.id
        """,
        tx.tenant,
        list(note_ids),
    )
    return [row["number"] for row in rows]


async def lock_free_invoices(tx: Tx, note: CreditNote) -> list[InvoiceId]:
    """What a note could pay when it is issued, and nobody is busy with; none unless the settings want it.

    The oldest first. Nobody is waited for.
    """
    rows = await tx.conn.fetch(
        """
        SELECT s.invoice_id
        FROM invoices i
        JOIN invoice_settlements s ON s.tenant_id = i.tenant_id AND s.invoice_id = i.id
        WHERE i.tenant_id = $1 AND i.customer_id = $2 AND i.legal_entity_id = $3 AND i.currency = $4
          AND s.status IN ('open', 'partly_settled') AND s.pending_minor = 0
          AND EXISTS (
              SELECT
              FROM settings
              WHERE tenant_id = $1 AND settle_credit_notes = 'on_issue'
          )
        ORDER BY s.invoice_id
        FOR NO KEY UPDATE OF s SKIP LOCKED
        """,
        tx.tenant,
        note.customer_id,
        note.legal_entity_id,
        note.currency,
    )
    return [InvoiceId.of(row["invoice_id"]) for row in rows]


async def applicable_notes(tx: Tx, window: Window, invoice: Invoice) -> Page[ApplicableNote]:
    """Of its customer, its seller and its currency: those of which something is left."""
    rows = await tx.conn.fetch(
        """
        SELECT id, id AS credit_note_id, number, issued_on, currency, total_minor, left_minor,
               LEAST(left_minor, $7) AS amount_minor
        FROM (
            SELECT c.id, c.number, c.issued_on, c.currency, c.total_minor,
                   s.total_minor - s.applied_minor - s.refunded_minor - s.held_minor - s.promised_minor
                       - s.marked_minor AS left_minor
            FROM credit_notes c
            JOIN credit_note_settlements s ON s.tenant_id = c.tenant_id AND s.credit_note_id = c.id
            WHERE c.tenant_id = $1 AND c.id < $2 AND c.customer_id = $4 AND c.legal_entity_id = $5
              AND c.currency = $6 AND s.status <> 'used'
        ) AS unused
        WHERE left_minor > 0 AND $7 > 0
        ORDER BY id DESC
        LIMIT $3
        """,
        tx.tenant,
        window.before,
        window.rows,
        invoice.customer_id,
        invoice.legal_entity_id,
        invoice.currency,
        (invoice.settlement.due - invoice.settlement.pending).minor,
    )
    return page_of(rows, ApplicableNote, window)


async def applicable_invoices(tx: Tx, window: Window, note: CreditNote) -> Page[ApplicableInvoice]:
    """Of its customer, its seller and its currency: those of which something is due, and not on its way."""
    rows = await tx.conn.fetch(
        """
        SELECT id, id AS invoice_id, number, due_on, currency, total_minor, due_minor,
               LEAST(due_minor, $7) AS amount_minor
        FROM (
            SELECT i.id, i.number, i.due_on, i.currency, i.total_minor,
                   s.total_minor - s.paid_minor - s.offset_minor - s.pending_minor AS due_minor
            FROM invoices i
            JOIN invoice_settlements s ON s.tenant_id = i.tenant_id AND s.invoice_id = i.id
            WHERE i.tenant_id = $1 AND i.id < $2 AND i.customer_id = $4 AND i.legal_entity_id = $5
              AND i.currency = $6 AND s.status IN ('open', 'partly_settled')
        ) AS open
        WHERE due_minor > 0 AND $7 > 0
        ORDER BY id DESC
        LIMIT $3
        """,
        tx.tenant,
        window.before,
        window.rows,
        note.customer_id,
        note.legal_entity_id,
        note.currency,
        note.settlement.left.minor,
    )
    return page_of(rows, ApplicableInvoice, window)


async def balances(tx: Tx, customer_id: CustomerId) -> list[Money]:
    """What is left of the customer's credit notes, and money on no invoice, per currency. Derived."""
    rows = await tx.conn.fetch(
        """
        WITH rests AS (
            SELECT c.currency,
                   s.total_minor - s.applied_minor - s.refunded_minor - s.held_minor - s.promised_minor
                       - s.marked_minor AS minor
            FROM credit_notes c
            JOIN credit_note_settlements s ON s.tenant_id = c.tenant_id AND s.credit_note_id = c.id
            WHERE c.tenant_id = $1 AND c.customer_id = $2
            UNION ALL
            SELECT currency, GREATEST(unallocated_minor - (disputed_minor - charged_back_minor), 0)
            FROM payments
            WHERE tenant_id = $1 AND customer_id = $2 AND unallocated_minor > 0
        )
        SELECT currency, sum(minor)::bigint AS minor
        FROM rests
        GROUP BY currency
        ORDER BY currency
        """,
        tx.tenant,
        customer_id,
    )
    return [load(row, Money) for row in rows]
