"""Making plans and their versions."""

from collections.abc import Iterator

from billing.parties import store as parties
from billing.tax import store as tax_rates
from kernel import outbox
from kernel.database import Tx
from kernel.errors import not_found
from kernel.text import Name, Reference
from subscriptions import plan_store, pricing
from subscriptions.events import PlanCreated, PlanVersionAdded
from subscriptions.meters import store as meters
from subscriptions.meters.model import Meter
from subscriptions.model import (
    Grant,
    MeteredPrice,
    NewMeteredPrice,
    NewPlan,
    NewPrice,
    NewVersion,
    Plan,
    PlanId,
    PlanKind,
    Price,
    PriceId,
    Quota,
)
from subscriptions.usage import rating


async def create_plan(tx: Tx, request: NewPlan) -> Plan:
    terms = NewVersion(
        interval=request.interval,
        prices=request.prices,
        meters=request.meters,
        tax_rate=request.tax_rate,
        tax_behavior=request.tax_behavior,
        entitlements=request.entitlements,
        trial_days=request.trial_days,
        minimum_term=request.minimum_term,
    )
    plan = await _version(
        tx, terms, PlanId.new(), request.reference, request.name, kind=request.kind, version=1
    )

    await plan_store.insert_plan(tx, plan)
    await plan_store.insert_version(tx, plan)
    outbox.publish(tx, PlanCreated(plan_id=plan.id))
    return plan


async def add_version(tx: Tx, key: str, request: NewVersion) -> Plan:
    """New terms for new subscriptions; a price in use stays what it was."""
    newest = await plan_store.lock_plan(tx, key)

    plan = await _version(
        tx,
        request,
        newest.id,
        newest.reference,
        newest.name,
        kind=newest.kind,
        version=newest.version + 1,
    )

    await plan_store.insert_version(tx, plan)
    await plan_store.set_newest_version(tx, plan)
    outbox.publish(tx, PlanVersionAdded(plan_id=plan.id, version=plan.version))
    return plan


async def _version(
    tx: Tx,
    terms: NewVersion,
    plan_id: PlanId,
    reference: Reference,
    name: Name,
    *,
    kind: PlanKind,
    version: int,
) -> Plan:
    pricing.check(terms)
    settings = await parties.settings(tx)
    tax_rate = None if terms.tax_rate is None else await tax_rates.get(tx, terms.tax_rate)
    named = await _meters(tx, terms)
    rating.check(terms, named, kind)
    return Plan(
        id=plan_id,
        reference=reference,
        name=name,
        kind=kind,
        version=version,
        interval=terms.interval,
        prices=tuple(_price(price) for price in terms.prices),
        meters=tuple(_metered(each, named[each.meter]) for each in terms.meters),
        tax_rate_id=tax_rate.id if tax_rate else None,
        tax_behavior=terms.tax_behavior or settings.tax_behavior,
        entitlements={feature: _grant(grant, named) for feature, grant in terms.entitlements.items()},
        trial_days=terms.trial_days,
        minimum_term=terms.minimum_term,
        created_at=tx.now,
    )


async def _meters(tx: Tx, terms: NewVersion) -> dict[str, Meter]:
    """Those that the terms name, by the name."""
    names = set(_named(terms))
    found = await meters.find(tx, names) if names else {}
    for name in sorted(names - found.keys()):
        raise not_found("meter", name)
    return found


def _named(terms: NewVersion) -> Iterator[str]:
    yield from (each.meter for each in terms.meters)
    yield from (grant.meter for grant in terms.entitlements.values() if isinstance(grant, Quota))


def _price(price: NewPrice) -> Price:
    return Price(
        id=PriceId.new(),
        model=price.model,
        currency=price.currency,
        unit_price=price.unit_price,
        package_size=price.package_size,
        tiers=price.tiers,
        setup_fee=price.setup_fee,
    )


def _metered(asked: NewMeteredPrice, meter: Meter) -> MeteredPrice:
    return MeteredPrice(
        meter_id=meter.id,
        meter=meter.reference,
        name=meter.name,
        aggregation=meter.aggregation,
        prices=tuple(_price(price) for price in asked.prices),
    )


def _grant(grant: Grant, named: dict[str, Meter]) -> Grant:
    if not isinstance(grant, Quota):
        return grant
    return Quota(quota=grant.quota, meter=str(named[grant.meter].reference))
