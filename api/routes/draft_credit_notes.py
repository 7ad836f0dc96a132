"""Drafts of credit notes: edit them, see what they would come to, then issue them."""

from typing import Annotated

from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from api.filters import OfCustomer
from api.operations import command, query
from billing.credit_notes.model import CreditNoteId
from billing.invoices.model import InvoiceId
from kernel.database import Tx
from kernel.paging import Page, Window
from refunds.drafts import edit, issue, store
from refunds.drafts.model import DraftCreditNote, NewDraftCreditNote, PreviewedDraft
from refunds.drafts.preview import previewed
from refunds.model import GivenBack

OnInvoice = Annotated[
    InvoiceId | None, QueryParameter(name="invoice_id", description="Only those on this invoice.")
]


@query("/v1/draft_credit_notes", scope="credit_notes:read")
async def list_draft_credit_notes(
    tx: NamedDependency[Tx],
    window: NamedDependency[Window],
    of_customer: OfCustomer,
    invoice_id: OnInvoice = None,
) -> Page[DraftCreditNote]:
    """List drafts of credit notes, newest first."""
    return await store.page(tx, window, customer_id=of_customer, invoice_id=invoice_id)


@query("/v1/draft_credit_notes/{draft_credit_note_id}", scope="credit_notes:read")
async def get_draft_credit_note(
    tx: NamedDependency[Tx], draft_credit_note_id: FromPath[CreditNoteId]
) -> PreviewedDraft:
    """Read a draft, with what it would come to if it was issued now, or why it cannot be issued."""
    return await previewed(tx, await store.get(tx, draft_credit_note_id))


@command("/v1/draft_credit_notes", scope="credit_notes:write", status=201)
async def create_draft_credit_note(
    tx: NamedDependency[Tx], data: JSONBody[NewDraftCreditNote]
) -> PreviewedDraft:
    """Draft a credit note on an invoice or on none."""
    return await edit.draft_credit_note(tx, data)


@command("/v1/draft_credit_notes/{draft_credit_note_id}", scope="credit_notes:write", method="PATCH")
async def patch_draft_credit_note(
    tx: NamedDependency[Tx],
    draft_credit_note_id: FromPath[CreditNoteId],
    data: JSONBody[NewDraftCreditNote],
) -> PreviewedDraft:
    """Change a draft: what is sent takes the place of what was there, as a whole."""
    return await edit.edit_draft(tx, draft_credit_note_id, data)


@command(
    "/v1/draft_credit_notes/{draft_credit_note_id}", scope="credit_notes:write", method="DELETE", status=204
)
async def delete_draft_credit_note(
    tx: NamedDependency[Tx], draft_credit_note_id: FromPath[CreditNoteId]
) -> None:
    """Delete a draft. It had no number, so nothing is missing."""
    await edit.delete_draft(tx, draft_credit_note_id)


@command("/v1/draft_credit_notes/{draft_credit_note_id}/issue", scope="credit_notes:write", status=201)
async def issue_draft_credit_note(
    tx: NamedDependency[Tx], draft_credit_note_id: FromPath[CreditNoteId]
) -> GivenBack:
    """Issue a draft: it gets its number, keeps its id, and never changes from here on."""
    return await issue.issue_draft(tx, draft_credit_note_id)


ROUTES = [
    list_draft_credit_notes,
    get_draft_credit_note,
    create_draft_credit_note,
    patch_draft_credit_note,
    delete_draft_credit_note,
    issue_draft_credit_note,
]
