"""Giving back what is left of a credit note, later than it was issued."""

from billing.credit_notes import store as credit_notes
from billing.credit_notes.model import CreditNoteId
from billing.parties import store as parties
from billing.payments import store as payments
from billing.settlement.rules import used_with
from kernel import outbox
from kernel.database import Tx
from kernel.money import zero
from kernel.periods import local_date
from refunds import rules
from refunds.events import CreditNoteRefundAsked
from refunds.give_back import check_disputed, send_parts
from refunds.locked import lock_invoice
from refunds.model import GivenBack, NewNoteRefund


async def refund_note(tx: Tx, credit_note_id: CreditNoteId, request: NewNoteRefund) -> GivenBack:
    """Over the payments of the invoices that it is on, newest first, or in another mode."""
    found = await credit_notes.get(tx, credit_note_id)
    await lock_invoice(tx, found.invoice_id)
    note = await credit_notes.lock(tx, credit_note_id)
    entity = await parties.legal_entity(tx, note.legal_entity_id)
    settings = await parties.settings(tx)
    carries = rules.through_provider(request.mode)
    paid_by = await payments.of_credit_note(tx, note.id)

    today = local_date(tx.now, entity.zone)
    terms = rules.terms_of(settings, asked=request.mode, refund_on=request.refund_on, today=today)
    amount = rules.to_give(note, request.mode, request.amount)
    spread = rules.spread(amount, paid_by if carries else [])
    carried = amount - spread.by_hand if carries else zero(note.currency)
    promised = rules.promised_by(note, request.mode, amount, spread)

    after = used_with(note, held=carried, promised=promised)
    await credit_notes.update_settlement(tx, after)
    refunds = await send_parts(tx, note, spread.parts, terms, entity)
    if any(payment.in_dispute for payment in paid_by):
        await check_disputed(tx, after)
    by_hand = max(promised, zero(note.currency))
    outbox.publish(
        tx,
        CreditNoteRefundAsked(
            credit_note_id=note.id,
            invoice_id=note.invoice_id,
            customer_id=note.customer_id,
            mode=request.mode,
            amount=amount,
            by_hand=by_hand,
        ),
    )
    return GivenBack(credit_note=after, refunds=refunds, to_refund_by_hand=by_hand)
