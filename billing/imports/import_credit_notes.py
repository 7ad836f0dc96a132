"""Importing credit notes that were issued elsewhere: nothing is sent or numbered, and no money goes back."""

from collections.abc import Sequence

from billing.credit_notes import store as credit_notes
from billing.credit_notes.model import CreditNote
from billing.imports import rules, store
from billing.imports.crediting import imported_on_invoice, imported_on_no_invoice
from billing.imports.events import CreditNoteImported
from billing.imports.model import ImportedCreditNotes, NewImportedCreditNote, NewImportedCreditNotes
from billing.invoices import store as invoices
from billing.invoices.model import Invoice, InvoiceId, InvoiceKind
from billing.ledger import postings
from billing.ledger.book import book, release_vat, release_vat_of_note
from billing.ledger.model import Source
from billing.parties import store as parties
from billing.settlement import store as settlements
from billing.settlement.settle import settle
from kernel import outbox
from kernel.database import Tx
from kernel.errors import Conflict, DomainError, Invalid
from kernel.periods import local_date


async def import_credit_notes(tx: Tx, request: NewImportedCreditNotes) -> ImportedCreditNotes:
    """All of them, or none: a refusal says which it is about. Several may be on one invoice."""
    found = await _lock_invoices(tx, request.credit_notes)

    imported = []
    for place, each in enumerate(request.credit_notes):
        try:
            imported.append(await _import(tx, each, found))
        except DomainError as error:
            raise rules.at_place(error, place, "credit_notes") from None

    written = {note.id: note for note in await credit_notes.find_many(tx, [note.id for note in imported])}
    return ImportedCreditNotes(credit_notes=tuple(written[note.id] for note in imported))


async def _lock_invoices(tx: Tx, requests: Sequence[NewImportedCreditNote]) -> dict[InvoiceId, Invoice]:
    ids = {each.invoice for each in requests if each.invoice is not None}
    return {invoice.id: invoice for invoice in await invoices.lock_many(tx, list(ids))} if ids else {}


async def _import(tx: Tx, request: NewImportedCreditNote, found: dict[InvoiceId, Invoice]) -> CreditNote:
    """`found` are the invoices as the notes before this one have left them."""
    if (request.invoice is None) == (request.customer is None):
        raise Invalid(
            "credit_note_of", "Name the `invoice` that it is on, or the `customer` of one that is on none."
        )
    if request.invoice is None:
        return await _import_on_none(tx, request)
    invoice = found[request.invoice]
    entity = await parties.legal_entity(tx, invoice.legal_entity_id)

    note = imported_on_invoice(
        request,
        invoice,
        earlier=await credit_notes.credited_lines(tx, invoice.id),
        earlier_taxes=await credit_notes.taxes_of_invoice(tx, invoice.id),
        entity=entity,
        now=tx.now,
    )

    await _write(tx, note)
    if note.settlement.applied:
        await settlements.insert(tx, invoice.id, note.settlement.applied, credit_note_id=note.id, is_own=True)
    after = await settle(tx, invoice, offset=note.settlement.applied, credited=note.total)
    await _book(tx, note, invoice.kind)
    booked_on = max(local_date(tx.now, entity.zone), invoice.issued_on)
    await release_vat(tx, after, Source.IMPORT, note.id, booked_on=booked_on)
    found[invoice.id] = after
    return note


async def _import_on_none(tx: Tx, request: NewImportedCreditNote) -> CreditNote:
    customer = await parties.customer(tx, request.customer or "")
    entity = await parties.legal_entity(tx, customer.legal_entity_id)

    note = imported_on_no_invoice(request, customer, entity, now=tx.now)

    await _write(tx, note)
    await _book(tx, note, InvoiceKind.STANDARD)
    booked_on = local_date(tx.now, entity.zone)
    await release_vat_of_note(tx, note, Source.IMPORT, note.id, booked_on=booked_on)
    return note


async def _write(tx: Tx, note: CreditNote) -> None:
    if not await store.insert_credit_note(tx, note):
        raise Conflict("number_taken", f"The seller has a document {note.number} already.", param="number")
    await store.insert_credit_note_contents(tx, note)
    outbox.publish(
        tx,
        CreditNoteImported(
            credit_note_id=note.id,
            invoice_id=note.invoice_id,
            customer_id=note.customer_id,
            amount=note.total,
        ),
    )


async def _book(tx: Tx, note: CreditNote, kind: InvoiceKind) -> None:
    """Its issue, and what had been used of it elsewhere."""
    entity = await parties.legal_entity(tx, note.legal_entity_id)
    await book(
        tx,
        note,
        Source.IMPORT,
        note.id,
        [*postings.credit_note_issued(note, kind), *postings.settled_elsewhere(note.settlement.marked)],
        label=f"Imported {note.number}",
        booked_on=local_date(tx.now, entity.zone),
    )
