"""Changing an offer, in what changes no promise."""

from kernel import outbox
from kernel.database import Tx
from promotions import rules, store
from promotions.events import OfferChanged
from promotions.model import Offer, OfferChange


async def change_offer(tx: Tx, key: str, change: OfferChange) -> Offer:
    offer = await store.offer(tx, await store.lock_offer(tx, key), counted=True)

    changed = rules.changed(offer, change)

    await store.update_offer(tx, changed)
    outbox.publish(tx, OfferChanged(offer_id=offer.id))
    return changed
