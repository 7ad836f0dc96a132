"""What happens to meters."""

from kernel.events import Event
from subscriptions.meters.model import MeterId


class MeterCreated(Event, frozen=True, kw_only=True, tag="meter.created"):
    meter_id: MeterId
