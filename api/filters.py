"""Filters that several lists have in common."""

from typing import Annotated

from litestar.di import NamedDependency
from litestar.params import QueryParameter

from billing.parties import store as parties
from billing.parties.model import CustomerId
from kernel.database import Tx
from promotions import store as offers
from promotions.model import OfferId
from promotions.rebates import store as rebates
from promotions.rebates.model import RebateContractId
from subscriptions.meters import store as meters
from subscriptions.meters.model import MeterId

CustomerKey = Annotated[
    str | None,
    QueryParameter(
        name="customer_id", description="Only those of this customer, by id or by your reference."
    ),
]

MeterKey = Annotated[
    str | None,
    QueryParameter(name="meter_id", description="Only what this meter counts, by id or by your reference."),
]

OfferKey = Annotated[
    str | None,
    QueryParameter(name="offer_id", description="Only those of this offer, by id or by your reference."),
]

RebateKey = Annotated[
    str | None,
    QueryParameter(name="rebate_id", description="Only those of this rebate, by id or by your reference."),
]

OfCustomer = NamedDependency[CustomerId | None]


async def of_customer(tx: NamedDependency[Tx], customer_id: CustomerKey = None) -> CustomerId | None:
    """Nobody has anything under an id that is not there; a reference that is not there is refused."""
    if customer_id is None:
        return None
    return CustomerId.read(customer_id) or (await parties.customer(tx, customer_id)).id


async def meter_of(tx: Tx, key: str | None) -> MeterId | None:
    """As with customers. Not a dependency: those of a request are read at once, in one transaction."""
    if key is None:
        return None
    return MeterId.read(key) or (await meters.get(tx, key)).id


async def offer_of(tx: Tx, key: str | None) -> OfferId | None:
    """As with meters."""
    if key is None:
        return None
    return OfferId.read(key) or (await offers.offer(tx, key)).id


async def rebate_of(tx: Tx, key: str | None) -> RebateContractId | None:
    """As with meters."""
    if key is None:
        return None
    return RebateContractId.read(key) or (await rebates.get(tx, key)).id
