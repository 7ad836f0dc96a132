"""A credit note on no invoice, before its number. Pure.

Its lines are priced and taxed like those of an invoice, and nothing is taken off any: what it comes to is the
customer's balance, or promised to go back by hand. It has books of its own, where its VAT waits until the
note is used.
"""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from billing.credit_notes.model import (
    CreditLine,
    CreditNote,
    CreditNoteId,
    CreditNoteLineId,
    NewGlobalCreditNote,
    Refunding,
)
from billing.credit_notes.ready import Ready, booked, check_reason, destination_of, modality_of, unused
from billing.invoices import issuable, totals
from billing.invoices.model import PricedLine
from billing.invoices.totals import Totals
from billing.parties.model import Customer, LegalEntity, RefundMode
from billing.tax.model import NET_OF_TAX, TaxBehavior
from kernel.errors import Invalid
from kernel.money import Money, zero


def ready_on_no_invoice(
    request: NewGlobalCreditNote,
    lines: Sequence[PricedLine],
    behavior: TaxBehavior,
    *,
    customer: Customer,
    entity: LegalEntity,
    refund: Refunding,
    now: datetime,
    note_id: CreditNoteId | None = None,
) -> Ready:
    """Raises Invalid, or Conflict where the law wants more said."""
    sums = sums_of(request, lines, behavior)
    issuable.check(entity.seller, customer.buyer, sums.taxes, request.currency)
    note = _note(note_id or CreditNoteId.new(), request, sums, customer, entity, refund, now)
    return Ready(entity=entity, note=note, booked=booked(note), freed=zero(request.currency))


def sums_of(request: NewGlobalCreditNote, lines: Sequence[PricedLine], behavior: TaxBehavior) -> Totals:
    check_reason(request.reason, request.reason_text)
    _check_refund(request.refund)
    if request.net_of_tax:
        lines = [msgspec.structs.replace(line, tax=NET_OF_TAX, waived=None) for line in lines]
    sums = totals.totals_of(lines, request.currency, behavior)
    if not sums.total:
        raise Invalid("credit_not_positive", "A credit is more than zero.", param="lines")
    return sums


def behavior_of(request: NewGlobalCreditNote, usual: TaxBehavior) -> TaxBehavior:
    if not request.net_of_tax:
        return request.tax_behavior or usual
    if request.tax_behavior is TaxBehavior.INCLUSIVE:
        raise Invalid(
            "net_of_tax_gross_prices",
            "Prices that include VAT cannot be credited net of tax: leave `net_of_tax` out.",
            param="net_of_tax",
        )
    return TaxBehavior.EXCLUSIVE


def _check_refund(mode: RefundMode) -> None:
    if mode not in (RefundMode.NONE, RefundMode.MANUAL):
        raise Invalid(
            "refund_without_payment",
            "What is on no invoice was not paid through a provider: `refund` is `manual` or `none`.",
            param="refund",
        )


def _note(
    note_id: CreditNoteId,
    request: NewGlobalCreditNote,
    sums: Totals,
    customer: Customer,
    entity: LegalEntity,
    refund: Refunding,
    now: datetime,
) -> CreditNote:
    nothing = zero(request.currency)
    destination = destination_of(sums.total, nothing, refund)
    return CreditNote(
        id=note_id,
        number="",
        legal_entity_id=entity.id,
        customer_id=customer.id,
        invoice_id=None,
        invoice_number=None,
        invoice_issued_on=None,
        sources=(),
        rebate=None,
        modality=modality_of(request.modality, destination),
        currency=request.currency,
        language=customer.language,
        issued_on=now.date(),
        seller=entity.seller,
        buyer=customer.buyer,
        vat_due=entity.vat_due,
        time_zone=entity.time_zone,
        reason=request.reason,
        reason_text=request.reason_text,
        refund_mode=refund.mode,
        refund_on=None,
        destination=destination,
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


def own_line(line: PricedLine, included_tax: Money) -> CreditLine:
    """It is on no line that rebates are counted on."""
    nothing = zero(included_tax.currency)
    return CreditLine(
        id=CreditNoteLineId.new(),
        invoice_line_id=None,
        item=line.item,
        description=line.description,
        unit_price=line.unit_price,
        quantity=line.quantity,
        period=line.period,
        included_tax=included_tax,
        net=line.billed - included_tax,
        volume=nothing,
        rebate_ended=nothing,
        tax=line.tax,
    )
