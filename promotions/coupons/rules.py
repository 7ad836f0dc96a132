"""Whether a code can be used. Pure."""

from datetime import datetime

from billing.parties.model import CustomerId
from kernel.errors import Conflict, Invalid
from promotions.coupons.model import Coupon, CouponStatus, NewCoupon, Unusable
from promotions.model import Offer, OfferStatus


def check(request: NewCoupon, offer: Offer) -> None:
    if request.code is not None and request.prefix is not None:
        raise Invalid("code_with_prefix", "A prefix is for codes that are made up.", param="prefix")
    check_offer(offer)


def check_offer(offer: Offer) -> None:
    if offer.status is OfferStatus.ARCHIVED:
        raise Conflict("offer_state", "The offer is archived: it gets no more codes.")


def usable(coupon: Coupon, customer_id: CustomerId | None, *, now: datetime) -> bool:
    """By this customer. Whether the offer is for them is for the engine to say."""
    return unusable(coupon, now=now) is None and coupon.is_for(customer_id)


def unusable(coupon: Coupon, *, now: datetime) -> Unusable | None:
    """What stands against it, whoever asks."""
    if coupon.status is CouponStatus.REVOKED:
        return Unusable(code="coupon_revoked", detail="The code was revoked.")
    if coupon.expires_at is not None and coupon.expires_at <= now:
        return Unusable(code="coupon_expired", detail=f"The code could be used until {coupon.expires_at}.")
    if coupon.is_used_up:
        return Unusable(code="coupon_used_up", detail="The code has been used as often as it may be.")
    return None
