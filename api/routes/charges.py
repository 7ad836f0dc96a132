"""Charges: what a subscription is billed once."""

from typing import Annotated

from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from api.operations import command, query
from kernel.database import Tx
from kernel.paging import Page, Window
from subscriptions import add_charge, charge_store
from subscriptions import delete_charge as deleting
from subscriptions.model import Charge, Charged, ChargeId, NewCharge, SubscriptionId

OfSubscription = Annotated[
    SubscriptionId | None,
    QueryParameter(name="subscription_id", description="Only those of this subscription."),
]


@query("/v1/charges", scope="subscriptions:read")
async def list_charges(
    tx: NamedDependency[Tx], window: NamedDependency[Window], subscription_id: OfSubscription = None
) -> Page[Charge]:
    """List charges, newest first: setup fees and others, those that wait and those that were billed."""
    return await charge_store.page(tx, window, subscription_id=subscription_id)


@query("/v1/charges/{charge_id}", scope="subscriptions:read")
async def get_charge(tx: NamedDependency[Tx], charge_id: FromPath[ChargeId]) -> Charge:
    """Read a charge."""
    return await charge_store.get(tx, charge_id)


@command("/v1/subscriptions/{subscription_id}/charges", scope="subscriptions:write", status=201)
async def create_charge(
    tx: NamedDependency[Tx], subscription_id: FromPath[SubscriptionId], data: JSONBody[NewCharge]
) -> Charged:
    """Charge a subscription once: with the next period's invoice, or at once on an invoice of its own."""
    return await add_charge.add_charge(tx, subscription_id, data)


@command("/v1/charges/{charge_id}", scope="subscriptions:write", method="DELETE", status=204)
async def delete_charge(tx: NamedDependency[Tx], charge_id: FromPath[ChargeId]) -> None:
    """Take back a charge that has not been billed yet, a setup fee of a trial too."""
    await deleting.delete_charge(tx, charge_id)


ROUTES = [list_charges, get_charge, create_charge, delete_charge]
