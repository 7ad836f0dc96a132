"""Sending a refund to the provider, in three steps: the intent is there; call; write the answer.

The provider keeps our id, so the same refund cannot be made twice, and it is asked what it knows of that
id before anything is sent: a worker that died after the call finds its answer there.
"""

from billing.credit_notes import store as credit_notes
from billing.credit_notes.model import CreditNote
from billing.gateways.model import Gateway, Outcome, RefundIntent
from billing.gateways.model import Status as OutcomeStatus
from billing.invoices import store as invoices
from billing.invoices.model import Invoice, InvoiceId
from billing.ledger import postings
from billing.ledger.book import book, release_vat
from billing.ledger.model import Source
from billing.parties import store as parties
from billing.payments import store as payments
from billing.payments.model import Payment
from billing.settlement.rules import used_with
from kernel import outbox
from kernel.database import Door, Tx
from kernel.periods import local_date
from refunds import store
from refunds.events import RefundFailed, RefundSucceeded
from refunds.model import Refund, RefundId, Status


async def send_refund(door: Door, gateway: Gateway, refund_id: RefundId) -> bool:
    """False while the provider has not decided yet: ask again later."""
    async with door.open() as tx:
        refund, payment = await start_refund(tx, refund_id)
    if refund.status is not Status.PENDING:
        return True

    intent = intent_of(refund, payment)
    outcome = await gateway.find_refund(intent) or await gateway.refund(intent)

    async with door.open() as tx:
        await finish_refund(tx, refund_id, outcome)
    return outcome.status is not OutcomeStatus.PENDING


async def start_refund(tx: Tx, refund_id: RefundId) -> tuple[Refund, Payment]:
    """A scheduled refund whose day has come is pending from here on."""
    refund = await store.lock(tx, refund_id)
    assert refund.payment_id is not None, "only refunds on a payment are sent"
    payment = await payments.get(tx, refund.payment_id)

    if refund.status is Status.SCHEDULED:
        refund = refund.to(Status.PENDING)
        await store.update(tx, refund)
    return refund, payment


def intent_of(refund: Refund, payment: Payment) -> RefundIntent:
    """What the gateway is sent, and asked for."""
    assert payment.gateway_reference is not None, "a payment that succeeded has a reference"
    return RefundIntent(
        id=refund.id,
        charge=payment.gateway_reference,
        amount=refund.amount,
        requested_at=refund.id.made_at,
    )


async def finish_refund(tx: Tx, refund_id: RefundId, outcome: Outcome) -> None:
    """Write what the provider said. The second time is boring."""
    found = await store.get(tx, refund_id)
    invoice = await lock_invoice(tx, found.invoice_id)
    note = await credit_notes.lock(tx, found.credit_note_id)
    refund = await store.lock(tx, refund_id)

    if refund.status is not Status.PENDING or outcome.status is OutcomeStatus.PENDING:
        return
    if outcome.status is OutcomeStatus.SUCCEEDED:
        await _succeed(tx, invoice, note, refund, outcome)
    else:
        await _fail(tx, refund, outcome)


async def lock_invoice(tx: Tx, invoice_id: InvoiceId | None) -> Invoice | None:
    """What a rebate over many invoices gives back is in the books of none of them."""
    return await invoices.lock(tx, invoice_id) if invoice_id else None


async def _succeed(
    tx: Tx, invoice: Invoice | None, note: CreditNote, refund: Refund, outcome: Outcome
) -> None:
    entity = await parties.legal_entity(tx, note.legal_entity_id)
    today = local_date(tx.now, entity.zone)

    succeeded = refund.to(Status.SUCCEEDED, gateway_reference=outcome.reference, succeeded_on=today)
    used = used_with(note, held=-refund.amount, refunded=refund.amount)

    await store.update(tx, succeeded)
    await credit_notes.update_settlement(tx, used)
    await book_refund(tx, note, invoice, succeeded)
    outbox.publish(
        tx,
        RefundSucceeded(
            refund_id=refund.id, credit_note_id=refund.credit_note_id, customer_id=refund.customer_id
        ),
    )


async def _fail(tx: Tx, refund: Refund, outcome: Outcome) -> None:
    """The note goes on holding the amount until somebody decides what to do."""
    failure_code = outcome.failure_code or "unknown"
    await store.update(tx, refund.to(Status.FAILED, failure_code=failure_code))
    outbox.publish(
        tx,
        RefundFailed(
            refund_id=refund.id,
            credit_note_id=refund.credit_note_id,
            customer_id=refund.customer_id,
            failure_code=failure_code,
        ),
    )


async def book_refund(tx: Tx, note: CreditNote, invoice: Invoice | None, refund: Refund) -> None:
    """Money went back: out of the bank, and VAT that had fallen due with it."""
    assert refund.succeeded_on is not None, "money that went back went on a day"
    await book(
        tx,
        note,
        Source.REFUND,
        refund.id,
        postings.money_given_back(refund.amount),
        label=f"Refund of {invoice.number if invoice else note.number}",
        booked_on=refund.succeeded_on,
    )
    if invoice is not None:
        await release_vat(tx, invoice, Source.REFUND, refund.id, booked_on=refund.succeeded_on)
