"""What it means for the dunning of an invoice that its settlement has moved."""

from billing.dunning import rules, store
from billing.dunning.begin import begin, schedule_next, watch
from billing.dunning.events import InvoiceRecovered
from billing.invoices.model import Invoice, Status
from kernel import outbox
from kernel.database import Tx


async def follow_settlement(tx: Tx, before: Invoice, after: Invoice) -> None:
    """Settled, it is over. A payment that did not settle it lets the step come that waited for it."""
    was_settled, is_settled = (each.settlement.status is Status.SETTLED for each in (before, after))
    if is_settled and not was_settled:
        await _end(tx, after)
    elif was_settled and not is_settled:
        await watch(tx, after)
    elif after.settlement.pending < before.settlement.pending:
        await _wake(tx, after)


async def _end(tx: Tx, invoice: Invoice) -> None:
    if await store.end(tx, invoice.id):
        outbox.publish(tx, InvoiceRecovered(invoice_id=invoice.id, customer_id=invoice.customer_id))


async def _wake(tx: Tx, invoice: Invoice) -> None:
    await begin(tx, invoice)
    dunning = await store.find(tx, invoice.id)
    if dunning is not None and rules.is_due(dunning, invoice, now=tx.now):
        await schedule_next(tx, dunning)
