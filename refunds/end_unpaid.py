"""The final action of dunning: the subscription whose invoice stays unpaid is cancelled, or paused."""

from billing.dunning import store as dunning
from billing.dunning.model import Status
from billing.dunning.schedule import Action
from billing.invoices import store as invoices
from billing.invoices.model import InvoiceId
from billing.parties import store as parties
from kernel.database import Tx
from refunds.cancel_subscription import cancel_subscription
from refunds.model import Credit, NewCancellation, NewSubscriptionPause, PauseCredit
from refunds.pause_subscription import pause_subscription
from subscriptions import store as subscriptions
from subscriptions.model import Status as SubscriptionStatus


async def end_unpaid(tx: Tx, invoice_id: InvoiceId) -> None:
    """What is due on the invoice stays due, but for the credit. Settled after all, nothing happens."""
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

    if final.action is Action.CANCEL:
        await cancel_subscription(
            tx, subscription_id, NewCancellation(credit=Credit(final.credit), override_term=True)
        )
    elif subscription.status is not SubscriptionStatus.PAUSED:
        pause = NewSubscriptionPause(credit=PauseCredit(final.credit))
        await pause_subscription(tx, subscription_id, pause)
