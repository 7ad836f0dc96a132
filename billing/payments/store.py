"""Every SQL statement about payments."""

from billing.credit_notes.model import CreditNoteId
from billing.invoices.model import InvoiceId
from billing.parties.model import CustomerId, LegalEntityId
from billing.payments.model import Known, Payment, PaymentId
from kernel.database import Tx
from kernel.errors import not_found
from kernel.money import Money
from kernel.paging import Page, Window, page_of
from kernel.structs import load


async def insert(tx: Tx, payment: Payment) -> bool:
    """False when there is a payment of this id already."""
    inserted = await tx.conn.fetchval(
        """
        INSERT INTO payments
            (tenant_id, id, customer_id, invoice_id, currency, amount_minor, status, means, reference,
             received_on, gateway, payment_method, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
        ON CONFLICT (tenant_id, id) DO NOTHING
        RETURNING id
        """,
        tx.tenant,
        payment.id,
        payment.customer_id,
        payment.invoice_id,
        payment.currency,
        payment.amount.minor,
        payment.status,
        payment.means,
        payment.reference,
        payment.received_on,
        payment.gateway,
        payment.payment_method,
        payment.created_at,
    )
    return inserted is not None


async def get(tx: Tx, payment_id: PaymentId) -> Payment:
    row = await tx.conn.fetchrow(
        """
        SELECT id, customer_id, invoice_id, currency, amount_minor, refunded_minor, disputed_minor,
               charged_back_minor, status, means, reference, received_on, gateway, gateway_reference,
               payment_method, failure_code, created_at
        FROM payments
        WHERE tenant_id = $1 AND id = $2
        """,
        tx.tenant,
        payment_id,
    )
    if row is None:
        raise not_found("payment", payment_id)
    return load(row, Payment)


async def find(tx: Tx, payment_id: PaymentId) -> Payment | None:
    row = await tx.conn.fetchrow(
        """
        SELECT id, customer_id, invoice_id, currency, amount_minor, refunded_minor, disputed_minor,
               charged_back_minor, status, means, reference, received_on, gateway, gateway_reference,
               payment_method, failure_code, created_at
        FROM payments
        WHERE tenant_id = $1 AND id = $2
        """,
        tx.tenant,
        payment_id,
    )
    return load(row, Payment) if row else None


async def of_gateway(tx: Tx, gateway: str, reference: str) -> PaymentId | None:
    """The payment that a provider knows by this name: one that had failed, or what came of it after all."""
    found = await tx.conn.fetchval(
        """
        SELECT id
        FROM payments
        WHERE tenant_id = $1 AND gateway = $2 AND gateway_reference = $3
        ORDER BY status = 'succeeded' DESC, id
        LIMIT 1
        """,
        tx.tenant,
        gateway,
        reference,
    )
    return PaymentId.of(found) if found else None


async def at_gateway(tx: Tx, gateway: str, *, since: PaymentId, after: PaymentId, limit: int) -> list[Known]:
    """What a provider should know of: made since, or pending; in the order in which they were made."""
    rows = await tx.conn.fetch(
        """
        SELECT id, gateway_reference, status
        FROM payments
        WHERE tenant_id = $1 AND gateway = $2 AND id > $4
          AND (status = 'pending' OR (status = 'succeeded' AND id > $3))
        ORDER BY id
        LIMIT $5
        """,
        tx.tenant,
        gateway,
        since,
        after,
        limit,
    )
    return [load(row, Known) for row in rows]


async def unattended(tx: Tx, *, before: PaymentId) -> list[PaymentId]:
    """Pending through a gateway since long, and with no job that waits or runs."""
    rows = await tx.conn.fetch(
        """
        SELECT id
        FROM payments p
        WHERE tenant_id = $1 AND status = 'pending' AND gateway IS NOT NULL AND id < $2
          AND NOT EXISTS (
              SELECT FROM jobs
              WHERE tenant_id = $1 AND (event_id = p.id OR id = p.id) AND state IN ('waiting', 'running')
          )
        ORDER BY id
        """,
        tx.tenant,
        before,
    )
    return [PaymentId.of(row["id"]) for row in rows]


async def of_invoice(tx: Tx, invoice_id: InvoiceId) -> list[Payment]:
    """Newest first: the order in which refunds go back over them.

    Those of the invoice that it corrects are among them, and of the deposits that it deducts, and so on: what
    was paid there was kept for it.
    """
    rows = await tx.conn.fetch(
        """
        WITH RECURSIVE invoice (id) AS (
            SELECT $2::uuid
            UNION ALL
            SELECT earlier.id
            FROM invoice i
            CROSS JOIN LATERAL (
                SELECT s.invoice_id AS id
                FROM invoice_settlements s
                WHERE s.tenant_id = $1 AND s.corrected_by = i.id
                UNION ALL
                SELECT e.deposit_id
                FROM settlements e
                WHERE e.tenant_id = $1 AND e.invoice_id = i.id AND e.deposit_id IS NOT NULL
                  AND e.undone_at IS NULL
            ) AS earlier
        )
        SELECT id, customer_id, invoice_id, currency, amount_minor, refunded_minor, disputed_minor,
               charged_back_minor, status, means, reference, received_on, gateway, gateway_reference,
               payment_method, failure_code, created_at
        FROM payments
        WHERE tenant_id = $1 AND invoice_id IN (SELECT id FROM invoice)
        ORDER BY created_at DESC, id DESC
        """,
        tx.tenant,
        invoice_id,
    )
    return [load(row, Payment) for row in rows]


async def of_credit_note(tx: Tx, credit_note_id: CreditNoteId) -> list[Payment]:
    """Of the invoices that a note is on and those that they correct, newest first."""
    rows = await tx.conn.fetch(
        """
        WITH RECURSIVE invoice (id) AS (
            SELECT invoice_id
            FROM credit_note_sources
            WHERE tenant_id = $1 AND credit_note_id = $2
            UNION ALL
            SELECT earlier.id
            FROM invoice i
            CROSS JOIN LATERAL (
                SELECT s.invoice_id AS id
                FROM invoice_settlements s
                WHERE s.tenant_id = $1 AND s.corrected_by = i.id
                UNION ALL
                SELECT e.deposit_id
                FROM settlements e
                WHERE e.tenant_id = $1 AND e.invoice_id = i.id AND e.deposit_id IS NOT NULL
                  AND e.undone_at IS NULL
            ) AS earlier
        )
        SELECT id, customer_id, invoice_id, currency, amount_minor, refunded_minor, disputed_minor,
               charged_back_minor, status, means, reference, received_on, gateway, gateway_reference,
               payment_method, failure_code, created_at
        FROM payments
        WHERE tenant_id = $1 AND invoice_id IN (SELECT id FROM invoice)
        ORDER BY created_at DESC, id DESC
        """,
        tx.tenant,
        credit_note_id,
    )
    return [load(row, Payment) for row in rows]


async def page(
    tx: Tx, window: Window, *, customer_id: CustomerId | None, invoice_id: InvoiceId | None
) -> Page[Payment]:
    rows = await tx.conn.fetch(
        """
        SELECT id, customer_id, invoice_id, currency, amount_minor, refunded_minor, disputed_minor,
               charged_back_minor, status, means, reference, received_on, gateway, gateway_reference,
               payment_method, failure_code, created_at
        FROM payments
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
    return page_of(rows, Payment, window)


async def update_outcome(tx: Tx, payment: Payment) -> None:
    await tx.conn.execute(
        """
        UPDATE payments
        SET status = $3, gateway_reference = $4, failure_code = $5, received_on = $6
        WHERE tenant_id = $1 AND id = $2
        """,
        tx.tenant,
        payment.id,
        payment.status,
        payment.gateway_reference,
        payment.failure_code,
        payment.received_on,
    )


async def insert_unallocated(tx: Tx, payment: Payment, legal_entity_id: LegalEntityId) -> None:
    """All of it is on no invoice."""
    await tx.conn.execute(
        """
        INSERT INTO payments
            (tenant_id, id, customer_id, legal_entity_id, currency, amount_minor, unallocated_minor, status,
             means, reference, received_on, gateway, gateway_reference, payment_method, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $6, $7, $8, $9, $10, $11, $12, $13, $14)
        """,
        tx.tenant,
        payment.id,
        payment.customer_id,
        legal_entity_id,
        payment.currency,
        payment.amount.minor,
        payment.status,
        payment.means,
        payment.reference,
        payment.received_on,
        payment.gateway,
        payment.gateway_reference,
        payment.payment_method,
        payment.created_at,
    )


async def lock_unallocated(tx: Tx, payment_id: PaymentId) -> tuple[LegalEntityId, int] | None:
    """In whose books it is, and what is left of it in minor units; None for a payment of an invoice."""
    row = await tx.conn.fetchrow(
        """
        SELECT legal_entity_id, unallocated_minor
        FROM payments
        WHERE tenant_id = $1 AND id = $2 AND invoice_id IS NULL
        FOR NO KEY UPDATE
        """,
        tx.tenant,
        payment_id,
    )
    return (LegalEntityId.of(row["legal_entity_id"]), row["unallocated_minor"]) if row else None


async def allocate(tx: Tx, payment_id: PaymentId, amount: Money) -> None:
    await tx.conn.execute(
        """
        UPDATE payments
        SET unallocated_minor = unallocated_minor - $3
        WHERE tenant_id = $1 AND id = $2
        """,
        tx.tenant,
        payment_id,
        amount.minor,
    )


async def take_back(tx: Tx, payment_id: PaymentId, amount: Money, *, undisputed: bool = False) -> bool:
    """Set part of a payment aside for a refund; False when that much is no longer left of it.

    A negative amount frees what a refund that failed had set aside. `undisputed`: nothing of what a dispute
    holds or took is taken.
    """
    taken = await tx.conn.fetchval(
        """
        UPDATE payments
        SET refunded_minor = refunded_minor + $3
        WHERE tenant_id = $1 AND id = $2 AND refunded_minor + $3 BETWEEN 0 AND amount_minor
          AND (NOT $4 OR refunded_minor + $3 + disputed_minor <= amount_minor)
        RETURNING id
        """,
        tx.tenant,
        payment_id,
        amount.minor,
        undisputed,
    )
    return taken is not None
