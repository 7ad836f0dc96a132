"""Every SQL statement about disputes."""

from collections.abc import Sequence

from billing.credit_notes.model import CreditNoteId
from billing.invoices.model import InvoiceId
from billing.parties.model import CustomerId
from billing.payments.model import PaymentId
from kernel.database import Tx
from kernel.errors import not_found
from kernel.money import Money
from kernel.paging import Page, Window, page_of
from kernel.structs import Value, load
from refunds.disputes.model import Dispute, DisputeId


async def insert(tx: Tx, dispute: Dispute) -> None:
    await tx.conn.execute(
        """
        INSERT INTO disputes
            (tenant_id, id, payment_id, customer_id, currency, amount_minor, status, reason, reference,
             opened_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
        """,
        tx.tenant,
        dispute.id,
        dispute.payment_id,
        dispute.customer_id,
        dispute.currency,
        dispute.amount.minor,
        dispute.status,
        dispute.reason,
        dispute.reference,
        dispute.opened_at,
    )


async def update(tx: Tx, dispute: Dispute) -> None:
    await tx.conn.execute(
        """
        UPDATE disputes
        SET status = $3, closed_at = $4
        WHERE tenant_id = $1 AND id = $2
        """,
        tx.tenant,
        dispute.id,
        dispute.status,
        dispute.closed_at,
    )


async def get(tx: Tx, dispute_id: DisputeId) -> Dispute:
    row = await tx.conn.fetchrow(
        """
        SELECT id, payment_id, customer_id, currency, amount_minor, status, reason, reference, opened_at,
               closed_at
        FROM disputes
        WHERE tenant_id = $1 AND id = $2
        """,
        tx.tenant,
        dispute_id,
    )
    if row is None:
        raise not_found("dispute", dispute_id)
    return load(row, Dispute)


async def lock(tx: Tx, dispute_id: DisputeId) -> Dispute:
    row = await tx.conn.fetchrow(
        """
        SELECT id, payment_id, customer_id, currency, amount_minor, status, reason, reference, opened_at,
               closed_at
        FROM disputes
        WHERE tenant_id = $1 AND id = $2
        FOR NO KEY UPDATE
        """,
        tx.tenant,
        dispute_id,
    )
    if row is None:
        raise not_found("dispute", dispute_id)
    return load(row, Dispute)


async def of_reference(tx: Tx, reference: str) -> Dispute | None:
    """By what the provider calls it."""
    row = await tx.conn.fetchrow(
        """
        SELECT id, payment_id, customer_id, currency, amount_minor, status, reason, reference, opened_at,
               closed_at
        FROM disputes
        WHERE tenant_id = $1 AND reference = $2
        """,
        tx.tenant,
        reference,
    )
    return load(row, Dispute) if row else None


async def open_at_gateway(tx: Tx, gateway: str) -> list[str]:
    """What a provider calls those of its disputes that are open here."""
    rows = await tx.conn.fetch(
        """
        SELECT d.reference
        FROM disputes d
        JOIN payments p ON p.tenant_id = d.tenant_id AND p.id = d.payment_id
        WHERE d.tenant_id = $1 AND p.gateway = $2 AND d.status = 'open' AND d.reference IS NOT NULL
        ORDER BY d.id
        """,
        tx.tenant,
        gateway,
    )
    return [row["reference"] for row in rows]


async def page(
    tx: Tx, window: Window, *, customer_id: CustomerId | None, payment_id: PaymentId | None
) -> Page[Dispute]:
    rows = await tx.conn.fetch(
        """
        SELECT id, payment_id, customer_id, currency, amount_minor, status, reason, reference, opened_at,
               closed_at
        FROM disputes
        WHERE tenant_id = $1
          AND id < $2
          AND ($4::uuid IS NULL OR customer_id = $4)
          AND ($5::uuid IS NULL OR payment_id = $5)
        ORDER BY id DESC
        LIMIT $3
        """,
        tx.tenant,
        window.before,
        window.rows,
        customer_id,
        payment_id,
    )
    return page_of(rows, Dispute, window)


async def take(tx: Tx, payment_id: PaymentId, amount: Money) -> bool:
    """Count an amount of a payment as disputed; False when that much is no longer left of it.

    A negative amount frees what a dispute that was won had held.
    """
    taken = await tx.conn.fetchval(
        """
        UPDATE payments
        SET disputed_minor = disputed_minor + $3
        WHERE tenant_id = $1 AND id = $2 AND disputed_minor + $3 BETWEEN 0 AND amount_minor
        RETURNING id
        """,
        tx.tenant,
        payment_id,
        amount.minor,
    )
    return taken is not None


async def charge_back(tx: Tx, payment_id: PaymentId, amount: Money) -> None:
    """What was disputed has gone."""
    await tx.conn.execute(
        """
        UPDATE payments
        SET charged_back_minor = charged_back_minor + $3
        WHERE tenant_id = $1 AND id = $2
        """,
        tx.tenant,
        payment_id,
        amount.minor,
    )


class Standing(Value, frozen=True, kw_only=True):
    """Of an invoice: the money it was paid with, how much of that is in open disputes, and what of it notes
    have set free for the customer, but for refunds that wait for the end of a dispute.

    What the deposits were paid with that it deducts is among it.
    """

    paid: int
    held: int
    given: int


async def standing(tx: Tx, invoice_id: InvoiceId) -> Standing:
    row = await tx.conn.fetchrow(
        """
        SELECT s.paid_minor AS paid,
               COALESCE((SELECT sum(d.amount_minor)
                         FROM payments p
                         JOIN disputes d ON d.tenant_id = p.tenant_id AND d.payment_id = p.id
                         WHERE p.tenant_id = $1 AND d.status = 'open'
                           AND (p.invoice_id = $2 OR p.invoice_id IN (
                               SELECT e.deposit_id
                               FROM settlements e
                               WHERE e.tenant_id = $1 AND e.invoice_id = $2 AND e.undone_at IS NULL
                           ))),
                        0)::bigint AS held,
               s.credited_minor
               - COALESCE((SELECT sum(e.amount_minor)
                           FROM settlements e
                           WHERE e.tenant_id = $1 AND e.invoice_id = $2 AND e.is_own
                             AND e.undone_at IS NULL), 0)::bigint
               - COALESCE((SELECT sum(r.amount_minor)
                           FROM refunds r
                           WHERE r.tenant_id = $1 AND r.invoice_id = $2 AND r.blocked), 0)::bigint AS given
        FROM invoice_settlements s
        WHERE s.tenant_id = $1 AND s.invoice_id = $2
        """,
        tx.tenant,
        invoice_id,
    )
    assert row is not None, "every invoice has a settlement"
    return load(row, Standing)


async def notes_of(tx: Tx, invoice_ids: Sequence[InvoiceId]) -> list[CreditNoteId]:
    """Those of which something may still go to the customer, oldest first."""
    rows = await tx.conn.fetch(
        """
        SELECT c.id
        FROM credit_notes c
        JOIN credit_note_settlements s ON s.tenant_id = c.tenant_id AND s.credit_note_id = c.id
        WHERE c.tenant_id = $1 AND c.invoice_id = ANY($2::uuid[])
          AND s.applied_minor + s.refunded_minor < s.total_minor
        ORDER BY c.id
        """,
        tx.tenant,
        invoice_ids,
    )
    return [CreditNoteId.of(row["id"]) for row in rows]
