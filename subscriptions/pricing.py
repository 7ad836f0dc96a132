"""What one period of a plan costs. Pure.

flat        the plan's price, whatever the quantity
per_unit    quantity x unit price
package     packages begun x unit price (stairstep by blocks)
volume      every unit at the price of the tier that the quantity reaches
graduated   each unit at the price of the tier it falls into

Tiers include their `up_to`; a tier's flat part is due once it is reached. Every part is a line of its own,
quantity x unit price rounded once, so that the document shows how its amount came about.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from billing.invoices import totals
from billing.invoices.model import PricedLine
from billing.tax.model import TaxTreatment
from kernel.decimals import Measure, Quantity, UnitPrice
from kernel.errors import Invalid
from kernel.money import Currency, Money, total
from kernel.periods import Period
from kernel.structs import Value
from kernel.text import LONGEST_NAME, Name
from subscriptions.model import NewPrice, NewVersion, Plan, Price, PriceModel, Tier

ONE = Quantity(1)
NONE = Measure(0)

_TIERED = frozenset({PriceModel.VOLUME, PriceModel.GRADUATED})


class Part(Value, frozen=True, kw_only=True):
    """What becomes one line; `about` is what of the plan it is for, such as `11–50`."""

    quantity: Measure
    unit_price: UnitPrice
    about: str = ""

    def amount(self, currency: Currency) -> Money:
        return self.unit_price.times(self.quantity, currency)


def lines_of(
    plan: Plan, price: Price, quantity: Quantity, period: Period, tax: TaxTreatment
) -> list[PricedLine]:
    """One period, in advance."""
    return [
        PricedLine(
            description=described(plan.name, f" ({part.about})" if part.about else ""),
            quantity=part.quantity,
            unit_price=part.unit_price,
            amount=part.amount(price.currency),
            tax=tax.group,
            waived=tax.waived,
            recurring=True,
            period=period,
            item=plan.reference,
        )
        for part in parts_of(price, quantity)
    ]


def described(name: Name, about: str) -> Name:
    """A name and what of it is billed; a long name is cut, so that it stays a name."""
    return Name(name[: LONGEST_NAME - len(about)] + about)


def parts_of(price: Price, quantity: Measure) -> list[Part]:
    """At least one, though it be of nothing."""
    match price.model:
        case PriceModel.FLAT:
            return [Part(quantity=ONE, unit_price=_unit_price(price))]
        case PriceModel.PER_UNIT:
            return [Part(quantity=quantity, unit_price=_unit_price(price))]
        case PriceModel.PACKAGE:
            return [_packages(price, quantity)]
        case PriceModel.VOLUME:
            lower, tier = next(each for each in _bounds(price.tiers) if _holds(each[1], quantity))
            parts = _tier_parts(lower, tier, quantity)
        case PriceModel.GRADUATED:
            parts = [
                part
                for lower, tier in _bounds(price.tiers)
                if quantity > lower or not lower
                for part in _tier_parts(lower, tier, _within(lower, tier, quantity))
            ]
    return parts or [Part(quantity=quantity, unit_price=UnitPrice("0.00"))]


def billed_quantity(price: Price, quantity: Quantity) -> Quantity:
    """What could never be billed is refused."""
    if price.model is PriceModel.FLAT and quantity != ONE:
        raise Invalid(
            "quantity_of_flat_price",
            "The plan has one price, whatever the quantity: leave it out, or price the plan per unit.",
            param="quantity",
        )
    if not quantity:
        raise Invalid("quantity_zero", "A price per unit needs a quantity.", param="quantity")
    parts = parts_of(price, quantity)
    totals.check_amount(total((part.amount(price.currency) for part in parts), price.currency))
    return quantity


def price_in(plan: Plan, currency: Currency | None) -> Price:
    """The price in a currency; in the plan's only one when none is named."""
    if currency is None and len(plan.prices) == 1:
        return plan.prices[0]
    for price in plan.prices:
        if price.currency == currency:
            return price
    have = ", ".join(sorted(price.currency for price in plan.prices))
    raise Invalid(
        "price_missing", f"The plan {plan.reference!r} has prices in {have}: say which.", param="currency"
    )


# ── What a price must be like ───────────────────────────────────────────────────────────────────────────


def check(version: NewVersion) -> None:
    check_prices(version.prices)


def check_prices(prices: Sequence[NewPrice]) -> None:
    currencies = [price.currency for price in prices]
    if len(set(currencies)) < len(currencies):
        raise Invalid("price_twice", "There is one price per currency.", param="prices")
    for price in prices:
        _check_form(price)
        _check_tiers(price.tiers)
        _check_setup_fee(price)


def _check_form(price: NewPrice) -> None:
    tiered = price.model in _TIERED
    packaged = price.model is PriceModel.PACKAGE
    if (
        (price.unit_price is None) != tiered
        or bool(price.tiers) != tiered
        or bool(price.package_size) != packaged
    ):
        raise Invalid(
            "price_form",
            f"A {price.model} price has {_FORM[price.model]}, and nothing else.",
            param="prices",
        )


_FORM = {
    PriceModel.FLAT: "a unit_price",
    PriceModel.PER_UNIT: "a unit_price",
    PriceModel.PACKAGE: "a unit_price and a package_size above zero",
    PriceModel.VOLUME: "tiers",
    PriceModel.GRADUATED: "tiers",
}


def _check_tiers(tiers: Sequence[Tier]) -> None:
    ends = [NONE if tier.up_to is None else tier.up_to for tier in tiers[:-1]]
    rising = all(before < after for before, after in pairwise([NONE, *ends]))
    if tiers and (not rising or tiers[-1].up_to is not None):
        raise Invalid(
            "tiers_unordered",
            "Each tier ends above the one before it, and only the last has no up_to.",
            param="prices",
        )


def _check_setup_fee(price: NewPrice) -> None:
    if price.setup_fee:
        totals.check_amount(price.setup_fee.times(ONE, price.currency))


# ── Tiers and packages ──────────────────────────────────────────────────────────────────────────────────


def _packages(price: Price, quantity: Measure) -> Part:
    """A package that is begun is billed whole."""
    assert price.package_size, "a package price has a size"
    begun = -(-quantity.micro // price.package_size.micro)
    return Part(quantity=Measure(begun), unit_price=_unit_price(price), about=f"x {price.package_size}")


def _bounds(tiers: Sequence[Tier]) -> Iterator[tuple[Measure, Tier]]:
    """Each tier with where the one before it ended."""
    lower = NONE
    for tier in tiers:
        yield lower, tier
        lower = tier.up_to or lower


def _holds(tier: Tier, quantity: Measure) -> bool:
    return tier.up_to is None or quantity <= tier.up_to


def _within(lower: Measure, tier: Tier, quantity: Measure) -> Measure:
    """The units of a quantity that fall into a tier."""
    upper = quantity if tier.up_to is None else min(quantity, tier.up_to)
    return Measure(upper - lower)


def _tier_parts(lower: Measure, tier: Tier, quantity: Measure) -> list[Part]:
    about = f"{lower}–{tier.up_to}" if tier.up_to is not None else f"> {lower}"
    parts = (
        Part(quantity=quantity, unit_price=tier.unit_price, about=about),
        Part(quantity=ONE, unit_price=tier.flat_price, about=about),
    )
    return [part for part in parts if part.unit_price]


def _unit_price(price: Price) -> UnitPrice:
    assert price.unit_price is not None, f"a {price.model} price has a unit price"
    return price.unit_price
