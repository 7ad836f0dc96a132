"""Making many codes for an offer in one call."""

from kernel import outbox
from kernel.database import Tx
from promotions import store as promotions
from promotions.coupons import codes, rules, store
from promotions.coupons.events import CouponBatchCreated
from promotions.coupons.model import Coupon, CouponBatch, CouponBatchId, CouponStatus, NewCouponBatch
from promotions.model import CouponId

CHUNK = 10_000  # so that memory does not grow with the batch


async def create_batch(tx: Tx, offer_key: str, request: NewCouponBatch) -> CouponBatch:
    offer = await promotions.offer(tx, offer_key)

    rules.check_offer(offer)
    batch = CouponBatch(
        id=CouponBatchId.new(),
        offer_id=offer.id,
        name=request.name,
        prefix=request.prefix,
        count=request.count,
        max_redemptions=request.max_redemptions,
        expires_at=request.expires_at,
        metadata=request.metadata,
        created_at=tx.now,
    )

    await store.insert_batch(tx, batch)
    await _insert_codes(tx, batch)
    outbox.publish(tx, CouponBatchCreated(coupon_batch_id=batch.id, offer_id=offer.id))
    return batch


async def _insert_codes(tx: Tx, batch: CouponBatch) -> None:
    """A code that somebody has already is made up again."""
    like = Coupon(
        id=CouponId.new(),
        offer_id=batch.offer_id,
        coupon_batch_id=batch.id,
        code="",
        customer_id=None,
        max_redemptions=batch.max_redemptions,
        redeemed=0,
        expires_at=batch.expires_at,
        status=CouponStatus.ACTIVE,
        metadata={},
        created_at=batch.created_at,
    )
    prefix = codes.Prefix(batch.prefix) if batch.prefix else None
    missing = batch.count
    while missing:
        made_up = codes.made_up(min(missing, CHUNK), prefix)
        missing -= await store.insert(tx, like, {CouponId.new(): code for code in made_up})
