"""Offers: the promotions you run."""

from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from api.operations import command, query
from kernel.database import Tx
from kernel.paging import Page, Window
from promotions import create_offer as verbs
from promotions import store
from promotions.model import NewOffer, Offer


@query("/v1/offers", scope="offers:read")
async def list_offers(tx: NamedDependency[Tx], window: NamedDependency[Window]) -> Page[Offer]:
    """List offers, newest first."""
    return await store.page(tx, window)


@query("/v1/offers/{offer}", scope="offers:read")
async def get_offer(tx: NamedDependency[Tx], offer: FromPath[str]) -> Offer:
    """Read an offer, by id or reference."""
    return await store.offer(tx, offer, counted=True)


@command("/v1/offers", scope="offers:write", status=201)
async def create_offer(tx: NamedDependency[Tx], data: JSONBody[NewOffer]) -> Offer:
    """Make an offer.

    A welcome offer has the condition `new_customers_only`, and is given on signup by its reference.
    """
    return await verbs.create_offer(tx, data)


ROUTES = [list_offers, get_offer, create_offer]
