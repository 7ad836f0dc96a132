"""Issuing invoices: from here on each has a number and never changes."""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from itertools import groupby

from billing.invoices import record
from billing.invoices.events import InvoiceIssued, InvoiceSettled
from billing.invoices.model import Invoice, InvoiceKind, InvoiceSettlement, Status
from billing.invoices.ready import Ready, ToIssue, ready_to_issue
from billing.numbering import Numbered
from billing.parties.model import LegalEntityId
from billing.settlement.use import lock_balance, use_balance
from kernel import outbox
from kernel.database import Tx
from kernel.events import Event
from kernel.money import zero

# How others are paid is decided when they are issued: deposits, a note that is taken back, a correction.
PAID_BY_BALANCE = frozenset({InvoiceKind.STANDARD})


async def issue_invoice(tx: Tx, request: ToIssue) -> Invoice:
    [invoice] = await issue_invoices(tx, [ready_to_issue(request)])
    return invoice


async def issue_invoices(tx: Tx, ready: Iterable[Ready], *, to_newcomers: bool = False) -> list[Invoice]:
    """Number them, keep them, book them: one statement a seller. Their number series are the last locks.

    What is left of their customers' credit notes pays them at once, unless the settings say never.
    Newcomers have none, and are not asked about.
    """
    ready = list(ready)
    payable = {
        each.id: each.customer.id for each in ready if each.sums.total and each.kind in PAID_BY_BALANCE
    }
    asks = payable and not to_newcomers
    balance = await lock_balance(tx, set(payable.values())) if asks else None
    issued = []
    for _, of_one_seller in groupby(sorted(ready, key=_seller), key=_seller):
        invoices = list(of_one_seller)
        numbers = await record.insert(tx, invoices)
        issued += [_invoice(each, number, tx) for each, number in zip(invoices, numbers, strict=True)]

    outbox.publish(tx, *(event for invoice in issued for event in _events(invoice)))
    if balance is None:
        return issued
    paid = await use_balance(tx, balance, [invoice for invoice in issued if invoice.id in payable])
    after = {invoice.id: invoice for invoice in paid}
    return [after.get(invoice.id, invoice) for invoice in issued]


def _seller(invoice: Ready) -> LegalEntityId:
    return invoice.entity.id


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
        tax_behavior=ready.sums.tax_behavior,
        lines=ready.lines,
        taxes=ready.sums.taxes,
        net=ready.sums.net,
        tax=ready.sums.tax,
        total=ready.sums.total,
        note=ready.note,
        metadata=ready.metadata,
        issued_at=tx.now,
        settlement=_unsettled(ready, tx),
        kind=ready.kind,
        references=ready.references,
        deductions=ready.deductions,
    )


def _unsettled(ready: Ready, tx: Tx) -> InvoiceSettlement:
    nothing = zero(ready.currency)
    return InvoiceSettlement(
        status=ready.status,
        paid=ready.deducted,
        offset=nothing,
        pending=nothing,
        credited=nothing,
        due=ready.sums.total - ready.deducted,
        settled_at=tx.now if ready.status is Status.SETTLED else None,
    )


def _events(invoice: Invoice) -> Iterator[Event]:
    yield InvoiceIssued(invoice_id=invoice.id, customer_id=invoice.customer_id, collection=invoice.collection)
    if invoice.settlement.status is Status.SETTLED:  # nothing is left to pay
        yield InvoiceSettled(invoice_id=invoice.id, customer_id=invoice.customer_id)
