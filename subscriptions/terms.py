"""Reading the terms of subscriptions, in a fixed number of statements however many they are."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from billing.parties import store as parties
from billing.parties.model import Customer, LegalEntity, Proration
from billing.tax.model import TaxRateId, TaxTreatment
from billing.tax.treatment import Taxed, treatments_of
from kernel.database import Tx
from kernel.decimals import Quantity
from kernel.structs import Value
from promotions import store as promotions
from promotions.engine import Held
from subscriptions import charge_store, store
from subscriptions.bill import Item, Terms
from subscriptions.charging import Owed
from subscriptions.model import BillingAnchor, Charge, Plan, Subscription, SubscriptionId


class Untaxed(Value, frozen=True, kw_only=True):
    """Terms before it is known which VAT their lines fall under."""

    entity: LegalEntity
    customer: Customer
    plan: Plan
    held: Held | None
    addons: Sequence[tuple[Plan, Quantity]]
    charges: Sequence[Charge]
    stubs_by: Proration = Proration.DAY


async def terms_of(tx: Tx, subscriptions: Sequence[Subscription]) -> dict[SubscriptionId, Terms]:
    customers = await parties.customers_of(tx, {each.customer_id for each in subscriptions})
    entities = await parties.legal_entities_of(tx, {each.legal_entity_id for each in customers.values()})
    plans = await store.versions_of(tx, {version for each in subscriptions for version in each.versions})
    held = await promotions.held(tx, [each.redemption_id for each in subscriptions if each.redemption_id])
    charges = await charge_store.pending_of(tx, [each.id for each in subscriptions])

    by = await stubs_by(tx, (each.billing_anchor for each in subscriptions))

    untaxed = {
        each.id: Untaxed(
            entity=entities[customer.legal_entity_id],
            customer=customer,
            plan=plans[each.plan_id, each.version],
            held=held[each.redemption_id] if each.redemption_id else None,
            addons=[(plans[addon.plan_id, addon.version], addon.quantity) for addon in each.addons],
            charges=charges.get(each.id, ()),
            stubs_by=by,
        )
        for each in subscriptions
        for customer in [customers[each.customer_id]]
    }
    treatments = await treatments_of(tx, {sale for each in untaxed.values() for sale in sales_of(each)})
    return {subscription_id: with_tax(each, treatments) for subscription_id, each in untaxed.items()}


async def stubs_by(tx: Tx, anchors: Iterable[BillingAnchor | None]) -> Proration:
    """How the stubs are counted that come before a day of the month: never not at all."""
    if not any(anchors):
        return Proration.DAY
    settings = await parties.settings(tx)
    return Proration.SECOND if settings.proration is Proration.SECOND else Proration.DAY


def sales_of(terms: Untaxed) -> Iterator[Taxed]:
    yield taxed(terms.customer, terms.entity, terms.plan.tax_rate_id)
    for addon, _ in terms.addons:
        yield taxed(terms.customer, terms.entity, addon.tax_rate_id)
    for charge in terms.charges:
        yield taxed(terms.customer, terms.entity, charge.tax_rate_id)


def with_tax(terms: Untaxed, treatments: Mapping[Taxed, TaxTreatment]) -> Terms:
    plan, *others = (treatments[sale] for sale in sales_of(terms))
    addons, charges = others[: len(terms.addons)], others[len(terms.addons) :]
    return Terms(
        entity=terms.entity,
        customer=terms.customer,
        plan=terms.plan,
        tax=plan,
        held=terms.held,
        addons=tuple(
            Item(plan=addon, quantity=quantity, tax=tax)
            for (addon, quantity), tax in zip(terms.addons, addons, strict=True)
        ),
        charges=tuple(
            Owed(charge=charge, tax=tax) for charge, tax in zip(terms.charges, charges, strict=True)
        ),
        stubs_by=terms.stubs_by,
    )


def taxed(customer: Customer, entity: LegalEntity, own: TaxRateId | None) -> Taxed:
    """Priced with its own rate, or the seller's; the customer's own rate overrides it."""
    own = own or entity.tax_rate_id
    return Taxed(own=own, charged=customer.tax_rate_id or own)
