"""Subscriptions, to read: who has which plan, and until when."""

from litestar.di import NamedDependency
from litestar.response import Template

from api.console import store
from api.console.declare import page
from api.console.here import Here
from api.console.views import show
from kernel.database import Tx
from kernel.paging import Window
from subscriptions import store as subscriptions


@page("/console/{tenant_id}/subscriptions")
async def list_subscriptions(
    tx: NamedDependency[Tx], window: NamedDependency[Window], here: NamedDependency[Here]
) -> Template:
    listed = await subscriptions.page(tx, window, customer_id=None)
    return show(
        here,
        "subscriptions.html",
        page=listed,
        customers=await store.customer_names(tx, [each.customer_id for each in listed.data]),
        plans=await store.plan_names(tx, [each.plan_id for each in listed.data]),
    )


ROUTES = [list_subscriptions]
