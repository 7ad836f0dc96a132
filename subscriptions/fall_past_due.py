"""A subscription is past due while an invoice of it is overdue, and active again when none is."""

from billing.dunning import store as dunning
from billing.invoices.model import InvoiceId
from billing.parties import store as parties
from kernel import outbox
from kernel.database import Tx
from subscriptions import store
from subscriptions.events import SubscriptionPastDue, SubscriptionRecovered
from subscriptions.model import NEXT, Status


async def follow_invoice(tx: Tx, invoice_id: InvoiceId) -> None:
    """Whatever happened to the invoice, and however late this is: it goes by what holds now."""
    subscription_id = await store.of_invoice(tx, invoice_id)
    if subscription_id is None:
        return
    found = await store.get(tx, subscription_id)
    await parties.lock_customer(tx, found.customer_id)
    subscription = await store.lock(tx, subscription_id)
    overdue = await dunning.any_overdue(tx, await store.invoices_of(tx, subscription_id))

    status = standing(subscription.status, overdue=overdue)
    if status is subscription.status:
        return

    await store.update(tx, subscription.to(status))
    happened = SubscriptionPastDue if overdue else SubscriptionRecovered
    outbox.publish(tx, happened(subscription_id=subscription.id, customer_id=subscription.customer_id))


def standing(status: Status, *, overdue: bool) -> Status:
    """A subscription that is paused or over stays what it is."""
    if overdue:
        return Status.PAST_DUE if Status.PAST_DUE in NEXT[status] else status
    return Status.ACTIVE if status is Status.PAST_DUE else status
