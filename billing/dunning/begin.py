"""Beginning the dunning of an invoice: it is overdue from here on, and each step is a job at its time."""

from billing.dunning import rules, store
from billing.dunning.events import InvoiceOverdue
from billing.dunning.model import Dunning, Status
from billing.invoices import store as invoices
from billing.invoices.model import Invoice, InvoiceId
from billing.parties import store as parties
from kernel import jobs, outbox
from kernel.database import Tx

OVERDUE = "fall_overdue"
STEP = "take_dunning_step"


async def watch(tx: Tx, invoice: Invoice) -> None:
    """Look at it again when its day is over. Looking twice does no harm."""
    if rules.is_waited_for(invoice):
        await jobs.schedule(tx, OVERDUE, {"invoice_id": str(invoice.id)}, due=rules.overdue_from(invoice))


async def fall_overdue(tx: Tx, invoice_id: InvoiceId) -> None:
    """The day it was due is over."""
    await begin(tx, await invoices.lock(tx, invoice_id))


async def begin(tx: Tx, invoice: Invoice, *, charge_failed: bool = False) -> None:
    """If it is overdue, and was not before. `invoice` has been locked by the caller."""
    earlier = await store.find(tx, invoice.id)
    settings = await parties.settings(tx)

    runs = earlier is not None and earlier.overdue_at is not None and earlier.status is not Status.RECOVERED
    if runs or not rules.is_overdue(invoice, charge_failed=charge_failed, now=tx.now):
        return
    dunning = rules.begun(invoice, rules.schedule_of(invoice, settings), earlier, now=tx.now)

    await store.put(tx, dunning)
    await schedule_next(tx, dunning)
    outbox.publish(tx, InvoiceOverdue(invoice_id=invoice.id, customer_id=invoice.customer_id))


async def schedule_next(tx: Tx, dunning: Dunning) -> None:
    if dunning.next_at is not None:
        await jobs.schedule(tx, STEP, {"invoice_id": str(dunning.invoice_id)}, due=dunning.next_at)
