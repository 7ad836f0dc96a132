"""A refund that was made at the provider itself, in its dashboard: matched with what is here.

failed, or due later, here      it is that one, made by hand: it takes its place
a note promised it, or leaves   it is of that note
neither                         as the setting `provider_refunds` says: a note is issued for it, or it stays
                                without one until it is linked to one
"""

import msgspec

from billing.credit_notes import store as credit_notes
from billing.credit_notes.model import CreditNote, NewCreditNote, Reason
from billing.gateways.model import RefundMade
from billing.invoices import store as invoices
from billing.invoices.model import Invoice
from billing.parties import store as parties
from billing.parties.model import Language, ProviderRefunds, RefundMode
from billing.payments import store as payments
from billing.payments.model import Means, Payment
from billing.settlement.rules import used_with
from kernel import outbox
from kernel.database import Tx, savepoint
from kernel.errors import Conflict, DomainError, Invalid
from kernel.money import Money
from kernel.periods import local_date
from kernel.text import Note
from refunds import store
from refunds.cancel_refund import cancel_locked, let_go
from refunds.credit_invoice import credit_invoice
from refunds.events import RefundLinked, RefundRecordedExternal, RefundSucceeded
from refunds.locked import Locked, lock_invoice, lock_refund, seller_of
from refunds.model import NewLink, Refund, RefundId, Status
from refunds.send_refund import book_link, book_refund

MADE_AT_PROVIDER = {
    Language.FRENCH: Note("Remboursement effectué auprès du prestataire de paiement"),
    Language.ENGLISH: Note("Refunded at the payment provider"),
}


async def refund_made_elsewhere(tx: Tx, payment: Payment, made: RefundMade) -> Refund:
    """It is born succeeded; told of again it is the same. `made` has succeeded at the provider."""
    invoice = await lock_invoice(tx, payment.invoice_id)
    known = await store.of_gateway(tx, made.reference)
    if known is not None:
        return await store.get(tx, known)

    replaced = await _replace(tx, payment, made)
    of_rest = invoice is None and await take_rest(tx, payment, made.amount)
    note = await _note_for(tx, invoice, made.amount, preferred=replaced)
    if note is None and invoice is not None and invoice.settlement.deducted_by is not None:
        invoice = await lock_invoice(tx, invoice.settlement.deducted_by)  # what was paid in advance for
        note = await _note_for(tx, invoice, made.amount, preferred=None)
    if note is None and invoice is not None:
        note = await _issue(tx, invoice, made.amount)
    if not await payments.take_back(tx, payment.id, made.amount):
        raise Conflict(
            "payment_refunded_meanwhile",
            f"{made.amount} more than is left of {payment.id} went back at the provider.",
        )
    return await _record(tx, payment, made, note, retry_of=replaced.id if replaced else None, of_rest=of_rest)


async def take_rest(tx: Tx, payment: Payment, amount: Money) -> bool:
    """Whether that much of it is matched with no invoice, and is now taken out of that."""
    locked = await payments.lock_unallocated(tx, payment.id)
    if locked is None or locked[1] < amount.minor:
        return False
    await payments.allocate(tx, payment.id, amount)
    return True


async def _replace(tx: Tx, payment: Payment, made: RefundMade) -> Refund | None:
    """The refund over this payment that failed or waits, of the same amount: somebody has made it by hand."""
    found = await store.replaceable(tx, payment.id, made.amount)
    if found is None:
        return None
    locked = await lock_refund(tx, found)
    if locked.refund.status is Status.SCHEDULED:
        return await cancel_locked(tx, locked)
    recorded = locked.refund.to(Status.RECORDED_EXTERNAL)
    await store.update(tx, recorded)
    await let_go(tx, locked)
    outbox.publish(tx, RefundRecordedExternal.of(recorded))
    return recorded


async def _note_for(
    tx: Tx, invoice: Invoice | None, amount: Money, *, preferred: Refund | None
) -> CreditNote | None:
    """The note of the refund whose place it takes; else the first that promised it, or that leaves it."""
    if preferred is not None and preferred.credit_note_id is not None:
        return await credit_notes.lock(tx, preferred.credit_note_id)
    if invoice is None:
        return None
    found = await store.note_to_refund(tx, invoice.id, amount)
    return await credit_notes.lock(tx, found) if found else None


async def _issue(tx: Tx, invoice: Invoice, amount: Money) -> CreditNote | None:
    """None where the tenant wants none, or where a note of this amount would first take off what is due."""
    settings = await parties.settings(tx)
    if settings.provider_refunds is ProviderRefunds.LINK_ONLY or invoice.settlement.due:
        return None
    request = NewCreditNote(
        reason=Reason.COMMERCIAL_GESTURE,
        reason_text=MADE_AT_PROVIDER[invoice.language],
        total=amount,
        refund=RefundMode.MANUAL,
    )
    try:
        async with savepoint(tx):
            given = await credit_invoice(tx, invoice.id, request)
            if given.to_refund_by_hand != amount:
                raise Conflict("refund_exceeds_note", "It was not paid with money.")
    except DomainError:
        return None
    return given.credit_note


async def _record(
    tx: Tx,
    payment: Payment,
    made: RefundMade,
    note: CreditNote | None,
    *,
    retry_of: RefundId | None,
    of_rest: bool,
) -> Refund:
    refund = Refund(
        id=RefundId.new(),
        credit_note_id=note.id if note else None,
        payment_id=payment.id,
        customer_id=payment.customer_id,
        invoice_id=note.invoice_id if note else None,
        currency=payment.currency,
        amount=made.amount,
        mode=RefundMode.MANUAL,
        status=Status.SUCCEEDED,
        due_on=tx.now.date(),
        means=Means.PROVIDER,
        reference=None,
        gateway_reference=made.reference,
        failure_code=None,
        created_at=tx.now,
        succeeded_on=None,
        retry_of=retry_of,
        of_rest=of_rest,
    )
    entity = await seller_of(tx, refund, note)
    today = local_date(tx.now, entity.zone)
    refund = msgspec.structs.replace(refund, due_on=today, succeeded_on=today)

    await store.insert(tx, refund)
    used = await _use(tx, note, made.amount) if note else None
    own = await invoices.get(tx, used.invoice_id) if used and used.invoice_id else None
    await book_refund(tx, Locked(refund=refund, note=used, invoice=own, entity=entity), refund)
    outbox.publish(tx, RefundSucceeded.of(refund))
    return refund


async def _use(tx: Tx, note: CreditNote, amount: Money) -> CreditNote:
    used = used_with(note, promised=-min(amount, note.settlement.promised), refunded=amount)
    await credit_notes.update_settlement(tx, used)
    return used


async def link_refund(tx: Tx, refund_id: RefundId, request: NewLink) -> Refund:
    """A refund without a note becomes one of a note that promised its amount, or leaves it."""
    found = await credit_notes.get(tx, request.credit_note)
    invoice = await lock_invoice(tx, found.invoice_id)
    note = await credit_notes.lock(tx, request.credit_note)
    refund = await store.lock(tx, refund_id)
    entity = await seller_of(tx, refund, None)

    check(refund, note)
    if note.legal_entity_id != entity.id:
        raise Invalid("seller_mismatch", f"{note.number} is of another seller.", param="credit_note")
    linked = msgspec.structs.replace(refund, credit_note_id=note.id, invoice_id=note.invoice_id)
    day = local_date(tx.now, entity.zone)

    used = await _use(tx, note, refund.amount)
    await store.link(tx, linked)
    await book_link(
        tx, Locked(refund=linked, note=used, invoice=invoice, entity=entity), linked, booked_on=day
    )
    outbox.publish(tx, RefundLinked.of(linked))
    return linked


def check(refund: Refund, note: CreditNote) -> None:
    if refund.credit_note_id is not None or refund.of_rest:
        raise Conflict("refund_linked", "It is known already what the refund is of.")
    if refund.status is not Status.SUCCEEDED:
        raise Conflict("refund_state", f"A {refund.status} refund is not linked to a note.")
    if refund.customer_id != note.customer_id:
        raise Invalid("customer_mismatch", f"{note.number} is of another customer.", param="credit_note")
    if refund.currency != note.currency:
        raise Invalid(
            "currency_mismatch",
            f"The refund is in {refund.currency}, {note.number} in {note.currency}.",
            param="credit_note",
        )
    most = note.settlement.promised + note.settlement.left
    if refund.amount > most:
        raise Conflict(
            "refund_exceeds_note",
            f"{most} of {note.number} can still go back, and {refund.amount} went.",
            param="credit_note",
        )
