"""Budgets: what an offer takes off all invoices together stays within it, to the cent.

Pro is 29.00 a month; the offer takes 10.00 off every month, of which its budget has enough for three.
"""

from datetime import timedelta

import pytest

from kernel.database import Pool, Tx, transaction
from kernel.errors import Conflict
from kernel.ids import TenantId
from promotions import store as promotions
from promotions.create_offer import create_offer
from promotions.model import Forever, Offer
from refunds.cancel_subscription import cancel_subscription
from refunds.change_subscription import change_subscription
from refunds.model import NewCancellation, NewChange
from subscriptions.billing_run import bill_chunk
from subscriptions.grant_offer import grant_offer
from subscriptions.model import NewGrant, Signup
from subscriptions.sign_up import sign_up
from tests.books import assert_sound
from tests.makers import NOON, euros
from tests.promotions.offers import a_new_offer, fixed, percent, redemptions_of
from tests.shop import at, while_open
from tests.subscriptions.metering import a_meter, a_record, per_unit, used
from tests.subscriptions.plans import a_plan, a_price, a_shop_with_a_plan, a_signup, net_of, renewed

DUE = NOON + timedelta(days=31)
TENTH_DAY = NOON + timedelta(days=10)


async def with_a_grant_each(tx: Tx, count: int) -> list[Signup]:
    """So many subscriptions that are given the offer with their next period."""
    await a_shop_with_a_plan(tx, a_new_offer(fixed(10_00), duration=Forever(), budget=euros(35_00)))
    signups = [await sign_up(tx, a_signup(customer=f"user-{n}")) for n in range(count)]
    for signup in signups:
        await grant_offer(tx, signup.subscription.id, NewGrant(offer="WELCOME"))
    return signups


async def spent(tx: Tx) -> Offer:
    return await promotions.offer(tx, "WELCOME")


async def discounts(tx: Tx) -> list[int]:
    rows = await tx.conn.fetch("SELECT discount_minor FROM invoice_lines WHERE discount_minor > 0")
    return [row["discount_minor"] for row in rows]


async def test_a_chunk_spends_what_is_left_and_no_more(tx: Tx) -> None:
    await with_a_grant_each(tx, 5)

    chunk = await bill_chunk(at(tx, DUE))

    assert (len(chunk.failures), sum(chunk.invoices.values())) == (0, 5)
    assert await discounts(tx) == [10_00] * 3
    assert (await spent(tx)).spent == euros(30_00)
    await assert_sound(tx)


async def test_one_by_one_they_spend_the_same(tx: Tx) -> None:
    signups = await with_a_grant_each(tx, 5)

    billed = [net_of(await renewed(tx, signup.subscription)) for signup in signups]

    assert billed == [19_00, 19_00, 19_00, 29_00, 29_00]
    assert (await spent(tx)).spent == euros(30_00)


async def test_a_period_without_budget_does_not_use_the_offer_up(tx: Tx) -> None:
    *_, last = await with_a_grant_each(tx, 4)
    await bill_chunk(at(tx, DUE))

    (redemption,) = await redemptions_of(tx, last.customer.id)
    assert (redemption.periods_used, redemption.given) == (0, euros(0))


async def test_who_bills_at_the_same_moment_waits_for_the_budget(pool: Pool, tenant: TenantId) -> None:
    async with transaction(pool, tenant, now=NOON) as tx:
        await with_a_grant_each(tx, 6)

    await while_open(
        pool,
        tenant,
        lambda tx: bill_chunk(tx, limit=2),
        bill_chunk,
        now=DUE,
    )

    async with transaction(pool, tenant, now=DUE) as tx:
        assert await discounts(tx) == [10_00] * 3
        assert (await spent(tx)).spent == euros(30_00)
        assert await tx.conn.fetchval("SELECT count(*) FROM renewal_failures") == 0


async def test_who_signs_up_when_it_is_spent_is_told(tx: Tx) -> None:
    await with_a_grant_each(tx, 3)
    await bill_chunk(at(tx, DUE))

    with pytest.raises(Conflict) as refused:
        await sign_up(tx, a_signup(customer="late", offer="WELCOME"))
    assert refused.value.code == "offer_budget_spent"


async def test_a_signup_spends_with_its_first_invoice(tx: Tx) -> None:
    await with_a_grant_each(tx, 0)
    for n in range(3):
        await sign_up(tx, a_signup(customer=f"user-{n}", offer="WELCOME"))

    assert (await spent(tx)).spent == euros(30_00)


async def test_of_two_who_sign_up_at_the_same_moment_the_budget_is_for_one(
    pool: Pool, tenant: TenantId
) -> None:
    async with transaction(pool, tenant, now=NOON) as tx:
        offer = a_new_offer(fixed(10_00), duration=Forever(), budget=euros(15_00), max_redemptions=9)
        await a_shop_with_a_plan(tx, offer)

    with pytest.raises(Conflict) as refused:
        await while_open(
            pool,
            tenant,
            lambda tx: sign_up(tx, a_signup(customer="first", offer="WELCOME")),
            lambda tx: sign_up(tx, a_signup(customer="second", offer="WELCOME")),
        )
    assert refused.value.code == "offer_budget_spent"
    async with transaction(pool, tenant, now=NOON) as tx:
        assert ((await spent(tx)).spent, (await spent(tx)).redeemed) == (euros(10_00), 1)


async def test_a_change_spends_too(tx: Tx) -> None:
    (signup,) = await with_a_grant_each(tx, 1)
    await a_plan(tx, "business", a_price("99.00"))
    renewal = await renewed(tx, signup.subscription)
    later = at(tx, DUE + timedelta(days=10))
    changed = await change_subscription(later, renewal.subscription.id, NewChange(plan="business"))

    assert changed.invoice is not None
    assert changed.invoice.lines[0].discount == euros(6_43)  # 10.00 × 18 / 28
    assert (await spent(tx)).spent == euros(10_00 + 6_43)


async def test_what_is_left_of_the_usage_spends_as_well(tx: Tx) -> None:
    await a_shop_with_a_plan(tx)
    await a_meter(tx, "calls")
    await a_plan(tx, "metered", a_price("10.00"), meters={"calls": per_unit("1.00")})
    await create_offer(tx, a_new_offer(percent("50"), duration=Forever(), budget=euros(100_00)))
    signup = await sign_up(tx, a_signup(plan="metered"))
    await grant_offer(tx, signup.subscription.id, NewGrant(offer="WELCOME"))
    renewal = await renewed(tx, signup.subscription)
    later = at(tx, DUE + timedelta(days=10))
    await used(later, a_record("call-1", "calls", of=renewal.subscription, units=30))
    await cancel_subscription(later, renewal.subscription.id, NewCancellation())

    assert (await spent(tx)).spent == euros(5_00 + 15_00)
