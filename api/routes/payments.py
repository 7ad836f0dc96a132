"""Payments: money in."""

from typing import Annotated

from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from api.filters import OfCustomer
from api.operations import command, query
from billing.invoices.model import InvoiceId
from billing.payments import store, unallocated
from billing.payments.model import NewAllocation, NewMoney, Payment, PaymentId, Unallocated
from billing.payments.unallocated import record_money
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


@command("/v1/customers/{customer_id}/payments", scope="payments:write", status=201)
async def create_customer_payment(
    tx: NamedDependency[Tx], customer_id: FromPath[str], data: JSONBody[NewMoney]
) -> Payment:
    """Record money of a customer that came past us for no invoice.

    It is their balance until it is matched with invoices: POST /v1/payments/{payment_id}/apply.
    """
    return await record_money(tx, customer_id, data)


@command("/v1/payments/{payment_id}/apply", scope="payments:write")
async def apply_payment(
    tx: NamedDependency[Tx], payment_id: FromPath[PaymentId], data: JSONBody[NewAllocation]
) -> Unallocated:
    """Pay an invoice with money that is on none: of the same customer, seller and currency."""
    return await unallocated.apply_payment(tx, payment_id, data)


ROUTES = [list_payments, get_payment, create_customer_payment, apply_payment]
