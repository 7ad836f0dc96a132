"""What a credit note takes off an invoice. Pure.

The base of a credit is the line as billed, less its discounts, net or gross as the invoice's prices are.
Credits by quantity telescope like VAT does: `round(billed x q_after / Q) - round(billed x q_before / Q)`, so
that all units credited one by one are exactly the line.

A rebate may have come off the line since. A credit of a share of the line gives back that share of what is
left after it, and the same share of the rebate ends: it takes `volume` off what rebates are counted on,

    volume = amount + rebate ended          left = line - amounts of all notes - rebates

so that what is credited and what is still in force add up to the line, to the cent, in any order.

Net of tax (CGI art. 272: the VAT of the invoice is not corrected) a credit is in a group of its own: it
counts for what is left of a line, and not for what was credited of the invoice's VAT groups.
"""

from collections.abc import Callable, Mapping, Sequence

import msgspec

from billing.credit_notes import by_total
from billing.credit_notes.model import LEAVES_VOLUME, CreditShare, NewCreditLine, NewCreditNote
from billing.invoices.model import Line, LineId
from billing.tax import rules
from billing.tax.model import NET_OF_TAX, GroupTax, TaxBehavior, TaxGroup
from kernel.decimals import Measure, Rate
from kernel.errors import Conflict, Invalid, not_found
from kernel.money import Currency, Money, allocate, round_half_up, total, zero
from kernel.structs import Value


class Credited(Value, frozen=True, kw_only=True):
    """What earlier credit notes took off one line, in the invoice's prices.

    `quantity` counts only credits by quantity; `volume` is what is off the volume that rebates are counted
    on, and `rebate` what is in force of them.
    """

    invoice_line_id: LineId
    amount: Money
    quantity: Measure
    volume: Money
    rebate: Money


class Standing(Value, frozen=True, kw_only=True):
    """A line as notes left it: `left` is what its `volume` is without `rebate` and other reductions."""

    left: Money
    volume: Money
    rebate: Money

    @property
    def reduced(self) -> Money:
        """What has been taken off without being given back: rebates, and discounts for early payment."""
        return self.volume - self.left


class LineCredit(Value, frozen=True, kw_only=True):
    """What this note takes off one line, in the invoice's prices.

    `volume` is what it takes off the volume that rebates are counted on, `rebate_ended` the part of them
    that goes with it. `tax` is the group that it is credited in: that of the line, or net of tax.
    """

    line: Line
    tax: TaxGroup
    amount: Money
    quantity: Measure | None
    volume: Money
    rebate_ended: Money


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
    request: NewCreditNote,
    *,
    earlier: Mapping[LineId, Credited],
    earlier_taxes: Mapping[TaxGroup, GroupTax],
    billed: Sequence[GroupTax],
    currency: Currency,
    behavior: TaxBehavior,
) -> Credit:
    """Credit what is asked for, or everything that is left. Raises Invalid or Conflict.

    `billed` is the VAT of the invoice.
    """
    check_form(request, currency, behavior)

    def taxed(amounts: Mapping[TaxGroup, Money]) -> tuple[GroupTax, ...]:
        return rules.taxes_credited(amounts, earlier_taxes, behavior, billed=billed)

    if request.total is not None and behavior is TaxBehavior.EXCLUSIVE and not request.net_of_tax:
        line_credits, taxes = _with_tax(request.total, lines, earlier, taxed)
    else:
        line_credits = _asked(request, lines, earlier, behavior)
        if (request.lines, request.total, request.percent) == (None, None, None):
            line_credits += _only_tax(lines, billed, earlier_taxes)
        if request.net_of_tax:
            line_credits = [msgspec.structs.replace(credit, tax=NET_OF_TAX) for credit in line_credits]
        taxes = taxed(rules.amounts_of(_billed(line_credits), currency))
    if request.reason in LEAVES_VOLUME:
        line_credits = [_off_the_price(credit) for credit in line_credits]
    return _added_up(line_credits, taxes, currency, behavior)


def check_form(request: NewCreditNote, currency: Currency, behavior: TaxBehavior) -> None:
    """What could not be credited of any invoice with such prices."""
    if sum(part is not None for part in (request.lines, request.total, request.percent)) > 1:
        raise Invalid(
            "credit_by_one",
            "Credit `lines`, a `total` or a `percent`: one of them, or none for all that is left.",
            param="lines",
        )
    if request.total is not None and request.total.currency != currency:
        raise Invalid(
            "currency_mismatch",
            f"The credit is in {request.total.currency}, the invoice in {currency}.",
            param="total",
        )
    if request.net_of_tax and behavior is TaxBehavior.INCLUSIVE:
        raise Invalid(
            "net_of_tax_gross_prices",
            "Prices that include VAT cannot be credited net of tax: leave `net_of_tax` out.",
            param="net_of_tax",
        )


def _asked(
    request: NewCreditNote,
    lines: Sequence[Line],
    earlier: Mapping[LineId, Credited],
    behavior: TaxBehavior,
) -> list[LineCredit]:
    if request.lines is not None:
        return [line_credit(each, lines, earlier, behavior) for each in _once_each(request.lines)]
    if request.total is not None:
        left = total((standing_of(line, earlier).left for line in lines), request.total.currency)
        by_total.check(request.total, left)
        return _over_lines(request.total, lines, earlier)
    if request.percent is not None:
        return _shares(request.percent, lines, earlier)
    return everything_left(lines, earlier)


def everything_left(lines: Sequence[Line], earlier: Mapping[LineId, Credited]) -> list[LineCredit]:
    standing = [(line, standing_of(line, earlier)) for line in lines]
    return [of_share(line, now, now.volume) for line, now in standing if now.left]


def _only_tax(
    lines: Sequence[Line], billed: Sequence[GroupTax], earlier: Mapping[TaxGroup, GroupTax]
) -> list[LineCredit]:
    """VAT that an invoice came with on nothing, as one does that takes back a cent of VAT; on its line."""
    alone = {tax.group for tax in billed if tax.tax and not tax.base} - earlier.keys()
    first = {line.tax: line for line in reversed(lines) if line.tax in alone and not line.billed}
    return [of_share(line, standing_of(line, {}), line.billed) for line in first.values()]


def _shares(percent: Rate, lines: Sequence[Line], earlier: Mapping[LineId, Credited]) -> list[LineCredit]:
    """The same share of each line as billed, as far as it is left."""
    standing = [(line, standing_of(line, earlier)) for line in lines]
    shares = [(line, now, min(percent.of(line.billed), now.left)) for line, now in standing]
    return [_of_amount(line, now, amount) for line, now, amount in shares if amount]


def _with_tax(
    amount: Money,
    lines: Sequence[Line],
    earlier: Mapping[LineId, Credited],
    taxed: Callable[[Mapping[TaxGroup, Money]], tuple[GroupTax, ...]],
) -> tuple[list[LineCredit], tuple[GroupTax, ...]]:
    """An amount with its VAT, in net prices: group by group, and each over its lines."""
    left = rules.amounts_of(((line.tax, standing_of(line, earlier).left) for line in lines), amount.currency)
    taxes = by_total.groups_of(amount, left, lambda group, base: taxed({group: base})[0].tax)
    line_credits = [
        credit
        for tax in taxes
        for credit in _over_lines(tax.base, [line for line in lines if line.tax == tax.group], earlier)
    ]
    return line_credits, taxes


def _over_lines(amount: Money, lines: Sequence[Line], earlier: Mapping[LineId, Credited]) -> list[LineCredit]:
    """In proportion to what is left of them. Where it is only VAT, the note says of which line."""
    standing = [(line, now) for line in lines if (now := standing_of(line, earlier)).left]
    parts = allocate(amount, [now.left.minor for _, now in standing])
    credits_ = [_of_amount(line, now, part) for (line, now), part in zip(standing, parts, strict=True)]
    return [credit for credit in credits_ if credit.amount] or credits_[:1]


def _billed(line_credits: Sequence[LineCredit]) -> list[tuple[TaxGroup, Money]]:
    return [(credit.tax, credit.amount) for credit in line_credits]


def _added_up(
    line_credits: Sequence[LineCredit],
    taxes: tuple[GroupTax, ...],
    currency: Currency,
    behavior: TaxBehavior,
) -> Credit:
    net = total((group.base for group in taxes), currency)
    tax = total((group.tax for group in taxes), currency)
    if not net + tax:
        raise Conflict("nothing_to_credit", "There is nothing left to credit on this invoice.")
    return Credit(
        lines=tuple(line_credits),
        included_tax=tuple(rules.included_tax(_billed(line_credits), taxes, behavior)),
        taxes=taxes,
        net=net,
        tax=tax,
        total=net + tax,
    )


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
    now = standing_of(line, earlier)
    asked = _asked_amount(request, behavior)
    if asked is not None:
        _check(line, _in_currency(asked, line), now.left)
        return _of_amount(line, now, asked)
    credit = of_share(line, now, _share_asked(request, line, now, earlier), request.quantity)
    _check(line, credit.amount, now.left)
    return credit


def _share_asked(
    request: NewCreditLine, line: Line, now: Standing, earlier: Mapping[LineId, Credited]
) -> Money:
    """What it is to take off the line's volume: all of it unless it says how much."""
    if request.quantity is not None:
        return min(by_quantity(line, request.quantity, earlier), now.volume)
    if isinstance(request, CreditShare):
        return min(request.share, now.volume)
    return now.volume


def of_share(line: Line, now: Standing, volume: Money, quantity: Measure | None = None) -> LineCredit:
    """The same share of what is left of the line, and of what was taken off it, which ends."""
    ended = Money(
        round_half_up(now.reduced.minor * volume.minor, now.volume.minor) if now.volume else 0,
        volume.currency,
    )
    return _line_credit(line, now, volume - ended, volume, quantity)


def _of_amount(line: Line, now: Standing, amount: Money) -> LineCredit:
    """The share of the line that gives back this amount, which is of what is left."""
    volume = Money(round_half_up(now.volume.minor * amount.minor, now.left.minor), amount.currency)
    return _line_credit(line, now, amount, volume)


def _line_credit(
    line: Line, now: Standing, amount: Money, volume: Money, quantity: Measure | None = None
) -> LineCredit:
    """Of what ends, rebates have their part."""
    ended = (volume - amount).minor
    rebate = round_half_up(ended * now.rebate.minor, now.reduced.minor) if now.reduced else 0
    return LineCredit(
        line=line,
        tax=line.tax,
        amount=amount,
        quantity=quantity,
        volume=volume,
        rebate_ended=Money(rebate, amount.currency),
    )


def _off_the_price(credit: LineCredit) -> LineCredit:
    """What lowers a price leaves what was sold, and the rebates on it, as they are."""
    nothing = zero(credit.amount.currency)
    return msgspec.structs.replace(credit, volume=nothing, rebate_ended=nothing)


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
    """The part of the line that these units were billed: the next of those that are not credited yet."""
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

    return Money(share(after) - share(before), line.billed.currency)


def standing_of(line: Line, earlier: Mapping[LineId, Credited]) -> Standing:
    before = earlier.get(line.id)
    if before is None:
        return Standing(left=line.billed, volume=line.billed, rebate=zero(line.billed.currency))
    return Standing(
        left=line.billed - before.amount, volume=line.billed - before.volume, rebate=before.rebate
    )


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
