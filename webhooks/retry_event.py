"""Having a provider event that was given up tried again."""

from kernel import jobs
from kernel.database import Tx
from kernel.errors import Conflict
from webhooks import store
from webhooks.model import ProviderEvent, ProviderEventId


async def retry_event(tx: Tx, event_id: ProviderEventId) -> ProviderEvent:
    """Its job begins anew, from the first attempt."""
    event = await store.get(tx, event_id)

    if event.job_id is None or not await jobs.revive(tx, event.job_id):
        raise Conflict(
            "provider_event_not_parked",
            f"This event is {event.status}: only one that was given up is tried again by hand.",
        )
    return await store.get(tx, event_id)
