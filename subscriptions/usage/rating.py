"""What a plan's version charges for usage, in arrears. Pure.

The quantity of a meter goes through the price models of subscriptions/pricing.py. A meter without any usage
has no line, unless a tier's flat part is due all the same.
"""

from collections.abc import Iterator, Mapping

from billing.invoices.model import PricedLine
from billing.tax.model import TaxTreatment
from kernel.errors import Conflict, Invalid
from subscriptions.meters.model import Meter
from subscriptions.model import NewVersion, Plan, PlanKind, PriceModel
from subscriptions.pricing import NONE, Part, check_prices, described, parts_of
from subscriptions.usage.model import Open, Rated, Usage


def usage_of(usage: Open, plan: Plan, tax: TaxTreatment) -> Usage:
    return Usage(
        subscription_id=usage.subscription_id,
        period=usage.period,
        rated=rated(usage, plan),
        plan=plan,
        tax=tax,
        is_kept=usage.is_kept,
    )


def rated(usage: Open, plan: Plan) -> tuple[Rated, ...]:
    """What the plan charges for what is open. A period of no time at all has no flat part either."""
    if usage.is_free or usage.period.start >= usage.period.end:
        return ()
    quantities = {each.meter_id: each.quantity for each in usage.counted}
    return tuple(
        Rated(
            meter_id=metered.meter_id,
            name=metered.name,
            price=next(price for price in metered.prices if price.currency == usage.currency),
            quantity=quantities.get(metered.meter_id, NONE),
        )
        for metered in plan.meters
    )


def lines_of(usage: Usage) -> list[PricedLine]:
    """They do not recur: a cancellation that credits what is unused leaves them."""
    return [
        PricedLine(
            description=described(each.name, f" ({part.about})" if part.about else ""),
            quantity=part.quantity,
            unit_price=part.unit_price,
            amount=part.amount(each.price.currency),
            tax=usage.tax.group,
            waived=usage.tax.waived,
            period=usage.period,
            item=usage.plan.reference,
        )
        for each in usage.rated
        for part in parts(each)
    ]


def check_beside(usage: Usage | None, plan: Plan) -> None:
    """That what was used can stand on an invoice with a period of the plan."""
    if usage is not None and usage.rated and usage.plan.tax_behavior is not plan.tax_behavior:
        raise Conflict(
            "usage_tax_behavior",
            "The usage of the last period is priced with VAT and the next period without it, or the other "
            "way round, which one invoice cannot be.",
        )


def parts(rated: Rated) -> Iterator[Part]:
    if rated.quantity > rated.quantity.most:
        raise Conflict(
            "usage_too_large",
            f"{rated.name!r} counts {rated.quantity} units in one period, which no line can carry.",
        )
    return (part for part in parts_of(rated.price, rated.quantity) if part.quantity)


def check(version: NewVersion, named: Mapping[str, Meter], kind: PlanKind) -> None:
    """`named` has the meters that the version names. Each is priced once, in every currency of the plan."""
    if version.meters and kind is PlanKind.ADDON:
        raise Invalid("meter_of_addon", "What is metered is priced by a plan, not an add-on.", param="meters")
    priced = [named[each.meter].id for each in version.meters]
    if len(set(priced)) < len(priced):
        raise Invalid("meter_twice", "A plan prices each meter once.", param="meters")
    currencies = {price.currency for price in version.prices}
    for metered in version.meters:
        check_prices(metered.prices)
        if any(price.model is PriceModel.FLAT for price in metered.prices):
            raise Invalid(
                "meter_price_flat",
                "What is metered has a price per unit, by package, by volume or graduated.",
                param="meters",
            )
        if any(price.setup_fee is not None for price in metered.prices):
            raise Invalid("meter_setup_fee", "A setup fee goes with the plan's price.", param="meters")
        if {price.currency for price in metered.prices} != currencies:
            raise Invalid(
                "meter_price_currencies",
                f"{metered.meter!r} needs a price in each currency of the plan, and in no other.",
                param="meters",
            )
