"""Pausing the dunning of an invoice by hand, when the customer has promised to pay; and resuming it."""

from billing.dunning import rules, store
from billing.dunning.begin import schedule_next
from billing.dunning.events import DunningPaused, DunningResumed
from billing.dunning.model import Dunning, NewPause, Status
from billing.invoices import store as invoices
from billing.invoices.model import InvoiceId
from billing.parties import store as parties
from kernel import outbox
from kernel.database import Tx
from kernel.errors import Conflict


async def pause_dunning(tx: Tx, invoice_id: InvoiceId, request: NewPause) -> Dunning:
    """Also before the invoice is overdue. Paused again, the new end counts."""
    invoice = await invoices.lock(tx, invoice_id)
    earlier = await store.find(tx, invoice_id)
    settings = await parties.settings(tx)

    if not invoice.settlement.due:
        raise Conflict("nothing_due", f"Nothing is due on {invoice.number}.")
    until = rules.pause_end(request.until, invoice, now=tx.now)
    if earlier is None or earlier.status is Status.RECOVERED:
        earlier = rules.to_come(invoice, rules.schedule_of(invoice, settings), now=tx.now)
    paused = rules.paused(earlier, invoice, until=until, now=tx.now)

    await store.put(tx, paused)
    await schedule_next(tx, paused)
    outbox.publish(tx, DunningPaused(invoice_id=invoice.id, customer_id=invoice.customer_id, until=until))
    return paused


async def resume_dunning(tx: Tx, invoice_id: InvoiceId) -> Dunning:
    """It goes on where it was paused; a step whose time is over comes now."""
    invoice = await invoices.lock(tx, invoice_id)
    dunning = await store.get(tx, invoice_id)

    if dunning.status is not Status.PAUSED:
        raise Conflict("dunning_state", f"The dunning of {invoice.number} is {dunning.status}, not paused.")
    next_at = rules.next_time(dunning, invoice, now=tx.now) if dunning.overdue_at else None
    resumed = dunning.to(Status.RUNNING, next_at=next_at)

    await store.put(tx, resumed)
    await schedule_next(tx, resumed)
    outbox.publish(tx, DunningResumed(invoice_id=invoice.id, customer_id=invoice.customer_id))
    return resumed
