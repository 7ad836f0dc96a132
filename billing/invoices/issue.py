"""Issuing an invoice: from here on it has a number and never changes."""

from collections.abc import Sequence
from datetime import timedelta

from billing.invoices import issuable, store, totals
from billing.invoices.events import InvoiceIssued, InvoiceSettled
from billing.invoices.model import (
    Collection,
    Invoice,
    InvoiceId,
    InvoiceSettlement,
    Line,
    LineId,
    PricedLine,
    Status,
)
from billing.invoices.totals import Totals
from billing.ledger import postings
from billing.ledger.book import book
from billing.ledger.model import Source
from billing.numbering import Numbered, Series, take_number
from billing.parties import store as parties
from billing.parties.model import Customer, LegalEntity
from kernel import outbox
from kernel.database import Tx
from kernel.money import Currency, zero
from kernel.structs import Value


class ToIssue(Value, frozen=True, kw_only=True):
    """Everything an invoice says that its number does not decide."""

    id: InvoiceId
    customer: Customer
    currency: Currency
    lines: Sequence[PricedLine]
    collection: Collection
    note: str | None = None
    metadata: dict[str, str] = {}


async def issue_invoice(tx: Tx, request: ToIssue) -> Invoice:
    """Number it, keep it, book it. The number series is the last lock taken."""
    entity = await parties.legal_entity(tx, request.customer.legal_entity_id)

    sums = totals.totals_of(request.lines, request.currency)
    issuable.check(entity.seller, request.customer.buyer, sums.taxes, request.currency)
    numbered = await take_number(tx, entity, Series.INVOICE)
    invoice = _invoice(request, entity, sums, numbered, tx)

    await store.insert(tx, invoice)
    await book(
        tx,
        invoice,
        Source.INVOICE,
        invoice.id,
        postings.invoice_issued(invoice),
        label=f"Invoice {invoice.number}",
        booked_on=invoice.issued_on,
    )
    outbox.publish(
        tx,
        InvoiceIssued(invoice_id=invoice.id, customer_id=invoice.customer_id, collection=invoice.collection),
    )
    if invoice.settlement.status is Status.SETTLED:  # one of 0.00
        outbox.publish(tx, InvoiceSettled(invoice_id=invoice.id, customer_id=invoice.customer_id))
    return invoice


def _invoice(request: ToIssue, entity: LegalEntity, sums: Totals, numbered: Numbered, tx: Tx) -> Invoice:
    customer = request.customer
    terms = 0 if request.collection is Collection.AUTOMATIC else entity.payment_terms_days
    return Invoice(
        id=request.id,
        number=numbered.number,
        legal_entity_id=entity.id,
        customer_id=customer.id,
        currency=request.currency,
        language=customer.language,
        issued_on=numbered.issued_on,
        due_on=numbered.issued_on + timedelta(days=terms),
        seller=entity.seller,
        buyer=customer.buyer,
        vat_due=entity.vat_due,
        time_zone=entity.time_zone,
        collection=request.collection,
        lines=tuple(_line(line) for line in request.lines),
        taxes=sums.taxes,
        net=sums.net,
        tax=sums.tax,
        total=sums.total,
        note=request.note,
        metadata=request.metadata,
        issued_at=tx.now,
        settlement=_unsettled(sums, tx),
    )


def _line(line: PricedLine) -> Line:
    return Line(
        id=LineId.new(),
        description=line.description,
        quantity=line.quantity,
        unit_price=line.unit_price,
        recurring=line.recurring,
        period=line.period,
        amount=line.amount,
        discount=line.discount,
        net=line.net,
        allowances=line.allowances,
        tax=line.tax,
    )


def _unsettled(sums: Totals, tx: Tx) -> InvoiceSettlement:
    nothing = zero(sums.total.currency)
    status = totals.status_of(total=sums.total, settled=nothing)
    return InvoiceSettlement(
        status=status,
        paid=nothing,
        offset=nothing,
        pending=nothing,
        credited=nothing,
        due=sums.total,
        settled_at=tx.now if status is Status.SETTLED else None,
    )
