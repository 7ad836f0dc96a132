"""Billing what is left of a period on new terms."""

from billing.invoices.issue import issue_invoices
from billing.invoices.model import Invoice
from kernel.database import Tx
from subscriptions import charge_store, store
from subscriptions.bill import bill_of_rest
from subscriptions.model import Subscription
from subscriptions.proration import Share
from subscriptions.serve_offers import serve_offers
from subscriptions.terms import terms_of


async def bill_change(tx: Tx, subscription: Subscription, share: Share) -> Invoice | None:
    """Issue the invoice of a share of the period, from now to its end; None when nothing is left of it."""
    terms = (await terms_of(tx, [subscription]))[subscription.id]

    bill = bill_of_rest(subscription, terms, share, now=tx.now)

    if bill is None:
        return None
    await store.link_change(tx, subscription, bill.invoice.id, bill.decided)
    await serve_offers(tx, [bill])
    await charge_store.bill(tx, [bill])
    [invoice] = await issue_invoices(tx, [bill.invoice])
    return invoice
