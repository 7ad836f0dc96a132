"""Keeping an offer for a customer, with its place in every cap, until they subscribe."""

from datetime import timedelta

from billing.parties import store as parties
from billing.parties.model import Customer
from kernel import jobs, outbox
from kernel.database import Tx
from kernel.errors import Conflict, Invalid
from kernel.money import Currency
from kernel.text import Reference
from promotions import conditions
from promotions.asked import check_asked, offers_asked
from promotions.basket import Basket, Held
from promotions.events import RedemptionReserved
from promotions.model import NewReservation, Offer, Redemption, RedemptionId, Status
from promotions.redeem import Asked, keep
from promotions.release import LAPSING

ANY_PLAN, ANY_CURRENCY = Reference("any"), Currency("EUR")


async def reserve(tx: Tx, request: NewReservation) -> Redemption:
    """While it is reserved, that is the answer."""
    if (request.offer is None) is (request.coupon is None):
        raise Invalid("offer_or_coupon", "Name an offer, or a coupon.", param="offer")
    customer = await parties.lock_customer(tx, request.customer)
    codes = () if request.coupon is None else (request.coupon,)
    wanted = await offers_asked(tx, request.offer, codes, customer)

    check_asked(tx, wanted, customer)
    (asked,) = wanted.asked
    if asked.reserved is not None:
        return asked.reserved
    return await keep_for(tx, asked, customer, lasts=timedelta(seconds=request.expires_in_seconds))


async def keep_for(tx: Tx, asked: Asked, customer: Customer, *, lasts: timedelta | None) -> Redemption:
    """For a customer who is locked; without an end, until their next subscription takes it over."""
    refusal = conditions.refusal_of(_hoped_for(asked.offer, customer), asked.in_reach, now=tx.now)
    if refusal is not None:
        raise Conflict(refusal.code, refusal.detail, param="coupon" if asked.coupon else "offer")
    redemption = Redemption(
        id=RedemptionId.new(),
        offer_id=asked.offer.id,
        coupon_id=asked.coupon.id if asked.coupon else None,
        customer_id=customer.id,
        status=Status.RESERVED,
        periods_used=0,
        applies_from=tx.now,
        given=None,
        redeemed_at=tx.now,
        reserved_at=tx.now,
        reserved_until=tx.now + lasts if lasts else None,
    )

    await keep(tx, Held(offer=asked.offer, redemption=redemption), customer)
    if redemption.reserved_until is not None:
        data = {"redemption_id": str(redemption.id)}
        await jobs.schedule(tx, LAPSING, data, due=redemption.reserved_until)
    outbox.publish(
        tx,
        RedemptionReserved(
            offer_id=asked.offer.id, redemption_id=redemption.id, customer_id=redemption.customer_id
        ),
    )
    return redemption


def _hoped_for(offer: Offer, customer: Customer) -> Basket:
    """What they may still buy: of what is not known yet, what the offer wants."""
    currencies = [currency for each in conditions.currencies_of(offer) for currency in each]
    return Basket(
        plan=next(iter(offer.conditions.plans), ANY_PLAN),
        currency=next(iter(currencies), ANY_CURRENCY),
        is_new_customer=True,
        is_first_invoice=True,
        country=customer.address.country,
        customer_metadata=customer.metadata,
        lines=(),
    )
