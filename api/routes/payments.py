"""Payments: money in."""

from typing import Annotated

from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter

from api.filters import OfCustomer
from api.operations import query
from billing.invoices.model import InvoiceId
from billing.payments import store
from billing.payments.model import Payment, PaymentId
from kernel.database import Tx
from kernel.paging import Page, Window

OfInvoice = Annotated[
    InvoiceId | None, QueryParameter(name="invoice_id", description="Only those of this invoice.")
]


@query("/v1/payments", scope="payments:read")
async def list_payments(
    tx: NamedDependency[Tx],
    window: NamedDependency[Window],
    of_customer: OfCustomer,
    invoice_id: OfInvoice = None,
) -> Page[Payment]:
    """List payments, newest first."""
    return await store.page(tx, window, customer_id=of_customer, invoice_id=invoice_id)


@query("/v1/payments/{payment_id}", scope="payments:read")
async def get_payment(tx: NamedDependency[Tx], payment_id: FromPath[PaymentId]) -> Payment:
    """Read a payment."""
    return await store.get(tx, payment_id)


ROUTES = [list_payments, get_payment]
