"""One transaction, one tenant: it sees that tenant's rows alone, and all of it happens or nothing."""

from datetime import timedelta

import asyncpg
import pytest

from billing.parties.events import CustomerCreated
from billing.parties.model import CustomerId
from kernel import jobs, outbox
from kernel.database import Pool, Tx, leave_behind, savepoint, transaction
from kernel.ids import TenantId
from tests.makers import NOON


async def happens(tx: Tx) -> None:
    outbox.publish(tx, CustomerCreated(customer_id=CustomerId.new()))


async def events_seen(tx: Tx) -> int:
    return int(await tx.conn.fetchval("SELECT count(*) FROM events"))


async def test_what_a_transaction_wrote_is_there_after_it(pool: Pool, tenant: TenantId) -> None:
    async with transaction(pool, tenant, now=NOON) as tx:
        await happens(tx)

    async with transaction(pool, tenant, now=NOON) as tx:
        assert await events_seen(tx) == 1


async def test_nothing_of_a_transaction_that_failed_is_there(pool: Pool, tenant: TenantId) -> None:
    async def fail_at_the_end() -> None:
        async with transaction(pool, tenant, now=NOON) as tx:
            await happens(tx)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail_at_the_end()

    async with transaction(pool, tenant, now=NOON) as tx:
        assert await events_seen(tx) == 0
    assert await pool.fetchval("SELECT count(*) FROM pending_work WHERE tenant_id = $1", tenant) == 0


async def test_an_error_that_was_swallowed_is_not_taken_for_a_commit(pool: Pool, tenant: TenantId) -> None:
    async def divide_by_zero(tx: Tx) -> None:
        try:
            await tx.conn.execute("SELECT 1 / 0")
        except asyncpg.DivisionByZeroError:
            return

    with pytest.raises(AssertionError, match="nothing is kept"):
        async with transaction(pool, tenant, now=NOON) as tx:
            await divide_by_zero(tx)


async def test_a_connection_comes_back_clean_after_a_failure(pool: Pool, tenant: TenantId) -> None:
    for _ in range(pool.get_max_size() + 1):
        with pytest.raises(asyncpg.DivisionByZeroError):
            async with transaction(pool, tenant, now=NOON) as tx:
                await tx.conn.execute("SELECT 1 / 0")

    async with transaction(pool, tenant, now=NOON) as tx:
        assert await events_seen(tx) == 0


async def test_another_tenant_sees_nothing_of_it(pool: Pool, tenant: TenantId) -> None:
    async with transaction(pool, tenant, now=NOON) as tx:
        await happens(tx)

    async with transaction(pool, TenantId.new(), now=NOON) as tx:
        assert await events_seen(tx) == 0


async def test_a_statement_outside_a_transaction_finds_nothing(pool: Pool, tenant: TenantId) -> None:
    async with transaction(pool, tenant, now=NOON) as tx:
        await happens(tx)

    assert await pool.fetchval("SELECT count(*) FROM events WHERE tenant_id = $1", tenant) == 0


async def test_what_was_published_inside_a_savepoint_that_failed_did_not_happen(tx: Tx) -> None:
    async def fails_after_it_happened() -> None:
        async with savepoint(tx):
            await happens(tx)
            await tx.conn.execute("SELECT 1 / 0")

    await happens(tx)
    with pytest.raises(asyncpg.DivisionByZeroError):
        await fails_after_it_happened()
    async with savepoint(tx):
        await happens(tx)

    await leave_behind(tx)
    assert await events_seen(tx) == 2


async def test_nothing_can_be_written_for_another_tenant(tx: Tx) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
        await jobs.schedule(Tx(tx.conn, TenantId.new(), NOON), "work", {}, due=NOON)


async def test_the_tenant_is_forgotten_when_the_transaction_ends(pool: Pool, tenant: TenantId) -> None:
    async with pool.acquire() as conn:
        await conn.execute(f"BEGIN; SET LOCAL ristourne.tenant = '{tenant.uuid}'; COMMIT")

        assert not await conn.fetchval("SELECT current_setting('ristourne.tenant', true)")


@pytest.mark.parametrize("statement", ["UPDATE ledger_entries SET amount_minor = 1", "DELETE FROM invoices"])
async def test_what_is_issued_cannot_be_changed_by_the_application(tx: Tx, statement: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied"):
        await tx.conn.execute(statement)


async def test_a_transaction_leaves_one_hint_for_the_earliest_of_its_work(
    pool: Pool, tenant: TenantId
) -> None:
    async with transaction(pool, tenant, now=NOON) as tx:
        await jobs.schedule(tx, "later", {}, due=NOON + timedelta(days=30))
        await jobs.schedule(tx, "sooner", {}, due=NOON + timedelta(days=1))
        await jobs.schedule(tx, "later", {}, due=NOON + timedelta(days=2))

    due = await pool.fetch("SELECT due_at FROM pending_work WHERE tenant_id = $1", tenant)
    assert [row["due_at"] for row in due] == [NOON + timedelta(days=1)]


async def test_a_transaction_that_leaves_no_work_leaves_no_hint(pool: Pool, tenant: TenantId) -> None:
    async with transaction(pool, tenant, now=NOON) as tx:
        await events_seen(tx)

    assert await pool.fetchval("SELECT count(*) FROM pending_work WHERE tenant_id = $1", tenant) == 0


async def test_json_is_read_back_as_it_was_written(tx: Tx) -> None:
    value = {"text": "é ☃ \U0001fae8", "list": [1, None, True], "big": 10**13}

    assert await tx.conn.fetchval("SELECT $1::jsonb", value) == value
