"""Events: everything that happened, newest first."""

from typing import Annotated

from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter

from api.operations import query
from kernel import outbox
from kernel.database import Tx
from kernel.ids import EventId
from kernel.outbox import PublishedEvent
from kernel.paging import Page, Window

EventType = Annotated[
    str | None, QueryParameter(name="type", description="Only events of this type, such as invoice.issued.")
]


@query("/v1/events", scope="events:read")
async def list_events(
    tx: NamedDependency[Tx], window: NamedDependency[Window], event_type: EventType = None
) -> Page[PublishedEvent]:
    """List events, newest first."""
    return await outbox.page(tx, window, event_type=event_type)


@query("/v1/events/{event_id}", scope="events:read")
async def get_event(tx: NamedDependency[Tx], event_id: FromPath[EventId]) -> PublishedEvent:
    """Read an event."""
    return await outbox.get(tx, event_id)


ROUTES = [list_events, get_event]
