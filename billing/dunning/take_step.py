"""Taking the step of a dunning that is due: charge again, remind, or leave it to the final action."""

from billing.dunning import rules, store
from billing.dunning.begin import schedule_next
from billing.dunning.events import DunningExhausted, InvoiceReminderDue
from billing.dunning.model import Dunning, Status
from billing.dunning.schedule import Step
from billing.invoices import store as invoices
from billing.invoices.model import Invoice, InvoiceId
from billing.parties import store as parties
from billing.parties.model import Customer
from billing.payments.events import PaymentRequested
from kernel import outbox
from kernel.database import Tx
from kernel.events import Event


async def take_step(tx: Tx, invoice_id: InvoiceId) -> None:
    """One charge or one reminder at most. The second time, or too early, it is boring.

    While a payment of all that is due is under way nothing is done: its failure calls for the step again.
    """
    invoice = await invoices.lock(tx, invoice_id)
    customer = await parties.customer(tx, invoice.customer_id)
    dunning = await store.find(tx, invoice_id)

    if dunning is None or not rules.is_due(dunning, invoice, now=tx.now):
        return
    after = rules.stepped(dunning, invoice, now=tx.now)

    await store.put(tx, after)
    await schedule_next(tx, after)
    outbox.publish(tx, *said(dunning, after, invoice, customer))


def said(dunning: Dunning, after: Dunning, invoice: Invoice, customer: Customer) -> list[Event]:
    """What is to follow from the step: others charge, write and cancel."""
    events: list[Event] = []
    step = dunning.next_step
    if isinstance(step, Step):
        if step.retry and customer.payment_method is not None:
            events.append(PaymentRequested(invoice_id=invoice.id, customer_id=customer.id))
        elif step.remind:
            events.append(
                InvoiceReminderDue(invoice_id=invoice.id, customer_id=customer.id, step=after.steps_taken)
            )
    if after.status is Status.EXHAUSTED:
        events.append(DunningExhausted(invoice_id=invoice.id, customer_id=customer.id))
    return events
