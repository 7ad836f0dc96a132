"""Every SQL statement about refunds."""

from billing.credit_notes.model import CreditNoteId
from billing.invoices.model import InvoiceId
from billing.parties.model import CustomerId
from billing.payments.model import PaymentId
from kernel.database import Tx
from kernel.errors import not_found
from kernel.money import Money
from kernel.paging import Page, Window, page_of
from kernel.structs import load
from refunds.model import Known, Refund, RefundId


async def insert(tx: Tx, refund: Refund) -> None:
    await tx.conn.execute(
        """
        INSERT INTO refunds
            (tenant_id, id, credit_note_id, payment_id, customer_id, invoice_id, currency, amount_minor,
             mode, status, due_on, means, reference, created_at, succeeded_on, gateway_reference, retry_of,
             blocked, of_rest)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)
        """,
        tx.tenant,
        refund.id,
        refund.credit_note_id,
        refund.payment_id,
        refund.customer_id,
        refund.invoice_id,
        refund.currency,
        refund.amount.minor,
        refund.mode,
        refund.status,
        refund.due_on,
        refund.means,
        refund.reference,
        refund.created_at,
        refund.succeeded_on,
        refund.gateway_reference,
        refund.retry_of,
        refund.blocked,
        refund.of_rest,
    )


async def update(tx: Tx, refund: Refund) -> None:
    await tx.conn.execute(
        """
        UPDATE refunds
        SET status = $3, gateway_reference = $4, failure_code = $5, succeeded_on = $6, due_on = $7,
            blocked = $8
        WHERE tenant_id = $1 AND id = $2
        """,
        tx.tenant,
        refund.id,
        refund.status,
        refund.gateway_reference,
        refund.failure_code,
        refund.succeeded_on,
        refund.due_on,
        refund.blocked,
    )


async def pending(tx: Tx, *, before: RefundId) -> list[RefundId]:
    """To be sent through a gateway since long, or sent and not decided."""
    rows = await tx.conn.fetch(
        """
        SELECT id
        FROM refunds
        WHERE tenant_id = $1 AND status = 'pending' AND payment_id IS NOT NULL AND id < $2
        ORDER BY id
        """,
        tx.tenant,
        before,
    )
    return [RefundId.of(row["id"]) for row in rows]


async def get(tx: Tx, refund_id: RefundId) -> Refund:
    row = await tx.conn.fetchrow(
        """
        SELECT id, credit_note_id, payment_id, customer_id, invoice_id, currency, amount_minor, mode,
               status, due_on, means, reference, gateway_reference, failure_code, created_at,
               succeeded_on, retry_of, blocked, of_rest
        FROM refunds
        WHERE tenant_id = $1 AND id = $2
        """,
        tx.tenant,
        refund_id,
    )
    if row is None:
        raise not_found("refund", refund_id)
    return load(row, Refund)


async def of_gateway(tx: Tx, reference: str) -> RefundId | None:
    """The refund that a provider knows by this name."""
    found = await tx.conn.fetchval(
        """
        SELECT id
        FROM refunds
        WHERE tenant_id = $1 AND gateway_reference = $2
        """,
        tx.tenant,
        reference,
    )
    return RefundId.of(found) if found else None


async def at_gateway(tx: Tx, gateway: str, *, since: RefundId, after: RefundId, limit: int) -> list[Known]:
    """What a provider should know of: made since, or pending; in the order in which they were made."""
    rows = await tx.conn.fetch(
        """
        SELECT r.id, r.gateway_reference, r.status
        FROM refunds r
        JOIN payments p ON p.tenant_id = r.tenant_id AND p.id = r.payment_id
        WHERE r.tenant_id = $1 AND p.gateway = $2 AND r.id > $4
          AND (r.status = 'pending' OR (r.status = 'succeeded' AND r.id > $3))
        ORDER BY r.id
        LIMIT $5
        """,
        tx.tenant,
        gateway,
        since,
        after,
        limit,
    )
    return [load(row, Known) for row in rows]


async def lock(tx: Tx, refund_id: RefundId) -> Refund:
    row = await tx.conn.fetchrow(
        """
        SELECT id, credit_note_id, payment_id, customer_id, invoice_id, currency, amount_minor, mode,
               status, due_on, means, reference, gateway_reference, failure_code, created_at,
               succeeded_on, retry_of, blocked, of_rest
        FROM refunds
        WHERE tenant_id = $1 AND id = $2
        FOR NO KEY UPDATE
        """,
        tx.tenant,
        refund_id,
    )
    if row is None:
        raise not_found("refund", refund_id)
    return load(row, Refund)


async def waiting_on(tx: Tx, payment_id: PaymentId) -> list[RefundId]:
    """Those scheduled over a payment, the newest first."""
    rows = await tx.conn.fetch(
        """
        SELECT id
        FROM refunds
        WHERE tenant_id = $1 AND payment_id = $2 AND status = 'scheduled'
        ORDER BY id DESC
        """,
        tx.tenant,
        payment_id,
    )
    return [RefundId.of(row["id"]) for row in rows]


async def replaceable(tx: Tx, payment_id: PaymentId, amount: Money) -> RefundId | None:
    """Of exactly this amount over the payment: one that failed, or else one that waits."""
    found = await tx.conn.fetchval(
        """
        SELECT id
        FROM refunds
        WHERE tenant_id = $1 AND payment_id = $2 AND amount_minor = $3 AND status IN ('failed', 'scheduled')
        ORDER BY status, id
        LIMIT 1
        """,
        tx.tenant,
        payment_id,
        amount.minor,
    )
    return RefundId.of(found) if found else None


async def note_to_refund(tx: Tx, invoice_id: InvoiceId, amount: Money) -> CreditNoteId | None:
    """A note on the invoice that this much may still go back of: those that promised it first."""
    found = await tx.conn.fetchval(
        """
        SELECT c.id
        FROM credit_notes c
        JOIN credit_note_settlements s ON s.tenant_id = c.tenant_id AND s.credit_note_id = c.id
        WHERE c.tenant_id = $1 AND c.invoice_id = $2
          AND s.total_minor - s.applied_minor - s.refunded_minor - s.marked_minor - s.held_minor >= $3
        ORDER BY s.promised_minor >= $3 DESC, c.id
        LIMIT 1
        """,
        tx.tenant,
        invoice_id,
        amount.minor,
    )
    return CreditNoteId.of(found) if found else None


async def link(tx: Tx, refund: Refund) -> None:
    await tx.conn.execute(
        """
        UPDATE refunds
        SET credit_note_id = $3, invoice_id = $4
        WHERE tenant_id = $1 AND id = $2 AND credit_note_id IS NULL
        """,
        tx.tenant,
        refund.id,
        refund.credit_note_id,
        refund.invoice_id,
    )


async def page(
    tx: Tx,
    window: Window,
    *,
    customer_id: CustomerId | None,
    credit_note_id: CreditNoteId | None,
    unlinked: bool = False,
) -> Page[Refund]:
    rows = await tx.conn.fetch(
        """
        SELECT id, credit_note_id, payment_id, customer_id, invoice_id, currency, amount_minor, mode,
               status, due_on, means, reference, gateway_reference, failure_code, created_at,
               succeeded_on, retry_of, blocked, of_rest
        FROM refunds
        WHERE tenant_id = $1
          AND id < $2
          AND ($4::uuid IS NULL OR customer_id = $4)
          AND ($5::uuid IS NULL OR credit_note_id = $5)
          AND (NOT $6::boolean OR (credit_note_id IS NULL AND NOT of_rest))
        ORDER BY id DESC
        LIMIT $3
        """,
        tx.tenant,
        window.before,
        window.rows,
        customer_id,
        credit_note_id,
        unlinked,
    )
    return page_of(rows, Refund, window)
