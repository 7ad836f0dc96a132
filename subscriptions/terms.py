"""Reading the terms of subscriptions, in a fixed number of statements however many they are."""

from collections.abc import Sequence

from billing.parties import store as parties
from billing.parties.model import Customer, LegalEntity
from billing.tax import store as tax_rates
from billing.tax.model import TaxRateId
from kernel.database import Tx
from promotions import store as promotions
from subscriptions import store
from subscriptions.bill import Terms
from subscriptions.model import Plan, Subscription, SubscriptionId


async def terms_of(tx: Tx, subscriptions: Sequence[Subscription]) -> dict[SubscriptionId, Terms]:
    customers = await parties.customers_of(tx, {each.customer_id for each in subscriptions})
    entities = await parties.legal_entities_of(tx, {each.legal_entity_id for each in customers.values()})
    plans = await store.versions_of(tx, {(each.plan_id, each.version) for each in subscriptions})
    held = await promotions.held(tx, [each.redemption_id for each in subscriptions if each.redemption_id])

    parts = {
        each.id: (customer, entities[customer.legal_entity_id], plans[each.plan_id, each.version])
        for each in subscriptions
        for customer in [customers[each.customer_id]]
    }
    rates = await tax_rates.groups_of(tx, {tax_rate_of(*those) for those in parts.values()})

    return {
        each.id: Terms(
            entity=entity,
            customer=customer,
            plan=plan,
            tax=rates[tax_rate_of(customer, entity, plan)],
            held=held[each.redemption_id] if each.redemption_id else None,
        )
        for each in subscriptions
        for customer, entity, plan in [parts[each.id]]
    }


def tax_rate_of(customer: Customer, entity: LegalEntity, plan: Plan) -> TaxRateId:
    """The customer's own rate, or the plan's, or the seller's."""
    return customer.tax_rate_id or plan.tax_rate_id or entity.tax_rate_id
