"""Disputes: the customer's bank takes a payment back, or may."""

from typing import Annotated

from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from api.filters import OfCustomer
from api.operations import command, query
from billing.payments.model import PaymentId
from kernel.database import Tx
from kernel.paging import Page, Window
from refunds import dispute as disputing
from refunds.disputes import store
from refunds.disputes.model import Dispute, DisputeId, NewDispute, NewVerdict

OfPayment = Annotated[
    PaymentId | None, QueryParameter(name="payment_id", description="Only those about this payment.")
]


@query("/v1/disputes", scope="payments:read")
async def list_disputes(
    tx: NamedDependency[Tx],
    window: NamedDependency[Window],
    of_customer: OfCustomer,
    payment_id: OfPayment = None,
) -> Page[Dispute]:
    """List disputes, newest first."""
    return await store.page(tx, window, customer_id=of_customer, payment_id=payment_id)


@query("/v1/disputes/{dispute_id}", scope="payments:read")
async def get_dispute(tx: NamedDependency[Tx], dispute_id: FromPath[DisputeId]) -> Dispute:
    """Read a dispute."""
    return await store.get(tx, dispute_id)


@command("/v1/payments/{payment_id}/disputes", scope="payments:write", status=201)
async def create_dispute(
    tx: NamedDependency[Tx], payment_id: FromPath[PaymentId], data: JSONBody[NewDispute]
) -> Dispute:
    """Record that a payment is disputed (chargeback), where the provider does not tell us.

    Until it is closed nothing of its amount goes back to the customer another way: refunds of it wait.
    """
    return await disputing.open_dispute(tx, payment_id, data)


@command("/v1/disputes/{dispute_id}/close", scope="payments:write")
async def close_dispute(
    tx: NamedDependency[Tx], dispute_id: FromPath[DisputeId], data: JSONBody[NewVerdict]
) -> Dispute:
    """Close a dispute. Won, refunds that waited are sent; lost, what the payment paid is due again."""
    return await disputing.close_dispute(tx, dispute_id, data)


ROUTES = [list_disputes, get_dispute, create_dispute, close_dispute]
