"""What one period of a plan costs. Pure."""

from billing.invoices import totals
from billing.invoices.model import PricedLine
from billing.tax.model import TaxGroup
from kernel.decimals import Quantity
from kernel.errors import Invalid
from kernel.money import Currency
from kernel.periods import Period
from subscriptions.model import NewVersion, Plan, Price, PriceModel


def check(version: NewVersion) -> None:
    currencies = [price.currency for price in version.prices]
    if len(set(currencies)) < len(currencies):
        raise Invalid("price_twice", "A plan has one price per currency.", param="prices")


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


def line_of(plan: Plan, price: Price, quantity: Quantity, period: Period, tax: TaxGroup) -> PricedLine:
    """One period, in advance."""
    billed = billed_quantity(price, quantity)
    return PricedLine(
        description=plan.name,
        quantity=billed,
        unit_price=price.unit_price,
        amount=price.unit_price.times(billed, price.currency),
        tax=tax,
        recurring=True,
        period=period,
    )


def billed_quantity(price: Price, quantity: Quantity) -> Quantity:
    """What could never be billed is refused."""
    if price.model is PriceModel.FLAT and quantity != 1:
        raise Invalid(
            "quantity_of_flat_price",
            "The plan has one price, whatever the quantity: leave it out, or price the plan per unit.",
            param="quantity",
        )
    if not quantity:
        raise Invalid("quantity_zero", "A price per unit needs a quantity.", param="quantity")
    totals.check_amount(price.unit_price.times(quantity, price.currency))
    return quantity
