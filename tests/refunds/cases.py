"""A subscription at 29.00 a month, billed 34.80 from 15 January to 15 February, and ways to pay for it."""

from datetime import UTC, datetime

from billing.gateways.model import Outcome, RefundMade
from billing.gateways.model import Status as OutcomeStatus
from billing.invoices import store as invoices
from billing.invoices.model import Invoice, InvoiceSettlement
from billing.payments import store as payments
from billing.payments.collect import finish_payment
from billing.payments.model import Means, Payment, PaymentId, Status
from billing.settlement.settle import settle
from kernel.database import Tx
from kernel.structs import Value
from subscriptions.model import Subscription
from tests.makers import euros
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
    intent = await an_intent(tx, invoice, minor)
    charged = Outcome(status=OutcomeStatus.SUCCEEDED, reference=f"ch_{intent.id}")
    await finish_payment(tx, intent, charged)
    return intent


async def an_intent(tx: Tx, invoice: Invoice, minor: int | None) -> Payment:
    locked = await invoices.lock(tx, invoice.id)
    amount = locked.settlement.due if minor is None else euros(minor)
    payment = Payment(
        id=PaymentId.new(),
        customer_id=invoice.customer_id,
        invoice_id=invoice.id,
        currency=invoice.currency,
        amount=amount,
        refunded=euros(0),
        disputed=euros(0),
        charged_back=euros(0),
        status=Status.PENDING,
        means=Means.PROVIDER,
        reference=None,
        received_on=None,
        gateway="sandbox",
        gateway_reference=None,
        payment_method="pm_sandbox_ok",
        failure_code=None,
        created_at=tx.now,
    )
    await payments.insert(tx, payment)
    await settle(tx, locked, pending=amount)
    return payment


def declined(reference: str = "re_1") -> Outcome:
    return Outcome(status=OutcomeStatus.FAILED, reference=reference, failure_code="refund_declined")


def gone(reference: str = "re_1") -> Outcome:
    return Outcome(status=OutcomeStatus.SUCCEEDED, reference=reference)


def made(payment: Payment, minor: int, reference: str = "re_9") -> RefundMade:
    """A refund that the provider has in its books, and that carries no id of ours."""
    return RefundMade(
        reference=reference,
        our_id=None,
        charge=payment.gateway_reference or "",
        amount=euros(minor),
        status=OutcomeStatus.SUCCEEDED,
        failure_code=None,
        created_at=payment.created_at,
    )


async def settlement_of(tx: Tx, invoice: Invoice) -> InvoiceSettlement:
    return (await invoices.get(tx, invoice.id)).settlement
