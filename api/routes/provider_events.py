"""What payment providers told us, and what became of it."""

from typing import Annotated

from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter

from api.operations import command, query
from kernel.database import Tx
from kernel.paging import Page, Window
from webhooks import store
from webhooks.model import ObjectKind, ProviderEvent, ProviderEventId, Status
from webhooks.retry_event import retry_event

OfStatus = Annotated[Status | None, QueryParameter(name="status", description="Only those of this status.")]
OfKind = Annotated[
    ObjectKind | None, QueryParameter(name="kind", description="Only those about objects of this kind.")
]
About = Annotated[
    str | None,
    QueryParameter(name="object_reference", description="Only those about this object of the provider's."),
]


@query("/v1/provider_events", scope="events:read")
async def list_provider_events(
    tx: NamedDependency[Tx],
    window: NamedDependency[Window],
    status: OfStatus = None,
    kind: OfKind = None,
    object_reference: About = None,
) -> Page[ProviderEvent]:
    """List what payment providers told us, newest first.

    Kept of an event is which object it is about; that object is then looked up at the provider. One that is
    `parked` was tried as long as there was hope.
    """
    return await store.page(tx, window, status=status, kind=kind, object_reference=object_reference)


@query("/v1/provider_events/{provider_event_id}", scope="events:read")
async def get_provider_event(
    tx: NamedDependency[Tx], provider_event_id: FromPath[ProviderEventId]
) -> ProviderEvent:
    """Read what a payment provider told us."""
    return await store.get(tx, provider_event_id)


@command("/v1/provider_events/{provider_event_id}/retry", scope="events:write")
async def retry_provider_event(
    tx: NamedDependency[Tx], provider_event_id: FromPath[ProviderEventId]
) -> ProviderEvent:
    """Have one that was given up tried again."""
    return await retry_event(tx, provider_event_id)


ROUTES = [list_provider_events, get_provider_event, retry_provider_event]
