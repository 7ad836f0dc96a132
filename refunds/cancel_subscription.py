"""Cancelling a subscription now: it stops, and what it billed in advance is credited and given back."""

from datetime import datetime
from zoneinfo import ZoneInfo

from billing.credit_notes import crediting
from billing.credit_notes import store as credit_notes
from billing.credit_notes.crediting import Credited
from billing.credit_notes.model import NewCreditLine, NewCreditNote, Reason
from billing.invoices import store as invoices
from billing.invoices.model import Invoice, LineId
from billing.parties import store as parties
from kernel import outbox
from kernel.database import Tx
from kernel.errors import Conflict
from kernel.money import zero
from refunds.credit_invoice import credit_invoice
from refunds.model import Cancellation, Credit, GivenBack, NewCancellation
from subscriptions import proration
from subscriptions import store as subscriptions
from subscriptions.events import SubscriptionCancelled
from subscriptions.model import Status, Subscription, SubscriptionId
from subscriptions.renew import renew


async def cancel_subscription(
    tx: Tx, subscription_id: SubscriptionId, request: NewCancellation
) -> Cancellation:
    found = await subscriptions.get(tx, subscription_id)
    customer = await parties.lock_customer(tx, found.customer_id)
    subscription = await subscriptions.lock(tx, subscription_id)
    entity = await parties.legal_entity(tx, customer.legal_entity_id)

    if subscription.is_over:
        raise Conflict("subscription_over", f"The subscription is {subscription.status} already.")
    subscription = await _caught_up(tx, subscription)
    if subscription.is_over:
        return Cancellation(
            subscription=subscription,
            credit_note=None,
            refunds=(),
            to_refund_by_hand=zero(subscription.currency),
        )
    cancelled = subscription.to(Status.CANCELLED, next_billing_at=None, cancelled_at=tx.now, ended_at=tx.now)

    await subscriptions.update(tx, cancelled)
    given_back = await _credit(tx, subscription, request, entity.zone)
    await outbox.publish(tx, SubscriptionCancelled(subscription_id=cancelled.id, customer_id=customer.id))
    return Cancellation(
        subscription=cancelled,
        credit_note=given_back.credit_note if given_back else None,
        refunds=given_back.refunds if given_back else (),
        to_refund_by_hand=(given_back.to_refund_by_hand if given_back else zero(subscription.currency)),
    )


async def _caught_up(tx: Tx, subscription: Subscription) -> Subscription:
    """With every period begun that should have: its used days are owed."""
    while subscription.next_billing_at is not None and subscription.next_billing_at <= tx.now:
        subscription = (await renew(tx, subscription.id)).subscription
    return subscription


async def _credit(
    tx: Tx, subscription: Subscription, request: NewCancellation, zone: ZoneInfo
) -> GivenBack | None:
    """Credit the current period's invoice, where there is one and something of it to credit."""
    invoice_id = await subscriptions.invoice_of_period(tx, subscription)
    if invoice_id is None or request.credit is Credit.NONE:
        return None
    invoice = await invoices.lock(tx, invoice_id)
    earlier = await credit_notes.credited_lines(tx, invoice_id)

    lines = lines_to_credit(invoice, earlier, request.credit, at=tx.now, zone=zone)

    if not lines:
        return None
    return await credit_invoice(
        tx,
        invoice_id,
        NewCreditNote(
            reason=Reason.CANCELLATION,
            reason_text=request.reason_text,
            lines=lines,
            refund=request.refund,
            refund_on=request.refund_on,
        ),
    )


def lines_to_credit(
    invoice: Invoice,
    earlier: dict[LineId, Credited],
    credit: Credit,
    *,
    at: datetime,
    zone: ZoneInfo,
) -> list[NewCreditLine]:
    """All that is left of the invoice, or the unused part of its recurring lines, capped by what is left."""
    lines = []
    for line in invoice.lines:
        left = crediting.left_of(line, earlier)
        if credit is Credit.PRORATED:
            unused = proration.unused(line, at=at, zone=zone) if line.recurring else zero(left.currency)
            left = min(left, unused)
        if left:
            lines.append(NewCreditLine(line=line.id, net=left))
    return lines
