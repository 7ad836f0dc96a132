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
from promotions.model import Policy
from subscriptions import charge_store, plan_store
from subscriptions.bill import Item, Terms
from subscriptions.charging import Owed
from subscriptions.model import BillingAnchor, Charge, Plan, Subscription, SubscriptionId
from subscriptions.usage import rating
from subscriptions.usage import store as usage_store
from subscriptions.usage.model import Open


class Untaxed(Value, frozen=True, kw_only=True):
    """Terms before it is known which VAT their lines fall under."""

    entity: LegalEntity
    customer: Customer
    plan: Plan
    held: tuple[Held, ...]
    addons: Sequence[tuple[Plan, Quantity]]
    charges: Sequence[Charge]
    stubs_by: Proration = Proration.DAY
    usage: tuple[Open, Plan] | None = None
    policy: Policy = Policy()


async def terms_of(
    tx: Tx,
    subscriptions: Sequence[Subscription],
    *,
    used: Sequence[Open] | None = None,
    to_bill: bool = True,
) -> dict[SubscriptionId, Terms]:
    """With what they have used until the end of their periods, unless it is given.

    To bill them, budgets are locked; who only asks does not wait for that.
    """
    customers = await parties.customers_of(tx, {each.customer_id for each in subscriptions})
    entities = await parties.legal_entities_of(tx, {each.legal_entity_id for each in customers.values()})
    if used is None:
        used = await usage_store.open_usage(tx, {each.id: each.current_period.end for each in subscriptions})
    # Usage is on the terms it was used under: the next period's may be others.
    versions = {version for each in subscriptions for version in each.versions}
    versions |= {(each.plan_id, each.version) for each in used}
    plans = await plan_store.versions_of(tx, versions)
    usage = {each.subscription_id: (each, plans[each.plan_id, each.version]) for each in used}
    redemption_ids = [each for subscription in subscriptions for each in subscription.redemption_ids]
    held = await promotions.held(tx, redemption_ids, to_bill=to_bill)
    charges = await charge_store.pending_of(tx, [each.id for each in subscriptions])

    held_by = {each.id: tuple(held[key] for key in each.redemption_ids) for each in subscriptions}
    by = await stubs_by(tx, (each.billing_anchor for each in subscriptions))
    policy = await policy_of(tx, held_by.values())

    untaxed = {
        each.id: Untaxed(
            entity=entities[customer.legal_entity_id],
            customer=customer,
            plan=plans[each.plan_id, each.version],
            held=held_by[each.id],
            policy=policy,
            addons=[(plans[addon.plan_id, addon.version], addon.quantity) for addon in each.addons],
            charges=charges.get(each.id, ()),
            stubs_by=by,
            usage=usage.get(each.id),
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


async def policy_of(tx: Tx, held: Iterable[Sequence[Held]]) -> Policy:
    """How offers add up; that of one alone is the same under every policy, and not asked for."""
    return await promotions.policy(tx) if any(len(each) > 1 for each in held) else Policy()


def sales_of(terms: Untaxed) -> Iterator[Taxed]:
    yield taxed(terms.customer, terms.entity, terms.plan.tax_rate_id)
    for addon, _ in terms.addons:
        yield taxed(terms.customer, terms.entity, addon.tax_rate_id)
    for charge in terms.charges:
        yield taxed(terms.customer, terms.entity, charge.tax_rate_id)
    if terms.usage is not None:
        _, plan = terms.usage
        yield taxed(terms.customer, terms.entity, plan.tax_rate_id)


def with_tax(terms: Untaxed, treatments: Mapping[Taxed, TaxTreatment]) -> Terms:
    plan, *others = (treatments[sale] for sale in sales_of(terms))
    addons, others = others[: len(terms.addons)], others[len(terms.addons) :]
    charges = others[: len(terms.charges)]
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
        policy=terms.policy,
        usage=rating.usage_of(*terms.usage, others[-1]) if terms.usage else None,
    )


def taxed(customer: Customer, entity: LegalEntity, own: TaxRateId | None) -> Taxed:
    """Priced with its own rate, or the seller's; the customer's own rate overrides it."""
    own = own or entity.tax_rate_id
    return Taxed(own=own, charged=customer.tax_rate_id or own)
