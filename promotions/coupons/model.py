"""Coupons: codes that put an offer within reach of whoever holds them.

active ──▶ revoked      nobody can use it any more; who has, keeps the offer

A batch is a crowd of codes that were made in one call, each for one use unless it says otherwise.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

import msgspec

from billing.parties.model import CustomerId, Metadata
from kernel.ids import Id
from kernel.structs import Input, Value
from kernel.text import Name
from promotions.coupons.codes import Code, Prefix
from promotions.model import Cap, CouponId, Offer, OfferId, RedemptionId

LARGEST_BATCH = 100_000


class CouponBatchId(Id, prefix="cpb"):
    """Codes that were made in one call."""


class CouponStatus(StrEnum):
    ACTIVE = "active"
    REVOKED = "revoked"


class NewCoupon(Input, frozen=True, kw_only=True):
    """Your own `code`, or one that is made up, after a `prefix` if you like.

    With a `customer` nobody else can use it. `max_redemptions` counts the uses of this code; each customer
    may use it as often as the offer says, which is once unless it says otherwise.
    """

    code: Code | None = None
    prefix: Prefix | None = None
    customer: str | None = None
    max_redemptions: Cap | None = None
    expires_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    metadata: Metadata = {}


class NewReferralCode(Input, frozen=True, kw_only=True):
    """`offer` is for whoever comes with the code, `referrer_offer` for the customer whose code it is.

    By reference or id. The latter is given once the newcomer's first invoice that asks for money is paid.
    """

    offer: str
    referrer_offer: str


class NewCouponBatch(Input, frozen=True, kw_only=True):
    """So many codes, made up, each for one use: with `max_redemptions: null`, for any number."""

    count: Annotated[int, msgspec.Meta(ge=1, le=LARGEST_BATCH)]
    name: Name | None = None
    prefix: Prefix | None = None
    max_redemptions: Cap | None = 1
    expires_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    metadata: Metadata = {}


class Coupon(Value, frozen=True, kw_only=True):
    """`redeemed` counts against `max_redemptions`, where there is such a cap.

    With a code of theirs a customer brings others: they are its `referrer`, and cannot use it themselves.
    """

    id: CouponId
    offer_id: OfferId
    coupon_batch_id: CouponBatchId | None
    code: str
    customer_id: CustomerId | None
    max_redemptions: int | None
    redeemed: int
    expires_at: datetime | None
    status: CouponStatus
    metadata: dict[str, str]
    created_at: datetime
    referrer_id: CustomerId | None = None
    referrer_offer_id: OfferId | None = None

    @property
    def is_used_up(self) -> bool:
        return self.max_redemptions is not None and self.redeemed >= self.max_redemptions

    def is_for(self, customer_id: CustomerId | None) -> bool:
        if self.referrer_id is not None and self.referrer_id == customer_id:
            return False
        return self.customer_id is None or self.customer_id == customer_id

    def revoked(self) -> "Coupon":
        """Again is the same."""
        return msgspec.structs.replace(self, status=CouponStatus.REVOKED)


class CouponBatch(Value, frozen=True, kw_only=True):
    """The codes themselves are at `/v1/coupon_batches/{id}/codes.csv`."""

    id: CouponBatchId
    offer_id: OfferId
    name: str | None
    prefix: str | None
    count: int
    max_redemptions: int | None
    expires_at: datetime | None
    metadata: dict[str, str]
    created_at: datetime


class Reached(Value, frozen=True, kw_only=True):
    """A code that somebody holds, and what it puts within their reach."""

    coupon: Coupon
    offer: Offer


class Unusable(Value, frozen=True, kw_only=True):
    """Why a code cannot be used by anybody; `code` is stable."""

    code: str
    detail: str


class CouponDetail(Value, frozen=True, kw_only=True):
    """A coupon, and why it cannot be used now, if it cannot: what is never told to who tries a code."""

    coupon: Coupon
    unusable: Unusable | None


class Attempts(Value, frozen=True, kw_only=True):
    """How often somebody tried a code in vain since then, by wall time."""

    failures: int
    counted_from: datetime


class Referral(Value, frozen=True, kw_only=True):
    """Who came with whose code, and what for."""

    redemption_id: RedemptionId
    newcomer_id: CustomerId
    referrer_id: CustomerId
    referrer_offer_id: OfferId
