"""What every test can ask for: real servers, a migrated database, settings that point at them."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack
from typing import Any

import asyncpg
import hypothesis
import pytest

from api.settings import Settings
from kernel.database import Connection, Pool, Tx, open_pool
from kernel.ids import TenantId
from tests import servers, shop
from tests.servers import Database

SERVERS = pytest.StashKey[ExitStack]()
ASKING = ("execute", "fetch", "fetchrow", "fetchval")

# A machine that is busy is not a property that failed.
hypothesis.settings.register_profile(
    "house", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("house")


def pytest_configure(config: pytest.Config) -> None:
    """With several workers, their parent starts the servers; alone, the first test that asks."""
    if config.getoption("numprocesses", None):
        config.stash[SERVERS] = servers.start()


def pytest_unconfigure(config: pytest.Config) -> None:
    running = config.stash.get(SERVERS, None)
    if running is not None:
        running.close()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """A check that did not run is not a check that passed."""
    skipped = terminalreporter.stats.get("skipped", [])
    if skipped:
        terminalreporter.section(f"{len(skipped)} CHECKS WERE SKIPPED", yellow=True, bold=True)
        for report in skipped:
            terminalreporter.write_line(f"{report.nodeid}: {report.longrepr[2]}", yellow=True)


@pytest.fixture(scope="session")
def server_urls() -> Iterator[None]:
    """TEST_DATABASE_URL and TEST_REDIS_URL are set from here on."""
    with servers.start():
        yield


@pytest.fixture(scope="session")
def redis_url(server_urls: None) -> str:
    return os.environ["TEST_REDIS_URL"]


@pytest.fixture(scope="session")
async def database(server_urls: None) -> AsyncIterator[Database]:
    """Migrated, and this worker's own. Tests share it: each brings a tenant of its own."""
    async with servers.migrated_database() as database:
        yield database


@pytest.fixture(scope="session")
def settings(database: Database, redis_url: str) -> Settings:
    return Settings.from_environment(
        {
            "DATABASE_URL": database.owner_url,
            "REDIS_URL": redis_url,
            "SECRET_KEY": servers.SECRET_KEY.hex(),
            "BASE_URL": "http://test",
        }
    )


@pytest.fixture(scope="session")
async def pool(database: Database) -> AsyncIterator[Pool]:
    """Connections as the application: it owns nothing and row security applies to it."""
    pool = await open_pool(database.app_url)
    try:
        yield pool
    finally:
        await pool.close()


@pytest.fixture(scope="session")
async def owner(database: Database) -> "AsyncIterator[asyncpg.Connection[asyncpg.Record]]":
    """The owner of the tables, who sees every tenant: for looking, and for breaking things."""
    conn = await asyncpg.connect(database.owner_url)
    try:
        yield conn
    finally:
        await conn.close()


@pytest.fixture
async def tenant(pool: Pool) -> AsyncIterator[TenantId]:
    """A tenant of this test alone. What it commits stays, but for the hints that would call a worker."""
    tenant = TenantId.new()
    yield tenant
    await pool.execute("DELETE FROM pending_work WHERE tenant_id = $1", tenant)


@pytest.fixture
async def tx(pool: Pool) -> AsyncIterator[Tx]:
    """A transaction at noon, in a tenant of its own, rolled back at the end."""
    async with shop.a_transaction(pool) as tx:
        yield tx


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every statement that is sent, in its first words; all are prepared already when a test counts."""
    statements: list[str] = []

    def counted(ask: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def asking(conn: Connection, query: str, *args: Any, **more: Any) -> Any:
            statements.append(" ".join(query.split())[:70])
            return await ask(conn, query, *args, **more)

        return asking

    for name in ASKING:
        monkeypatch.setattr(Connection, name, counted(getattr(Connection, name)))
    return statements
