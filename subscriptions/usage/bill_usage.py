"""Billing what is left of a subscription's usage, at a time at which its plan counts no further."""

from datetime import datetime, timedelta

from billing.invoices.issue import issue_invoices
from billing.invoices.model import Invoice
from kernel.database import Tx
from subscriptions.bill import bill_of_usage
from subscriptions.model import Subscription
from subscriptions.serve_offers import serve_offers
from subscriptions.terms import terms_of
from subscriptions.usage import store
from subscriptions.usage.rules import AHEAD


async def bill_usage(
    tx: Tx, subscription: Subscription, *, until: datetime, is_last: bool = False
) -> Invoice | None:
    """None where it costs nothing. The subscription is locked, and still on the plan it was used under.

    The last bill, made at the moment it is for, leaves out nothing that was reported. Whoever asks links
    the invoice to the subscription.
    """
    ahead = AHEAD if is_last and until == tx.now else timedelta(0)
    used = await store.open_usage(tx, {subscription.id: until}, ahead=ahead)
    if not used:
        return None
    terms = (await terms_of(tx, [subscription], used=used))[subscription.id]

    bill = bill_of_usage(subscription, terms, now=tx.now)

    await store.close(tx, [terms.usage] if terms.usage else [])
    await serve_offers(tx, [bill] if bill else [])
    issued = await issue_invoices(tx, [bill.invoice] if bill else [])
    return issued[0] if issued else None
