"""Draft invoices: edit them as often as you like, then issue them."""

from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from api.operations import command, query
from billing.invoices import draft, store
from billing.invoices.model import Draft, DraftChange, Invoice, InvoiceId, NewDraft
from kernel.database import Tx
from kernel.paging import Page, Window


@query("/v1/draft_invoices", scope="invoices:read")
async def list_draft_invoices(tx: NamedDependency[Tx], window: NamedDependency[Window]) -> Page[Draft]:
    """List draft invoices, newest first."""
    return await store.drafts(tx, window)


@query("/v1/draft_invoices/{draft_invoice_id}", scope="invoices:read")
async def get_draft_invoice(tx: NamedDependency[Tx], draft_invoice_id: FromPath[InvoiceId]) -> Draft:
    """Read a draft invoice."""
    return await store.get_draft(tx, draft_invoice_id)


@command("/v1/draft_invoices", scope="invoices:write", status=201)
async def create_draft_invoice(tx: NamedDependency[Tx], data: JSONBody[NewDraft]) -> Draft:
    """Draft an invoice with free lines and discounts."""
    return await draft.draft_invoice(tx, data)


@command("/v1/draft_invoices/{draft_invoice_id}", scope="invoices:write", method="PATCH")
async def patch_draft_invoice(
    tx: NamedDependency[Tx], draft_invoice_id: FromPath[InvoiceId], data: JSONBody[DraftChange]
) -> Draft:
    """Change a draft invoice."""
    return await draft.edit_draft(tx, draft_invoice_id, data)


@command("/v1/draft_invoices/{draft_invoice_id}", scope="invoices:write", method="DELETE", status=204)
async def delete_draft_invoice(tx: NamedDependency[Tx], draft_invoice_id: FromPath[InvoiceId]) -> None:
    """Delete a draft invoice. It had no number, so nothing is missing."""
    await draft.delete_draft(tx, draft_invoice_id)


@command("/v1/draft_invoices/{draft_invoice_id}/issue", scope="invoices:write", status=201)
async def issue_draft_invoice(tx: NamedDependency[Tx], draft_invoice_id: FromPath[InvoiceId]) -> Invoice:
    """Issue a draft: it gets its number, keeps its id, and never changes from here on."""
    return await draft.issue_draft(tx, draft_invoice_id)


ROUTES = [
    list_draft_invoices,
    get_draft_invoice,
    create_draft_invoice,
    patch_draft_invoice,
    delete_draft_invoice,
    issue_draft_invoice,
]
