"""Making a code for an offer."""

from billing.parties import store as parties
from kernel import outbox
from kernel.database import Tx
from kernel.errors import Conflict
from promotions import store as promotions
from promotions.coupons import codes, rules, store
from promotions.coupons.events import CouponCreated
from promotions.coupons.model import Coupon, CouponStatus, NewCoupon, NewReferralCode
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
        raise _taken(coupon)
    outbox.publish(tx, CouponCreated(coupon_id=coupon.id, offer_id=offer.id))
    return coupon


async def referral_code(tx: Tx, customer_key: str, request: NewReferralCode) -> Coupon:
    """The customer's own code for an offer: the same again, as long as it can be used."""
    customer = await parties.lock_customer(tx, customer_key)
    offer = await promotions.offer(tx, request.offer)
    reward = await promotions.offer(tx, request.referrer_offer)
    earlier = await store.referral_code(tx, customer.id, offer.id)

    rules.check_referral(offer, reward, earlier)
    if earlier is not None:
        return earlier
    (made_up,) = codes.made_up(1)
    coupon = Coupon(
        id=CouponId.new(),
        offer_id=offer.id,
        coupon_batch_id=None,
        code=made_up,
        customer_id=None,
        max_redemptions=None,
        redeemed=0,
        expires_at=None,
        status=CouponStatus.ACTIVE,
        metadata={},
        created_at=tx.now,
        referrer_id=customer.id,
        referrer_offer_id=reward.id,
    )

    if not await store.insert(tx, coupon, {coupon.id: coupon.code}):
        raise _taken(coupon)
    outbox.publish(tx, CouponCreated(coupon_id=coupon.id, offer_id=offer.id))
    return coupon


def _taken(coupon: Coupon) -> Conflict:
    return Conflict("code_taken", f"There is a code {coupon.code!r} already.", param="code")
