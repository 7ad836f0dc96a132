"""Moving an invoice's settlement, under its lock."""

from billing.dunning.follow import follow_settlement
from billing.invoices import store as invoices
from billing.invoices.events import InvoiceSettled
from billing.invoices.model import Invoice, Status
from billing.settlement import rules
from kernel import outbox
from kernel.database import Tx
from kernel.money import Money


async def settle(
    tx: Tx,
    invoice: Invoice,
    *,
    paid: Money | None = None,
    offset: Money | None = None,
    pending: Money | None = None,
    credited: Money | None = None,
) -> Invoice:
    """`invoice` has been locked by the caller. The moment nothing is due any more is an event."""
    after = rules.settled_with(
        invoice, paid=paid, offset=offset, pending=pending, credited=credited, now=tx.now
    )
    settlement = after.settlement

    await invoices.update_settlement(
        tx,
        invoice.id,
        paid=settlement.paid,
        offset=settlement.offset,
        pending=settlement.pending,
        credited=settlement.credited,
        status=settlement.status,
        settled_at=settlement.settled_at,
    )
    if settlement.status is Status.SETTLED and invoice.settlement.status is not Status.SETTLED:
        outbox.publish(tx, InvoiceSettled(invoice_id=invoice.id, customer_id=invoice.customer_id))
    await follow_settlement(tx, invoice, after)
    return after
