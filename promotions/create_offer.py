"""Making an offer."""

from kernel import outbox
from kernel.database import Tx
from promotions import rules, store
from promotions.events import OfferCreated
from promotions.model import NewOffer, Offer, OfferId


async def create_offer(tx: Tx, request: NewOffer) -> Offer:
    rules.check(request)
    offer = Offer(
        id=OfferId.new(),
        reference=request.reference,
        name=request.name,
        lane=request.lane,
        benefit=request.benefit,
        conditions=request.conditions,
        duration=request.duration,
        at_end=request.at_end,
        max_redemptions=request.max_redemptions,
        redeemed=0,
        active=True,
        created_at=tx.now,
    )

    await store.insert_offer(tx, offer)
    outbox.publish(tx, OfferCreated(offer_id=offer.id))
    return offer
