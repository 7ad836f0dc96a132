"""The directory of pending work: a hint is never lost, and never holds two workers up.

Its table is shared by all tenants: these tests live in 2001, when no other had work.
"""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from kernel import directory
from kernel.database import Pool, transaction
from kernel.directory import LEASE
from kernel.ids import TenantId

THEN = datetime(2001, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@pytest.fixture(autouse=True)
async def _nothing_left(pool: Pool) -> AsyncIterator[None]:
    yield
    await pool.execute("DELETE FROM pending_work WHERE due_at < $1", THEN + timedelta(days=366))


async def a_hint(pool: Pool, *, due: datetime = THEN, tenant: TenantId | None = None) -> TenantId:
    tenant = tenant or TenantId.new()
    await pool.execute("INSERT INTO pending_work (tenant_id, due_at) VALUES ($1, $2)", tenant, due)
    return tenant


async def test_a_tenant_is_taken_when_its_work_is_due(pool: Pool) -> None:
    tenant = await a_hint(pool, due=THEN + SECOND)

    assert await directory.take(pool, now=THEN) is None
    hint = await directory.take(pool, now=THEN + SECOND)
    assert hint is not None
    assert hint.tenant_id == tenant


async def test_the_tenant_that_has_waited_longest_comes_first(pool: Pool) -> None:
    later = await a_hint(pool, due=THEN)
    sooner = await a_hint(pool, due=THEN - SECOND)

    taken = [await directory.take(pool, now=THEN) for _ in range(2)]

    assert [hint and hint.tenant_id for hint in taken] == [sooner, later]


async def test_a_hint_that_is_taken_comes_up_again_when_its_lease_ends(pool: Pool) -> None:
    await a_hint(pool)
    first = await directory.take(pool, now=THEN)

    assert await directory.take(pool, now=THEN + LEASE - SECOND) is None
    assert await directory.take(pool, now=THEN + LEASE) == first


async def test_two_takers_take_two_hints_and_neither_waits(pool: Pool) -> None:
    tenants = {await a_hint(pool), await a_hint(pool)}

    async with pool.acquire() as conn, conn.transaction():
        await conn.execute("SELECT 1 FROM pending_work WHERE due_at = $1 LIMIT 1 FOR UPDATE", THEN)
        async with asyncio.timeout(5):
            only = await directory.take(pool, now=THEN)
            assert await directory.take(pool, now=THEN) is None
    other = await directory.take(pool, now=THEN)

    assert only is not None
    assert other is not None
    assert {only.tenant_id, other.tenant_id} == tenants


async def test_clearing_drops_the_tenants_other_hints_that_are_due(pool: Pool) -> None:
    tenant = await a_hint(pool)
    await a_hint(pool, tenant=tenant)
    await a_hint(pool, tenant=tenant, due=THEN + SECOND)
    neighbour = await a_hint(pool)
    hint = await directory.take(pool, now=THEN)
    assert hint is not None

    await directory.clear(pool, hint, now=THEN)

    due = await pool.fetch("SELECT tenant_id, due_at FROM pending_work WHERE due_at < $1", THEN + LEASE)
    assert {(TenantId.of(row["tenant_id"]), row["due_at"]) for row in due} == {
        (tenant, THEN + SECOND),
        (neighbour, THEN),
    }


async def test_what_is_left_to_do_is_put_back(pool: Pool) -> None:
    await a_hint(pool)
    hint = await directory.take(pool, now=THEN)
    assert hint is not None

    async with transaction(pool, hint.tenant_id, now=THEN) as tx:
        await directory.put_back(tx, hint, due=THEN + timedelta(days=1))

    assert await directory.take(pool, now=THEN + LEASE) is None
    assert await directory.take(pool, now=THEN + timedelta(days=1)) == hint


async def test_what_another_cleared_while_we_worked_is_put_back(pool: Pool) -> None:
    """The lease was over; whoever took a newer hint may have looked before we left something."""
    tenant = await a_hint(pool)
    slow = await directory.take(pool, now=THEN)
    assert slow is not None
    await a_hint(pool, tenant=tenant, due=THEN)
    quick = await directory.take(pool, now=THEN)
    assert quick is not None
    await directory.clear(pool, quick, now=THEN + LEASE)

    async with transaction(pool, tenant, now=THEN) as tx:
        await directory.put_back(tx, quick, due=THEN + timedelta(minutes=1))
        await directory.put_back(tx, slow, due=THEN + SECOND)

    again = await directory.take(pool, now=THEN + SECOND)
    assert again is not None
    assert again.tenant_id == tenant


async def test_a_tenant_with_nothing_left_to_do_leaves_the_directory(pool: Pool) -> None:
    await a_hint(pool)
    hint = await directory.take(pool, now=THEN)
    assert hint is not None

    async with transaction(pool, hint.tenant_id, now=THEN) as tx:
        await directory.put_back(tx, hint, due=None)

    assert await directory.take(pool, now=THEN + LEASE) is None
