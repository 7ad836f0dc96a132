"""What a credit note takes off an invoice. Pure.

The base of a credit is the line as billed, less its discounts, net or gross as the invoice's prices are.
Credits by quantity telescope like VAT does: `round(billed x q_after / Q) - round(billed x q_before / Q)`, so
that all units credited one by one are exactly the line.
"""

from collections.abc import Mapping, Sequence

from billing.credit_notes.model import NewCreditLine
from billing.invoices.model import Line, LineId
from billing.tax import rules
from billing.tax.model import GroupTax, TaxBehavior, TaxGroup
from kernel.decimals import Measure
from kernel.errors import Conflict, Invalid, not_found
from kernel.money import Currency, Money, round_half_up, total, zero
from kernel.structs import Value


class Credited(Value, frozen=True, kw_only=True):
    """What earlier credit notes took off one line, in the invoice's prices.

    `quantity` counts only credits by quantity.
    """

    invoice_line_id: LineId
    amount: Money
    quantity: Measure


class LineCredit(Value, frozen=True, kw_only=True):
    """What this note takes off one line, in the invoice's prices."""

    line: Line
    amount: Money
    quantity: Measure | None


class Credit(Value, frozen=True, kw_only=True):
    """A credit note, worked out; in gross prices `included_tax` is the VAT in each line's amount."""

    lines: tuple[LineCredit, ...]
    included_tax: tuple[Money, ...]
    taxes: tuple[GroupTax, ...]
    net: Money
    tax: Money
    total: Money


def work_out(
    lines: Sequence[Line],
    requested: Sequence[NewCreditLine] | None,
    *,
    earlier: Mapping[LineId, Credited],
    earlier_taxes: Mapping[TaxGroup, GroupTax],
    currency: Currency,
    behavior: TaxBehavior,
) -> Credit:
    """Credit the requested lines, or everything that is left. Raises Invalid or Conflict."""
    line_credits = (
        everything_left(lines, earlier)
        if requested is None
        else [line_credit(request, lines, earlier, behavior) for request in _once_each(requested)]
    )
    credited = [(credit.line.tax, credit.amount) for credit in line_credits]
    taxes = rules.taxes_credited(rules.amounts_of(credited, currency), earlier_taxes, behavior)
    net = total((group.base for group in taxes), currency)
    tax = total((group.tax for group in taxes), currency)
    if not net + tax:
        raise Conflict("nothing_to_credit", "There is nothing left to credit on this invoice.")
    return Credit(
        lines=tuple(line_credits),
        included_tax=tuple(rules.included_tax(credited, taxes, behavior)),
        taxes=taxes,
        net=net,
        tax=tax,
        total=net + tax,
    )


def everything_left(lines: Sequence[Line], earlier: Mapping[LineId, Credited]) -> list[LineCredit]:
    left = [(line, left_of(line, earlier)) for line in lines]
    return [LineCredit(line=line, amount=amount, quantity=None) for line, amount in left if amount]


def line_credit(
    request: NewCreditLine,
    lines: Sequence[Line],
    earlier: Mapping[LineId, Credited],
    behavior: TaxBehavior,
) -> LineCredit:
    line = next((line for line in lines if line.id == request.line), None)
    if line is None:
        raise not_found("invoice line", request.line)
    if sum(part is not None for part in (request.amount, request.net, request.quantity)) > 1:
        raise Invalid(
            "credit_by_one",
            "Credit a line by amount or by quantity, not both.",
            param="lines",
        )
    left = left_of(line, earlier)
    asked = _asked_amount(request, behavior)
    if request.quantity is not None:
        amount = by_quantity(line, request.quantity, earlier)
    elif asked is not None:
        amount = _in_currency(asked, line)
    else:
        amount = left
    _check(line, amount, left)
    return LineCredit(line=line, amount=amount, quantity=request.quantity)


def _asked_amount(request: NewCreditLine, behavior: TaxBehavior) -> Money | None:
    if request.net is None:
        return request.amount
    if behavior is TaxBehavior.INCLUSIVE:
        raise Invalid(
            "credit_net_of_gross",
            "The prices of this invoice include VAT: credit an `amount` with its VAT, not a `net`.",
            param="lines",
        )
    return request.net


def _in_currency(amount: Money, line: Line) -> Money:
    if amount.currency != line.amount.currency:
        raise Invalid(
            "currency_mismatch",
            f"The credit is in {amount.currency}, the invoice in {line.amount.currency}.",
            param="lines",
        )
    return amount


def by_quantity(line: Line, quantity: Measure, earlier: Mapping[LineId, Credited]) -> Money:
    """Capped at what is left of the line, since amounts may have been credited too."""
    before = earlier[line.id].quantity.micro if line.id in earlier else 0
    after = before + quantity.micro
    if not before < after <= line.quantity.micro:
        left = Measure(Measure(line.quantity.micro - before).scaleb(-6))
        raise Conflict(
            "credit_exceeds_quantity",
            f"{left!s} of {line.quantity!s} units of {line.description!r} can still be credited.",
            param="lines",
        )

    def share(micro: int) -> int:
        return round_half_up(line.billed.minor * micro, line.quantity.micro)

    amount = Money(share(after) - share(before), line.billed.currency)
    return min(amount, left_of(line, earlier))


def left_of(line: Line, earlier: Mapping[LineId, Credited]) -> Money:
    return line.billed - earlier[line.id].amount if line.id in earlier else line.billed


def _check(line: Line, amount: Money, left: Money) -> None:
    if amount > left:
        raise Conflict(
            "credit_exceeds_line",
            f"{left} of {line.description!r} can still be credited, not {amount}.",
            param="lines",
        )
    if amount <= zero(amount.currency):
        raise Conflict(
            "nothing_to_credit",
            f"There is nothing left to credit of {line.description!r}.",
            param="lines",
        )


def _once_each(requested: Sequence[NewCreditLine]) -> Sequence[NewCreditLine]:
    if len({request.line for request in requested}) < len(requested):
        raise Invalid("credit_line_twice", "Name each line once.", param="lines")
    return requested
