"""Distributing by tenant: read from the catalogue, checked, and applied where Citus is, each table once."""

import json
from collections.abc import AsyncIterator
from typing import TypeAlias

import asyncpg
import pytest

from api import distribute
from api.distribute import DistributionError, Kind, distribution, kinds_of
from api.settings import Settings, as_role
from api.tenancy import BEFORE_A_TENANT
from tests import servers
from tests.api.test_cli_keys import ristourne
from tests.servers import Database

Owner: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

STRAY = "CREATE TABLE stray (tenant_id uuid PRIMARY KEY)"
OBJECTION = "stray has no forced row security"


# ── What goes where ──────────────────────────────────────────────────────────────────────────────


async def test_every_table_of_a_tenant_is_distributed_and_what_they_refer_to_is_on_every_node(
    owner: Owner,
) -> None:
    found = await distribution(owner)
    kinds = {table.name: table.kind for table in found.tables}
    columns = await owner.fetch(
        "SELECT table_name FROM information_schema.columns"
        " WHERE table_schema = 'public' AND column_name = 'tenant_id'"
    )

    assert found.objections == ()
    assert {name for name, kind in kinds.items() if kind is Kind.REFERENCE} == {"accounts", "tenants"}
    assert {name for name, kind in kinds.items() if kind is Kind.DISTRIBUTED} == (
        {row["table_name"] for row in columns} - BEFORE_A_TENANT.keys()
    )
    assert kinds["pending_work"] is kinds["admins"] is Kind.LOCAL
    assert "document_number(text,integer,bigint)" in found.functions
    assert "subscription_invoices_invoice of subscription_invoices" in found.deferred


async def test_a_table_comes_after_those_it_refers_to(owner: Owner) -> None:
    found = await distribution(owner)
    order = [table.name for table in found.tables]
    rows = await owner.fetch(
        """
        SELECT conrelid::regclass::text AS child, confrelid::regclass::text AS parent
        FROM pg_constraint
        WHERE contype = 'f' AND connamespace = 'public'::regnamespace AND conrelid <> confrelid
        """
    )
    assert len(rows) > 40
    distributed = {table.name for table in found.tables if table.kind is Kind.DISTRIBUTED}
    assert [
        (row["child"], row["parent"])
        for row in rows
        if row["child"] in distributed and order.index(row["child"]) < order.index(row["parent"])
    ] == []


def test_what_is_behind_a_reference_table_is_one_too() -> None:
    references = {"a": {"b"}, "b": {"c"}, "c": {"d"}, "d": set[str](), "e": {"d"}}

    assert list(kinds_of(["a", "b"], references).items()) == [
        ("d", Kind.REFERENCE),
        ("c", Kind.REFERENCE),
        ("b", Kind.DISTRIBUTED),
        ("a", Kind.DISTRIBUTED),
        ("e", Kind.LOCAL),
    ]


# ── From a shell ─────────────────────────────────────────────────────────────────────────────────


async def test_it_is_shown_and_without_citus_not_applied(settings: Settings, database: Database) -> None:
    code, said = await ristourne(settings, database, "distribute")
    assert code == 0, said
    assert "distributed  invoices " in said
    assert "Citus is not in this database" in said

    code, said = await ristourne(settings, database, "distribute", "--json")
    assert (code, json.loads(said)["citus"]) == (0, None)

    code, said = await ristourne(settings, database, "distribute", "--apply")
    assert (code, "Error: Citus is not on this server" in said) == (1, True)


async def test_a_database_that_is_not_migrated_is_not_distributed(settings: Settings) -> None:
    async with servers.a_database() as empty:
        code, said = await ristourne(settings, empty, "distribute")

    assert (code, said) == (1, "Error: Run `ristourne migrate` first: 0001_house is pending.\n")


async def test_what_stands_against_it_is_told(settings: Settings, scratch: Database) -> None:
    conn = await asyncpg.connect(scratch.owner_url)
    await conn.execute(STRAY)
    await conn.close()

    code, said = await ristourne(settings, scratch, "distribute")

    assert (code, f"Stands against it: {OBJECTION}." in said) == (1, True)


# ── Where Citus is ───────────────────────────────────────────────────────────────────────────────


@pytest.fixture
async def scratch() -> AsyncIterator[Database]:
    async with servers.migrated_database() as database:
        yield database


@pytest.fixture
async def cluster(scratch: Database) -> AsyncIterator[Owner]:
    """A database that has what we call of Citus, and only writes down that it was called."""
    conn = await asyncpg.connect(scratch.owner_url)
    await conn.execute(
        """
        SET allow_system_table_mods = on;
        INSERT INTO pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion)
        SELECT 99999, 'citus', 10, 'pg_catalog'::regnamespace, false, '13.0-1';
        CREATE TABLE pg_catalog.calls (n serial, name text, called text, beside text);
        CREATE FUNCTION pg_catalog.create_reference_table(t regclass) RETURNS void LANGUAGE sql
            AS $$ INSERT INTO pg_catalog.calls (name, called) VALUES (t::text, 'reference') $$;
        CREATE FUNCTION pg_catalog.create_distributed_table(
            t regclass, c text, colocate_with text DEFAULT 'default') RETURNS void LANGUAGE sql
            AS $$ INSERT INTO pg_catalog.calls (name, called, beside) VALUES (t::text, c, colocate_with) $$;
        CREATE FUNCTION pg_catalog.create_distributed_function(f regprocedure) RETURNS void LANGUAGE sql
            AS $$ INSERT INTO pg_catalog.calls (name, called) VALUES (f::text, 'function') $$;
        CREATE VIEW pg_catalog.citus_tables AS
            SELECT name::regclass AS table_name,
                   CASE called WHEN 'reference' THEN called ELSE 'distributed' END AS citus_table_type,
                   CASE called WHEN 'reference' THEN '<none>' ELSE called END AS distribution_column
            FROM pg_catalog.calls WHERE called <> 'function';
        GRANT SELECT ON pg_catalog.citus_tables TO PUBLIC;
        """
    )
    try:
        yield conn
    finally:
        await conn.close()


async def test_each_table_is_distributed_once_beside_the_first(scratch: Database, cluster: Owner) -> None:
    wanted = [table for table in (await distribution(cluster)).tables if table.kind is not Kind.LOCAL]

    told: list[str] = []
    await distribute.apply(scratch.owner_url, told=lambda table: told.append(table.name))
    await distribute.apply(scratch.owner_url, told=lambda table: told.append(table.name))

    calls = await cluster.fetch(
        "SELECT name, called, beside FROM pg_catalog.calls WHERE called <> 'function' ORDER BY n"
    )
    assert [row["name"] for row in calls] == told == [table.name for table in wanted]
    assert {row["called"] for row in calls if row["name"] not in ("accounts", "tenants")} == {"tenant_id"}
    first, *others = [row for row in calls if row["called"] == "tenant_id"]
    assert first["beside"] == "default"
    assert {row["beside"] for row in others} == {first["name"]}
    assert (await distribution(cluster)).to_do == []
    fresh = await asyncpg.connect(scratch.owner_url)
    assert await fresh.fetchval("SHOW citus.propagate_set_commands") == "local"
    await fresh.close()


async def test_it_goes_on_where_it_was_left(scratch: Database, cluster: Owner) -> None:
    await cluster.execute(
        """
        SELECT create_reference_table('accounts'), create_reference_table('tenants'),
               create_distributed_table('tax_rates', 'tenant_id')
        """
    )

    await distribute.apply(scratch.owner_url)

    calls = await cluster.fetch("SELECT name, beside FROM pg_catalog.calls WHERE called = 'tenant_id'")
    assert [row["name"] for row in calls].count("tax_rates") == 1
    assert {row["beside"] for row in calls if row["name"] != "tax_rates"} == {"tax_rates"}


async def test_nothing_is_distributed_while_something_stands_against_it(
    scratch: Database, cluster: Owner
) -> None:
    await cluster.execute(STRAY)
    with pytest.raises(DistributionError, match=OBJECTION):
        await distribute.apply(scratch.owner_url)
    await cluster.execute("DROP TABLE stray; SELECT create_distributed_table('invoices', 'customer_id')")
    with pytest.raises(DistributionError, match="invoices is a distributed by customer_id table already"):
        await distribute.apply(scratch.owner_url)
    assert await cluster.fetchval("SELECT count(*) FROM pg_catalog.calls") == 1


async def test_a_role_that_row_security_holds_does_not_distribute(scratch: Database, cluster: Owner) -> None:
    role = f"{scratch.name}_migrator"
    await cluster.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'secret' IN ROLE ristourne_app")
    try:
        with pytest.raises(DistributionError, match="would leave rows behind"):
            await distribute.apply(as_role(scratch.owner_url, role, "secret"))
    finally:
        await cluster.execute(f"DROP ROLE {role}")
