"""Redeeming an offer."""

from collections.abc import Sequence
from datetime import datetime

from msgspec.structs import replace

from billing.parties.model import Customer, CustomerId
from kernel import outbox
from kernel.database import Tx
from kernel.errors import Conflict
from kernel.money import Currency, zero
from kernel.structs import Value
from promotions import engine, identity, store
from promotions.coupons.model import Coupon
from promotions.duration import Serving
from promotions.engine import Basket, Held, InReach
from promotions.events import OfferRedeemed, RedemptionEnded
from promotions.model import Offer, Redemption, RedemptionId, Status
from promotions.store import Kept


class Asked(Value, frozen=True, kw_only=True):
    """An offer that somebody wants to have, and the code that puts it within their reach, if one does.

    It may be `reserved` for them. Such a one may come by itself, `unasked`: then it is refused in silence.
    """

    offer: Offer
    coupon: Coupon | None = None
    reserved: Redemption | None = None
    unasked: bool = False

    @property
    def in_reach(self) -> InReach:
        return InReach(offer=self.offer, reserved=self.reserved is not None)


def grant(asked: Asked, customer_id: CustomerId, basket: Basket, serving: Serving, *, now: datetime) -> Held:
    """Decides and writes nothing. Raises Conflict with the code of the engine's refusal."""
    refusal = engine.refusal_of(basket, asked.in_reach, now=now)
    if refusal is not None:
        raise Conflict(refusal.code, refusal.detail, param="coupons" if asked.coupon else "offer")
    return granted(asked, customer_id, basket.currency, serving, now=now)


def granted(
    asked: Asked, customer_id: CustomerId, currency: Currency, serving: Serving, *, now: datetime
) -> Held:
    """As it is held by whom nothing refuses it."""
    if asked.reserved is not None:
        taken_over = replace(
            asked.reserved.to(Status.REDEEMED),
            applies_from=serving.applies_from,
            ends_at=serving.ends_at,
            given=zero(currency),
            redeemed_at=now,
        )
        return Held(offer=asked.offer, redemption=taken_over)
    redemption = Redemption(
        id=RedemptionId.new(),
        offer_id=asked.offer.id,
        coupon_id=asked.coupon.id if asked.coupon else None,
        customer_id=customer_id,
        status=Status.REDEEMED,
        periods_used=0,
        applies_from=serving.applies_from,
        ends_at=serving.ends_at,
        given=zero(currency),
        redeemed_at=now,
    )
    return Held(offer=asked.offer, redemption=redemption)


async def redeem(tx: Tx, granted: Sequence[Held], customer: Customer) -> None:
    """Keep what was granted, within the caps: of a customer too, whatever they call themselves.

    They are locked. Offers take their turns in one order, whatever order they were asked for in.
    """
    for held in sorted(granted, key=lambda each: each.offer.id):
        if held.redemption.reserved_at is None:
            await keep(tx, held, customer)
        else:
            await _check(tx, held, await store.take_over(tx, held))
    outbox.publish(
        tx,
        *(
            OfferRedeemed(
                offer_id=held.offer.id,
                redemption_id=held.redemption.id,
                customer_id=held.redemption.customer_id,
            )
            for held in granted
        ),
        *(ended_event(held.redemption) for held in granted if held.redemption.status is Status.EXHAUSTED),
    )


def ended_event(redemption: Redemption) -> RedemptionEnded:
    assert redemption.ended_at is not None, "what is exhausted ends at a time"
    return RedemptionEnded(
        offer_id=redemption.offer_id,
        redemption_id=redemption.id,
        customer_id=redemption.customer_id,
        ended_at=redemption.ended_at,
    )


async def keep(tx: Tx, held: Held, customer: Customer) -> None:
    """What is new, redeemed or reserved. Raises Conflict: the transaction is not to be committed."""
    digests = identity.digests_of(customer, tenant=tx.tenant, secret=tx.secret)
    # The caps are decided there, by one conditional write: what the engine read may be old by now.
    kept = await store.insert_redemption(tx, held, digests if held.offer.one_per_identity else ())
    await _check(tx, held, kept)


async def _check(tx: Tx, held: Held, kept: Kept) -> None:
    check(kept)
    if not kept.has_slot:
        raise no_slot(await store.offer(tx, held.offer.id))


def check(kept: Kept) -> None:
    """Raises Conflict: the transaction is not to be committed."""
    if not kept.has_place:
        raise redeemed_before()
    if not kept.is_theirs:
        raise identity_used()
    if kept.has_slot and not kept.has_code:
        raise code_invalid()


def no_slot(offer: Offer) -> Conflict:
    """Which of its caps the offer has reached, read after somebody else has."""
    if offer.max_redemptions is not None and offer.redeemed >= offer.max_redemptions:
        return Conflict("offer_sold_out", "The offer has been used as often as it may be.", param="offer")
    spent = engine.budget_spent(offer)
    return Conflict(spent.code, spent.detail, param="offer")


def redeemed_before() -> Conflict:
    return Conflict(
        "offer_redeemed_before", "The customer has used this offer as often as they may.", param="offer"
    )


def identity_used() -> Conflict:
    return Conflict(
        "offer_identity_used",
        "Somebody with this e-mail address, VAT number or card has used this offer before.",
        param="offer",
    )


def code_invalid() -> Conflict:
    """The one answer to a code that cannot be used, whyever: a stranger learns nothing from it."""
    return Conflict("coupon_invalid", "This code cannot be used.", param="coupons")
