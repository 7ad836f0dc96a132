"""The outbox: every event leads to its consequences, once, in whatever order transactions commit."""

import asyncio

from billing.parties.events import CustomerChanged, CustomerCreated
from billing.parties.model import CustomerId
from kernel import outbox
from kernel.database import Pool, Tx, begin, commit, leave_behind, rollback, transaction
from kernel.ids import TenantId
from kernel.paging import Window
from tests.makers import NOON

CONSEQUENCES = {"customer.created": ["greet", "count"]}


async def customers_are_created(tx: Tx, count: int) -> None:
    outbox.publish(tx, *(CustomerCreated(customer_id=CustomerId.new()) for _ in range(count)))
    await leave_behind(tx)


async def jobs_of(tx: Tx) -> list[str]:
    rows = await tx.conn.fetch("SELECT kind FROM jobs ORDER BY event_id, kind")
    return [row["kind"] for row in rows]


async def test_an_event_becomes_one_job_for_each_consequence(tx: Tx) -> None:
    await customers_are_created(tx, 2)

    assert await outbox.dispatch(tx, CONSEQUENCES) == 2
    assert await jobs_of(tx) == ["count", "greet"] * 2


async def test_an_event_is_dispatched_once(tx: Tx) -> None:
    await customers_are_created(tx, 1)
    await outbox.dispatch(tx, CONSEQUENCES)

    assert await outbox.dispatch(tx, CONSEQUENCES) == 0
    assert len(await jobs_of(tx)) == 2


async def test_an_event_without_consequences_is_dispatched_too(tx: Tx) -> None:
    outbox.publish(tx, CustomerChanged(customer_id=CustomerId.new()))
    await leave_behind(tx)

    assert await outbox.dispatch(tx, CONSEQUENCES) == 1
    assert await jobs_of(tx) == []


async def test_a_job_carries_the_event(tx: Tx) -> None:
    created = CustomerCreated(customer_id=CustomerId.new())
    outbox.publish(tx, created)
    await leave_behind(tx)
    await outbox.dispatch(tx, CONSEQUENCES)

    assert await tx.conn.fetchval("SELECT data FROM jobs LIMIT 1") == {
        "type": "customer.created",
        "customer_id": str(created.customer_id),
    }


async def test_a_long_queue_is_dispatched_piece_by_piece(tx: Tx) -> None:
    await customers_are_created(tx, 5)

    assert [await outbox.dispatch(tx, CONSEQUENCES, limit=2) for _ in range(4)] == [2, 2, 1, 0]


async def test_two_dispatchers_share_the_events_and_neither_waits(pool: Pool, tenant: TenantId) -> None:
    async with transaction(pool, tenant, now=NOON) as tx:
        await customers_are_created(tx, 10)

    async with pool.acquire() as conn:
        first = await begin(conn, tenant, now=NOON)
        assert await outbox.dispatch(first, CONSEQUENCES, limit=4) == 4
        async with asyncio.timeout(5), transaction(pool, tenant, now=NOON) as second:
            assert await outbox.dispatch(second, CONSEQUENCES) == 6
        await commit(first)

    async with transaction(pool, tenant, now=NOON) as tx:
        assert len(await jobs_of(tx)) == 20


async def test_what_a_dispatcher_that_died_had_claimed_is_dispatched_again(
    pool: Pool, tenant: TenantId
) -> None:
    async with transaction(pool, tenant, now=NOON) as tx:
        await customers_are_created(tx, 3)
    async with pool.acquire() as conn:
        died = await begin(conn, tenant, now=NOON)
        await outbox.dispatch(died, CONSEQUENCES)
        await rollback(died)

    async with transaction(pool, tenant, now=NOON) as tx:
        assert await outbox.dispatch(tx, CONSEQUENCES) == 3


async def test_an_event_that_commits_late_is_not_passed_over(pool: Pool, tenant: TenantId) -> None:
    async with pool.acquire() as conn:
        slow = await begin(conn, tenant, now=NOON)
        await customers_are_created(slow, 1)  # takes its id before the others
        async with transaction(pool, tenant, now=NOON) as quick:
            await customers_are_created(quick, 1)
        async with transaction(pool, tenant, now=NOON) as tx:
            assert await outbox.dispatch(tx, CONSEQUENCES) == 1
        await commit(slow)

    async with transaction(pool, tenant, now=NOON) as tx:
        assert await outbox.dispatch(tx, CONSEQUENCES) == 1


async def test_events_are_read_newest_first_and_by_type(tx: Tx) -> None:
    await customers_are_created(tx, 2)
    outbox.publish(tx, CustomerChanged(customer_id=CustomerId.new()))
    await leave_behind(tx)

    page = await outbox.page(tx, Window())
    created = await outbox.page(tx, Window(), event_type="customer.created")

    assert [event.type for event in page.data] == ["customer.changed", *["customer.created"] * 2]
    assert created.data == page.data[1:]
    assert await outbox.get(tx, page.data[0].id) == page.data[0]
