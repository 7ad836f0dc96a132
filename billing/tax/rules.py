"""VAT on documents. Pure.

Tax is summed and rounded per group (category, rate, reason), never per line, so that a document's VAT is
what its bases say: `tax = round_half_up(base x rate)` (EN 16931 BR-S-09).
"""

from collections.abc import Iterable, Mapping

from billing.tax.model import Category, GroupTax, NewTaxRate, TaxGroup
from kernel.errors import Invalid
from kernel.money import Currency, Money, zero


def check(request: NewTaxRate) -> None:
    if (request.category is Category.STANDARD) != (request.rate > 0):
        raise Invalid(
            "tax_rate_category",
            "A rate above 0 goes with category S, and only with it.",
            param="rate",
        )
    if request.category not in (Category.STANDARD, Category.ZERO_RATED) and request.reason is None:
        raise Invalid(
            "tax_reason_required",
            f"Category {request.category} charges no tax: give the reason printed on documents.",
            param="reason",
        )


def bases_of(nets: Iterable[tuple[TaxGroup, Money]], currency: Currency) -> dict[TaxGroup, Money]:
    """What is taxed, per group."""
    bases: dict[TaxGroup, Money] = {}
    for group, net in nets:
        bases[group] = bases.get(group, zero(currency)) + net
    return bases


def taxes_on(bases: Mapping[TaxGroup, Money]) -> tuple[GroupTax, ...]:
    """The VAT of an invoice."""
    return tuple(
        GroupTax(group=group, base=base, tax=group.rate.of(base)) for group, base in sorted(bases.items())
    )


def taxes_credited(
    bases: Mapping[TaxGroup, Money], earlier: Mapping[TaxGroup, GroupTax]
) -> tuple[GroupTax, ...]:
    """The VAT of a credit note, which telescopes over the earlier ones on the same invoice.

    `tax = round_half_up(rate x credited base so far, this one included) - tax of earlier credit notes`:
    in any order and any split the taxes add up to the invoice's.
    """
    taxes = []
    for group, base in sorted(bases.items()):
        none = GroupTax(group=group, base=zero(base.currency), tax=zero(base.currency))
        before = earlier.get(group, none)
        taxes.append(GroupTax(group=group, base=base, tax=group.rate.of(before.base + base) - before.tax))
    return tuple(taxes)
