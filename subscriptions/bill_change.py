"""Billing what is left of a period on new terms."""

from billing.invoices import store as invoices
from billing.invoices.issue import issue_invoices
from billing.invoices.model import Invoice
from kernel.database import Tx
from promotions import store as promotions
from promotions.engine import Held
from subscriptions import charge_store, store
from subscriptions.bill import bill_of_rest
from subscriptions.model import Subscription
from subscriptions.proration import Share
from subscriptions.terms import terms_of


async def bill_change(tx: Tx, subscription: Subscription, share: Share) -> Invoice | None:
    """Issue the invoice of a share of the period, from now to its end; None when nothing is left of it."""
    terms = (await terms_of(tx, [subscription]))[subscription.id]
    served = terms.held is not None and await _has_served(tx, subscription, terms.held)

    bill = bill_of_rest(subscription, terms, share, served=served, now=tx.now)

    if bill is None:
        return None
    await store.link_change(tx, subscription, bill.invoice.id)
    await promotions.count_periods(tx, [bill.redemption] if bill.redemption else [])
    await charge_store.bill(tx, [bill])
    [invoice] = await issue_invoices(tx, [bill.invoice])
    return invoice


async def _has_served(tx: Tx, subscription: Subscription, held: Held) -> bool:
    """Whether the offer took something off an invoice of the current period."""
    billed = await store.invoices_of_period(tx, subscription)
    found = await invoices.find_many(tx, [each.invoice_id for each in billed])
    return any(
        allowance.source == held.offer.reference
        for invoice in found
        for line in invoice.lines
        for allowance in line.allowances
    )
