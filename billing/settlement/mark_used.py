"""Marking a credit note used by hand: it was settled where we do not see it, and somebody says so."""

from billing.credit_notes import store as credit_notes
from billing.credit_notes.events import CreditNoteMarkedUsed
from billing.credit_notes.model import CreditNote, CreditNoteId
from billing.invoices import store as invoices
from billing.ledger import postings
from billing.ledger.book import book, release_vat, release_vat_of_note
from billing.ledger.model import Source
from billing.parties import store as parties
from billing.settlement.match import amount_of_note, check_undisputed
from billing.settlement.model import NewUse
from billing.settlement.rules import used_with
from kernel import outbox
from kernel.database import Tx
from kernel.periods import local_date


async def mark_used(tx: Tx, credit_note_id: CreditNoteId, request: NewUse) -> CreditNote:
    """What is held by refunds or promised is not left, and cannot be marked."""
    found = await credit_notes.get(tx, credit_note_id)
    own = await invoices.lock(tx, found.invoice_id) if found.invoice_id else None
    note = await credit_notes.lock(tx, credit_note_id)
    entity = await parties.legal_entity(tx, note.legal_entity_id)

    amount = amount_of_note(note, request.amount, param="amount").amount
    await check_undisputed(tx, [note.id])
    used = used_with(note, marked=amount)
    booked_on = max(local_date(tx.now, entity.zone), note.issued_on)

    await credit_notes.update_settlement(tx, used)
    await book(
        tx,
        note,
        Source.USE,
        note.id,
        postings.used_elsewhere(amount),
        label=f"{note.number} marked used",
        booked_on=booked_on,
    )
    await release_vat_of_note(tx, used, Source.USE, note.id, booked_on=booked_on)
    if own is not None:
        await release_vat(tx, own, Source.USE, note.id, booked_on=booked_on)
    outbox.publish(
        tx,
        CreditNoteMarkedUsed(
            credit_note_id=note.id,
            invoice_id=note.invoice_id,
            customer_id=note.customer_id,
            amount=amount,
            reason=request.reason,
        ),
    )
    return used
