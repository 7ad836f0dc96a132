"""On a real cluster: CITUS_URL names a database on it that tests may fill, and a superuser there.

Without it these checks are skipped, and the end of the test run says so.
"""

import os
from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import pytest

from api import distribute, migrate
from api.billing import bill_due
from api.settings import app_database_url, database_of
from kernel.database import Door, Pool, open_pool, transaction
from kernel.ids import TenantId
from tests import servers
from tests.books import assert_sound
from tests.makers import NOON
from tests.servers import Database
from tests.subscriptions.population import a_population

URL = os.environ.get("CITUS_URL", "")
DUE = NOON + timedelta(days=31)

pytestmark = pytest.mark.skipif(not URL, reason="CITUS_URL is not given: no cluster was tried")


@pytest.fixture(scope="module")
async def cluster() -> Database:
    """Migrated and distributed, if it was not yet."""
    app_url = app_database_url(URL, servers.SECRET_KEY)
    conn = await asyncpg.connect(URL)
    await conn.execute("CREATE EXTENSION IF NOT EXISTS citus")
    await conn.close()
    await migrate.migrate(URL, app_url=app_url)
    await distribute.apply(URL)
    return Database(name=database_of(URL), owner_url=URL, app_url=app_url)


@pytest.fixture(scope="module")
async def app(cluster: Database) -> AsyncIterator[Pool]:
    pool = await open_pool(cluster.app_url)
    try:
        yield pool
    finally:
        await pool.close()


async def test_once_distributed_nothing_is_left_to_do(cluster: Database) -> None:
    conn = await asyncpg.connect(cluster.owner_url)
    found = await distribute.distribution(conn)
    await conn.close()

    assert (found.objections, found.to_do) == ((), [])


async def test_in_a_cluster_a_run_bills_what_is_due_and_books_are_sound(app: Pool) -> None:
    tenants = [TenantId.new() for _ in range(4)]  # wherever they come to lie
    for tenant in tenants:
        async with transaction(app, tenant, now=NOON) as tx:
            subscriptions = await a_population(tx)
        door = Door(pool=app, tenant=tenant, now=lambda: DUE)
        assert await bill_due(door, limit=7) == len(subscriptions)

    for tenant in tenants:
        async with transaction(app, tenant, now=DUE) as tx:
            await assert_sound(tx)
            customers = await tx.conn.fetch("SELECT DISTINCT tenant_id FROM customers")
            assert [row["tenant_id"] for row in customers] == [tenant.uuid]
