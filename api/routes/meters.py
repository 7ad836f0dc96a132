"""Meters: what is counted."""

from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from api.operations import command, query
from kernel.database import Tx
from kernel.paging import Page, Window
from subscriptions.meters import create_meter as verbs
from subscriptions.meters import store
from subscriptions.meters.model import Meter, NewMeter


@query("/v1/meters", scope="meters:read")
async def list_meters(tx: NamedDependency[Tx], window: NamedDependency[Window]) -> Page[Meter]:
    """List meters, newest first."""
    return await store.page(tx, window)


@query("/v1/meters/{meter}", scope="meters:read")
async def get_meter(tx: NamedDependency[Tx], meter: FromPath[str]) -> Meter:
    """Read a meter, by id or reference."""
    return await store.get(tx, meter)


@command("/v1/meters", scope="meters:write", status=201)
async def create_meter(tx: NamedDependency[Tx], data: JSONBody[NewMeter]) -> Meter:
    """Make a meter. What it counts is reported with `POST /v1/usage`, and priced by versions of plans."""
    return await verbs.create_meter(tx, data)


ROUTES = [list_meters, get_meter, create_meter]
