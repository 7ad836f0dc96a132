"""Settlements: credit notes and payments matched to invoices."""

from typing import Annotated

from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from api.operations import command, query
from billing.credit_notes.model import CreditNoteId
from billing.invoices.model import InvoiceId
from billing.payments.model import PaymentId
from billing.settlement import store
from billing.settlement.dissociate import take_back
from billing.settlement.match import match_documents
from billing.settlement.model import (
    Dissociated,
    NewDissociation,
    NewSettlements,
    Settled,
    Settlement,
    SettlementId,
)
from kernel.database import Tx
from kernel.paging import Page, Window

OfInvoice = Annotated[
    InvoiceId | None, QueryParameter(name="invoice_id", description="Only those of this invoice.")
]
OfCreditNote = Annotated[
    CreditNoteId | None,
    QueryParameter(name="credit_note_id", description="Only those of this credit note."),
]
OfPayment = Annotated[
    PaymentId | None, QueryParameter(name="payment_id", description="Only those of this payment.")
]


@query("/v1/settlements", scope="settlements:read")
async def list_settlements(
    tx: NamedDependency[Tx],
    window: NamedDependency[Window],
    invoice_id: OfInvoice = None,
    credit_note_id: OfCreditNote = None,
    payment_id: OfPayment = None,
) -> Page[Settlement]:
    """List what payments and credit notes settled, newest first, with what was undone since."""
    return await store.page(
        tx, window, invoice_id=invoice_id, credit_note_id=credit_note_id, payment_id=payment_id
    )


@command("/v1/settlements", scope="settlements:write", status=201)
async def create_settlements(tx: NamedDependency[Tx], data: JSONBody[NewSettlements]) -> Settled:
    """Apply credit notes to invoices: one or several to one or several, of one customer and currency.

    What has an `amount` is matched first, and exactly; of the others, in the order given, as much as goes.
    """
    return await match_documents(tx, data)


@command("/v1/settlements/{settlement_id}/dissociate", scope="settlements:write")
async def dissociate_settlement(
    tx: NamedDependency[Tx], settlement_id: FromPath[SettlementId], data: JSONBody[NewDissociation]
) -> Dissociated:
    """Take back what was applied to an invoice, or a part of it: it is due again, and spendable again."""
    return await take_back(tx, settlement_id, data)


ROUTES = [list_settlements, create_settlements, dissociate_settlement]
