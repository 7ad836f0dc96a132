"""Ready means: migrated, durable, and held by row security. Everything else is only worth saying."""

from collections.abc import AsyncIterator

import asyncpg
import msgspec
import pytest

from api import readiness
from api.migrate import Connection
from api.readiness import Check
from api.settings import Settings
from tests import servers
from tests.servers import Database


@pytest.fixture
async def own(server_urls: None) -> AsyncIterator[Database]:
    """A migrated database that a test may spoil."""
    async with servers.migrated_database() as database:
        yield database


@pytest.fixture
async def its_owner(own: Database) -> AsyncIterator[Connection]:
    conn = await asyncpg.connect(own.owner_url)
    yield conn
    await conn.close()


async def asked_as(url: str) -> dict[str, Check]:
    conn = await asyncpg.connect(url)
    try:
        checks = await readiness.of_database(conn)
    finally:
        await conn.close()
    assert readiness.is_ready(checks) is all(check.ok for check in checks)
    return {check.name: check for check in checks}


async def test_a_migrated_database_is_ready(database: Database) -> None:
    checks = await asked_as(database.app_url)

    assert {name: check.ok for name, check in checks.items()} == {
        "migrations": True,
        "role": True,
        "row security": True,
        "durability": True,
    }


async def test_a_pending_migration_is_named(own: Database, its_owner: Connection) -> None:
    last = await its_owner.fetchval(
        "DELETE FROM schema_migrations"
        " WHERE version = (SELECT max(version) FROM schema_migrations) RETURNING name"
    )

    check = (await asked_as(own.app_url))["migrations"]
    assert not check.ok
    assert check.found == f"pending: {last}"


async def test_the_owner_is_no_role_for_the_application(own: Database) -> None:
    check = (await asked_as(own.owner_url))["role"]

    assert not check.ok
    assert "owns tables" in check.found


@pytest.mark.parametrize(
    ("power", "found"), [("SUPERUSER", "is a superuser"), ("BYPASSRLS", "bypasses row security")]
)
async def test_a_role_with_powers_is_refused(
    own: Database, its_owner: Connection, power: str, found: str
) -> None:
    await its_owner.execute(f'ALTER ROLE "ristourne_{own.name}" {power}')

    check = (await asked_as(own.app_url))["role"]
    assert not check.ok
    assert found in check.found


async def test_a_cluster_whose_other_nodes_are_not_told_the_tenant_is_not_ready(
    own: Database, its_owner: Connection
) -> None:
    await its_owner.execute(
        """
        SET allow_system_table_mods = on;
        INSERT INTO pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion)
        SELECT 99999, 'citus', 10, 'pg_catalog'::regnamespace, false, '13.0-1'
        """
    )
    assert not (await asked_as(own.app_url))["row security"].ok

    await its_owner.execute(f"ALTER DATABASE {own.name} SET citus.propagate_set_commands = 'local'")
    assert (await asked_as(own.app_url))["row security"].ok


@pytest.mark.parametrize("how", ["DISABLE", "NO FORCE"])
async def test_a_table_without_row_security_is_named(own: Database, its_owner: Connection, how: str) -> None:
    await its_owner.execute(f"ALTER TABLE events {how} ROW LEVEL SECURITY")

    check = (await asked_as(own.app_url))["row security"]
    assert not check.ok
    assert check.found == "off on events"


async def test_an_answer_that_could_be_lost_is_not_ready(own: Database, its_owner: Connection) -> None:
    await its_owner.execute(f'ALTER ROLE "ristourne_{own.name}" SET synchronous_commit = off')

    check = (await asked_as(own.app_url))["durability"]
    assert not check.ok
    assert check.found == "off: synchronous_commit"


async def test_the_doctor_asks_every_server(settings: Settings) -> None:
    checks = {check.name: check for check in await readiness.of_everything(settings)}

    assert checks["database"].found.startswith("PostgreSQL ")
    assert checks["redis"].ok
    assert list(checks) == ["database", "migrations", "role", "row security", "durability", "redis", "smtp"]


async def test_we_serve_without_redis_and_without_mail(settings: Settings) -> None:
    alone = msgspec.structs.replace(
        settings, redis_url="redis://127.0.0.1:1/0", smtp_url="smtp://127.0.0.1:1"
    )

    checks = await readiness.of_everything(alone)
    assert [check.name for check in checks if not check.ok] == ["redis", "smtp"]
    assert readiness.is_ready(checks)


async def test_we_do_not_serve_without_a_database(settings: Settings) -> None:
    nowhere = msgspec.structs.replace(settings, app_database_url="postgresql://a:b@127.0.0.1:1/c")

    checks = await readiness.of_everything(nowhere)
    assert not readiness.is_ready(checks)
    assert "ristourne migrate" in checks[0].advice
