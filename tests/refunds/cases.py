"""A subscription at 29.00 a month, billed 34.80 from 15 January to 15 February, and ways to pay for it."""

from datetime import UTC, datetime

import msgspec

from billing.gateways.model import Outcome
from billing.gateways.model import Status as OutcomeStatus
from billing.invoices import store as invoices
from billing.invoices.model import Invoice, InvoiceSettlement
from billing.parties.change_customer import change_customer
from billing.parties.model import CustomerChange
from billing.payments.collect import finish_payment, start_payment
from billing.payments.model import Payment, PaymentId
from kernel.database import Tx
from kernel.structs import Value
from kernel.text import Name
from subscriptions.model import Subscription
from tests.shop import at
from tests.subscriptions.plans import signed_up

# 21 of the 31 days are left, the day of the cancellation among them.
TENTH_DAY = datetime(2026, 1, 25, 11, tzinfo=UTC)


class Billed(Value, frozen=True, kw_only=True):
    subscription: Subscription
    invoice: Invoice


async def billed(tx: Tx, price: str = "29.00") -> Billed:
    signup = await signed_up(tx, price=price)
    assert signup.invoice is not None
    return Billed(subscription=signup.subscription, invoice=signup.invoice)


async def paid_by_provider(
    tx: Tx, invoice: Invoice, minor: int | None = None, *, now: datetime | None = None
) -> Payment:
    """Through a gateway: all that is due, or only a part of it."""
    tx = at(tx, now or tx.now)
    await change_customer(tx, str(invoice.customer_id), CustomerChange(payment_method=Name("pm_sandbox_ok")))
    intent = await start_payment(tx, "sandbox", PaymentId.new(), invoice.id)
    assert intent is not None
    if minor is not None:
        intent = await _shrunk(tx, intent, minor)
    charged = Outcome(status=OutcomeStatus.SUCCEEDED, reference=f"ch_{intent.id}")
    await finish_payment(tx, intent, charged)
    return intent


async def _shrunk(tx: Tx, intent: Payment, minor: int) -> Payment:
    """As if only this much had been due."""
    await tx.conn.execute("UPDATE payments SET amount_minor = $1 WHERE id = $2", minor, intent.id)
    await tx.conn.execute(
        "UPDATE invoice_settlements SET pending_minor = $1 WHERE invoice_id = $2", minor, intent.invoice_id
    )
    amount = msgspec.structs.replace(intent.amount, minor=minor)
    return msgspec.structs.replace(intent, amount=amount)


async def settlement_of(tx: Tx, invoice: Invoice) -> InvoiceSettlement:
    return (await invoices.get(tx, invoice.id)).settlement
