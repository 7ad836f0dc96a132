"""Issuing invoices: from here on each has a number and never changes."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from itertools import groupby

from billing.invoices import issuable, record, totals
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
from billing.invoices.record import Ready
from billing.ledger import postings
from billing.numbering import Numbered
from billing.parties.model import Customer, LegalEntity, LegalEntityId
from kernel import outbox
from kernel.database import Tx
from kernel.events import Event
from kernel.money import Currency, total, zero
from kernel.structs import Value


class ToIssue(Value, frozen=True, kw_only=True):
    """Everything an invoice says that its number does not decide. The entity is the customer's."""

    id: InvoiceId
    entity: LegalEntity
    customer: Customer
    currency: Currency
    lines: Sequence[PricedLine]
    collection: Collection
    note: str | None = None
    metadata: dict[str, str] = {}


async def issue_invoice(tx: Tx, request: ToIssue) -> Invoice:
    [invoice] = await issue_invoices(tx, [request])
    return invoice


async def issue_invoices(tx: Tx, requests: Iterable[ToIssue]) -> list[Invoice]:
    """Number them, keep them, book them: one statement a seller. Their number series are the last locks."""
    ready = sorted((ready_to_issue(request) for request in requests), key=_seller)

    issued = []
    for _, of_one_seller in groupby(ready, key=_seller):
        invoices = list(of_one_seller)
        numbers = await record.insert(tx, invoices)
        issued += [_invoice(each, number, tx) for each, number in zip(invoices, numbers, strict=True)]

    outbox.publish(tx, *(event for invoice in issued for event in _events(invoice)))
    return issued


def _seller(invoice: Ready) -> LegalEntityId:
    return invoice.entity.id


def ready_to_issue(request: ToIssue) -> Ready:
    """Added up, checked and ready to be booked. Raises Conflict where the law wants more said."""
    sums = totals.totals_of(request.lines, request.currency)
    issuable.check(request.entity.seller, request.customer.buyer, sums.taxes, request.currency)
    booked = [each for each in postings.invoice_issued(sums, request.entity.vat_due) if each.amount]
    assert not total((each.amount for each in booked), request.currency), "an invoice balances"
    return Ready(
        id=request.id,
        entity=request.entity,
        customer=request.customer,
        currency=request.currency,
        collection=request.collection,
        terms_days=0 if request.collection is Collection.AUTOMATIC else request.entity.payment_terms_days,
        lines=tuple(_line(line) for line in request.lines),
        sums=sums,
        status=totals.status_of(total=sums.total, settled=zero(request.currency)),
        postings=booked,
        note=request.note,
        metadata=request.metadata,
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


def _invoice(ready: Ready, numbered: Numbered, tx: Tx) -> Invoice:
    return Invoice(
        id=ready.id,
        number=numbered.number,
        legal_entity_id=ready.entity.id,
        customer_id=ready.customer.id,
        currency=ready.currency,
        language=ready.customer.language,
        issued_on=numbered.issued_on,
        due_on=numbered.issued_on + timedelta(days=ready.terms_days),
        seller=ready.entity.seller,
        buyer=ready.customer.buyer,
        vat_due=ready.entity.vat_due,
        time_zone=ready.entity.time_zone,
        collection=ready.collection,
        lines=ready.lines,
        taxes=ready.sums.taxes,
        net=ready.sums.net,
        tax=ready.sums.tax,
        total=ready.sums.total,
        note=ready.note,
        metadata=ready.metadata,
        issued_at=tx.now,
        settlement=_unsettled(ready, tx),
    )


def _unsettled(ready: Ready, tx: Tx) -> InvoiceSettlement:
    nothing = zero(ready.currency)
    return InvoiceSettlement(
        status=ready.status,
        paid=nothing,
        offset=nothing,
        pending=nothing,
        credited=nothing,
        due=ready.sums.total,
        settled_at=tx.now if ready.status is Status.SETTLED else None,
    )


def _events(invoice: Invoice) -> Iterator[Event]:
    yield InvoiceIssued(invoice_id=invoice.id, customer_id=invoice.customer_id, collection=invoice.collection)
    if invoice.settlement.status is Status.SETTLED:  # one of 0.00
        yield InvoiceSettled(invoice_id=invoice.id, customer_id=invoice.customer_id)
