"""Answering a wrong credit note by an invoice: it was issued, so that it is never erased."""

from billing.credit_notes import store as credit_notes
from billing.credit_notes.events import CreditNoteReversed
from billing.credit_notes.model import CreditNote, CreditNoteId, NewReversal
from billing.invoices import store as invoices
from billing.invoices.issue import issue_invoice
from billing.invoices.model import Invoice, InvoiceKind
from billing.invoices.reversal import reversal_of
from billing.parties import store as parties
from billing.released import store as released_lines
from billing.released.bill_again import mark_billed
from billing.released.rules import check_free
from billing.settlement.apply import apply_note
from billing.settlement.model import Reversal
from billing.settlement.rules import used_with
from kernel import outbox
from kernel.database import Tx
from kernel.errors import Conflict


async def reverse_note(tx: Tx, credit_note_id: CreditNoteId, request: NewReversal) -> Reversal:
    """What is left of the note, and what was promised of it, pays the invoice at once; the rest is due.

    The invoice bills what the note released, unless that has been billed: then there is nothing to take back.
    """
    found = await credit_notes.get(tx, credit_note_id)
    own = await invoices.lock(tx, found.invoice_id) if found.invoice_id else None
    released = await released_lines.lock_of_note(tx, credit_note_id)
    note = await credit_notes.lock(tx, credit_note_id)
    customer = await parties.customer(tx, str(note.customer_id))
    entity = await parties.legal_entity(tx, note.legal_entity_id)

    check(note, own)
    check_free(released)
    lines = {line.id: line for line in own.lines} if own else {}
    to_issue = reversal_of(note, request, lines=lines, customer=customer, entity=entity)

    invoice = await issue_invoice(tx, to_issue)
    await credit_notes.mark_reversed(tx, note.id, by=invoice.id)
    await mark_billed(tx, released, invoice)
    note = used_with(note, promised=-note.settlement.promised)
    if note.settlement.left:
        note, invoice = await apply_note(tx, note, invoice, note.settlement.left)
    outbox.publish(
        tx,
        CreditNoteReversed(
            credit_note_id=note.id,
            invoice_id=note.invoice_id,
            reversal_id=invoice.id,
            customer_id=note.customer_id,
            amount=note.total,
        ),
    )
    return Reversal(invoice=invoice, credit_note=await credit_notes.get(tx, note.id))


def check(note: CreditNote, own: Invoice | None) -> None:
    if note.reversed_by is not None:
        raise Conflict("already_reversed", f"{note.number} was taken back by {note.reversed_by} already.")
    if note.settlement.held:
        raise Conflict(
            "refund_under_way",
            f"{note.settlement.held} of {note.number} is held by refunds that are on their way or have "
            "failed. Cancel them, or wait until they have succeeded.",
        )
    if note.corrected_by is not None:
        raise Conflict(
            "credit_note_not_reversible",
            f"Another invoice was issued with {note.number} in place of {note.invoice_number}: fix that one.",
        )
    if note.rebate is not None:
        raise Conflict(
            "credit_note_not_reversible",
            f"{note.number} is a rebate: what it gave too much is taken back when its programme is settled.",
        )
    if own is not None and own.kind is InvoiceKind.DEPOSIT:
        raise Conflict(
            "credit_note_not_reversible",
            f"{note.number} is on the deposit invoice {own.number}: issue another deposit invoice.",
        )
