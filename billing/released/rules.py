"""Which lines a credit note releases, and which drafts may bill them. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from billing.credit_notes.model import LEAVES_VOLUME, CreditLine, CreditNote, NewCreditNote
from billing.invoices.model import (
    Draft,
    DraftKind,
    Invoice,
    InvoiceKind,
    Line,
    LineId,
    PricedLine,
    ReleasedLineId,
)
from billing.parties.model import Customer
from billing.released.model import ReleasedLine
from kernel.decimals import Measure, UnitPrice
from kernel.errors import Conflict, Invalid

MOST_LINES = 1000


def check_release(invoice: Invoice, request: NewCreditNote) -> None:
    """Only what is sold no more can be sold again, and it has to be clear of which line."""
    if not request.release_lines:
        return
    spread = request.total is not None or request.percent is not None
    if spread or request.net_of_tax or request.reason in LEAVES_VOLUME:
        raise Invalid(
            "lines_not_released",
            "Lines are released by a credit of `lines` or of the whole invoice, with its VAT, and not by one "
            "that only lowers their price: leave `release_lines` out.",
            param="release_lines",
        )
    if invoice.kind is InvoiceKind.DEPOSIT:
        raise Invalid(
            "lines_not_released",
            f"{invoice.number} is a deposit: draft another one in place of it.",
            param="release_lines",
        )


def released_by(note: CreditNote, invoice: Invoice, *, now: datetime) -> list[ReleasedLine]:
    billed = {line.id: line for line in invoice.lines}
    return [_released(line, billed, note, invoice, now) for line in note.lines if line.amount]


def _released(
    line: CreditLine, billed: Mapping[LineId, Line], note: CreditNote, invoice: Invoice, now: datetime
) -> ReleasedLine:
    assert line.invoice_line_id is not None, "the note is on an invoice"
    source = billed[line.invoice_line_id]
    whole = source.quantity or None if line.amount == source.billed else None
    return ReleasedLine(
        id=ReleasedLineId.new(),
        credit_note_id=note.id,
        invoice_id=invoice.id,
        invoice_line_id=source.id,
        customer_id=note.customer_id,
        legal_entity_id=note.legal_entity_id,
        description=source.description,
        item=source.item,
        quantity=line.quantity or whole,
        period=source.period,
        currency=note.currency,
        amount=line.amount,
        tax=source.tax,
        tax_behavior=note.tax_behavior,
        billed_by=None,
        created_at=now,
    )


def check_form(draft: Draft) -> None:
    """What no draft can be, whatever the lines are that it names."""
    named = draft.released_lines
    if not 1 <= len(draft.lines) + len(named) <= MOST_LINES:
        raise Invalid(
            "draft_lines",
            f"A draft has from 1 to {MOST_LINES} lines, those of `released_lines` among them.",
            param="lines",
        )
    if len(set(named)) < len(named):
        raise Invalid("released_line_twice", "Name each released line once.", param="released_lines")
    if named and draft.kind is DraftKind.DEPOSIT:
        raise Invalid(
            "deposit_of_released_lines",
            "A deposit bills nothing that was sold: leave `released_lines` out, or draft an invoice.",
            param="released_lines",
        )
    if draft.discounts and not draft.lines:
        raise Invalid(
            "discount_of_released_lines",
            "Released lines are billed as they are: a discount is taken off the other lines of a draft, "
            "and there are none.",
            param="discounts",
        )


def check(line: ReleasedLine, draft: Draft, customer: Customer) -> None:
    """It may be billed by this draft. Of a line without VAT it is all one whether its price is net."""
    if line.customer_id != customer.id:
        raise Invalid(
            "customer_mismatch", f"{line.description!r} was for another customer.", param="released_lines"
        )
    if line.legal_entity_id != customer.legal_entity_id:
        raise Invalid(
            "seller_mismatch", f"{line.description!r} was of another seller.", param="released_lines"
        )
    if line.currency != draft.currency:
        raise Invalid(
            "currency_mismatch",
            f"{line.description!r} was billed in {line.currency}, the draft is in {draft.currency}.",
            param="released_lines",
        )
    if line.tax.rate and line.tax_behavior is not draft.tax_behavior:
        raise Invalid(
            "tax_behavior_mismatch",
            f"{line.description!r} was billed with {line.tax_behavior} prices: draft it with that "
            "`tax_behavior`.",
            param="released_lines",
        )
    check_free([line])


def check_free(lines: Iterable[ReleasedLine]) -> None:
    for line in lines:
        if line.billed_by is not None:
            raise Conflict(
                "released_line_billed",
                f"{line.description!r} ({line.id!s}) has been billed again by {line.billed_by!s}.",
            )


def lines_of(released: Sequence[ReleasedLine]) -> list[PricedLine]:
    """As the lines of an invoice, of exactly the amount that was released."""
    return [_line(each) for each in released]


def _line(released: ReleasedLine) -> PricedLine:
    quantity = released.quantity or Measure(1)
    return PricedLine(
        description=released.description,
        quantity=quantity,
        unit_price=UnitPrice.giving(released.amount, quantity),
        amount=released.amount,
        tax=released.tax,
        period=released.period,
        item=released.item,
        discountable=False,
    )
