"""What a customer has used and has not been billed for, and what it would cost now."""

from billing.parties import store as parties
from kernel.database import Tx
from kernel.money import Money, total
from subscriptions import plan_store
from subscriptions import store as subscriptions
from subscriptions.model import Plan
from subscriptions.pricing import NONE
from subscriptions.usage import rating, store
from subscriptions.usage.model import Counted, CustomerUsage, MeterUsage, Open, Rated, SubscriptionUsage


async def current_usage(tx: Tx, key: str) -> CustomerUsage:
    customer = await parties.customer(tx, key)
    running = await subscriptions.running_of(tx, customer.id)
    opened = await store.open_usage(tx, running)
    plans = await plan_store.versions_of(tx, {(each.plan_id, each.version) for each in opened})

    return CustomerUsage(
        customer_id=customer.id,
        subscriptions=tuple(
            SubscriptionUsage(
                subscription_id=each.subscription_id,
                period=each.period,
                meters=_meters(each, plans[each.plan_id, each.version]),
            )
            for each in opened
        ),
    )


def _meters(usage: Open, plan: Plan) -> tuple[MeterUsage, ...]:
    """What has counted something, and what is priced though it has not."""
    counted = {each.meter_id for each in usage.counted}
    idle = (
        Counted(
            meter_id=each.meter_id,
            meter=each.meter,
            name=each.name,
            aggregation=each.aggregation,
            quantity=NONE,
        )
        for each in plan.meters
        if each.meter_id not in counted
    )
    amounts = {each.meter_id: _amount(each) for each in rating.rated(usage, plan)}
    return tuple(
        MeterUsage(
            meter_id=each.meter_id,
            meter=each.meter,
            name=each.name,
            aggregation=each.aggregation,
            quantity=each.quantity,
            amount=amounts.get(each.meter_id),
        )
        for each in sorted((*usage.counted, *idle), key=lambda each: each.meter)
    )


def _amount(rated: Rated) -> Money:
    currency = rated.price.currency
    return total((part.amount(currency) for part in rating.parts(rated)), currency)
