"""Every SQL statement about settlements."""

from billing.credit_notes.model import CreditNoteId
from billing.invoices.model import InvoiceId
from billing.payments.model import PaymentId
from billing.settlement.model import SettlementId
from kernel.database import Tx
from kernel.money import Money


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
