"""What a credit note takes off an invoice. Pure.

The base of a credit is the line as billed, net of its discounts. Credits by quantity telescope like VAT
does: `round(net x q_after / Q) - round(net x q_before / Q)`, so that all units credited one by one are
exactly the line.
"""

from collections.abc import Mapping, Sequence

from billing.credit_notes.model import NewCreditLine
from billing.invoices.model import Line, LineId
from billing.tax import rules
from billing.tax.model import GroupTax, TaxGroup
from kernel.decimals import Quantity
from kernel.errors import Conflict, Invalid, not_found
from kernel.money import Currency, Money, round_half_up, total, zero
from kernel.structs import Value


class Credited(Value, frozen=True, kw_only=True):
    """What earlier credit notes took off one line; `quantity` counts only credits by quantity."""

    invoice_line_id: LineId
    net: Money
    quantity: Quantity


class LineCredit(Value, frozen=True, kw_only=True):
    """What this note takes off one line."""

    line: Line
    net: Money
    quantity: Quantity | None


class Credit(Value, frozen=True, kw_only=True):
    """A credit note, worked out."""

    lines: tuple[LineCredit, ...]
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
) -> Credit:
    """Credit the requested lines, or everything that is left. Raises Invalid or Conflict."""
    line_credits = (
        everything_left(lines, earlier)
        if requested is None
        else [line_credit(request, lines, earlier) for request in _once_each(requested)]
    )
    taxes = rules.taxes_credited(
        rules.bases_of(((credit.line.tax, credit.net) for credit in line_credits), currency),
        earlier_taxes,
    )
    net = total((credit.net for credit in line_credits), currency)
    tax = total((group.tax for group in taxes), currency)
    if not net + tax:
        raise Conflict("nothing_to_credit", "There is nothing left to credit on this invoice.")
    return Credit(lines=tuple(line_credits), taxes=taxes, net=net, tax=tax, total=net + tax)


def everything_left(lines: Sequence[Line], earlier: Mapping[LineId, Credited]) -> list[LineCredit]:
    left = [(line, left_of(line, earlier)) for line in lines]
    return [LineCredit(line=line, net=net, quantity=None) for line, net in left if net]


def line_credit(
    request: NewCreditLine, lines: Sequence[Line], earlier: Mapping[LineId, Credited]
) -> LineCredit:
    line = next((line for line in lines if line.id == request.line), None)
    if line is None:
        raise not_found("invoice line", request.line)
    if request.net is not None and request.quantity is not None:
        raise Invalid(
            "credit_by_one",
            "Credit a line by net or by quantity, not both.",
            param="lines",
        )
    left = left_of(line, earlier)
    if request.quantity is not None:
        net = by_quantity(line, request.quantity, earlier)
    elif request.net is not None:
        net = _in_currency(request.net, line)
    else:
        net = left
    _check(line, net, left)
    return LineCredit(line=line, net=net, quantity=request.quantity)


def _in_currency(net: Money, line: Line) -> Money:
    if net.currency != line.net.currency:
        raise Invalid(
            "currency_mismatch",
            f"The credit is in {net.currency}, the invoice in {line.net.currency}.",
            param="lines",
        )
    return net


def by_quantity(line: Line, quantity: Quantity, earlier: Mapping[LineId, Credited]) -> Money:
    """Capped at what is left of the line, since amounts may have been credited too."""
    before = earlier[line.id].quantity.micro if line.id in earlier else 0
    after = before + quantity.micro
    if not before < after <= line.quantity.micro:
        left = Quantity(Quantity(line.quantity.micro - before).scaleb(-6))
        raise Conflict(
            "credit_exceeds_quantity",
            f"{left!s} of {line.quantity!s} units of {line.description!r} can still be credited.",
            param="lines",
        )

    def share(micro: int) -> int:
        return round_half_up(line.net.minor * micro, line.quantity.micro)

    net = Money(share(after) - share(before), line.net.currency)
    return min(net, left_of(line, earlier))


def left_of(line: Line, earlier: Mapping[LineId, Credited]) -> Money:
    return line.net - earlier[line.id].net if line.id in earlier else line.net


def _check(line: Line, net: Money, left: Money) -> None:
    if net > left:
        raise Conflict(
            "credit_exceeds_line",
            f"{left} of {line.description!r} can still be credited, not {net}.",
            param="lines",
        )
    if net <= zero(net.currency):
        raise Conflict(
            "nothing_to_credit",
            f"There is nothing left to credit of {line.description!r}.",
            param="lines",
        )


def _once_each(requested: Sequence[NewCreditLine]) -> Sequence[NewCreditLine]:
    if len({request.line for request in requested}) < len(requested):
        raise Invalid("credit_line_twice", "Name each line once.", param="lines")
    return requested
