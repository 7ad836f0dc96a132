"""The lines of an invoice that stands in the place of another. Pure."""

from collections.abc import Mapping, Sequence

import msgspec

from billing.invoices import totals
from billing.invoices.model import Allowance, CorrectedLine, Invoice, Line, NewDiscount, NewPeriod, PricedLine
from billing.tax.model import TaxTreatment
from kernel.decimals import Quantity
from kernel.errors import Invalid, not_found
from kernel.money import Money, allocate, round_half_up
from kernel.periods import Period


def corrected_lines(
    first: Invoice,
    asked: Sequence[CorrectedLine] | None,
    discounts: Sequence[NewDiscount],
    treatments: Mapping[str | None, TaxTreatment],
) -> list[PricedLine]:
    """All lines as they were billed, or those asked for; discounts come off them one after the other.

    `treatments` are by the VAT rates that lines name, and without a name that of a line which names none.
    """
    lines = (
        [_as_it_was(line) for line in first.lines]
        if asked is None
        else [_line(each, first, treatments) for each in asked]
    )
    for line in lines:
        totals.check_amount(line.amount)
    for discount in discounts:
        lines = totals.discounted(lines, "correction", discount)
    return lines


def _line(asked: CorrectedLine, first: Invoice, treatments: Mapping[str | None, TaxTreatment]) -> PricedLine:
    if asked.line is None:
        return _another(asked, first, treatments)
    was = next((line for line in first.lines if line.id == asked.line), None)
    if was is None:
        raise not_found("invoice line", asked.line)
    return _changed(_as_it_was(was), asked, treatments)


def _another(
    asked: CorrectedLine, first: Invoice, treatments: Mapping[str | None, TaxTreatment]
) -> PricedLine:
    if asked.description is None or asked.unit_price is None:
        raise Invalid(
            "corrected_line_incomplete",
            "Name the `line` of the invoice that it is in place of, or give a description and a unit price.",
            param="lines",
        )
    quantity = asked.quantity if asked.quantity is not None else Quantity(1)
    treatment = treatments[asked.tax_rate]
    return PricedLine(
        description=asked.description,
        quantity=quantity,
        unit_price=asked.unit_price,
        amount=asked.unit_price.times(quantity, first.currency),
        tax=treatment.group,
        waived=treatment.waived,
        recurring=bool(asked.recurring),
        period=_period(asked.period),
        item=asked.item,
    )


def _as_it_was(line: Line) -> PricedLine:
    """What it was billed for is in its price already, as are discounts in its allowances."""
    return PricedLine(
        description=line.description,
        quantity=line.quantity,
        unit_price=line.unit_price,
        amount=line.amount,
        allowances=line.allowances,
        tax=line.tax,
        recurring=line.recurring,
        period=line.period,
        item=line.item,
        discountable=line.discountable,
    )


def _changed(
    was: PricedLine, asked: CorrectedLine, treatments: Mapping[str | None, TaxTreatment]
) -> PricedLine:
    quantity = asked.quantity if asked.quantity is not None else was.quantity
    unit_price = asked.unit_price if asked.unit_price is not None else was.unit_price
    as_before = (quantity, unit_price) == (was.quantity, was.unit_price)
    amount = was.amount if as_before else unit_price.times(quantity, was.amount.currency)
    treatment = treatments[asked.tax_rate] if asked.tax_rate is not None else None
    return msgspec.structs.replace(
        was,
        description=asked.description or was.description,
        quantity=quantity,
        unit_price=unit_price,
        amount=amount,
        allowances=_in_proportion(was, amount),
        tax=treatment.group if treatment else was.tax,
        recurring=was.recurring if asked.recurring is None else asked.recurring,
        period=_period(asked.period) or was.period,
        item=asked.item or was.item,
    )


def _in_proportion(was: PricedLine, amount: Money) -> tuple[Allowance, ...]:
    """What came off the line comes off the other amount in the same proportion, rounded once."""
    if not was.discount:
        return ()
    discount = Money(round_half_up(was.discount.minor * amount.minor, was.amount.minor), amount.currency)
    parts = allocate(discount, [each.amount.minor for each in was.allowances])
    return tuple(
        msgspec.structs.replace(each, amount=part)
        for each, part in zip(was.allowances, parts, strict=True)
        if part
    )


def _period(asked: NewPeriod | None) -> Period | None:
    if asked is None:
        return None
    if asked.start >= asked.end:
        raise Invalid("period_empty", "A period ends after it starts.", param="lines")
    return Period(asked.start, asked.end)
