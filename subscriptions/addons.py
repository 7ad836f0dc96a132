"""What add-ons a subscription has beside its plan. Pure.

An add-on is a plan that cannot be had alone. It is billed with the plan it is beside, so it has the same
interval, a price in the same currency, and prices that are net or gross as those are.
"""

from collections.abc import Mapping, Sequence

from kernel.errors import Invalid
from kernel.money import Currency
from subscriptions import pricing
from subscriptions.model import Addon, NewAddon, Plan, PlanId, PlanKind, Subscription


def check_base(plan: Plan) -> None:
    """Raises Invalid where what is to be subscribed to is no plan."""
    if plan.kind is PlanKind.ADDON:
        raise Invalid(
            "plan_is_addon",
            f"{plan.reference!r} is an add-on: subscribe to a plan, and name it in `addons`.",
            param="plan",
        )


def taken(
    plan: Plan, currency: Currency, asked: Sequence[NewAddon], found: Mapping[str, Plan]
) -> tuple[Addon, ...]:
    """The add-ons that are asked for beside a plan, in the versions that were found for them."""
    addons = [found[each.plan] for each in asked]
    if len({addon.id for addon in addons}) < len(addons):
        raise Invalid("addon_twice", "Name each add-on once, with its quantity.", param="addons")
    return tuple(_taken(plan, currency, addon, each) for addon, each in zip(addons, asked, strict=True))


def check_kept(plan: Plan, subscription: Subscription, agreed: Mapping[tuple[PlanId, int], Plan]) -> None:
    """That those it has can go on beside this plan."""
    for addon in subscription.addons:
        check_beside(plan, agreed[addon.plan_id, addon.version], subscription.currency)


def changed(
    plan: Plan,
    subscription: Subscription,
    asked: Sequence[NewAddon],
    found: Mapping[str, Plan],
    agreed: Mapping[tuple[PlanId, int], Plan],
) -> tuple[Addon, ...]:
    """Those asked for, in place of those it has. One that it has stays in the version `agreed`, if any."""
    has = {
        addon.plan_id: agreed[addon.plan_id, addon.version]
        for addon in subscription.addons
        if (addon.plan_id, addon.version) in agreed
    }
    return taken(
        plan,
        subscription.currency,
        asked,
        {name: has.get(newest.id, newest) for name, newest in found.items()},
    )


def go_on(held: Plan, plan: Plan) -> bool:
    """Whether what is beside one plan, or version, can be beside the other."""
    return plan.interval.length == held.interval.length and plan.tax_behavior is held.tax_behavior


def check_beside(plan: Plan, addon: Plan, currency: Currency) -> None:
    if addon.kind is not PlanKind.ADDON:
        raise Invalid(
            "addon_is_plan", f"{addon.reference!r} is a plan and no add-on: subscribe to it.", param="addons"
        )
    if addon.interval.length != plan.interval.length or addon.tax_behavior is not plan.tax_behavior:
        raise Invalid(
            "addon_differs",
            f"{addon.reference!r} cannot be billed with {plan.reference!r}: their intervals have to be the "
            "same, and their prices both net or both gross.",
            param="addons",
        )
    if currency not in {price.currency for price in addon.prices}:
        raise Invalid(
            "price_missing", f"The add-on {addon.reference!r} has no price in {currency}.", param="addons"
        )


def _taken(plan: Plan, currency: Currency, addon: Plan, asked: NewAddon) -> Addon:
    check_beside(plan, addon, currency)
    price = pricing.price_in(addon, currency)
    quantity = pricing.billed_quantity(price, asked.quantity)
    return Addon(plan_id=addon.id, version=addon.version, quantity=quantity)
