"""Charging an invoice through a gateway, in three steps: write the intent, call, write the answer.

The payment takes the id of the event that called for it, so that asking twice is one payment; and the
gateway is asked what it knows of that id before anything is sent again.
"""

from billing.dunning.begin import begin
from billing.gateways.model import NOWHERE, ChargeIntent, Gateway, GatewayRefused, Outcome
from billing.gateways.model import Status as OutcomeStatus
from billing.invoices import store as invoices
from billing.invoices.model import Invoice, InvoiceId
from billing.parties import store as parties
from billing.payments import store
from billing.payments.events import PaymentFailed, PaymentRequested
from billing.payments.model import Means, Payment, PaymentId, Status
from billing.payments.received import receive
from billing.payments.unallocated import keep_after_all
from billing.settlement.settle import settle
from kernel import outbox
from kernel.database import Door, Tx
from kernel.errors import Conflict
from kernel.ids import EventId
from kernel.money import zero
from kernel.periods import local_date


async def request_payment(tx: Tx, invoice_id: InvoiceId) -> Invoice:
    """Ask for the customer's payment method to be charged for all that is due."""
    invoice = await invoices.lock(tx, invoice_id)
    customer = await parties.customer(tx, invoice.customer_id)

    if invoice.settlement.pending:
        raise Conflict(
            "payment_in_flight",
            f"A payment of {invoice.settlement.pending} on {invoice.number} is under way.",
        )
    if not invoice.settlement.due:
        raise Conflict("nothing_due", f"Nothing is due on {invoice.number}.")
    if customer.payment_method is None:
        raise Conflict(
            "payment_method_missing",
            "The customer has no payment method. Set one with PATCH /v1/customers/{id}.",
        )

    outbox.publish(tx, PaymentRequested(invoice_id=invoice.id, customer_id=customer.id))
    return invoice


async def collect_payment(door: Door, gateway: Gateway, event_id: EventId, invoice_id: InvoiceId) -> bool:
    """False while the gateway has not decided yet: ask again later."""
    payment_id = PaymentId(event_id.bytes)
    async with door.open() as tx:
        payment = await start_payment(tx, gateway.name, payment_id, invoice_id)
    if payment is None or payment.status is not Status.PENDING:
        return True
    return await carry_out(door, gateway, payment)


async def carry_out(door: Door, gateway: Gateway, payment: Payment) -> bool:
    """Look the intent up, send it if the gateway knows nothing of it, and write what was said."""
    intent = intent_of(payment)
    outcome = await gateway.find_charge(intent) or await gateway.charge(intent)

    async with door.open() as tx:
        await finish_payment(tx, payment, outcome)
    return outcome.status is not OutcomeStatus.PENDING


async def start_payment(tx: Tx, gateway: str, payment_id: PaymentId, invoice_id: InvoiceId) -> Payment | None:
    """The intent, written once. None when there is nothing to charge or nothing to charge it to."""
    invoice = await invoices.lock(tx, invoice_id)
    customer = await parties.customer(tx, invoice.customer_id)
    earlier = await store.find(tx, payment_id)

    due = invoice.settlement.due - invoice.settlement.pending
    if earlier is not None or not due:
        return earlier
    if customer.payment_method is None:
        await begin(tx, invoice, charge_failed=True)
        return None
    if gateway == NOWHERE:
        raise GatewayRefused("gateway_missing")
    payment = Payment(
        id=payment_id,
        customer_id=customer.id,
        invoice_id=invoice.id,
        currency=invoice.currency,
        amount=due,
        refunded=zero(invoice.currency),
        disputed=zero(invoice.currency),
        charged_back=zero(invoice.currency),
        status=Status.PENDING,
        means=Means.PROVIDER,
        reference=None,
        received_on=None,
        gateway=gateway,
        gateway_reference=None,
        payment_method=customer.payment_method,
        failure_code=None,
        created_at=tx.now,
    )

    await store.insert(tx, payment)
    await settle(tx, invoice, pending=due)
    return payment


def intent_of(payment: Payment) -> ChargeIntent:
    """What the gateway is sent, and asked for."""
    return ChargeIntent(
        id=payment.id,
        amount=payment.amount,
        payment_method=payment.payment_method or "",
        customer=None,
        requested_at=payment.id.made_at,
    )


async def finish_payment(tx: Tx, intent: Payment, outcome: Outcome) -> None:
    """Write what the gateway said. The second time is boring.

    One that had failed may turn out to have succeeded: its money is then matched as if it came today, or
    is on no invoice when its own has no room for it any more.
    """
    assert intent.invoice_id is not None, "only what an invoice asks for is charged"
    invoice = await invoices.lock(tx, intent.invoice_id)
    entity = await parties.legal_entity(tx, invoice.legal_entity_id)
    payment = await store.get(tx, intent.id)

    if not moves(payment.status, outcome.status):
        return
    today = local_date(tx.now, entity.zone)
    was_pending = payment.status is Status.PENDING
    if not was_pending and payment.amount > invoice.settlement.due - invoice.settlement.pending:
        await keep_after_all(tx, payment, outcome.reference, entity)
        return
    succeeded = outcome.status is OutcomeStatus.SUCCEEDED
    after = payment.to(
        Status.SUCCEEDED if succeeded else Status.FAILED,
        gateway_reference=outcome.reference,
        failure_code=outcome.failure_code,
        received_on=today if succeeded else None,
    )

    await store.update_outcome(tx, after)
    if succeeded:
        await receive(tx, invoice, after, was_pending=was_pending)
    else:
        after_failure = await settle(tx, invoice, pending=-payment.amount)
        await begin(tx, after_failure, charge_failed=True)
        outbox.publish(
            tx,
            PaymentFailed(
                payment_id=payment.id,
                invoice_id=invoice.id,
                customer_id=invoice.customer_id,
                failure_code=outcome.failure_code or "unknown",
            ),
        )


def moves(ours: Status, theirs: OutcomeStatus) -> bool:
    """Whether what the gateway says takes a payment further. It never goes back."""
    if ours is Status.FAILED:
        return theirs is OutcomeStatus.SUCCEEDED
    return ours is Status.PENDING and theirs is not OutcomeStatus.PENDING
