"""Reservations: a place in every cap that is kept, until it is redeemed, released or lapses."""

from datetime import timedelta
from functools import partial

import pytest

from billing.parties import store as parties
from kernel import outbox
from kernel.database import Pool, Tx, leave_behind, transaction
from kernel.errors import Conflict, Invalid
from kernel.ids import TenantId
from kernel.paging import Window
from kernel.text import Country, Reference
from promotions import store
from promotions.coupons import store as coupons
from promotions.coupons.codes import Code
from promotions.coupons.create_coupon import create_coupon
from promotions.coupons.model import NewCoupon
from promotions.coupons.revoke_coupon import revoke_coupon
from promotions.create_offer import create_offer
from promotions.model import Conditions, Forever, NewReservation, Offer, Redemption, Status
from promotions.pause_offer import archive_offer, pause_offer
from promotions.redeem import Asked
from promotions.release import lapse_due, release_redemption, revoke_redemption
from promotions.reserve import keep_for, reserve
from subscriptions.grant_offer import grant_offer
from subscriptions.model import NewGrant, NewSubscription
from subscriptions.sign_up import sign_up, subscribe
from tests.books import assert_sound
from tests.makers import NOON, euros
from tests.promotions.offers import a_new_offer, fixed, redemptions_of
from tests.shop import another_customer, at, while_open
from tests.subscriptions.plans import a_shop_with_a_plan, a_signup

HALF_AN_HOUR = timedelta(minutes=30)
LAST_ONE = a_new_offer(fixed(10_00), max_redemptions=1)


async def a_reservation(tx: Tx, offer: str | None = "WELCOME", *, coupon: str | None = None) -> Redemption:
    """Of user-42, for half an hour."""
    return await reserve(tx, NewReservation(customer="user-42", offer=offer, coupon=coupon))


async def left(tx: Tx) -> int:
    """Places of the offer."""
    offer = await store.offer(tx, "WELCOME", counted=True)
    assert offer.max_redemptions is not None
    return offer.max_redemptions - offer.redeemed


async def told(tx: Tx) -> list[str]:
    await leave_behind(tx)
    events = reversed((await outbox.page(tx, Window(limit=100))).data)
    return [event.type for event in events if event.type.startswith(("redemption", "offer.redeemed"))]


async def code_of(act: object) -> str:
    with pytest.raises((Conflict, Invalid)) as refused:
        await act  # type: ignore[misc]
    return refused.value.code


# ── Keeping ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_reservation_holds_the_last_place(tx: Tx) -> None:
    await a_shop_with_a_plan(tx, LAST_ONE)
    reserved = await a_reservation(tx)

    assert (reserved.status, reserved.reserved_until) == (Status.RESERVED, NOON + HALF_AN_HOUR)
    assert await store.redemption(tx, reserved.id) == reserved
    assert await a_reservation(tx) == reserved  # again is the same
    assert await left(tx) == 0
    assert await code_of(sign_up(tx, a_signup(customer="user-77", offer="WELCOME"))) == "offer_sold_out"


async def test_the_last_place_is_not_reserved_twice(pool: Pool, tenant: TenantId) -> None:
    async with transaction(pool, tenant, now=NOON) as tx:
        await a_shop_with_a_plan(tx, LAST_ONE)
        await another_customer(tx, "user-77")

    one, other = (
        partial(reserve, request=NewReservation(customer=who, offer="WELCOME"))
        for who in ("user-42", "user-77")
    )
    with pytest.raises(Conflict) as refused:
        await while_open(pool, tenant, one, other)
    assert refused.value.code == "offer_sold_out"


async def test_a_reservation_lapses_by_itself_and_its_place_is_free(tx: Tx) -> None:
    await a_shop_with_a_plan(tx, LAST_ONE)
    reserved = await a_reservation(tx)
    for time, status in (
        (NOON + HALF_AN_HOUR - timedelta(seconds=1), Status.RESERVED),
        (NOON + HALF_AN_HOUR, Status.EXPIRED),
        (NOON + HALF_AN_HOUR, Status.EXPIRED),
    ):
        await lapse_due(at(tx, time), reserved.id)
        assert (await store.redemption(tx, reserved.id)).status is status

    assert await left(tx) == 1
    assert await told(tx) == ["redemption.reserved", "redemption.expired"]


async def test_what_has_lapsed_is_gone_also_before_the_worker_has_come_by(tx: Tx) -> None:
    await a_shop_with_a_plan(tx, LAST_ONE)
    reserved = await a_reservation(tx)
    later = at(tx, NOON + HALF_AN_HOUR)

    anew = await a_reservation(later)
    assert anew.id != reserved.id
    assert (await store.redemption(tx, reserved.id)).status is Status.EXPIRED
    assert await left(tx) == 0


async def test_what_cannot_be_had_whatever_they_buy_is_not_reserved(tx: Tx) -> None:
    await a_shop_with_a_plan(tx, a_new_offer(conditions=Conditions(countries=(Country("DE"),))))
    assert await code_of(a_reservation(tx)) == "offer_other_country"
    assert await code_of(a_reservation(tx, None)) == "offer_or_coupon"
    await pause_offer(tx, "WELCOME")
    assert await code_of(a_reservation(tx)) == "offer_inactive"


# ── Taking over ─────────────────────────────────────────────────────────────────────────────────────────


async def test_a_signup_takes_it_over_whatever_has_become_of_the_offer(tx: Tx) -> None:
    await a_shop_with_a_plan(tx, LAST_ONE)
    reserved = await a_reservation(tx)
    await archive_offer(tx, "WELCOME")

    signup = await sign_up(tx, a_signup(customer="user-42", offer="WELCOME"))

    assert signup.subscription.redemption_ids == (reserved.id,)
    assert signup.invoice is not None
    assert signup.invoice.net == euros(19_00)
    redeemed = await store.redemption(tx, reserved.id)
    assert (redeemed.status, redeemed.given) == (Status.EXHAUSTED, euros(10_00))
    assert await left(tx) == 0
    await lapse_due(at(tx, NOON + HALF_AN_HOUR), reserved.id)
    assert (await store.redemption(tx, reserved.id)).status is Status.EXHAUSTED
    again = await sign_up(tx, a_signup(customer="user-42", offer="WELCOME"))
    assert (again.is_new, again.subscription.id) == (False, signup.subscription.id)
    await assert_sound(tx)


async def test_what_a_code_had_reserved_is_had_though_it_is_revoked_since(tx: Tx) -> None:
    await a_shop_with_a_plan(tx, a_new_offer(fixed(10_00)))
    await create_coupon(tx, "WELCOME", NewCoupon(code=Code("ONE"), max_redemptions=1))
    reserved = await a_reservation(tx, None, coupon="one")
    assert (await coupons.coupon(tx, "ONE")).redeemed == 1
    await revoke_coupon(tx, "ONE")

    subscribed = await subscribe(tx, NewSubscription(customer="user-42", plan="pro", coupons=("ONE",)))

    assert subscribed.subscription.redemption_ids == (reserved.id,)
    assert (await coupons.coupon(tx, "ONE")).redeemed == 1


async def test_a_grant_takes_it_over(tx: Tx) -> None:
    await a_shop_with_a_plan(tx, a_new_offer(fixed(10_00), duration=Forever(), max_redemptions=1))
    signup = await sign_up(tx, a_signup(customer="user-42"))
    reserved = await a_reservation(tx)
    granted = await grant_offer(tx, signup.subscription.id, NewGrant(offer="WELCOME"))

    assert (granted.is_new, granted.redemption.id) == (True, reserved.id)
    assert (await store.redemption(tx, reserved.id)).status is Status.REDEEMED


async def test_what_is_kept_without_an_end_comes_with_the_next_subscription_by_itself(tx: Tx) -> None:
    offer = await _kept(tx)
    signup = await sign_up(tx, a_signup(customer="user-42"))

    assert signup.invoice is not None
    assert signup.invoice.net == euros(19_00)
    (redemption,) = await redemptions_of(tx, signup.customer.id)
    assert (redemption.offer_id, redemption.status) == (offer.id, Status.EXHAUSTED)
    assert (await sign_up(tx, a_signup(customer="user-42"))).is_new is False


async def test_what_is_kept_waits_where_it_does_not_fit(tx: Tx) -> None:
    await _kept(tx, conditions=Conditions(plans=(Reference("other"),)))
    signup = await sign_up(tx, a_signup(customer="user-42"))

    (redemption,) = await redemptions_of(tx, signup.customer.id)
    assert redemption.status is Status.RESERVED
    assert signup.subscription.redemption_ids == ()


async def _kept(tx: Tx, **fields: object) -> Offer:
    await a_shop_with_a_plan(tx)
    offer = await create_offer(tx, a_new_offer(fixed(10_00), **fields))  # type: ignore[arg-type]
    customer = await parties.lock_customer(tx, "user-42")
    await keep_for(tx, Asked(offer=offer), customer, lasts=None)
    return offer


# ── Taking back ─────────────────────────────────────────────────────────────────────────────────────────


async def test_a_released_reservation_leaves_its_place_and_its_code(tx: Tx) -> None:
    await a_shop_with_a_plan(tx, LAST_ONE)
    await create_coupon(tx, "WELCOME", NewCoupon(code=Code("ONE"), max_redemptions=1))
    reserved = await a_reservation(tx, None, coupon="ONE")

    released = await release_redemption(tx, reserved.id)

    assert released.status is (await store.redemption(tx, reserved.id)).status is Status.RELEASED
    assert (await left(tx), (await coupons.coupon(tx, "ONE")).redeemed) == (1, 0)
    await a_reservation(tx, None, coupon="ONE")
    assert await told(tx) == ["redemption.reserved", "redemption.released", "redemption.reserved"]


async def test_what_is_revoked_gives_nothing_and_stays_counted(tx: Tx) -> None:
    await a_shop_with_a_plan(tx, a_new_offer(fixed(10_00), duration=Forever(), max_redemptions=1))
    signup = await sign_up(tx, a_signup(customer="user-42", offer="WELCOME"))
    (redemption_id,) = signup.subscription.redemption_ids

    assert (await revoke_redemption(tx, redemption_id)).status is Status.REVOKED
    assert await left(tx) == 0
    assert await code_of(release_redemption(tx, redemption_id)) == "redemption_state"


async def test_a_reservation_cannot_be_revoked(tx: Tx) -> None:
    await a_shop_with_a_plan(tx, LAST_ONE)
    reserved = await a_reservation(tx)
    assert await code_of(revoke_redemption(tx, reserved.id)) == "redemption_state"


async def test_redemptions_are_listed_by_what_is_asked(tx: Tx) -> None:
    await a_shop_with_a_plan(tx, a_new_offer(fixed(10_00)))
    reserved = await a_reservation(tx)
    other = await sign_up(tx, a_signup(customer="user-77", offer="WELCOME"))

    async def listed(**asked: object) -> list[Redemption]:
        none = dict.fromkeys(("customer_id", "offer_id", "status"))
        page = await store.page_of_redemptions(tx, Window(), **{**none, **asked})  # type: ignore[arg-type]
        return page.data

    assert await listed(status=Status.RESERVED) == [reserved]
    assert [each.customer_id for each in await listed(customer_id=other.customer.id)] == [other.customer.id]
    assert len(await listed(offer_id=reserved.offer_id)) == 2
