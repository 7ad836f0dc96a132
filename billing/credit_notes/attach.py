"""Attaching a credit note that is on no invoice to those it is about, and detaching it again.

It is a reference, and no more: nothing is taken off the invoice, and the page stays as it was issued.
Applying the note to an invoice is another act.
"""

from collections.abc import Sequence

from billing.credit_notes import store
from billing.credit_notes.events import CreditNoteAttached, CreditNoteDetached
from billing.credit_notes.model import CreditNote, CreditNoteId, NewAttachment
from billing.invoices import store as invoices
from billing.invoices.model import InvoiceId
from billing.settlement.match import check_alike
from kernel import outbox
from kernel.database import Tx
from kernel.errors import Conflict


async def attach(tx: Tx, credit_note_id: CreditNoteId, request: NewAttachment) -> CreditNote:
    """What is attached already stays so."""
    note = await store.lock(tx, credit_note_id)
    named = [await invoices.get(tx, invoice_id) for invoice_id in dict.fromkeys(request.invoices)]

    check(note)
    check_alike([note, *named])
    new = [invoice.id for invoice in named if invoice.id not in _attached(note)]

    await store.insert_references(tx, note.id, new)
    outbox.publish(
        tx,
        *(
            CreditNoteAttached(credit_note_id=note.id, invoice_id=invoice_id, customer_id=note.customer_id)
            for invoice_id in new
        ),
    )
    return await store.get(tx, note.id)


async def detach(tx: Tx, credit_note_id: CreditNoteId, request: NewAttachment) -> CreditNote:
    note = await store.lock(tx, credit_note_id)
    named = list(dict.fromkeys(request.invoices))

    check(note)
    _check_attached(note, named)

    await store.delete_references(tx, note.id, named)
    outbox.publish(
        tx,
        *(
            CreditNoteDetached(credit_note_id=note.id, invoice_id=invoice_id, customer_id=note.customer_id)
            for invoice_id in named
        ),
    )
    return await store.get(tx, note.id)


def check(note: CreditNote) -> None:
    if note.invoice_id is not None or note.rebate is not None:
        raise Conflict(
            "credit_note_on_invoice",
            f"{note.number} is on the invoices that it credits, and stays there.",
        )


def _attached(note: CreditNote) -> set[InvoiceId]:
    return {InvoiceId.parse(reference.id) for reference in note.references}


def _check_attached(note: CreditNote, named: Sequence[InvoiceId]) -> None:
    attached = _attached(note)
    for each in named:
        if each not in attached:
            raise Conflict("credit_note_not_attached", f"{note.number} is not attached to {each}.")
