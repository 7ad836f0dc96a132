"""What the migrator promises: each file once, in order, or a sentence that says why not."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from api import migrate
from api.migrate import MigrationError
from api.settings import app_role, as_role
from tests import servers
from tests.servers import Database

PLANS = "CREATE TABLE plans (id integer PRIMARY KEY); GRANT SELECT ON plans TO ristourne_app;"
PRICES = "CREATE TABLE prices (id integer PRIMARY KEY);"


@pytest.fixture
async def empty(server_urls: None) -> AsyncIterator[Database]:
    async with servers.a_database() as database:
        yield database


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, "0001_plans", PLANS)
    return tmp_path


def write(folder: Path, name: str, sql: str) -> None:
    (folder / f"{name}.sql").write_text(sql, "utf-8")


async def run(database: Database, folder: Path, *, wait: float = 10) -> list[str]:
    return await migrate.migrate(database.owner_url, app_url=database.app_url, wait=wait, folder=folder)


async def ask(url: str, query: str) -> object:
    conn = await asyncpg.connect(url)
    try:
        value: object = await conn.fetchval(query)
        return value
    finally:
        await conn.close()


async def test_our_files_add_up_from_nothing(empty: Database) -> None:
    files = [migration.name for migration in migrate.load(migrate.FOLDER)]

    assert await run(empty, migrate.FOLDER) == files
    assert await run(empty, migrate.FOLDER) == []


async def test_each_file_is_applied_once_and_in_order(empty: Database, folder: Path) -> None:
    assert await run(empty, folder) == ["0001_plans"]

    write(folder, "0002_prices", PRICES)
    write(folder, "0003_more", "INSERT INTO prices VALUES (1);")

    assert await run(empty, folder) == ["0002_prices", "0003_more"]
    assert await ask(empty.owner_url, "SELECT count(*) FROM prices") == 1


async def test_a_file_that_fails_leaves_nothing_behind(empty: Database, folder: Path) -> None:
    write(folder, "0002_prices", f"{PRICES} SELECT 1 / 0;")

    with pytest.raises(MigrationError, match="0002_prices failed: division by zero"):
        await run(empty, folder)

    assert await ask(empty.owner_url, "SELECT to_regclass('plans') IS NOT NULL")
    assert await ask(empty.owner_url, "SELECT to_regclass('prices') IS NULL")


async def test_a_file_and_the_row_that_says_so_go_together(empty: Database, folder: Path) -> None:
    own_row = "INSERT INTO schema_migrations VALUES (2, 'mine', '', now(), 0, false);"
    write(folder, "0002_prices", PRICES + own_row)

    with pytest.raises(MigrationError, match="0002_prices failed: duplicate key"):
        await run(empty, folder)

    assert await ask(empty.owner_url, "SELECT to_regclass('prices') IS NULL")


async def test_an_edited_file_is_refused(empty: Database, folder: Path) -> None:
    await run(empty, folder)
    write(folder, "0001_plans", f"{PLANS}\n-- an afterthought")

    with pytest.raises(MigrationError, match="0001_plans was edited after it was applied"):
        await run(empty, folder)


async def test_the_ends_of_lines_are_not_an_edit(empty: Database, folder: Path) -> None:
    write(folder, "0001_plans", "SELECT 1;\nSELECT 2;\n")
    await run(empty, folder)
    (folder / "0001_plans.sql").write_bytes(b"SELECT 1;\r\nSELECT 2;\r\n")

    assert await run(empty, folder) == []


async def test_a_database_newer_than_the_code_is_refused(empty: Database, folder: Path) -> None:
    write(folder, "0002_prices", PRICES)
    await run(empty, folder)
    (folder / "0002_prices.sql").unlink()

    with pytest.raises(MigrationError, match="0002_prices was applied and its file is gone"):
        await run(empty, folder)


async def test_a_file_older_than_what_was_applied_is_refused(empty: Database, folder: Path) -> None:
    write(folder, "0002_prices", PRICES)
    await run(empty, folder)
    await ask(empty.owner_url, "DELETE FROM schema_migrations WHERE version = 1")

    with pytest.raises(MigrationError, match="0001_plans was never applied, and a later one was"):
        await run(empty, folder)


@pytest.mark.parametrize("name", ["0003_prices", "0001_prices"])
def test_a_gap_and_a_double_are_refused(folder: Path, name: str) -> None:
    write(folder, name, PRICES)

    with pytest.raises(MigrationError, match="stands where 0002 is expected"):
        migrate.load(folder)


@pytest.mark.parametrize("name", ["2_prices", "0002-prices", "0002_Prices"])
def test_a_badly_named_file_is_refused(folder: Path, name: str) -> None:
    write(folder, name, PRICES)

    with pytest.raises(MigrationError, match="is not named like"):
        migrate.load(folder)


async def test_a_file_outside_a_transaction_may_build_an_index_concurrently(
    empty: Database, folder: Path
) -> None:
    write(
        folder,
        "0002_index",
        "-- migrate: no-transaction\nCREATE INDEX CONCURRENTLY plans_id ON plans (id);\nSELECT 1;",
    )

    assert await run(empty, folder) == ["0001_plans", "0002_index"]
    assert await ask(
        empty.owner_url, "SELECT indisvalid FROM pg_index WHERE indexrelid = 'plans_id'::regclass"
    )
    assert await run(empty, folder) == []


async def test_a_half_applied_file_is_dirty_until_a_person_decides(empty: Database, folder: Path) -> None:
    write(folder, "0002_half", f"-- migrate: no-transaction\n{PRICES}\nSELECT 1 / 0;\n")

    with pytest.raises(MigrationError, match="0002_half failed: division by zero"):
        await run(empty, folder)
    with pytest.raises(MigrationError, match="0002_half failed half-way"):
        await run(empty, folder)
    assert await ask(empty.owner_url, "SELECT to_regclass('prices') IS NOT NULL")
    conn = await asyncpg.connect(empty.app_url)
    assert await migrate.pending(conn, folder=folder) == ["0002_half"]
    await conn.close()


async def test_two_migrators_take_turns(empty: Database, folder: Path) -> None:
    write(folder, "0002_slow", f"{PRICES} SELECT pg_sleep(0.5);")

    both = await asyncio.gather(run(empty, folder), run(empty, folder))

    assert sorted(both) == [[], ["0001_plans", "0002_slow"]]


async def test_who_waits_too_long_says_so(empty: Database, folder: Path) -> None:
    first = await asyncpg.connect(empty.owner_url)
    async with migrate.our_turn(first, wait=0):
        with pytest.raises(MigrationError, match="Another migration is running"):
            await run(empty, folder, wait=0.1)
    await first.close()

    assert await run(empty, folder) == ["0001_plans"]


async def test_status_and_pending_tell_what_is_missing(empty: Database, folder: Path) -> None:
    await run(empty, folder)
    write(folder, "0002_prices", PRICES)

    plans, prices = await migrate.status(empty.owner_url, folder=folder)
    assert plans.applied_at is not None
    assert prices.applied_at is None
    conn = await asyncpg.connect(empty.app_url)
    assert await migrate.pending(conn, folder=folder) == ["0002_prices"]
    await conn.close()


async def test_everything_is_pending_in_an_empty_database(empty: Database, folder: Path) -> None:
    conn = await asyncpg.connect(empty.owner_url)
    assert await migrate.pending(conn, folder=folder) == ["0001_plans"]
    await conn.close()


async def test_the_application_role_can_read_and_bypasses_nothing(empty: Database, folder: Path) -> None:
    await run(empty, folder)

    assert await ask(empty.app_url, "SELECT count(*) FROM plans") == 0
    assert await ask(
        empty.app_url,
        "SELECT bool_or(rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb) IS false"
        " FROM pg_roles WHERE rolname IN (current_user, 'ristourne_app')",
    )
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await ask(empty.app_url, "CREATE TABLE mine (id integer)")


async def test_a_new_secret_key_changes_the_password_of_the_role(empty: Database, folder: Path) -> None:
    await run(empty, folder)
    changed = empty.app_url.replace("@", "0@", 1)

    await migrate.migrate(empty.owner_url, app_url=changed, folder=folder)

    assert await ask(changed, "SELECT true")
    with pytest.raises(asyncpg.InvalidPasswordError):
        await ask(empty.app_url, "SELECT true")


async def test_many_databases_of_one_cluster_are_migrated_at_once(server_urls: None, folder: Path) -> None:
    async with servers.a_database() as one, servers.a_database() as two:
        await asyncio.gather(run(one, folder), run(two, folder))

        assert await ask(one.app_url, "SELECT count(*) FROM plans") == 0
        assert await ask(two.app_url, "SELECT count(*) FROM plans") == 0


async def test_the_group_may_be_made_by_another_migrator_at_the_same_moment(
    empty: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrate, "APP_ROLE", f"{empty.name}_group")
    other = await asyncpg.connect(empty.owner_url)
    transaction = other.transaction()
    await transaction.start()
    await other.execute(f'CREATE ROLE "{empty.name}_group" NOLOGIN')

    ours = asyncio.create_task(run(empty, tmp_path))
    await waits_for_a_lock(empty)
    await transaction.commit()

    assert await ours == []
    await other.execute(f'DROP OWNED BY "{empty.name}_group"; DROP ROLE "{empty.name}_group"')
    await other.close()


async def waits_for_a_lock(database: Database) -> None:
    waiting = (
        "SELECT count(*) FROM pg_stat_activity"
        f" WHERE datname = '{database.name}' AND wait_event_type = 'Lock'"
    )
    while not await ask(database.owner_url, waiting):
        await asyncio.sleep(0.02)


async def test_an_owner_who_may_not_make_roles_is_told_what_to_ask_for(empty: Database, folder: Path) -> None:
    await ask(empty.owner_url, f"CREATE ROLE \"{app_role(empty.name)}_small\" LOGIN PASSWORD 'x'")
    small = as_role(empty.owner_url, f"{app_role(empty.name)}_small", "x")
    await ask(empty.owner_url, f'GRANT ALL ON SCHEMA public TO "{app_role(empty.name)}_small"')

    try:
        with pytest.raises(MigrationError, match="CREATEROLE"):
            await migrate.migrate(small, app_url=empty.app_url, folder=folder)
    finally:
        await ask(empty.owner_url, f'DROP OWNED BY "{app_role(empty.name)}_small" CASCADE')
        await ask(empty.owner_url, f'DROP ROLE "{app_role(empty.name)}_small"')


async def test_an_unreachable_database_is_one_sentence(folder: Path) -> None:
    nowhere = "postgresql://someone:secret@127.0.0.1:1/nowhere"

    with pytest.raises(MigrationError, match="cannot be reached"):
        await migrate.migrate(nowhere, app_url=nowhere, folder=folder)


# ── Our own migrations ──────────────────────────────────────────────────────────────────────────────────

WRITES = re.compile(r"^(?:UPDATE|DELETE FROM|INSERT INTO) .*?;", re.MULTILINE | re.DOTALL)
TABLES = re.compile(r"\b(?:UPDATE|FROM|JOIN|INTO) (\w+)")


def rows_out_of_sight(sql: str) -> set[str]:
    """Tables with rows that a statement is about, of which row security shows the owner none."""
    unseen = set()
    for write in WRITES.finditer(sql):
        before, after = sql[: write.start()], sql[write.end() :]
        for table in TABLES.findall(write[0]):
            lifted = f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY;" in before
            back = f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY;" in after
            if not (lifted and back):
                unseen.add(table)
    return unseen


@pytest.mark.parametrize("file", sorted(migrate.FOLDER.glob("*.sql")), ids=lambda file: file.stem)
def test_a_migration_that_writes_rows_sees_those_of_all_tenants(file: Path) -> None:
    assert rows_out_of_sight(file.read_text("utf-8")) == set()
