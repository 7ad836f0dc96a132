"""Refunds: money back."""

from typing import Annotated

from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from api.filters import OfCustomer
from api.operations import command, query
from billing.credit_notes.model import CreditNoteId
from billing.payments.model import PaymentId
from kernel.database import Tx
from kernel.paging import Page, Window
from refunds import cancel_refund as cancelling
from refunds import defer_refund as deferring
from refunds import made_elsewhere, store
from refunds import record_external as recording
from refunds import refund_payment as paying_back
from refunds import retry_refund as retrying
from refunds.model import (
    NewDay,
    NewExternalRefund,
    NewLink,
    NewPaymentRefund,
    NewRetry,
    Refund,
    RefundId,
    RetriedRefund,
)

Unlinked = Annotated[
    bool,
    QueryParameter(name="unlinked", description="Only those made at the provider, of no credit note yet."),
]
OfCreditNote = Annotated[
    CreditNoteId | None,
    QueryParameter(name="credit_note_id", description="Only those of this credit note."),
]


@query("/v1/refunds", scope="refunds:read")
async def list_refunds(
    tx: NamedDependency[Tx],
    window: NamedDependency[Window],
    of_customer: OfCustomer,
    credit_note_id: OfCreditNote = None,
    unlinked: Unlinked = False,
) -> Page[Refund]:
    """List refunds, newest first."""
    return await store.page(
        tx, window, customer_id=of_customer, credit_note_id=credit_note_id, unlinked=unlinked
    )


@query("/v1/refunds/{refund_id}", scope="refunds:read")
async def get_refund(tx: NamedDependency[Tx], refund_id: FromPath[RefundId]) -> Refund:
    """Read a refund."""
    return await store.get(tx, refund_id)


@command("/v1/refunds/{refund_id}/reschedule", scope="refunds:write")
async def reschedule_refund(
    tx: NamedDependency[Tx], refund_id: FromPath[RefundId], data: JSONBody[NewDay]
) -> Refund:
    """Move a scheduled refund to another day."""
    return await deferring.reschedule_refund(tx, refund_id, data)


@command("/v1/refunds/{refund_id}/send_now", scope="refunds:write")
async def send_refund_now(tx: NamedDependency[Tx], refund_id: FromPath[RefundId]) -> Refund:
    """Send a scheduled refund now, before its day."""
    return await deferring.send_refund_now(tx, refund_id)


@command("/v1/refunds/{refund_id}/cancel", scope="refunds:write")
async def cancel_refund(tx: NamedDependency[Tx], refund_id: FromPath[RefundId]) -> Refund:
    """Call off a refund that is scheduled or has failed: its amount stays on the credit note."""
    return await cancelling.cancel_refund(tx, refund_id)


@command("/v1/refunds/{refund_id}/retry", scope="refunds:write", status=201)
async def retry_refund(
    tx: NamedDependency[Tx], refund_id: FromPath[RefundId], data: JSONBody[NewRetry]
) -> RetriedRefund:
    """Try a refund that failed again, over the same payment or over others that paid the invoice."""
    return await retrying.retry_refund(tx, refund_id, data)


@command("/v1/refunds/{refund_id}/convert_to_balance", scope="refunds:write")
async def convert_refund(tx: NamedDependency[Tx], refund_id: FromPath[RefundId]) -> Refund:
    """Leave the amount of a refund that failed to the customer, as balance. They are told by mail."""
    return await cancelling.convert_refund(tx, refund_id)


@command("/v1/refunds/{refund_id}/record_external", scope="refunds:write", status=201)
async def record_external_refund(
    tx: NamedDependency[Tx], refund_id: FromPath[RefundId], data: JSONBody[NewExternalRefund]
) -> Refund:
    """Record that the amount of a refund that failed went back past us: answers the refund that says so."""
    return await recording.record_external(tx, refund_id, data)


@command("/v1/refunds/{refund_id}/link", scope="refunds:write")
async def link_refund(
    tx: NamedDependency[Tx], refund_id: FromPath[RefundId], data: JSONBody[NewLink]
) -> Refund:
    """Say which credit note a refund is of that was made at the provider."""
    return await made_elsewhere.link_refund(tx, refund_id, data)


@command("/v1/payments/{payment_id}/refund", scope="refunds:write", status=201)
async def refund_payment(
    tx: NamedDependency[Tx], payment_id: FromPath[PaymentId], data: JSONBody[NewPaymentRefund]
) -> Refund:
    """Give back what of a payment is matched with no invoice. What paid one goes back with a credit note."""
    return await paying_back.refund_payment(tx, payment_id, data)


ROUTES = [
    refund_payment,
    link_refund,
    list_refunds,
    get_refund,
    reschedule_refund,
    send_refund_now,
    cancel_refund,
    retry_refund,
    convert_refund,
    record_external_refund,
]
