"""Revoking codes: nobody can use them any more, and who has used them keeps the offer."""

from kernel import outbox
from kernel.database import Tx
from promotions.coupons import store
from promotions.coupons.events import CouponBatchRevoked, CouponRevoked
from promotions.coupons.model import Coupon, CouponBatch, CouponBatchId


async def revoke_coupon(tx: Tx, key: str) -> Coupon:
    coupon = await store.coupon(tx, key)

    revoked = coupon.revoked()

    # Two at once: the second finds it revoked, and tells nothing.
    if await store.revoke(tx, coupon.id):
        outbox.publish(tx, CouponRevoked(coupon_id=coupon.id, offer_id=coupon.offer_id))
    return revoked


async def revoke_batch(tx: Tx, batch_id: CouponBatchId) -> CouponBatch:
    """All its codes that are not revoked yet."""
    batch = await store.batch(tx, batch_id)

    if await store.revoke_all(tx, batch_id):
        outbox.publish(tx, CouponBatchRevoked(coupon_batch_id=batch.id, offer_id=batch.offer_id))
    return batch
