"""Whether a code can be used. Pure."""

from datetime import datetime, timedelta

from billing.parties.model import CustomerId
from kernel.errors import Conflict, Invalid, TooMany
from promotions.coupons.model import Attempts, Coupon, CouponStatus, NewCoupon, Unusable
from promotions.model import FreePeriod, Offer, OfferStatus

WINDOW = timedelta(minutes=10)
FREE = 10  # tries in vain of one customer or visitor
FREE_OF_ANYBODY = 1000  # of all together who are not named


def check(request: NewCoupon, offer: Offer) -> None:
    if request.code is not None and request.prefix is not None:
        raise Invalid("code_with_prefix", "A prefix is for codes that are made up.", param="prefix")
    check_offer(offer)


def check_offer(offer: Offer) -> None:
    if offer.status is OfferStatus.ARCHIVED:
        raise Conflict("offer_state", "The offer is archived: it gets no more codes.")


def check_referral(offer: Offer, reward: Offer, earlier: Coupon | None) -> None:
    check_offer(offer)
    check_offer(reward)
    if isinstance(reward.benefit, FreePeriod):
        raise Invalid(
            "referrer_offer_free_period",
            "The referrer is a customer already: give them money off, not days before the first invoice.",
            param="referrer_offer",
        )
    if earlier is not None and earlier.referrer_offer_id != reward.id:
        raise Conflict(
            "referral_code_differs",
            f"The customer has the code {earlier.code} for this offer, with another reward: revoke it first.",
            param="referrer_offer",
        )


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


def check_attempts(attempts: Attempts | None, who: str, *, now: datetime) -> None:
    """Raises TooMany `coupon_attempts`, until so long after the first failure that was counted."""
    free = FREE if who else FREE_OF_ANYBODY
    if attempts is None or attempts.failures < free:
        return
    left = attempts.counted_from + WINDOW - now
    if left > timedelta(0):
        raise TooMany(
            "coupon_attempts",
            "Too many codes that cannot be used were tried. Try again later.",
            retry_after=-(-left // timedelta(seconds=1)),
            param="coupons",
        )
