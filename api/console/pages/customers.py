"""Customers, to read."""

from litestar.di import NamedDependency
from litestar.response import Template

from api.console.declare import page
from api.console.here import Here
from api.console.views import show
from billing.parties import store
from kernel.database import Tx
from kernel.paging import Window


@page("/console/{tenant_id}/customers")
async def list_customers(
    tx: NamedDependency[Tx], window: NamedDependency[Window], here: NamedDependency[Here]
) -> Template:
    return show(here, "customers.html", page=await store.customers(tx, window))


ROUTES = [list_customers]
