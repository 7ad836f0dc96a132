"""Coupons: the codes that put an offer within reach."""

from typing import Annotated

from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from litestar.response import Stream

from api.filters import OfCustomer, OfferKey, offer_of
from api.operations import command, query
from api.pages import csv_response
from kernel.database import Tx
from kernel.paging import Page, Window
from promotions.coupons import create_batch, rules, store
from promotions.coupons import create_coupon as one
from promotions.coupons import revoke_coupon as revoking
from promotions.coupons.model import (
    Coupon,
    CouponBatch,
    CouponBatchId,
    CouponDetail,
    NewCoupon,
    NewCouponBatch,
    NewReferralCode,
)

Code = Annotated[str | None, QueryParameter(description="The one with this code, however it is written.")]


@query("/v1/coupons", scope="coupons:read")
async def list_coupons(
    tx: NamedDependency[Tx],
    window: NamedDependency[Window],
    of_customer: OfCustomer,
    offer_id: OfferKey = None,
    coupon_batch_id: FromQuery[CouponBatchId | None] = None,
    code: Code = None,
) -> Page[Coupon]:
    """List coupons, newest first."""
    offer = await offer_of(tx, offer_id)
    return await store.page(
        tx, window, offer_id=offer, customer_id=of_customer, batch_id=coupon_batch_id, code=code
    )


@query("/v1/coupons/{coupon}", scope="coupons:read")
async def get_coupon(tx: NamedDependency[Tx], coupon: FromPath[str]) -> CouponDetail:
    """Read a coupon, by id or code, and why it cannot be used, if it cannot.

    Whoever tries a code that cannot be used is told `coupon_invalid` and no more; the reason is here.
    """
    found = await store.coupon(tx, coupon)
    return CouponDetail(coupon=found, unusable=rules.unusable(found, now=tx.now))


@command("/v1/offers/{offer}/coupons", scope="coupons:write", status=201)
async def create_coupon(tx: NamedDependency[Tx], offer: FromPath[str], data: JSONBody[NewCoupon]) -> Coupon:
    """Make a code for an offer: your own, or one that is made up. It may be for one customer alone."""
    return await one.create_coupon(tx, offer, data)


@command("/v1/coupons/{coupon}/revoke", scope="coupons:write")
async def revoke_coupon(tx: NamedDependency[Tx], coupon: FromPath[str]) -> Coupon:
    """Revoke a coupon: nobody can use it any more, and who has used it keeps the offer."""
    return await revoking.revoke_coupon(tx, coupon)


@command("/v1/customers/{customer}/referral_code", scope="customers:write")
async def create_referral_code(
    tx: NamedDependency[Tx], customer: FromPath[str], data: JSONBody[NewReferralCode]
) -> Coupon:
    """A customer's own code for an offer, with which they bring others; asked again, it is the same.

    Once the first invoice that asks a newcomer for money is paid, `referrer_offer` is given to a subscription
    of the customer that runs, or kept for their next. Never for themselves: not with the same mailbox, VAT
    number or card either.
    """
    return await one.referral_code(tx, customer, data)


@query("/v1/coupon_batches", scope="coupons:read")
async def list_coupon_batches(
    tx: NamedDependency[Tx], window: NamedDependency[Window], offer_id: OfferKey = None
) -> Page[CouponBatch]:
    """List batches of coupons, newest first."""
    return await store.batches(tx, window, offer_id=await offer_of(tx, offer_id))


@query("/v1/coupon_batches/{coupon_batch_id}", scope="coupons:read")
async def get_coupon_batch(tx: NamedDependency[Tx], coupon_batch_id: FromPath[CouponBatchId]) -> CouponBatch:
    """Read a batch of coupons."""
    return await store.batch(tx, coupon_batch_id)


@query("/v1/coupon_batches/{coupon_batch_id}/codes.csv", scope="coupons:read")
async def get_coupon_batch_codes(tx: NamedDependency[Tx], coupon_batch_id: FromPath[CouponBatchId]) -> Stream:
    """The codes of a batch as CSV, however many: `code,status,max_redemptions,redeemed,expires_at`."""
    found = await store.batch(tx, coupon_batch_id)
    rows = (
        [(c.code, c.status, c.max_redemptions, c.redeemed, c.expires_at) for c in chunk]
        async for chunk in store.of_batch(tx, found.id)
    )
    header = ("code", "status", "max_redemptions", "redeemed", "expires_at")
    return csv_response(header, rows, f"{found.prefix or 'codes'}-{found.id}")


@command("/v1/offers/{offer}/coupon_batches", scope="coupons:write", status=201)
async def create_coupon_batch(
    tx: NamedDependency[Tx], offer: FromPath[str], data: JSONBody[NewCouponBatch]
) -> CouponBatch:
    """Make up to 100,000 codes for an offer in one call, each for one use unless you say otherwise.

    The codes are at `/v1/coupon_batches/{coupon_batch_id}/codes.csv`.
    """
    return await create_batch.create_batch(tx, offer, data)


@command("/v1/coupon_batches/{coupon_batch_id}/revoke", scope="coupons:write")
async def revoke_coupon_batch(
    tx: NamedDependency[Tx], coupon_batch_id: FromPath[CouponBatchId]
) -> CouponBatch:
    """Revoke all codes of a batch at once: a list that got into the wrong hands."""
    return await revoking.revoke_batch(tx, coupon_batch_id)


ROUTES = [
    list_coupons,
    get_coupon,
    create_coupon,
    revoke_coupon,
    create_referral_code,
    list_coupon_batches,
    get_coupon_batch,
    get_coupon_batch_codes,
    create_coupon_batch,
    revoke_coupon_batch,
]
