"""Offers: the promotions you run."""

from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from api.operations import command, query
from kernel.database import Tx
from kernel.paging import Page, Window
from promotions import change_offer as change
from promotions import create_offer as verbs
from promotions import pause_offer as pause
from promotions import store
from promotions.model import NewOffer, Offer, OfferChange
from subscriptions.offer_figures import OfferFigures, offer_figures


@query("/v1/offers", scope="offers:read")
async def list_offers(tx: NamedDependency[Tx], window: NamedDependency[Window]) -> Page[Offer]:
    """List offers, newest first."""
    return await store.page(tx, window)


@query("/v1/offers/{offer}", scope="offers:read")
async def get_offer(tx: NamedDependency[Tx], offer: FromPath[str]) -> Offer:
    """Read an offer, by id or reference."""
    return await store.offer(tx, offer, counted=True)


@query("/v1/offers/{offer}/figures", scope="offers:read")
async def get_offer_figures(tx: NamedDependency[Tx], offer: FromPath[str]) -> OfferFigures:
    """Read what came of an offer: how many had it, paid, are still at it, and what it cost and brought in."""
    return await offer_figures(tx, offer)


@command("/v1/offers", scope="offers:write", status=201)
async def create_offer(tx: NamedDependency[Tx], data: JSONBody[NewOffer]) -> Offer:
    """Make an offer.

    A welcome offer has the condition `new_customers_only`, and is given on signup by its reference.
    """
    return await verbs.create_offer(tx, data)


@command("/v1/offers/{offer}", scope="offers:write", method="PATCH")
async def patch_offer(tx: NamedDependency[Tx], offer: FromPath[str], data: JSONBody[OfferChange]) -> Offer:
    """Change an offer, in what changes no promise: its name, when it runs, its caps.

    Whatever else is to be different is another offer: archive this one and make it.
    """
    return await change.change_offer(tx, offer, data)


@command("/v1/offers/{offer}/pause", scope="offers:write")
async def pause_offer(tx: NamedDependency[Tx], offer: FromPath[str]) -> Offer:
    """Pause an offer: nobody new gets it, and who holds it keeps it."""
    return await pause.pause_offer(tx, offer)


@command("/v1/offers/{offer}/resume", scope="offers:write")
async def resume_offer(tx: NamedDependency[Tx], offer: FromPath[str]) -> Offer:
    """Go on with an offer that is paused."""
    return await pause.resume_offer(tx, offer)


@command("/v1/offers/{offer}/archive", scope="offers:write")
async def archive_offer(tx: NamedDependency[Tx], offer: FromPath[str]) -> Offer:
    """Archive an offer for good: nobody new gets it, and who holds it keeps it."""
    return await pause.archive_offer(tx, offer)


ROUTES = [
    list_offers,
    get_offer,
    get_offer_figures,
    create_offer,
    patch_offer,
    pause_offer,
    resume_offer,
    archive_offer,
]
