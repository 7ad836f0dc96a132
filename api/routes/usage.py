"""Usage: what was counted, and what it will cost."""

from typing import Annotated

from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from api.filters import MeterKey, OfCustomer, meter_of
from api.operations import command, query
from kernel.database import Tx
from kernel.paging import Page, Window
from subscriptions.model import SubscriptionId
from subscriptions.usage import record_usage as recording
from subscriptions.usage import store
from subscriptions.usage.current import current_usage
from subscriptions.usage.model import CustomerUsage, NewUsage, Report, UsageRecord

OfSubscription = Annotated[
    SubscriptionId | None,
    QueryParameter(name="subscription_id", description="Only what was used on this subscription."),
]


@query("/v1/usage", scope="usage:read")
async def list_usage(
    tx: NamedDependency[Tx],
    window: NamedDependency[Window],
    of_customer: OfCustomer,
    subscription_id: OfSubscription = None,
    meter_id: MeterKey = None,
) -> Page[UsageRecord]:
    """List what was reported, newest first."""
    meter = await meter_of(tx, meter_id)
    return await store.page(
        tx, window, customer_id=of_customer, subscription_id=subscription_id, meter_id=meter
    )


@query("/v1/customers/{customer}/usage", scope="usage:read")
async def get_usage(tx: NamedDependency[Tx], customer: FromPath[str]) -> CustomerUsage:
    """What a customer has used and not been billed for, meter by meter, and what it would cost now."""
    return await current_usage(tx, customer)


@command("/v1/usage", scope="usage:write")
async def record_usage(tx: NamedDependency[Tx], data: JSONBody[NewUsage]) -> Report:
    """Report usage, up to 1000 records at once. Each `event_id` counts once, however often it is sent.

    A record whose period has been billed counts in the next bill. The answer says of each record what became
    of it; a request with a record that could never be right is refused, and then nothing of it is recorded.
    """
    return await recording.record_usage(tx, data)


ROUTES = [list_usage, get_usage, record_usage]
