"""Charging a subscription once: with the next invoice, or at once on an invoice of its own."""

import msgspec

from billing.invoices.issue import issue_invoices
from billing.parties import store as parties
from billing.parties.model import Customer
from billing.tax import store as tax_rates
from billing.tax.treatment import treatments_of
from kernel import outbox
from kernel.database import Tx
from subscriptions import charge_store, charging, plan_store, store
from subscriptions.bill import Terms, bill_of_charges
from subscriptions.events import ChargeAdded
from subscriptions.model import Charge, Charged, ChargeWhen, NewCharge, Plan, Subscription, SubscriptionId
from subscriptions.terms import Untaxed, sales_of, with_tax


async def add_charge(tx: Tx, subscription_id: SubscriptionId, request: NewCharge) -> Charged:
    found = await store.get(tx, subscription_id)
    customer = await parties.lock_customer(tx, found.customer_id)
    subscription = await store.lock(tx, subscription_id)
    agreed = subscription.plan_id, subscription.version
    plan = (await plan_store.versions_of(tx, [agreed]))[agreed]
    own_rate = None if request.tax_rate is None else (await tax_rates.get(tx, request.tax_rate)).id
    pending = await charge_store.count_pending(tx, subscription.id)

    charge = charging.charge_of(subscription, plan, request, own_rate, now=tx.now)
    waits = request.when is ChargeWhen.NEXT_INVOICE
    if waits:
        charging.check_room(pending)

    outbox.publish(
        tx, ChargeAdded(charge_id=charge.id, subscription_id=subscription.id, customer_id=customer.id)
    )
    if not waits:
        return await _bill_now(tx, customer, subscription, plan, charge)
    await charge_store.insert(tx, [charge], invoice_id=None)
    return Charged(charge=charge, invoice=None)


async def _bill_now(
    tx: Tx, customer: Customer, subscription: Subscription, plan: Plan, charge: Charge
) -> Charged:
    """It belongs to the current period, and is credited where all of that is."""
    terms = await _terms(tx, customer, plan, charge)

    bill = bill_of_charges(subscription, terms)

    await charge_store.insert(tx, [charge], invoice_id=bill.invoice.id)
    await store.link_change(tx, subscription, bill.invoice.id)
    [invoice] = await issue_invoices(tx, [bill.invoice])
    return Charged(charge=msgspec.structs.replace(charge, invoice_id=invoice.id), invoice=invoice)


async def _terms(tx: Tx, customer: Customer, plan: Plan, charge: Charge) -> Terms:
    """With this charge, and none of those that wait."""
    untaxed = Untaxed(
        entity=await parties.legal_entity(tx, customer.legal_entity_id),
        customer=customer,
        plan=plan,
        held=(),
        addons=(),
        charges=[charge],
    )
    return with_tax(untaxed, await treatments_of(tx, set(sales_of(untaxed))))
