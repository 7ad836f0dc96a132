"""The VAT of a rebate. Pure.

It is rounded once per group on the document, over all its invoices. Several rebates on the same purchases
telescope like other credit notes do: together they have the VAT that one would have had.
"""

from collections.abc import Mapping

from billing.tax.model import GroupTax, TaxGroup
from kernel.money import zero


def taxes_of(
    bases: Mapping[TaxGroup, GroupTax], earlier: Mapping[TaxGroup, GroupTax]
) -> dict[TaxGroup, GroupTax]:
    """What the bases of this one are taxed, after those given before on the same purchases."""
    taxes = {}
    for group, wanted in sorted(bases.items()):
        nothing = zero(wanted.base.currency)
        before = earlier.get(group, GroupTax(group=group, base=nothing, tax=nothing))
        so_far = group.rate.of(before.base + wanted.base)
        taxes[group] = GroupTax(group=group, base=wanted.base, tax=max(so_far - before.tax, nothing))
    return taxes
