"""Issued invoices, to read, with their PDF."""

from litestar import Response
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Template

from api.console.declare import page
from api.console.here import Here
from api.console.views import show
from api.pages import pdf_response
from billing.documents.keep import pdf_of
from billing.invoices import store
from billing.invoices.model import InvoiceId
from kernel.database import Tx
from kernel.paging import Window


@page("/console/{tenant_id}/invoices")
async def list_invoices(
    tx: NamedDependency[Tx], window: NamedDependency[Window], here: NamedDependency[Here]
) -> Template:
    return show(here, "invoices.html", page=await store.page(tx, window, customer_id=None))


@page("/console/{tenant_id}/invoices/{invoice_id}/pdf")
async def invoice_pdf(tx: NamedDependency[Tx], invoice_id: FromPath[InvoiceId]) -> Response[bytes]:
    invoice = await store.get(tx, invoice_id)
    return pdf_response(await pdf_of(tx, invoice), invoice.number)


ROUTES = [list_invoices, invoice_pdf]
