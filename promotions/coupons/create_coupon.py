"""Making a code for an offer."""

from billing.parties import store as parties
from kernel import outbox
from kernel.database import Tx
from kernel.errors import Conflict
from promotions import store as promotions
from promotions.coupons import codes, rules, store
from promotions.coupons.events import CouponCreated
from promotions.coupons.model import Coupon, CouponStatus, NewCoupon
from promotions.model import CouponId


async def create_coupon(tx: Tx, offer_key: str, request: NewCoupon) -> Coupon:
    offer = await promotions.offer(tx, offer_key)
    customer = await parties.customer(tx, request.customer) if request.customer is not None else None

    rules.check(request, offer)
    (made_up,) = codes.made_up(1, request.prefix)
    coupon = Coupon(
        id=CouponId.new(),
        offer_id=offer.id,
        coupon_batch_id=None,
        code=request.code or made_up,
        customer_id=customer.id if customer else None,
        max_redemptions=request.max_redemptions,
        redeemed=0,
        expires_at=request.expires_at,
        status=CouponStatus.ACTIVE,
        metadata=request.metadata,
        created_at=tx.now,
    )

    if not await store.insert(tx, coupon, {coupon.id: coupon.code}):
        raise Conflict("code_taken", f"There is a code {coupon.code!r} already.", param="code")
    outbox.publish(tx, CouponCreated(coupon_id=coupon.id, offer_id=offer.id))
    return coupon
