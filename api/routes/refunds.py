"""Refunds: money back."""

from typing import Annotated

from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter

from api.filters import OfCustomer
from api.operations import query
from billing.credit_notes.model import CreditNoteId
from kernel.database import Tx
from kernel.paging import Page, Window
from refunds import store
from refunds.model import Refund, RefundId

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
) -> Page[Refund]:
    """List refunds, newest first."""
    return await store.page(tx, window, customer_id=of_customer, credit_note_id=credit_note_id)


@query("/v1/refunds/{refund_id}", scope="refunds:read")
async def get_refund(tx: NamedDependency[Tx], refund_id: FromPath[RefundId]) -> Refund:
    """Read a refund."""
    return await store.get(tx, refund_id)


ROUTES = [list_refunds, get_refund]
