"""Redeeming an offer, and counting what it has served."""

from billing.parties.model import CustomerId
from kernel import outbox
from kernel.database import Tx
from kernel.errors import Conflict
from promotions import engine, store
from promotions.engine import Basket, InReach
from promotions.events import OfferRedeemed
from promotions.model import Offer, Redemption, RedemptionId, Status


async def redeem(tx: Tx, offer: Offer, customer_id: CustomerId, basket: Basket) -> Redemption:
    """Give the customer the offer. Raises Conflict with the code of the engine's refusal."""
    refusal = engine.refusal_of(basket, InReach(offer=offer), now=tx.now)
    if refusal is not None:
        raise Conflict(refusal.code, refusal.detail, param="offer")
    redemption = Redemption(
        id=RedemptionId.new(),
        offer_id=offer.id,
        customer_id=customer_id,
        status=Status.REDEEMED,
        periods_used=0,
        redeemed_at=tx.now,
    )

    if not await store.insert_redemption(tx, redemption):
        raise Conflict("offer_redeemed_before", "The customer has used this offer before.", param="offer")
    # The cap is decided here, by one conditional write: what the engine read may be old by now.
    if not await store.take_slot(tx, offer.id):
        raise Conflict("offer_sold_out", "The offer has been used as often as it may be.", param="offer")
    outbox.publish(tx, OfferRedeemed(offer_id=offer.id, redemption_id=redemption.id, customer_id=customer_id))
    return redemption


async def count_period(tx: Tx, offer: Offer, redemption: Redemption, *, served: bool = True) -> Status:
    """One more invoice, which the offer has `served` or not; it is exhausted when it can serve no more."""
    used = redemption.periods_used + served
    status = Status.EXHAUSTED if engine.is_used_up(offer, used) else redemption.status

    if (used, status) != (redemption.periods_used, redemption.status):
        await store.count_period(tx, redemption.to(status).id, status, periods=used)
    return status
