"""Codes at signup, for further subscriptions, and for one that runs."""

import asyncio
from datetime import timedelta

import pytest
from msgspec.structs import replace

from kernel.database import Tx
from kernel.errors import Conflict, Invalid
from promotions.coupons.codes import Code
from promotions.coupons.create_coupon import create_coupon
from promotions.coupons.model import Coupon, NewCoupon
from promotions.coupons.revoke_coupon import revoke_coupon
from promotions.create_offer import create_offer
from promotions.model import Conditions, Forever, NewOffer
from subscriptions.grant_offer import grant_offer
from subscriptions.model import NewGrant, NewSubscription, Signup
from subscriptions.sign_up import sign_up, subscribe
from tests.books import assert_sound
from tests.makers import NOON, euros
from tests.promotions.offers import a_new_offer, fixed, percent, redemptions_of
from tests.shop import at
from tests.subscriptions.plans import a_shop_with_a_plan, a_signup, net_of, renewed

SUMMER = NewCoupon(code=Code.parse("SUMMER-26"))


async def a_code(tx: Tx, offer: NewOffer | None = None, coupon: NewCoupon = SUMMER) -> Coupon:
    """For 10.00 off, in a shop with Pro at 29.00 a month."""
    await a_shop_with_a_plan(tx, offer or a_new_offer(fixed(10_00)))
    return await create_coupon(tx, "WELCOME", coupon)


async def with_codes(tx: Tx, *codes: str, customer: str = "user-77", offer: str | None = None) -> Signup:
    return await sign_up(tx, replace(a_signup(customer=customer, offer=offer), coupons=codes))


async def refused_with(tx: Tx, *codes: str) -> tuple[str, str]:
    with pytest.raises(Conflict) as refused:
        await with_codes(tx, *codes)
    return refused.value.code, refused.value.detail


async def test_a_code_brings_its_offer_however_it_is_written(tx: Tx) -> None:
    coupon = await a_code(tx)
    signup = await with_codes(tx, "summer 26")

    assert signup.invoice is not None
    assert signup.invoice.net == euros(19_00)
    (redemption,) = await redemptions_of(tx, signup.customer.id)
    assert redemption.coupon_id == coupon.id


async def test_a_code_beside_the_welcome_offer(tx: Tx) -> None:
    await a_code(tx, a_new_offer(fixed(10_00), lane=1))
    await create_offer(tx, a_new_offer(percent("50"), reference="HALF"))
    signup = await with_codes(tx, "SUMMER26", offer="HALF")

    assert signup.invoice is not None
    assert signup.invoice.net == euros(4_50)
    assert [each.source for each in signup.invoice.lines[0].allowances] == ["HALF", "WELCOME"]
    await assert_sound(tx)


async def test_what_cannot_be_used_is_not_told_apart(tx: Tx) -> None:
    await a_code(tx)
    tied = NewCoupon(code=Code.parse("MINE"), customer="user-42")
    late = NewCoupon(code=Code.parse("LATE"), expires_at=NOON + timedelta(days=1))
    for coupon in (tied, late):
        await create_coupon(tx, "WELCOME", coupon)
    revoked = await create_coupon(tx, "WELCOME", NewCoupon(code=Code.parse("GONE")))
    await revoke_coupon(tx, str(revoked.id))

    tomorrow = at(tx, NOON + timedelta(days=1))
    answers = {await refused_with(tomorrow, code) for code in ("nobody's", "MINE", "LATE", "GONE")}

    assert answers == {("coupon_invalid", "This code cannot be used.")}


async def test_the_same_signup_again_is_the_answer_also_when_it_used_the_code_up(tx: Tx) -> None:
    await a_code(tx, coupon=replace(SUMMER, max_redemptions=1))
    first = await with_codes(tx, "SUMMER26")
    again = await with_codes(tx, "summer-26")

    assert (again.is_new, again.subscription.id) == (False, first.subscription.id)


async def test_another_code_is_another_signup(tx: Tx) -> None:
    await a_code(tx)
    await with_codes(tx)

    assert (await refused_with(tx, "SUMMER26"))[0] == "signup_differs"


async def test_an_offer_is_not_had_twice_at_once(tx: Tx) -> None:
    await a_code(tx)
    with pytest.raises(Invalid) as refused:
        await with_codes(tx, "SUMMER26", offer="WELCOME")
    assert refused.value.code == "offer_twice"


async def test_the_same_code_twice_is_the_code(tx: Tx) -> None:
    await a_code(tx)
    signup = await with_codes(tx, "SUMMER26", "summer 26")

    assert signup.invoice is not None
    assert signup.invoice.net == euros(19_00)


async def test_a_further_subscription_takes_codes(tx: Tx) -> None:
    await a_code(tx)
    made = await subscribe(tx, NewSubscription(customer="user-42", plan="pro", coupons=("SUMMER26",)))

    assert made.invoice is not None
    assert made.invoice.net == euros(19_00)


async def test_a_subscription_that_runs_takes_a_code(tx: Tx) -> None:
    await a_code(tx)
    signup = await with_codes(tx)
    granted = await grant_offer(tx, signup.subscription.id, NewGrant(coupon="SUMMER26"))
    again = await grant_offer(tx, signup.subscription.id, NewGrant(coupon="SUMMER26"))

    assert (granted.is_new, again.is_new) == (True, False)
    assert net_of(await renewed(tx, signup.subscription)) == 19_00


async def test_by_a_code_what_is_for_new_customers_is_for_them_alone(tx: Tx) -> None:
    conditions = Conditions(new_customers_only=True)
    await a_code(tx, a_new_offer(fixed(10_00), conditions=conditions, duration=Forever()))
    signup = await with_codes(tx)

    with pytest.raises(Conflict) as refused:
        await grant_offer(tx, signup.subscription.id, NewGrant(coupon="SUMMER26"))
    assert refused.value.code == "offer_new_customers_only"
    assert (await grant_offer(tx, signup.subscription.id, NewGrant(offer="WELCOME"))).is_new


async def test_who_has_the_offer_learns_no_more_of_a_code_than_anybody(tx: Tx) -> None:
    """That it is a code for what they have, say: by a signup again, by another, or for one that runs."""
    await a_shop_with_a_plan(tx, a_new_offer(fixed(10_00), duration=Forever()))
    await create_coupon(tx, "WELCOME", NewCoupon(code=Code.parse("MINE"), customer="user-42"))
    await create_coupon(tx, "WELCOME", NewCoupon(code=Code.parse("LATE"), expires_at=NOON))
    signup = await with_codes(tx, offer="WELCOME")

    async def attempt(kind: str, code: str) -> None:
        match kind:
            case "signup":
                await with_codes(tx, code)
            case "further":
                again = NewSubscription(customer="user-77", plan="pro", coupons=(code,))
                await subscribe(tx, again)
            case "running":
                await grant_offer(tx, signup.subscription.id, NewGrant(coupon=code))

    for kind in ("signup", "further", "running"):
        for code in ("nobody's", "MINE", "LATE"):
            with pytest.raises(Conflict) as refused:
                await attempt(kind, code)
            assert refused.value.code == "coupon_invalid", (kind, code)


async def test_a_code_of_somebody_else_takes_the_way_of_one_that_nobody_has(tx: Tx) -> None:
    await a_code(tx)
    await create_coupon(tx, "WELCOME", NewCoupon(code=Code.parse("MINE"), customer="user-42"))
    await with_codes(tx, customer="user-78")

    async def statements(code: str) -> list[str]:
        asked: list[str] = []
        with tx.conn.query_logger(lambda each: asked.append(each.query)):
            with pytest.raises(Conflict):
                await with_codes(tx, code, customer="user-78")
            await asyncio.sleep(0)  # it is told of a statement right after
        return asked

    assert await statements("MINE") == await statements("nobody's")
