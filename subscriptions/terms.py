"""Reading the terms of subscriptions, in a fixed number of statements however many they are."""

from collections.abc import Sequence

from billing.parties import store as parties
from billing.parties.model import Customer, LegalEntity
from billing.tax.treatment import Taxed, treatments_of
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
    treatments = await treatments_of(tx, {taxed(*those) for those in parts.values()})

    return {
        each.id: Terms(
            entity=entity,
            customer=customer,
            plan=plan,
            tax=treatments[taxed(customer, entity, plan)],
            held=held[each.redemption_id] if each.redemption_id else None,
        )
        for each in subscriptions
        for customer, entity, plan in [parts[each.id]]
    }


def taxed(customer: Customer, entity: LegalEntity, plan: Plan) -> Taxed:
    """Priced with the plan's rate, or the seller's; the customer's own rate overrides it."""
    own = plan.tax_rate_id or entity.tax_rate_id
    return Taxed(own=own, charged=customer.tax_rate_id or own)
