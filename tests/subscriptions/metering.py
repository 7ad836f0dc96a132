"""Meters and usage for tests, with defaults."""

from datetime import datetime

from kernel.database import Tx
from kernel.decimals import Measure, UnitPrice
from kernel.text import Name, Reference
from subscriptions.meters.create_meter import create_meter
from subscriptions.meters.model import Aggregation, Meter, NewMeter
from subscriptions.model import NewMeterPrice, PriceModel, Subscription, Tier
from subscriptions.usage.model import NewRecord, NewUsage, Report
from subscriptions.usage.record_usage import record_usage
from tests.makers import EUR
from tests.shop import at

PEOPLE = ("ada", "zoé", "li", "ada")


async def a_meter(tx: Tx, reference: str = "calls", aggregation: Aggregation = Aggregation.SUM) -> Meter:
    name = Name(reference.capitalize())
    return await create_meter(
        tx, NewMeter(reference=Reference(reference), name=name, aggregation=aggregation)
    )


def per_unit(unit_price: str) -> NewMeterPrice:
    return NewMeterPrice(currency=EUR, unit_price=UnitPrice.parse(unit_price))


def tiered(model: PriceModel, *tiers: Tier) -> NewMeterPrice:
    return NewMeterPrice(currency=EUR, model=model, tiers=tiers)


def a_record(
    event_id: str,
    meter: str = "calls",
    *,
    of: Subscription | str = "user-77",
    units: int | str | None = None,
    value: str | None = None,
    used_at: datetime | None = None,
) -> NewRecord:
    """Of a subscription, or of a customer by their reference. A meter named people takes a value."""
    if meter == "people" and value is None:
        value = PEOPLE[0 if units is None else int(units) % len(PEOPLE)]
    return NewRecord(
        event_id=event_id,
        meter=meter,
        customer=of if isinstance(of, str) else None,
        subscription=str(of.id) if isinstance(of, Subscription) else None,
        quantity=None if units is None or value else Measure.parse(str(units)),
        value=None if value is None else Name(value),
        at=used_at,
    )


async def used(tx: Tx, *records: NewRecord, now: datetime | None = None) -> Report:
    """Reported at a time, which is that of the transaction unless given."""
    return await record_usage(at(tx, now or tx.now), NewUsage(records=list(records)))
