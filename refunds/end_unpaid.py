"""The final action of dunning: the subscription whose invoice stays unpaid is cancelled."""

from billing.dunning import store as dunning
from billing.dunning.model import Status
from billing.invoices import store as invoices
from billing.invoices.model import InvoiceId
from billing.parties import store as parties
from kernel.database import Tx
from refunds.cancel_subscription import cancel_subscription
from refunds.model import Credit, NewCancellation
from subscriptions import store as subscriptions


async def end_unpaid(tx: Tx, invoice_id: InvoiceId) -> None:
    """What is due on the invoice stays due, but for the credit. Settled after all, nothing is cancelled."""
    subscription_id = await subscriptions.of_invoice(tx, invoice_id)
    if subscription_id is None:
        return
    found = await subscriptions.get(tx, subscription_id)
    await parties.lock_customer(tx, found.customer_id)
    subscription = await subscriptions.lock(tx, subscription_id)
    await invoices.lock(tx, invoice_id)
    unpaid = await dunning.get(tx, invoice_id)

    final = unpaid.schedule.final
    if subscription.is_over or unpaid.status is not Status.EXHAUSTED or final is None:
        return

    await cancel_subscription(tx, subscription_id, NewCancellation(credit=Credit(final.credit)))
