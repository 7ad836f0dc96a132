"""Recording a part of a credit note that went back past us."""

from billing.credit_notes import store as credit_notes
from billing.credit_notes.model import CreditNote, CreditNoteId
from billing.parties import store as parties
from billing.parties.model import RefundMode
from billing.payments.model import Means
from billing.payments.record import check_day
from billing.settlement.rules import used_with
from kernel import outbox
from kernel.database import Tx
from kernel.errors import Conflict, Invalid
from kernel.money import Money
from kernel.periods import local_date
from refunds import store
from refunds.events import RefundSucceeded
from refunds.locked import Locked, lock_invoice
from refunds.model import NewManualRefund, Refund, RefundId, Status
from refunds.send_refund import book_refund


async def record_refund(tx: Tx, credit_note_id: CreditNoteId, request: NewManualRefund) -> Refund:
    """It is born succeeded: it lowers what is promised first, then what is left as balance."""
    found = await credit_notes.get(tx, credit_note_id)
    invoice = await lock_invoice(tx, found.invoice_id)
    note = await credit_notes.lock(tx, credit_note_id)
    entity = await parties.legal_entity(tx, note.legal_entity_id)
    today = local_date(tx.now, entity.zone)

    amount = check(note, request)
    day = request.refunded_on or today
    check_day(day, today=today, param="refunded_on")
    refund = Refund(
        id=RefundId.new(),
        credit_note_id=note.id,
        payment_id=None,
        customer_id=note.customer_id,
        invoice_id=note.invoice_id,
        currency=note.currency,
        amount=amount,
        mode=RefundMode.MANUAL,
        status=Status.SUCCEEDED,
        due_on=day,
        means=Means(request.means),
        reference=request.reference,
        gateway_reference=None,
        failure_code=None,
        created_at=tx.now,
        succeeded_on=day,
    )
    used = used_with(note, promised=-min(amount, note.settlement.promised), refunded=amount)

    await store.insert(tx, refund)
    await credit_notes.update_settlement(tx, used)
    await book_refund(tx, Locked(refund=refund, note=used, invoice=invoice, entity=entity), refund)
    outbox.publish(tx, RefundSucceeded.of(refund))
    return refund


def check(note: CreditNote, request: NewManualRefund) -> Money:
    """The amount to record: all that is promised, or at most that and the balance."""
    most = note.settlement.promised + note.settlement.left
    amount = note.settlement.promised if request.amount is None else request.amount
    if amount.currency != note.currency:
        raise Invalid(
            "currency_mismatch",
            f"The refund is in {amount.currency}, the credit note in {note.currency}.",
            param="amount",
        )
    if amount.minor <= 0 and request.amount is not None:
        raise Invalid("refund_not_positive", "A refund is more than zero.", param="amount")
    if amount > most or not amount:
        raise Conflict(
            "refund_exceeds_note",
            f"{most} of {note.number} can still go back by hand; {note.settlement.held} is held by refunds "
            "that are under way or have failed.",
            param="amount",
        )
    return amount
