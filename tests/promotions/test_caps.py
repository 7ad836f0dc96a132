"""Caps hold, however many come at once: of an offer, of a customer, of a code, of a budget.

`make test` tries each a few times, `make torture` thirty times (TRIES=30). That requests at once do no harm
proves little; so each cap is also met by one whose rival holds the last slot and has not committed yet.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeAlias

import pytest
from msgspec.structs import replace

from billing.parties import store as parties
from billing.parties.model import Customer
from kernel.database import Pool, Tx, transaction
from kernel.errors import Conflict
from kernel.ids import TenantId
from kernel.money import Money
from kernel.text import Reference
from promotions import store
from promotions.coupons import store as coupons
from promotions.coupons.codes import Code
from promotions.coupons.create_coupon import create_coupon
from promotions.coupons.model import NewCoupon
from promotions.coupons.revoke_coupon import revoke_coupon
from promotions.create_offer import create_offer
from promotions.duration import Serving
from promotions.engine import Basket
from promotions.model import Status
from promotions.redeem import Asked, grant, redeem
from tests.makers import EUR, NOON, euros
from tests.promotions.offers import a_new_offer, redemptions_of
from tests.shop import a_shop, another_customer, while_open

Attempt: TypeAlias = Callable[[Tx], Awaitable[object]]

TRIES = int(os.environ.get("TRIES", "5"))
CROWD = 200
FROM_NOW = Serving(applies_from=NOON, ends_at=None)
BASKET = Basket(plan=Reference("pro"), currency=EUR, is_new_customer=True, lines=())


@pytest.fixture
async def crowd(pool: Pool, tenant: TenantId) -> list[Customer]:
    async with transaction(pool, tenant, now=NOON) as tx:
        await a_shop(tx)
        return [await another_customer(tx, f"guest-{n}") for n in range(CROWD)]


async def has(tx: Tx, customer: Customer, asked: Asked, *, locked: bool = True) -> None:
    if locked:
        await parties.lock_customer(tx, customer.id)
    await redeem(tx, [grant(asked, customer.id, BASKET, FROM_NOW, now=tx.now)], customer)


async def spends(tx: Tx, customer: Customer, asked: Asked, amount: Money) -> None:
    """With a first invoice from which the offer takes so much."""
    held = grant(asked, customer.id, BASKET, FROM_NOW, now=tx.now)
    billed = replace(held, redemption=replace(held.redemption, given=amount))
    await redeem(tx, [billed], customer)


async def by_code(tx: Tx, customer: Customer, code: str) -> None:
    found = (await coupons.reached(tx, [code]))[code]
    await has(tx, customer, Asked(offer=found.offer, coupon=found.coupon))


async def answers(pool: Pool, tenant: TenantId, attempts: Sequence[Attempt]) -> dict[str, int]:
    """How many were given what they asked for, and how many were refused with which code."""

    async def answer(attempt: Attempt) -> str:
        try:
            async with transaction(pool, tenant, now=NOON) as tx:
                await attempt(tx)
        except Conflict as refused:
            return refused.code
        return "redeemed"

    said = await asyncio.gather(*(answer(attempt) for attempt in attempts))
    return {code: said.count(code) for code in set(said)}


async def kept(pool: Pool, tenant: TenantId) -> int:
    async with transaction(pool, tenant, now=NOON) as tx:
        found = await tx.conn.fetchval("SELECT count(*) FROM redemptions WHERE tenant_id = $1", tenant)
    assert isinstance(found, int)
    return found


async def an_offer(pool: Pool, tenant: TenantId, reference: str, **caps: int | Money) -> Asked:
    async with transaction(pool, tenant, now=NOON) as tx:
        request = a_new_offer(reference=reference, **caps)  # type: ignore[arg-type]  # by name
        return Asked(offer=await create_offer(tx, request))


async def a_code(pool: Pool, tenant: TenantId, reference: str, code: str, *, uses: int | None) -> None:
    async with transaction(pool, tenant, now=NOON) as tx:
        await create_coupon(tx, reference, NewCoupon(code=Code(code), max_redemptions=uses))


# ── Many at once ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.timeout(60 + 10 * TRIES)
async def test_a_crowd_gets_exactly_as_many_as_there_are(
    pool: Pool, tenant: TenantId, crowd: list[Customer]
) -> None:
    for n in range(TRIES):
        asked = await an_offer(pool, tenant, f"O-{n}", max_redemptions=100)
        said = await answers(pool, tenant, [partial(has, customer=guest, asked=asked) for guest in crowd])

        assert said == {"redeemed": 100, "offer_sold_out": 100}
        assert await kept(pool, tenant) == 100 * (n + 1)


@pytest.mark.timeout(60 + 10 * TRIES)
async def test_a_customer_gets_it_exactly_as_often_as_they_may(
    pool: Pool, tenant: TenantId, crowd: list[Customer]
) -> None:
    for n in range(TRIES):
        asked = await an_offer(pool, tenant, f"O-{n}", max_per_customer=7)
        said = await answers(pool, tenant, [partial(has, customer=crowd[0], asked=asked)] * CROWD)

        assert said == {"redeemed": 7, "offer_redeemed_before": CROWD - 7}
        assert await kept(pool, tenant) == 7 * (n + 1)


@pytest.mark.timeout(60 + 10 * TRIES)
async def test_a_code_is_used_exactly_as_often_as_it_may_be(
    pool: Pool, tenant: TenantId, crowd: list[Customer]
) -> None:
    for n in range(TRIES):
        code = f"CODE-{n}"
        await an_offer(pool, tenant, f"O-{n}")
        await a_code(pool, tenant, f"O-{n}", code, uses=50)
        said = await answers(pool, tenant, [partial(by_code, customer=guest, code=code) for guest in crowd])

        assert said == {"redeemed": 50, "coupon_invalid": 150}
        assert await kept(pool, tenant) == 50 * (n + 1)
        async with transaction(pool, tenant, now=NOON) as tx:
            assert (await coupons.coupon(tx, code)).redeemed == 50


@pytest.mark.timeout(60 + 10 * TRIES)
async def test_a_budget_is_spent_exactly_and_no_cent_more(
    pool: Pool, tenant: TenantId, crowd: list[Customer]
) -> None:
    """Of 1000.00, with 9.99 each, 100 have it, and 1.00 is left."""
    for n in range(TRIES):
        asked = await an_offer(pool, tenant, f"O-{n}", budget=euros(1000_00))
        spending = [partial(spends, customer=guest, asked=asked, amount=euros(9_99)) for guest in crowd]
        said = await answers(pool, tenant, spending)

        assert said == {"redeemed": 100, "offer_budget_spent": 100}
        assert await kept(pool, tenant) == 100 * (n + 1)
        async with transaction(pool, tenant, now=NOON) as tx:
            assert (await store.offer(tx, f"O-{n}")).spent == euros(999_00)


# ── The last one, while another has it in hand ──────────────────────────────────────────────────────────


async def meanwhile(pool: Pool, tenant: TenantId, first: Attempt, second: Attempt) -> str:
    """What the second is told, who has read all there is to read before the first has ended."""
    with pytest.raises(Conflict) as refused:
        await while_open(pool, tenant, first, second)
    assert await kept(pool, tenant) == 1
    return refused.value.code


async def test_the_last_of_an_offer_is_not_given_twice(
    pool: Pool, tenant: TenantId, crowd: list[Customer]
) -> None:
    asked = await an_offer(pool, tenant, "ONE", max_redemptions=1)
    one, other = (partial(has, customer=guest, asked=asked) for guest in crowd[:2])
    assert await meanwhile(pool, tenant, one, other) == "offer_sold_out"


async def test_the_last_of_a_customer_is_not_given_twice_not_even_unlocked(
    pool: Pool, tenant: TenantId, crowd: list[Customer]
) -> None:
    """The table knows it too."""
    asked = await an_offer(pool, tenant, "ONE")
    again = partial(has, customer=crowd[0], asked=asked, locked=False)
    assert await meanwhile(pool, tenant, again, again) == "offer_redeemed_before"


async def test_the_last_use_of_a_code_is_not_given_twice(
    pool: Pool, tenant: TenantId, crowd: list[Customer]
) -> None:
    await an_offer(pool, tenant, "ANY")
    await a_code(pool, tenant, "ANY", "ONE", uses=1)
    one, other = (partial(by_code, customer=guest, code="ONE") for guest in crowd[:2])
    assert await meanwhile(pool, tenant, one, other) == "coupon_invalid"


async def test_the_last_of_a_budget_is_not_spent_twice(
    pool: Pool, tenant: TenantId, crowd: list[Customer]
) -> None:
    asked = await an_offer(pool, tenant, "ONE", budget=euros(10_00))
    one, other = (partial(spends, customer=guest, asked=asked, amount=euros(6_00)) for guest in crowd[:2])
    assert await meanwhile(pool, tenant, one, other) == "offer_budget_spent"


async def test_a_code_that_is_revoked_meanwhile_is_not_used(
    pool: Pool, tenant: TenantId, crowd: list[Customer]
) -> None:
    await an_offer(pool, tenant, "ANY")
    await a_code(pool, tenant, "ANY", "ONE", uses=1)

    async def revoke(tx: Tx) -> None:
        await revoke_coupon(tx, "ONE")

    with pytest.raises(Conflict) as refused:
        await while_open(pool, tenant, revoke, partial(by_code, customer=crowd[0], code="ONE"))
    assert refused.value.code == "coupon_invalid"


async def test_who_takes_two_offers_does_not_wait_in_a_circle(
    pool: Pool, tenant: TenantId, crowd: list[Customer]
) -> None:
    asked = [await an_offer(pool, tenant, name, max_redemptions=CROWD) for name in ("A", "B")]

    async def both(tx: Tx, customer: Customer, order: int) -> None:
        wanted = asked[::order]
        granted = [grant(each, customer.id, BASKET, FROM_NOW, now=tx.now) for each in wanted]
        await redeem(tx, granted, customer)

    said = await answers(
        pool, tenant, [partial(both, customer=guest, order=(-1) ** n) for n, guest in enumerate(crowd)]
    )
    assert said == {"redeemed": CROWD}


# ── What is not counted, and what is free again ─────────────────────────────────────────────────────────


async def test_without_a_cap_nobody_waits(pool: Pool, tenant: TenantId, crowd: list[Customer]) -> None:
    await an_offer(pool, tenant, "ANY")
    await a_code(pool, tenant, "ANY", "ALL", uses=None)

    async with transaction(pool, tenant, now=NOON) as tx:
        await by_code(tx, crowd[0], "ALL")
        async with asyncio.timeout(5), transaction(pool, tenant, now=NOON) as another:
            await by_code(another, crowd[1], "ALL")
    async with transaction(pool, tenant, now=NOON) as tx:
        assert (await coupons.coupon(tx, "ALL")).redeemed == 2


async def test_a_place_that_was_released_is_free_again(tx: Tx) -> None:
    customer = await a_shop(tx)
    asked = Asked(offer=await create_offer(tx, a_new_offer(max_per_customer=2)))
    for _ in range(2):
        await has(tx, customer, asked)
    with pytest.raises(Conflict):
        await has(tx, customer, asked)

    first, second = await redemptions_of(tx, customer.id)
    for given_up in (first, second):
        await store.count_periods(tx, [given_up.to(Status.RELEASED)])
        await has(tx, customer, asked)
    with pytest.raises(Conflict) as refused:
        await has(tx, customer, asked)
    assert refused.value.code == "offer_redeemed_before"
    assert (await store.offer(tx, asked.offer.id, counted=True)).redeemed == 2
