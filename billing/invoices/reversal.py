"""The invoice that answers a wrong credit note: its lines, with exactly its VAT. Pure."""

from collections.abc import Mapping

from billing.credit_notes.model import CreditLine, CreditNote, NewReversal
from billing.invoices.model import (
    DocumentKind,
    DocumentReference,
    InvoiceId,
    InvoiceKind,
    Line,
    LineId,
    PricedLine,
)
from billing.invoices.ready import ToIssue
from billing.ledger.postings import revenue_account
from billing.parties.model import Customer, LegalEntity
from kernel.decimals import Measure, UnitPrice


def reversal_of(
    note: CreditNote,
    request: NewReversal,
    *,
    lines: Mapping[LineId, Line],
    customer: Customer,
    entity: LegalEntity,
) -> ToIssue:
    """It is booked against the account that the note was; `lines` are those of the invoice it is on."""
    return ToIssue(
        id=InvoiceId.new(),
        entity=entity,
        customer=customer,
        currency=note.currency,
        tax_behavior=note.tax_behavior,
        lines=[_line(line, lines) for line in note.lines],
        collection=request.collection,
        note=request.note,
        metadata=request.metadata,
        kind=InvoiceKind.REVERSAL,
        references=tuple(_references(note)),
        taxes=note.taxes,
        against=revenue_account(note.reason),
    )


def _line(line: CreditLine, lines: Mapping[LineId, Line]) -> PricedLine:
    """What was credited of it; of a line of an invoice, what that was for."""
    quantity = line.quantity or Measure(1)
    credited = lines.get(line.invoice_line_id) if line.invoice_line_id else None
    return PricedLine(
        description=line.description,
        quantity=quantity,
        unit_price=UnitPrice.giving(line.amount, quantity),
        amount=line.amount,
        tax=line.tax,
        period=line.period,
        item=credited.item if credited else line.item,
        discountable=False,
    )


def _references(note: CreditNote) -> list[DocumentReference]:
    """The invoice that the note is on, and the note."""
    own = (
        [
            DocumentReference(
                kind=DocumentKind.INVOICE,
                id=str(source.invoice_id),
                number=source.number,
                issued_on=source.issued_on,
            )
            for source in note.sources
        ]
        if note.invoice_id
        else []
    )
    taken_back = DocumentReference(
        kind=DocumentKind.CREDIT_NOTE, id=str(note.id), number=note.number, issued_on=note.issued_on
    )
    return [*own, taken_back]
