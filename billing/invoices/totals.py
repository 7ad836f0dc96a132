"""What an invoice adds up to. Pure.

Each discount is computed and rounded once, on the sum of what is left of the lines, and then given to
them in proportion: the allowances on the lines add up to the discount.
"""

from collections.abc import Sequence

import msgspec

from billing.invoices.model import Allowance, NewDiscount, PricedLine, Status
from billing.tax import rules
from billing.tax.model import GroupTax
from kernel.errors import Invalid
from kernel.money import MAX_MINOR, Currency, Money, allocate, total
from kernel.structs import Value


class Totals(Value, frozen=True, kw_only=True):
    net: Money
    tax: Money
    total: Money
    taxes: tuple[GroupTax, ...]


def totals_of(lines: Sequence[PricedLine], currency: Currency) -> Totals:
    taxes = rules.taxes_on(rules.bases_of(((line.tax, line.net) for line in lines), currency))
    net = total((line.net for line in lines), currency)
    tax = total((group.tax for group in taxes), currency)
    check_amount(net + tax)
    return Totals(net=net, tax=tax, total=net + tax, taxes=taxes)


def check_amount(amount: Money) -> None:
    if amount.minor > MAX_MINOR:
        most = Money(MAX_MINOR, amount.currency)
        raise Invalid("amount_too_large", f"An amount on a document is at most {most}.")


def discounted(lines: Sequence[PricedLine], source: str, discount: NewDiscount) -> list[PricedLine]:
    """The lines with one discount taken off them."""
    currency = lines[0].amount.currency
    left = total((line.net for line in lines), currency)
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
    parts = allocate(amount, [line.net.minor for line in lines])
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
