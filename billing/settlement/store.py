"""Every SQL statement about settlements."""

from billing.credit_notes.model import CreditNoteId
from billing.invoices.model import InvoiceId
from billing.parties.model import CustomerId
from billing.payments.model import PaymentId
from billing.settlement.model import SettlementId
from kernel.database import Tx
from kernel.money import Money
from kernel.structs import load


async def insert(
    tx: Tx,
    invoice_id: InvoiceId,
    amount: Money,
    *,
    payment_id: PaymentId | None = None,
    credit_note_id: CreditNoteId | None = None,
) -> None:
    await tx.conn.execute(
        """
        INSERT INTO settlements
            (tenant_id, id, invoice_id, payment_id, credit_note_id, currency, amount_minor, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
        """,
        tx.tenant,
        SettlementId.new(),
        invoice_id,
        payment_id,
        credit_note_id,
        amount.currency,
        amount.minor,
        tx.now,
    )


async def balances(tx: Tx, customer_id: CustomerId) -> list[Money]:
    """What is left of the customer's credit notes, per currency. Derived, never stored."""
    rows = await tx.conn.fetch(
        """
        SELECT c.currency,
               sum(s.total_minor - s.applied_minor - s.refunded_minor - s.held_minor
                   - s.promised_minor)::bigint AS minor
        FROM credit_notes c
        JOIN credit_note_settlements s ON s.tenant_id = c.tenant_id AND s.credit_note_id = c.id
        WHERE c.tenant_id = $1 AND c.customer_id = $2
        GROUP BY c.currency
        ORDER BY c.currency
        """,
        tx.tenant,
        customer_id,
    )
    return [load(row, Money) for row in rows]
