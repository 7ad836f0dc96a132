"""An amount, VAT included, credited over what is left of an invoice. Pure.

In gross prices it is shared out over the lines, and their VAT is in it. In net prices it is shared out over
the VAT groups first, in proportion to what is left of each with its VAT; of one group it is

    base = the largest for which base + VAT(base) <= amount          VAT = amount - base

where VAT(base) is what telescoping gives. One more unit of base may bring one more of VAT with it, and step
over the amount: then the VAT of the note is one unit ahead, and the next credit takes that much less.
"""

from collections.abc import Callable, Mapping

from billing.tax.model import GroupTax, TaxGroup
from kernel.errors import Conflict, Invalid
from kernel.money import Money, allocate, total, zero

# The VAT that a base of a group brings with it, after what was credited before.
Taxed = Callable[[TaxGroup, Money], Money]


def groups_of(amount: Money, left: Mapping[TaxGroup, Money], taxed: Taxed) -> tuple[GroupTax, ...]:
    """What of each group is credited; `left` is what of it can be, without VAT."""
    groups = sorted(left)
    with_tax = [left[group] + taxed(group, left[group]) for group in groups]
    check(amount, total(with_tax, amount.currency))
    parts = allocate(amount, [each.minor for each in with_tax])
    return tuple(
        _taken_out_of(part, group, left[group], taxed)
        for group, part in zip(groups, parts, strict=True)
        if part
    )


def check(amount: Money, left: Money) -> None:
    if amount <= zero(amount.currency):
        raise Invalid("credit_not_positive", "A credit is more than zero.", param="total")
    if amount > left:
        raise Conflict(
            "credit_exceeds_invoice",
            f"{left} of this invoice can still be credited, not {amount}.",
            param="total",
        )


def _taken_out_of(amount: Money, group: TaxGroup, left: Money, taxed: Taxed) -> GroupTax:
    """Base and VAT grow together, so the base is found by halving."""
    low, high = 0, min(left, amount).minor
    while low < high:
        middle = Money((low + high + 1) // 2, amount.currency)
        if middle + taxed(group, middle) <= amount:
            low = middle.minor
        else:
            high = middle.minor - 1
    base = Money(low, amount.currency)
    return GroupTax(group=group, base=base, tax=amount - base)
