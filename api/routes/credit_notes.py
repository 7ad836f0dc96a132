"""Credit notes (avoirs)."""

from typing import Annotated

from litestar import Response
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from api.filters import OfCustomer
from api.operations import command, query
from api.pages import pdf_response
from billing.credit_notes import store
from billing.credit_notes.attach import attach, detach
from billing.credit_notes.model import (
    CreditNote,
    CreditNoteId,
    NewAttachment,
    NewReversal,
)
from billing.documents.keep import pdf_of
from billing.invoices.model import InvoiceId
from billing.settlement.applicable import invoices_for
from billing.settlement.mark_used import mark_used
from billing.settlement.model import ApplicableInvoice, NewUse, Reversal
from billing.settlement.reverse import reverse_note
from kernel import outbox
from kernel.database import Tx
from kernel.outbox import PublishedEvent
from kernel.paging import Page, Window
from refunds.credit_customer import credit_customer_and_record
from refunds.credit_invoice import credit_and_record
from refunds.model import GivenBack, NewCredit, NewCustomerCredit, NewManualRefund, NewNoteRefund, Refund
from refunds.record_refund import record_refund
from refunds.refund_note import refund_note

OnInvoice = Annotated[
    InvoiceId | None,
    QueryParameter(name="invoice_id", description="Only those on this invoice, or attached to it."),
]


@query("/v1/credit_notes", scope="credit_notes:read")
async def list_credit_notes(
    tx: NamedDependency[Tx],
    window: NamedDependency[Window],
    of_customer: OfCustomer,
    invoice_id: OnInvoice = None,
) -> Page[CreditNote]:
    """List credit notes, newest first."""
    return await store.page(tx, window, customer_id=of_customer, invoice_id=invoice_id)


@query("/v1/credit_notes/{credit_note_id}", scope="credit_notes:read")
async def get_credit_note(tx: NamedDependency[Tx], credit_note_id: FromPath[CreditNoteId]) -> CreditNote:
    """Read a credit note, and where it went."""
    return await store.get(tx, credit_note_id)


@query("/v1/credit_notes/{credit_note_id}/activity", scope="credit_notes:read")
async def get_credit_note_activity(
    tx: NamedDependency[Tx], window: NamedDependency[Window], credit_note_id: FromPath[CreditNoteId]
) -> Page[PublishedEvent]:
    """Read what happened to a credit note, newest first: where it was applied, what went back."""
    await store.get(tx, credit_note_id)
    return await outbox.page_about(tx, window, credit_note_id)


@query("/v1/credit_notes/{credit_note_id}/pdf", scope="credit_notes:read")
async def get_credit_note_pdf(
    tx: NamedDependency[Tx], credit_note_id: FromPath[CreditNoteId]
) -> Response[bytes]:
    """The credit note as a PDF."""
    note = await store.get(tx, credit_note_id)
    return pdf_response(await pdf_of(tx, note), note.number)


@command("/v1/invoices/{invoice_id}/credit_notes", scope="credit_notes:write", status=201)
async def create_credit_note(
    tx: NamedDependency[Tx], invoice_id: FromPath[InvoiceId], data: JSONBody[NewCredit]
) -> GivenBack:
    """Credit an invoice: all that is left of it, or lines by amount or by quantity.

    The note first takes off what is still due. What was paid goes back in the refund mode:
    `automatic`, `manual`, `deferred` or `none`.
    """
    return await credit_and_record(tx, invoice_id, data)


@command("/v1/credit_notes/{credit_note_id}/refund", scope="refunds:write", status=201)
async def refund_credit_note(
    tx: NamedDependency[Tx], credit_note_id: FromPath[CreditNoteId], data: JSONBody[NewNoteRefund]
) -> GivenBack:
    """Give back what is left of a credit note, or a part of it, in any refund mode."""
    return await refund_note(tx, credit_note_id, data)


@command("/v1/credit_notes", scope="credit_notes:write", status=201)
async def create_global_credit_note(tx: NamedDependency[Tx], data: JSONBody[NewCustomerCredit]) -> GivenBack:
    """Credit a customer on no one invoice: free lines, or lines that name a plan or an add-on.

    What it comes to is balance, to be applied to invoices; with `refund: manual` it is promised by hand.
    """
    return await credit_customer_and_record(tx, data)


@command("/v1/credit_notes/{credit_note_id}/refunds", scope="refunds:write", status=201)
async def create_manual_refund(
    tx: NamedDependency[Tx],
    credit_note_id: FromPath[CreditNoteId],
    data: JSONBody[NewManualRefund],
) -> Refund:
    """Record a part of a credit note that went back past us."""
    return await record_refund(tx, credit_note_id, data)


@query("/v1/credit_notes/{credit_note_id}/applicable_invoices", scope="credit_notes:read")
async def get_applicable_invoices(
    tx: NamedDependency[Tx], window: NamedDependency[Window], credit_note_id: FromPath[CreditNoteId]
) -> Page[ApplicableInvoice]:
    """The invoices that what is left of a credit note could settle, newest first.

    Of the same customer, seller and currency, with what each would take. POST /v1/settlements applies it.
    """
    return await invoices_for(tx, credit_note_id, window)


@command("/v1/credit_notes/{credit_note_id}/mark_used", scope="settlements:write")
async def mark_credit_note_used(
    tx: NamedDependency[Tx], credit_note_id: FromPath[CreditNoteId], data: JSONBody[NewUse]
) -> CreditNote:
    """Say that what is left of a credit note, or a part of it, was settled where we do not see it."""
    return await mark_used(tx, credit_note_id, data)


@command("/v1/credit_notes/{credit_note_id}/attach", scope="credit_notes:write")
async def attach_credit_note(
    tx: NamedDependency[Tx], credit_note_id: FromPath[CreditNoteId], data: JSONBody[NewAttachment]
) -> CreditNote:
    """Attach a credit note that is on no invoice to those it is about. No money moves."""
    return await attach(tx, credit_note_id, data)


@command("/v1/credit_notes/{credit_note_id}/detach", scope="credit_notes:write")
async def detach_credit_note(
    tx: NamedDependency[Tx], credit_note_id: FromPath[CreditNoteId], data: JSONBody[NewAttachment]
) -> CreditNote:
    """Detach a credit note from invoices that it is not about after all."""
    return await detach(tx, credit_note_id, data)


@command("/v1/credit_notes/{credit_note_id}/reverse", scope="credit_notes:write", status=201)
async def reverse_credit_note(
    tx: NamedDependency[Tx], credit_note_id: FromPath[CreditNoteId], data: JSONBody[NewReversal]
) -> Reversal:
    """Take a wrong credit note back: an invoice of its lines with exactly its VAT, which names it.

    What is left of the note, and what was promised of it, pays that invoice; the rest is due.
    """
    return await reverse_note(tx, credit_note_id, data)


ROUTES = [
    reverse_credit_note,
    attach_credit_note,
    detach_credit_note,
    get_applicable_invoices,
    mark_credit_note_used,
    list_credit_notes,
    get_credit_note,
    get_credit_note_activity,
    get_credit_note_pdf,
    create_credit_note,
    refund_credit_note,
    create_global_credit_note,
    create_manual_refund,
]
