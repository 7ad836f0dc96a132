"""VAT on documents. Pure.

Tax is summed and rounded per group (category, rate, reason), never per line (EN 16931 BR-S-09):

net prices      tax = round_half_up(base x rate)
gross prices    base = round_half_up(gross / (1 + rate)), tax = gross - base

Here alone it is decided which of the two holds.

An invoice may come with its VAT: one issued elsewhere says what it says, and one that takes a credit
note back has the note's to the cent. It need not be what the rate comes to.
"""

from collections.abc import Iterable, Mapping, Sequence

from billing.tax.model import Category, GroupTax, TaxBehavior, TaxGroup, TaxTreatment
from kernel.decimals import Rate
from kernel.errors import Invalid
from kernel.money import Currency, Money, allocate, zero


def check(*, category: Category, rate: Rate, reason: str | None, param: str | None = None) -> None:
    if (category is Category.STANDARD) != (rate > 0):
        raise Invalid(
            "tax_rate_category",
            "A rate above 0 goes with category S, and only with it.",
            param=param or "rate",
        )
    if category not in (Category.STANDARD, Category.ZERO_RATED) and reason is None:
        raise Invalid(
            "tax_reason_required",
            f"Category {category} charges no tax: give the reason printed on documents.",
            param=param or "reason",
        )


def treatment(*, own: TaxGroup, charged: TaxGroup) -> TaxTreatment:
    """A thing priced with its `own` VAT, and what its customer is charged instead."""
    return TaxTreatment(group=charged, waived=own if own.rate and not charged.rate else None)


def amounts_of(billed: Iterable[tuple[TaxGroup, Money]], currency: Currency) -> dict[TaxGroup, Money]:
    """What was billed per group."""
    amounts: dict[TaxGroup, Money] = {}
    for group, amount in billed:
        amounts[group] = amounts.get(group, zero(currency)) + amount
    return amounts


def taxes_on(amounts: Mapping[TaxGroup, Money], behavior: TaxBehavior) -> tuple[GroupTax, ...]:
    """The VAT of an invoice."""
    return tuple(_taxed(group, amount, behavior) for group, amount in sorted(amounts.items()))


def tax_on(billed: GroupTax, behavior: TaxBehavior) -> Money:
    """What the rate of a group comes to, on what was billed of it."""
    return _taxed(billed.group, _amount_of(billed, behavior), behavior).tax


def taxes_given(
    amounts: Mapping[TaxGroup, Money], given: Sequence[GroupTax], behavior: TaxBehavior
) -> tuple[GroupTax, ...]:
    """The VAT that an invoice comes with: of each group that was billed, and of what was billed of it."""
    taxes = {tax.group: tax for tax in given}
    billed = {group: _amount_of(tax, behavior) for group, tax in taxes.items()}
    if len(taxes) < len(given) or billed != dict(amounts):
        raise Invalid(
            "taxes_do_not_add_up",
            "The VAT of an invoice is of its lines: give each rate once, and as its base what they come to.",
            param="taxes",
        )
    return tuple(taxes[group] for group in sorted(taxes))


def taxes_credited(
    amounts: Mapping[TaxGroup, Money],
    earlier: Mapping[TaxGroup, GroupTax],
    behavior: TaxBehavior,
    *,
    billed: Iterable[GroupTax] = (),
) -> tuple[GroupTax, ...]:
    """The VAT of a credit note, which telescopes over the earlier ones on the same invoice.

    All that is credited so far, this note included, is taxed like an invoice; the note is what that adds to
    the earlier ones. In any order and any split, net and tax add up to the invoice's, and never exceed them.
    `billed` is the VAT of the invoice: the last note takes off the rest of it, whatever the rate comes to.
    A rebate over many invoices has taken its share of the tax of this one, which may be a cent ahead.
    """
    most = {tax.group: tax for tax in billed}
    taxes = []
    for group, amount in sorted(amounts.items()):
        none = GroupTax(group=group, base=zero(amount.currency), tax=zero(amount.currency))
        before = earlier.get(group, none)
        so_far = _amount_of(before, behavior) + amount
        after = _taxed(group, so_far, behavior).tax
        if group in most:
            after = _within(most[group], so_far, after, behavior)
        tax = max(after - before.tax, none.tax)
        base = amount if behavior is TaxBehavior.EXCLUSIVE else amount - tax
        taxes.append(GroupTax(group=group, base=base, tax=tax))
    return tuple(taxes)


def included_tax(
    billed: Sequence[tuple[TaxGroup, Money]], taxes: Iterable[GroupTax], behavior: TaxBehavior
) -> list[Money]:
    """The VAT in the price of each line: nothing in net prices, its share of the group's in gross ones."""
    included = [zero(amount.currency) for _, amount in billed]
    if behavior is TaxBehavior.EXCLUSIVE:
        return included
    for tax in taxes:
        weights = [amount.minor if group == tax.group else 0 for group, amount in billed]
        included = [sum_ + part for sum_, part in zip(included, allocate(tax.tax, weights), strict=True)]
    return included


def _within(billed: GroupTax, so_far: Money, tax: Money, behavior: TaxBehavior) -> Money:
    """The VAT on what is credited so far: no more than was billed, and all of it once everything is.

    In gross prices the net is what the VAT leaves, and it is no more than was billed either.
    """
    if so_far >= _amount_of(billed, behavior):
        return billed.tax
    least = so_far - billed.base if behavior is TaxBehavior.INCLUSIVE else zero(tax.currency)
    return min(max(tax, least), billed.tax)


def _taxed(group: TaxGroup, amount: Money, behavior: TaxBehavior) -> GroupTax:
    match behavior:
        case TaxBehavior.EXCLUSIVE:
            return GroupTax(group=group, base=amount, tax=group.rate.of(amount))
        case TaxBehavior.INCLUSIVE:
            net = group.rate.taken_out_of(amount)
            return GroupTax(group=group, base=net, tax=amount - net)


def _amount_of(tax: GroupTax, behavior: TaxBehavior) -> Money:
    """What was billed, from what came of it."""
    match behavior:
        case TaxBehavior.EXCLUSIVE:
            return tax.base
        case TaxBehavior.INCLUSIVE:
            return tax.base + tax.tax
