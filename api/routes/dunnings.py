"""Invoices that are not paid in time, and what is done about them."""

from typing import Annotated

from litestar.di import NamedDependency
from litestar.params import QueryParameter

from api.filters import OfCustomer
from api.operations import query
from billing.dunning import store
from billing.dunning.model import Dunning, Status
from kernel.database import Tx
from kernel.paging import Page, Window

OfStatus = Annotated[Status | None, QueryParameter(name="status", description="Only those of this status.")]


@query("/v1/dunnings", scope="invoices:read")
async def list_dunnings(
    tx: NamedDependency[Tx],
    window: NamedDependency[Window],
    of_customer: OfCustomer,
    status: OfStatus = None,
) -> Page[Dunning]:
    """List where the dunning of each invoice stands, those of the newest invoices first.

    An invoice is overdue when its dunning is `running`, `paused` or `exhausted` and has an `overdue_at`.
    """
    return await store.page(tx, window, customer_id=of_customer, status=status)


ROUTES = [list_dunnings]
