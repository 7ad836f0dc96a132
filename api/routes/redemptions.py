"""Redemptions: who has which offer, or has it reserved."""

from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody

from api.filters import OfCustomer, OfferKey, offer_of
from api.operations import command, query
from kernel.database import Tx
from kernel.paging import Page, Window
from promotions import release, reserve, store
from promotions.model import NewReservation, Redemption, RedemptionId, Status


@query("/v1/redemptions", scope="redemptions:read")
async def list_redemptions(
    tx: NamedDependency[Tx],
    window: NamedDependency[Window],
    of_customer: OfCustomer,
    offer_id: OfferKey = None,
    status: FromQuery[Status | None] = None,
) -> Page[Redemption]:
    """List redemptions, newest first."""
    offer = await offer_of(tx, offer_id)
    return await store.page_of_redemptions(tx, window, customer_id=of_customer, offer_id=offer, status=status)


@query("/v1/redemptions/{redemption_id}", scope="redemptions:read")
async def get_redemption(tx: NamedDependency[Tx], redemption_id: FromPath[RedemptionId]) -> Redemption:
    """Read a redemption."""
    return await store.redemption(tx, redemption_id)


@command("/v1/redemptions", scope="redemptions:write", status=201)
async def create_redemption(tx: NamedDependency[Tx], data: JSONBody[NewReservation]) -> Redemption:
    """Reserve an offer for a customer: the last places are not gone while they make up their mind.

    It holds its place in every cap, whatever becomes of the offer, until it lapses or is released. A signup,
    subscription or grant that names the same offer or code takes it over. While the customer has it reserved,
    asking again answers the same.
    """
    return await reserve.reserve(tx, data)


@command("/v1/redemptions/{redemption_id}/release", scope="redemptions:write")
async def release_redemption(tx: NamedDependency[Tx], redemption_id: FromPath[RedemptionId]) -> Redemption:
    """Release a redemption: it gives nothing any more, and its place in every cap is free again."""
    return await release.release_redemption(tx, redemption_id)


@command("/v1/redemptions/{redemption_id}/revoke", scope="redemptions:write")
async def revoke_redemption(tx: NamedDependency[Tx], redemption_id: FromPath[RedemptionId]) -> Redemption:
    """Revoke a redemption, from who cheated: it gives nothing any more, and stays counted."""
    return await release.revoke_redemption(tx, redemption_id)


ROUTES = [list_redemptions, get_redemption, create_redemption, release_redemption, revoke_redemption]
