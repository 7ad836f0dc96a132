"""Making an offer."""

from datetime import datetime

from kernel import outbox
from kernel.database import Tx
from kernel.money import Money
from promotions import rules, store
from promotions.events import OfferCreated
from promotions.model import NewOffer, Offer, OfferId, OfferStatus


async def create_offer(tx: Tx, request: NewOffer) -> Offer:
    rules.check(request, now=tx.now)
    offer = offer_of(request, now=tx.now)

    await store.insert_offer(tx, offer)
    outbox.publish(tx, OfferCreated(offer_id=offer.id))
    return offer


def offer_of(request: NewOffer, *, now: datetime) -> Offer:
    return Offer(
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
        max_per_customer=request.max_per_customer,
        budget=request.budget,
        spent=Money(0, request.budget.currency) if request.budget is not None else None,
        one_per_identity=(
            request.conditions.new_customers_only
            if request.one_per_identity is None
            else request.one_per_identity
        ),
        remind_days_before=request.remind_days_before,
        status=OfferStatus.ACTIVE,
        metadata=request.metadata,
        created_at=now,
    )
