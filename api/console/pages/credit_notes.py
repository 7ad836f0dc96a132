"""Credit notes, to read, with their PDF."""

from litestar import Response
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Template

from api.console.declare import page
from api.console.here import Here
from api.console.views import show
from api.pages import pdf_response
from billing.credit_notes import store
from billing.credit_notes.model import CreditNoteId
from billing.documents.keep import pdf_of
from kernel.database import Tx
from kernel.paging import Window


@page("/console/{tenant_id}/credit_notes")
async def list_credit_notes(
    tx: NamedDependency[Tx], window: NamedDependency[Window], here: NamedDependency[Here]
) -> Template:
    listed = await store.page(tx, window, customer_id=None, invoice_id=None)
    return show(here, "credit_notes.html", page=listed)


@page("/console/{tenant_id}/credit_notes/{credit_note_id}/pdf")
async def credit_note_pdf(tx: NamedDependency[Tx], credit_note_id: FromPath[CreditNoteId]) -> Response[bytes]:
    note = await store.get(tx, credit_note_id)
    return pdf_response(await pdf_of(tx, note), note.number)


ROUTES = [list_credit_notes, credit_note_pdf]
