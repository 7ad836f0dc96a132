"""What happens to coupons."""

from billing.parties.model import CustomerId
from kernel.events import Event
from promotions.coupons.model import CouponBatchId
from promotions.model import CouponId, OfferId, RedemptionId


class CouponCreated(Event, frozen=True, kw_only=True, tag="coupon.created"):
    coupon_id: CouponId
    offer_id: OfferId


class CouponRevoked(Event, frozen=True, kw_only=True, tag="coupon.revoked"):
    coupon_id: CouponId
    offer_id: OfferId


class CouponBatchCreated(Event, frozen=True, kw_only=True, tag="coupon_batch.created"):
    coupon_batch_id: CouponBatchId
    offer_id: OfferId


class CouponBatchRevoked(Event, frozen=True, kw_only=True, tag="coupon_batch.revoked"):
    """Of all its codes at once: none of them has an event of its own."""

    coupon_batch_id: CouponBatchId
    offer_id: OfferId


class ReferralRewarded(Event, frozen=True, kw_only=True, tag="referral.rewarded"):
    """`redemption_id` is what the referrer has got for bringing the newcomer."""

    referrer_id: CustomerId
    newcomer_id: CustomerId
    redemption_id: RedemptionId


class ReferralRefused(Event, frozen=True, kw_only=True, tag="referral.refused"):
    """The newcomer has paid, and the referrer gets nothing for it; `code` says why."""

    referrer_id: CustomerId
    newcomer_id: CustomerId
    code: str
