"""A credit note issued elsewhere, as it is written here. Pure.

On an invoice it takes off its lines what it says, like one of ours; its VAT is what is printed, within what
is left of the invoice's. What of it was used elsewhere counts as used, booked against the opening balance.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime

from msgspec.structs import replace

from billing.credit_notes import crediting
from billing.credit_notes.crediting import Credit, Credited
from billing.credit_notes.model import (
    CreditNote,
    CreditNoteId,
    Destination,
    NewCreditLine,
    NewCreditNote,
    Refunding,
)
from billing.credit_notes.on_no_invoice import own_line
from billing.credit_notes.ready import check_creditable, check_reason, destination_of, note_on, unused
from billing.imports import rules
from billing.imports.model import ImportedCreditLine, NewImportedCreditNote
from billing.invoices import totals
from billing.invoices.model import Invoice, LineId, PricedLine
from billing.parties.model import Customer, LegalEntity, RefundMode
from billing.settlement.rules import used_with
from billing.tax import rules as vat
from billing.tax.model import GroupTax, TaxGroup
from kernel.errors import Invalid
from kernel.money import Currency, total, zero
from kernel.periods import local_date


def imported_on_invoice(
    request: NewImportedCreditNote,
    invoice: Invoice,
    *,
    earlier: Mapping[LineId, Credited],
    earlier_taxes: Mapping[TaxGroup, GroupTax],
    entity: LegalEntity,
    now: datetime,
) -> CreditNote:
    """First it takes off what is due on the invoice; what is left of it is the customer's balance."""
    asked = NewCreditNote(
        reason=request.reason,
        reason_text=request.reason_text,
        lines=[_credited_line(line) for line in request.lines],
        metadata=request.metadata,
    )
    _check(request, entity, issued_from=invoice.issued_on, now=now)
    check_creditable(invoice, asked)
    credit = crediting.work_out(
        invoice.lines,
        asked,
        earlier=earlier,
        earlier_taxes=earlier_taxes,
        billed=invoice.taxes,
        currency=invoice.currency,
        behavior=invoice.tax_behavior,
    )
    printed = rules.taxes_of(request.taxes, invoice.currency)
    if printed is not None:
        credit = _as_printed(credit, printed, invoice, earlier_taxes)
    nowhere = Refunding(mode=RefundMode.NONE, due_on=request.issued_on, by_provider=zero(invoice.currency))
    destination = destination_of(credit.total, invoice.settlement.due, nowhere)
    note = note_on(CreditNoteId.new(), invoice, asked, credit, destination, nowhere, now)
    described = zip(note.lines, request.lines, strict=True)
    note = replace(
        note, lines=tuple(replace(line, description=printed.description) for line, printed in described)
    )
    return _as_issued(note, request)


def imported_on_no_invoice(
    request: NewImportedCreditNote, customer: Customer, entity: LegalEntity, *, now: datetime
) -> CreditNote:
    currency = request.currency
    if currency is None:
        raise Invalid("currency_required", "Say which currency it is in.", param="currency")
    _check(request, entity, issued_from=None, now=now)
    check_reason(request.reason, request.reason_text)

    lines = [_own_line(line, currency) for line in request.lines]
    printed = rules.taxes_of(request.taxes, currency)
    sums = totals.totals_of(lines, currency, request.tax_behavior, given=printed)
    if not sums.total:
        raise Invalid("credit_not_positive", "A credit is more than zero.", param="lines")
    rules.check_plausible(sums.taxes, [line.tax for line in lines], sums.tax_behavior)
    nothing = zero(currency)
    note = CreditNote(
        id=CreditNoteId.new(),
        number=request.number,
        legal_entity_id=entity.id,
        customer_id=customer.id,
        invoice_id=None,
        invoice_number=None,
        invoice_issued_on=None,
        sources=(),
        rebate=None,
        modality=None,
        currency=currency,
        language=customer.language,
        issued_on=request.issued_on,
        seller=entity.seller,
        buyer=customer.buyer,
        vat_due=entity.vat_due,
        time_zone=entity.time_zone,
        reason=request.reason,
        reason_text=request.reason_text,
        refund_mode=RefundMode.NONE,
        refund_on=None,
        destination=Destination(
            to_invoice=nothing, to_provider=nothing, by_hand=nothing, to_balance=sums.total
        ),
        tax_behavior=sums.tax_behavior,
        lines=tuple(own_line(*each) for each in zip(sums.lines, sums.included_tax, strict=True)),
        taxes=sums.taxes,
        net=sums.net,
        tax=sums.tax,
        total=sums.total,
        metadata=request.metadata,
        issued_at=now,
        settlement=unused(sums.total, to_invoice=nothing),
    )
    return _as_issued(note, request)


def _as_issued(note: CreditNote, request: NewImportedCreditNote) -> CreditNote:
    """With its number and its day, and what had been used of it besides what it takes off here."""
    numbered = replace(note, number=request.number, issued_on=request.issued_on, modality=None, imported=True)
    used = request.used or zero(note.currency)
    rules.check_currency(used, note.currency, param="used")
    if not 0 <= used.minor <= note.total.minor:
        raise Invalid(
            "used_exceeds_note", f"At most {note.total} of {request.number} have been used.", param="used"
        )
    elsewhere = max(used - note.settlement.applied, zero(note.currency))
    return used_with(numbered, marked=elsewhere)


def _credited_line(line: ImportedCreditLine) -> NewCreditLine:
    if line.line is None or line.tax is not None:
        raise Invalid(
            "credit_line_form",
            f"On an invoice {line.description!r} names the `line` it takes something off, and no `tax`.",
            param="lines",
        )
    return NewCreditLine(line=line.line, amount=line.amount)


def _own_line(line: ImportedCreditLine, currency: Currency) -> PricedLine:
    if line.line is not None or line.tax is None:
        raise Invalid(
            "credit_line_form",
            f"On no invoice {line.description!r} says its `tax`, and names no `line`.",
            param="lines",
        )
    return rules.priced(line, line.tax, currency)


def _as_printed(
    credit: Credit,
    printed: Sequence[GroupTax],
    invoice: Invoice,
    earlier: Mapping[TaxGroup, GroupTax],
) -> Credit:
    """With the VAT that is printed: within what is left of the invoice's, and all of that at last."""
    behavior, currency = invoice.tax_behavior, invoice.currency
    credited = [(line.tax, line.amount) for line in credit.lines]
    taxes = vat.taxes_given(vat.amounts_of(credited, currency), printed, behavior)
    rules.check_plausible(taxes, [group for group, _ in credited], behavior)
    _check_left(taxes, invoice.taxes, earlier)
    net = total((tax.base for tax in taxes), currency)
    tax = total((tax.tax for tax in taxes), currency)
    return replace(
        credit,
        taxes=taxes,
        included_tax=tuple(vat.included_tax(credited, taxes, behavior)),
        net=net,
        tax=tax,
        total=net + tax,
    )


def _check_left(
    taxes: Sequence[GroupTax], billed: Sequence[GroupTax], earlier: Mapping[TaxGroup, GroupTax]
) -> None:
    whole = {tax.group: tax for tax in billed}
    for tax in taxes:
        before = earlier.get(tax.group)
        base, left = whole[tax.group].base, whole[tax.group].tax
        if before is not None:
            base, left = base - before.base, left - before.tax
        is_rest = tax.base >= base
        if tax.tax > left or tax.base > base or (is_rest and tax.tax != left):
            raise Invalid(
                "tax_implausible",
                f"{left} of VAT are left on the invoice, for {base}: a note has that much at most, and all "
                "of it where it leaves nothing.",
                param="taxes",
            )


def _check(
    request: NewImportedCreditNote, entity: LegalEntity, *, issued_from: date | None, now: datetime
) -> None:
    today = local_date(now, entity.zone)
    rules.check_number(request.number, entity.credit_note_number_format, today)
    rules.check_issued(request.issued_on, today)
    if issued_from is not None and request.issued_on < issued_from:
        raise Invalid(
            "issued_before_invoice", "A credit note is issued after its invoice.", param="issued_on"
        )
