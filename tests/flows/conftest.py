"""A house for each file: a database of its own, the API on it, a mail server, and tenants as asked for."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from api.settings import Settings
from kernel.database import Pool, open_pool
from tests import servers
from tests.servers import Database

# Workers take whatever is due, whoever it belongs to: a file must not do the work of another.


@pytest.fixture(scope="module")
async def database(server_urls: None) -> AsyncIterator[Database]:
    async with servers.migrated_database() as database:
        yield database


@pytest.fixture(scope="module")
def settings(database: Database, redis_url: str) -> Settings:
    return Settings.from_environment(
        {
            "DATABASE_URL": database.owner_url,
            "REDIS_URL": redis_url,
            "SECRET_KEY": servers.SECRET_KEY.hex(),
            "BASE_URL": "http://test",
        }
    )


@pytest.fixture(scope="module")
async def pool(database: Database) -> AsyncIterator[Pool]:
    """Connections as the application: it owns nothing and row security applies to it."""
    pool = await open_pool(database.app_url)
    try:
        yield pool
    finally:
        await pool.close()


@pytest.fixture(scope="module")
async def owner(database: Database) -> "AsyncIterator[asyncpg.Connection[asyncpg.Record]]":
    """The owner of the tables, who sees every tenant: for looking, and for breaking things."""
    conn = await asyncpg.connect(database.owner_url)
    try:
        yield conn
    finally:
        await conn.close()
