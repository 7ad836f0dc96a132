"""Pausing an offer, going on with it, and putting it away for good.

Nobody new gets it then; who holds it keeps it, and what was reserved can still be redeemed.
"""

from kernel import outbox
from kernel.database import Tx
from kernel.events import Event
from promotions import store
from promotions.events import OfferArchived, OfferPaused, OfferResumed
from promotions.model import Offer, OfferId, OfferStatus


async def pause_offer(tx: Tx, key: str) -> Offer:
    return await _move(tx, key, OfferStatus.PAUSED)


async def resume_offer(tx: Tx, key: str) -> Offer:
    return await _move(tx, key, OfferStatus.ACTIVE)


async def archive_offer(tx: Tx, key: str) -> Offer:
    return await _move(tx, key, OfferStatus.ARCHIVED)


async def _move(tx: Tx, key: str, status: OfferStatus) -> Offer:
    """Again is the same: the second time changes and tells nothing."""
    offer = await store.offer(tx, await store.lock_offer(tx, key), counted=True)

    moved = offer.to(status)

    if moved != offer:
        await store.update_offer(tx, moved)
        outbox.publish(tx, _event(offer.id, status))
    return moved


def _event(offer_id: OfferId, status: OfferStatus) -> Event:
    match status:
        case OfferStatus.ACTIVE:
            return OfferResumed(offer_id=offer_id)
        case OfferStatus.PAUSED:
            return OfferPaused(offer_id=offer_id)
        case OfferStatus.ARCHIVED:
            return OfferArchived(offer_id=offer_id)
