"""What becomes of charges that wait when no further invoice is to come."""

from billing.invoices.issue import issue_invoices
from billing.invoices.model import Invoice
from kernel import outbox
from kernel.database import Tx
from subscriptions import charge_store, store
from subscriptions.bill import bill_of_charges
from subscriptions.events import ChargeDeleted
from subscriptions.model import Charge, Subscription
from subscriptions.terms import terms_of


async def end_charges(tx: Tx, subscription: Subscription, *, all_forgone: bool) -> Invoice | None:
    """Bill them, on an invoice of their own. Where all is given back they are forgone instead.

    So are setup fees in any case: they waited for a period that was to be paid, and there will be none.
    """
    waiting = (await charge_store.pending_of(tx, [subscription.id])).get(subscription.id, [])
    for charge in waiting:
        if all_forgone or charge.plan_id is not None:
            await _forgo(tx, subscription, charge)
    terms = (await terms_of(tx, [subscription]))[subscription.id] if waiting else None
    if terms is None or not terms.charges:
        return None

    bill = bill_of_charges(subscription, terms)

    await charge_store.bill(tx, [bill])
    await store.link_change(tx, subscription, bill.invoice.id)
    [invoice] = await issue_invoices(tx, [bill.invoice])
    return invoice


async def _forgo(tx: Tx, subscription: Subscription, charge: Charge) -> None:
    await charge_store.delete_pending(tx, charge.id)
    outbox.publish(
        tx,
        ChargeDeleted(
            charge_id=charge.id, subscription_id=subscription.id, customer_id=subscription.customer_id
        ),
    )
