"""Making meters."""

from kernel import outbox
from kernel.database import Tx
from subscriptions.meters import store
from subscriptions.meters.events import MeterCreated
from subscriptions.meters.model import Meter, MeterId, NewMeter


async def create_meter(tx: Tx, request: NewMeter) -> Meter:
    meter = Meter(
        id=MeterId.new(),
        reference=request.reference,
        name=request.name,
        aggregation=request.aggregation,
        created_at=tx.now,
    )

    await store.insert(tx, meter)
    outbox.publish(tx, MeterCreated(meter_id=meter.id))
    return meter
