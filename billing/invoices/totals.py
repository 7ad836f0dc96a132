"""What an invoice adds up to. Pure.

Each discount is computed and rounded once, on the sum of what is left of the lines, and then given to
them in proportion: the allowances on the lines add up to the discount.

Who is charged no VAT does not pay the one that a gross price was made with: lines and discounts are worked
out as for everybody, and what the others would pay net is billed.
"""

from collections.abc import Sequence

import msgspec

from billing.invoices.model import Allowance, NewDiscount, PricedLine, Status
from billing.tax import rules
from billing.tax.model import GroupTax, TaxBehavior
from kernel.decimals import Rate, UnitPrice
from kernel.errors import Invalid
from kernel.money import MAX_MINOR, Currency, Money, allocate, total, zero
from kernel.structs import Value


class Totals(Value, frozen=True, kw_only=True):
    """The lines as they are billed, the VAT included in the price of each, and what they come to."""

    tax_behavior: TaxBehavior
    lines: tuple[PricedLine, ...]
    included_tax: tuple[Money, ...]
    net: Money
    tax: Money
    total: Money
    taxes: tuple[GroupTax, ...]


def totals_of(
    priced: Sequence[PricedLine],
    currency: Currency,
    behavior: TaxBehavior,
    *,
    given: Sequence[GroupTax] | None = None,
) -> Totals:
    """Where no VAT is charged, net and gross are one, and the invoice has net prices.

    `given` is VAT that the invoice comes with, in place of what its rates come to.
    """
    lines = without_waived_tax(priced, currency, behavior)
    if not any(line.tax.rate for line in lines):
        behavior = TaxBehavior.EXCLUSIVE
    billed = [(line.tax, line.billed) for line in lines]
    amounts = rules.amounts_of(billed, currency)
    taxes = (
        rules.taxes_on(amounts, behavior) if given is None else rules.taxes_given(amounts, given, behavior)
    )
    net = total((group.base for group in taxes), currency)
    tax = total((group.tax for group in taxes), currency)
    check_amount(net + tax)
    return Totals(
        tax_behavior=behavior,
        lines=tuple(lines),
        included_tax=tuple(rules.included_tax(billed, taxes, behavior)),
        net=net,
        tax=tax,
        total=net + tax,
        taxes=taxes,
    )


def in_prices(line: PricedLine, *, of: TaxBehavior, to: TaxBehavior) -> PricedLine:
    """A line, not discounted yet, that was priced net, for an invoice of gross prices, or the other way."""
    if of is to:
        return line
    assert not line.allowances, "discounts come off prices that are alike"
    made_with = (line.waived or line.tax).rate
    match to:
        case TaxBehavior.INCLUSIVE:
            amount = made_with.added_to(line.amount)
        case TaxBehavior.EXCLUSIVE:
            amount = made_with.taken_out_of(line.amount)
    return msgspec.structs.replace(line, amount=amount, unit_price=UnitPrice.giving(amount, line.quantity))


def without_waived_tax(
    lines: Sequence[PricedLine], currency: Currency, behavior: TaxBehavior
) -> Sequence[PricedLine]:
    """Gross prices without the VAT that is not charged; as for an invoice, it is rounded once per group."""
    if behavior is TaxBehavior.EXCLUSIVE or not any(line.waived for line in lines):
        return lines
    waived = [(line.waived, line.billed) if line.waived else (line.tax, zero(currency)) for line in lines]
    taxes = rules.taxes_on(rules.amounts_of(waived, currency), behavior)
    included = rules.included_tax(waived, taxes, behavior)
    return [
        _less(line, line.waived.rate, tax) if line.waived else line
        for line, tax in zip(lines, included, strict=True)
    ]


def _less(line: PricedLine, rate: Rate, tax: Money) -> PricedLine:
    """The line in net prices. What is left to pay is fixed: the rounding of its parts falls on the price."""
    allowances = tuple(
        msgspec.structs.replace(each, amount=rate.taken_out_of(each.amount)) for each in line.allowances
    )
    amount = line.billed - tax + total((each.amount for each in allowances), tax.currency)
    return msgspec.structs.replace(
        line,
        unit_price=UnitPrice.giving(amount, line.quantity),
        amount=amount,
        allowances=allowances,
    )


def check_amount(amount: Money) -> None:
    if amount.minor > MAX_MINOR:
        most = Money(MAX_MINOR, amount.currency)
        raise Invalid("amount_too_large", f"An amount on a document is at most {most}.")


def discounted(lines: Sequence[PricedLine], source: str, discount: NewDiscount) -> list[PricedLine]:
    """The lines with one discount taken off them."""
    currency = lines[0].amount.currency
    left = total((line.billed for line in lines), currency)
    amount = amount_of(discount, left)
    return spread(lines, amount, source=source, name=discount.name)


def amount_of(discount: NewDiscount, left: Money) -> Money:
    """What a discount takes off `left`: never more than is there."""
    match discount:
        case NewDiscount(percent=percent, amount=None) if percent is not None:
            return percent.of(left)
        case NewDiscount(percent=None, amount=amount) if amount is not None:
            _check_fixed(amount, left.currency)
            return min(amount, left)
        case _:
            raise Invalid("discount_form", "A discount has either a percent or an amount.", param="discounts")


def _check_fixed(amount: Money, currency: Currency) -> None:
    if amount.currency != currency:
        raise Invalid(
            "currency_mismatch",
            f"The discount is in {amount.currency}, the invoice in {currency}.",
            param="discounts",
        )
    if amount.minor < 0:
        raise Invalid("discount_negative", "A discount is not negative.", param="discounts")


def spread(lines: Sequence[PricedLine], amount: Money, *, source: str, name: str) -> list[PricedLine]:
    """`amount` as allowances on the lines, in proportion to what is left of them."""
    parts = allocate(amount, [line.billed.minor for line in lines])
    return [
        with_allowance(line, Allowance(source=source, name=name, amount=part)) if part else line
        for line, part in zip(lines, parts, strict=True)
    ]


def with_allowance(line: PricedLine, allowance: Allowance) -> PricedLine:
    return msgspec.structs.replace(line, allowances=(*line.allowances, allowance))


def status_of(*, total: Money, settled: Money) -> Status:
    """An invoice of 0.00 is settled at issue."""
    if settled >= total:
        return Status.SETTLED
    return Status.PARTLY_SETTLED if settled else Status.OPEN
