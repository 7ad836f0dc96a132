"""Sending a refund to the provider, in three steps: the intent is there; call; write the answer.

The provider keeps our id, so the same refund cannot be made twice, and it is asked what it knows of that
id before anything is sent: a worker that died after the call finds its answer there.
"""

from datetime import date

import msgspec

from billing.credit_notes import store as credit_notes
from billing.gateways.model import Gateway, Outcome, RefundIntent
from billing.gateways.model import Status as OutcomeStatus
from billing.ledger import postings
from billing.ledger import store as ledger
from billing.ledger.book import release_vat, release_vat_of_note
from billing.ledger.model import Holder, Source, holder_of
from billing.parties.model import RefundMode
from billing.payments import store as payments
from billing.payments.model import Payment
from kernel import outbox
from kernel.database import Door, Tx
from kernel.money import Money
from kernel.periods import local_date
from refunds import store
from refunds.cancel_refund import cancel_locked
from refunds.events import RefundFailed, RefundSucceeded
from refunds.locked import Locked, lock_refund, seller_of, use_note
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


async def ask_again(door: Door, gateway: Gateway, refund_id: RefundId) -> None:
    """What succeeded may have failed since: the bank sent it back, or the account is closed."""
    async with door.open() as tx:
        refund = await store.get(tx, refund_id)
        payment = await payments.get(tx, refund.payment_id) if refund.payment_id else None
    if payment is None or refund.status is not Status.SUCCEEDED:
        return

    outcome = await gateway.find_refund(intent_of(refund, payment))

    if outcome is not None:
        async with door.open() as tx:
            await finish_refund(tx, refund_id, outcome)


async def start_refund(tx: Tx, refund_id: RefundId) -> tuple[Refund, Payment]:
    """A scheduled refund whose day has come is pending from here on."""
    refund = await store.lock(tx, refund_id)
    assert refund.payment_id is not None, "only refunds on a payment are sent"
    payment = await payments.get(tx, refund.payment_id)

    if refund.status is Status.SCHEDULED and await _is_due(tx, refund):
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


async def _is_due(tx: Tx, refund: Refund) -> bool:
    """It may have been moved to another day since its job was left, or wait for the end of a dispute."""
    note = await credit_notes.get(tx, refund.credit_note_id) if refund.credit_note_id else None
    entity = await seller_of(tx, refund, note)
    return not refund.blocked and refund.due_on <= local_date(tx.now, entity.zone)


async def finish_refund(tx: Tx, refund_id: RefundId, outcome: Outcome) -> None:
    """Write what the provider said. The second time is boring; what is final here stays as it is."""
    locked = await lock_refund(tx, refund_id)

    match locked.refund.status, outcome.status:
        case Status.PENDING, OutcomeStatus.SUCCEEDED:
            await _succeed(tx, locked, outcome)
        case Status.PENDING, OutcomeStatus.FAILED:
            await _fail(tx, locked, outcome)
        case Status.SUCCEEDED, OutcomeStatus.FAILED:
            await _fail_late(tx, locked, outcome)


async def _succeed(tx: Tx, locked: Locked, outcome: Outcome) -> None:
    refund = locked.refund
    today = local_date(tx.now, locked.entity.zone)

    succeeded = refund.to(Status.SUCCEEDED, gateway_reference=outcome.reference, succeeded_on=today)

    await store.update(tx, succeeded)
    locked = await use_note(tx, locked, held=-refund.amount, refunded=refund.amount)
    await book_refund(tx, locked, succeeded)
    outbox.publish(tx, RefundSucceeded.of(succeeded))


async def _fail(tx: Tx, locked: Locked, outcome: Outcome) -> None:
    """The note goes on holding the amount until somebody decides what to do."""
    failed = locked.refund.to(
        Status.FAILED,
        gateway_reference=outcome.reference or None,
        failure_code=outcome.failure_code or "unknown",
    )
    await store.update(tx, failed)
    outbox.publish(tx, RefundFailed.of(failed, failure_code=failed.failure_code, was_succeeded=False))


async def _fail_late(tx: Tx, locked: Locked, outcome: Outcome) -> None:
    """The money came back to us: booked the other way round today, and held again until somebody decides."""
    refund = locked.refund
    today = local_date(tx.now, locked.entity.zone)

    failed = refund.to(Status.FAILED, failure_code=outcome.failure_code or "unknown", succeeded_on=None)

    await store.update(tx, failed)
    locked = await use_note(tx, locked, held=refund.amount, refunded=-refund.amount)
    await book_return(tx, locked, failed, booked_on=today)
    outbox.publish(tx, RefundFailed.of(failed, failure_code=failed.failure_code, was_succeeded=True))
    if locked.note is None and refund.mode is RefundMode.MANUAL:
        # Made at the provider, of nothing that was promised here: there is nothing to decide.
        await cancel_locked(tx, msgspec.structs.replace(locked, refund=failed))


async def book_refund(tx: Tx, locked: Locked, refund: Refund) -> None:
    """Money went back: out of the bank, and VAT that had fallen due with it. The note is as it is now."""
    assert refund.succeeded_on is not None, "money that went back went on a day"
    label = f"Refund of {_about(locked)}"
    await _book(tx, locked, refund, refund.amount, label=label, booked_on=refund.succeeded_on)


async def book_return(tx: Tx, locked: Locked, refund: Refund, *, booked_on: date) -> None:
    """It did not arrive: into the bank again, and its VAT is due again."""
    label = f"Refund of {_about(locked)} came back"
    await _book(tx, locked, refund, -refund.amount, label=label, booked_on=booked_on)


async def book_link(tx: Tx, locked: Locked, refund: Refund, *, booked_on: date) -> None:
    """What went back of a payment alone is of a note now, in whose books it belongs."""
    assert locked.note is not None, "it has been linked to it"
    owed = postings.in_one_transaction(
        (holder, posting)
        for holder, amount in (
            (_of_payment(locked, refund), -refund.amount),
            (_of_note(locked), refund.amount),
        )
        for posting in postings.customer_owes(amount)
    )
    label = f"Refund of {_about(locked)}, linked"
    await ledger.insert(tx, owed, Source.REFUND, refund.id, label=label, booked_on=booked_on)
    await _release(tx, locked, refund, booked_on=booked_on)


async def _book(
    tx: Tx, locked: Locked, refund: Refund, amount: Money, *, label: str, booked_on: date
) -> None:
    holder = _of_note(locked) if locked.note is not None else _of_payment(locked, refund)
    booked = postings.in_one_transaction((holder, posting) for posting in postings.money_given_back(amount))
    await ledger.insert(tx, booked, Source.REFUND, refund.id, label=label, booked_on=booked_on)
    await _release(tx, locked, refund, booked_on=booked_on)


async def _release(tx: Tx, locked: Locked, refund: Refund, *, booked_on: date) -> None:
    if locked.note is None:
        return
    await release_vat_of_note(tx, locked.note, Source.REFUND, refund.id, booked_on=booked_on)
    if locked.invoice is not None:
        await release_vat(tx, locked.invoice, Source.REFUND, refund.id, booked_on=booked_on)


def _about(locked: Locked) -> str:
    if locked.invoice is not None:
        return locked.invoice.number
    return locked.note.number if locked.note is not None else "a payment"


def _of_note(locked: Locked) -> Holder:
    assert locked.note is not None, "asked for where there is one"
    return holder_of(locked.note)


def _of_payment(locked: Locked, refund: Refund) -> Holder:
    return Holder(
        legal_entity_id=locked.entity.id,
        customer_id=refund.customer_id,
        currency=refund.currency,
        payment_id=refund.payment_id,
    )
