"""Drafting a credit note, editing the draft and deleting it."""

import msgspec

from billing.credit_notes.model import CreditNoteId
from billing.invoices import store as invoices
from billing.invoices.model import InvoiceId
from billing.parties import store as parties
from billing.parties.model import CustomerId
from kernel.database import Tx
from kernel.errors import Conflict, Invalid
from refunds.drafts import store
from refunds.drafts.model import DraftCreditNote, NewDraftCreditNote, PreviewedDraft
from refunds.drafts.preview import previewed


async def draft_credit_note(tx: Tx, request: NewDraftCreditNote) -> PreviewedDraft:
    """What can never be issued is refused here already; what cannot be issued yet is kept."""
    customer_id, invoice_id = await _subject(tx, request)

    draft = DraftCreditNote(
        id=CreditNoteId.new(),
        customer_id=customer_id,
        invoice_id=invoice_id,
        on_invoice=request.on_invoice,
        on_customer=request.on_customer,
        created_at=tx.now,
    )
    shown = await previewed(tx, draft, tolerated=Conflict)

    await store.insert(tx, draft)
    return shown


async def edit_draft(tx: Tx, draft_id: CreditNoteId, request: NewDraftCreditNote) -> PreviewedDraft:
    """What is sent takes the place of what was there, as a whole."""
    before = await store.lock(tx, draft_id)
    customer_id, invoice_id = await _subject(tx, request)

    draft = msgspec.structs.replace(
        before,
        customer_id=customer_id,
        invoice_id=invoice_id,
        on_invoice=request.on_invoice,
        on_customer=request.on_customer,
    )
    shown = await previewed(tx, draft, tolerated=Conflict)

    await store.update(tx, draft)
    return shown


async def delete_draft(tx: Tx, draft_id: CreditNoteId) -> None:
    await store.lock(tx, draft_id)
    await store.delete(tx, draft_id)


async def _subject(tx: Tx, request: NewDraftCreditNote) -> tuple[CustomerId, InvoiceId | None]:
    match request:
        case NewDraftCreditNote(on_invoice=credit, on_customer=None) if credit is not None:
            invoice = await invoices.get(tx, credit.invoice)
            return invoice.customer_id, invoice.id
        case NewDraftCreditNote(on_invoice=None, on_customer=note) if note is not None:
            return (await parties.customer(tx, note.customer)).id, None
        case _:
            raise Invalid(
                "draft_of_one",
                "A credit note is on an invoice (`on_invoice`) or on none (`on_customer`): give one of them.",
                param="on_invoice",
            )
