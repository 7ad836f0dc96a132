"""Billing what is left of a subscription's usage, at a time at which its plan counts no further."""

from datetime import datetime, timedelta

from billing.invoices.issue import issue_invoices
from billing.invoices.model import Invoice
from kernel.database import Tx
from kernel.structs import Value
from promotions.replay import Decided
from subscriptions.bill import bill_of_usage
from subscriptions.model import Subscription
from subscriptions.serve_offers import serve_offers
from subscriptions.terms import terms_of
from subscriptions.usage import store
from subscriptions.usage.rules import AHEAD


class BilledUsage(Value, frozen=True, kw_only=True):
    """The invoice of it, and what was decided about the offers that could come off."""

    invoice: Invoice
    decided: Decided | None


async def bill_usage(
    tx: Tx, subscription: Subscription, *, until: datetime, is_last: bool = False
) -> BilledUsage | None:
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
    if bill is None:
        return None
    [invoice] = await issue_invoices(tx, [bill.invoice])
    return BilledUsage(invoice=invoice, decided=bill.decided)
