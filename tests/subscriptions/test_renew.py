"""Renewals: every period is billed, once, without hole or overlap."""

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from kernel.database import Pool, Tx, transaction
from kernel.errors import Conflict
from kernel.ids import TenantId
from subscriptions import billing_store, store
from subscriptions.model import Renewal, Status, Subscription
from subscriptions.renew import renew
from tests.books import assert_sound
from tests.makers import NOON
from tests.shop import at, while_open
from tests.subscriptions.plans import renewed, signed_up

PARIS = ZoneInfo("Europe/Paris")
SECOND = timedelta(seconds=1)


async def a_subscription(pool: Pool, tenant: TenantId) -> Subscription:
    async with transaction(pool, tenant, now=NOON) as tx:
        return (await signed_up(tx)).subscription


async def test_the_next_period_begins_where_the_last_one_ended(tx: Tx) -> None:
    before = (await signed_up(tx)).subscription
    renewal = await renewed(tx, before)
    after = renewal.subscription

    assert after.current_period.start == before.current_period.end
    assert (after.period_number, after.next_billing_at) == (1, after.current_period.end)
    assert renewal.invoice is not None
    assert renewal.invoice.lines[0].period == after.current_period
    assert await store.get(tx, after.id) == after
    await assert_sound(tx)


async def test_a_renewal_leaves_the_next_one_to_be_done(tx: Tx) -> None:
    subscription = (await renewed(tx, (await signed_up(tx)).subscription)).subscription

    assert await billing_store.next_renewal(tx) == subscription.next_billing_at


async def test_before_the_period_is_over_it_is_refused(tx: Tx) -> None:
    subscription = (await signed_up(tx)).subscription
    end = subscription.current_period.end

    with pytest.raises(Conflict, match="2026-02-15T11:00:00") as refused:
        await renewed(tx, subscription, now=end - SECOND)
    assert refused.value.code == "renewal_not_due"
    assert (await renewed(tx, subscription, now=end)).invoice is not None


async def test_twice_bills_once(tx: Tx) -> None:
    subscription = (await signed_up(tx)).subscription
    await renewed(tx, subscription)

    with pytest.raises(Conflict) as refused:
        await renewed(tx, subscription)
    assert refused.value.code == "renewal_not_due"
    assert await tx.conn.fetchval("SELECT count(*) FROM invoices") == 2


async def test_two_workers_at_once_bill_once(pool: Pool, tenant: TenantId) -> None:
    subscription = await a_subscription(pool, tenant)
    end = subscription.current_period.end

    async def again(tx: Tx) -> Renewal:
        return await renew(tx, subscription.id)

    with pytest.raises(Conflict) as refused:
        await while_open(pool, tenant, again, again, now=end)
    assert refused.value.code == "renewal_not_due"


async def test_a_crowd_of_workers_bills_once(pool: Pool, tenant: TenantId) -> None:
    subscription = await a_subscription(pool, tenant)

    async def worker() -> bool:
        try:
            async with transaction(pool, tenant, now=subscription.current_period.end) as tx:
                await renew(tx, subscription.id)
        except Conflict:
            return False
        return True

    assert sum(await asyncio.gather(*(worker() for _ in range(12)))) == 1
    async with transaction(pool, tenant, now=NOON) as tx:
        assert await tx.conn.fetchval("SELECT count(*) FROM invoices") == 2


@pytest.mark.parametrize("status", [Status.CANCELLED, Status.ENDED])
async def test_what_is_over_is_not_renewed(tx: Tx, status: Status) -> None:
    subscription = (await signed_up(tx)).subscription
    await store.update(tx, subscription.to(status, next_billing_at=None))

    with pytest.raises(Conflict, match=f"The subscription is {status}") as refused:
        await renewed(tx, subscription)
    assert refused.value.code == "renewal_not_due"


async def test_a_subscription_that_was_forgotten_catches_up_period_by_period(tx: Tx) -> None:
    subscription = (await signed_up(tx)).subscription
    much_later = datetime(2026, 5, 1, tzinfo=UTC)
    for _ in range(3):
        subscription = (await renewed(tx, subscription, now=much_later)).subscription

    assert subscription.current_period.start == datetime(2026, 4, 15, 10, tzinfo=UTC)  # summer time
    with pytest.raises(Conflict):
        await renewed(tx, subscription, now=much_later)


async def test_two_years_from_the_31st_of_january_have_no_hole_and_no_overlap(tx: Tx) -> None:
    tx = at(tx, datetime(2026, 1, 31, 9, tzinfo=PARIS).astimezone(UTC))
    subscription = (await signed_up(tx)).subscription
    periods = [subscription.current_period]
    for _ in range(24):
        subscription = (await renewed(tx, subscription)).subscription
        periods.append(subscription.current_period)

    assert all(before.end == after.start for before, after in pairwise(periods))
    starts = [period.start.astimezone(PARIS) for period in periods]
    assert [start.day for start in starts[:13]] == [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31, 31]
    assert starts[-1] == datetime(2028, 1, 31, 9, tzinfo=PARIS)
    assert {start.hour for start in starts} == {9}
    assert await tx.conn.fetchval("SELECT count(*) FROM invoices") == 25
