"""Distributing the schema by tenant, on a server that has Citus (docs/decisions/tenancy-and-citus.md).

What goes where is read from the migrated database: a tenant's tables are distributed by `tenant_id`, what
they refer to is a reference table on every node, and the rest of what comes before a tenant stays on one.
It is applied table by table, parents first, and goes on where it was left.
"""

from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from graphlib import TopologicalSorter

from api import migrate, tenancy
from api.tenancy import Connection
from kernel.structs import Value


class DistributionError(Exception):
    """Something stands against it; the sentence says what to do."""


class Kind(StrEnum):
    REFERENCE = "reference"  # the same rows on every node
    DISTRIBUTED = "distributed"  # by tenant_id
    LOCAL = "local"  # on the coordinator alone


class Table(Value, frozen=True, kw_only=True):
    """`applied` when Citus has it so."""

    name: str
    kind: Kind
    applied: bool


class Distribution(Value, frozen=True, kw_only=True):
    """Tables in the order in which they are distributed, and functions that every node needs.

    `citus` is its version in this database, None where it is not. `deferred` are the constraints that are
    checked at the commit: by each node for itself.
    """

    citus: str | None
    tables: tuple[Table, ...]
    functions: tuple[str, ...]
    deferred: tuple[str, ...]
    objections: tuple[str, ...]

    @property
    def to_do(self) -> list[Table]:
        return [table for table in self.tables if table.kind is not Kind.LOCAL and not table.applied]


async def apply(
    owner_url: str, *, wait: float = 60.0, told: Callable[[Table], None] = lambda _: None
) -> Distribution:
    """What was to be done, and now is. `wait` is how many seconds a migrator may take before we give up."""
    async with migrate.connected(owner_url) as conn, migrate.our_turn(conn, wait=wait):
        found = await distribution(conn)

        await _check(conn, found)

        await _send_set_local_to_every_node(conn)
        for table in found.to_do:
            await _distribute(conn, table, beside=_first_distributed(found))
            told(table)
        for function in found.functions:
            await _copy_function(conn, function)
        return found


async def distribution(conn: Connection) -> Distribution:
    """What is to be where, what is there already, and what stands against it. Changes nothing."""
    if missing := await migrate.pending(conn):
        raise DistributionError(f"Run `ristourne migrate` first: {missing[0]} is pending.")
    kinds = kinds_of(await tenancy.tenant_tables(conn), await _references(conn))
    citus = await _citus(conn)
    there = await _there(conn) if citus else {}
    return Distribution(
        citus=citus,
        tables=tuple(
            Table(name=name, kind=kind, applied=there.get(name) == kind) for name, kind in kinds.items()
        ),
        functions=tuple(await _functions(conn)),
        deferred=tuple(await _deferred(conn)),
        objections=(*await tenancy.objections(conn), *_otherwise(kinds, there)),
    )


def kinds_of(tenant_tables: Iterable[str], references: Mapping[str, set[str]]) -> dict[str, Kind]:
    """Of every table, in an order in which each comes after those it refers to."""
    distributed, reference = set(tenant_tables), set[str]()
    order = _parents_first(references)
    for name in reversed(order):
        if name in distributed | reference:
            reference |= references.get(name, set()) - distributed
    kinds = dict.fromkeys((name for name in order if name in reference), Kind.REFERENCE)
    kinds |= dict.fromkeys((name for name in order if name in distributed), Kind.DISTRIBUTED)
    return kinds | dict.fromkeys((name for name in order if name not in kinds), Kind.LOCAL)


def _parents_first(references: Mapping[str, set[str]]) -> list[str]:
    sorter = TopologicalSorter(references)
    sorter.prepare()
    order: list[str] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready())
        order += ready
        sorter.done(*ready)
    return order


def _otherwise(kinds: Mapping[str, Kind], there: Mapping[str, str]) -> list[str]:
    return [
        f"{name} is a {there[name]} table already, and should be {kind}"
        for name, kind in kinds.items()
        if kind is not Kind.LOCAL and name in there and there[name] != kind
    ]


def _first_distributed(found: Distribution) -> str:
    """All are kept beside one of them: a tenant's rows are on one node."""
    tables = [table for table in found.tables if table.kind is Kind.DISTRIBUTED]
    return next((table for table in tables if table.applied), tables[0]).name


async def _check(conn: Connection, found: Distribution) -> None:
    if found.objections:
        raise DistributionError("Nothing was distributed. " + "; ".join(found.objections) + ".")
    if found.citus is None:
        available = await _available(conn)
        raise DistributionError(
            f"Citus {available} is on this server and not in this database. As a superuser: CREATE EXTENSION "
            "citus, and tell it its nodes (citus_set_coordinator_host, citus_add_node)."
            if available
            else "Citus is not on this server: there is nothing to distribute over. docs/operations.md says "
            "when it is worth having."
        )
    if not await _sees_all_rows(conn):
        raise DistributionError(
            "The role of DATABASE_URL is held by row security and would leave rows behind. Give a superuser, "
            "or a role with BYPASSRLS that owns the tables."
        )


# ── What is there ───────────────────────────────────────────────────────────────────────────────────────


async def _references(conn: Connection) -> dict[str, set[str]]:
    """The tables that each refers to; to itself is no matter."""
    rows = await conn.fetch(
        """
        SELECT child.relname AS child, array_remove(array_agg(parent.relname), NULL) AS parents
        FROM pg_class child
        LEFT JOIN pg_constraint k ON k.conrelid = child.oid AND k.contype = 'f' AND k.confrelid <> child.oid
        LEFT JOIN pg_class parent ON parent.oid = k.confrelid
        WHERE child.relnamespace = 'public'::regnamespace AND child.relkind IN ('r', 'p')
        GROUP BY child.relname
        """
    )
    return {row["child"]: set(row["parents"]) for row in rows}


async def _functions(conn: Connection) -> list[str]:
    """Ours, with the types by which PostgreSQL tells them apart. Procedures are for migrations."""
    rows = await conn.fetch(
        """
        SELECT p.oid::regprocedure::text AS name
        FROM pg_proc p
        WHERE p.pronamespace = 'public'::regnamespace AND p.prokind = 'f'
          AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')
        ORDER BY name
        """
    )
    return [row["name"] for row in rows]


async def _deferred(conn: Connection) -> list[str]:
    rows = await conn.fetch(
        """
        SELECT conname || ' of ' || conrelid::regclass AS name
        FROM pg_constraint
        WHERE connamespace = 'public'::regnamespace AND condeferrable
        ORDER BY name
        """
    )
    return [row["name"] for row in rows]


async def _citus(conn: Connection) -> str | None:
    version: str | None = await conn.fetchval("SELECT extversion FROM pg_extension WHERE extname = 'citus'")
    return version


async def _available(conn: Connection) -> str | None:
    version: str | None = await conn.fetchval(
        "SELECT default_version FROM pg_available_extensions WHERE name = 'citus'"
    )
    return version


async def _there(conn: Connection) -> dict[str, str]:
    """What Citus says of each table it has: our word for it, or its own."""
    rows = await conn.fetch(
        """
        SELECT c.relname AS name,
               CASE WHEN t.citus_table_type = 'distributed' AND t.distribution_column <> 'tenant_id'
                    THEN 'distributed by ' || t.distribution_column
                    ELSE t.citus_table_type END AS kind
        FROM citus_tables t
        JOIN pg_class c ON c.oid = t.table_name
        WHERE c.relnamespace = 'public'::regnamespace
        """
    )
    return {row["name"]: row["kind"] for row in rows}


async def _sees_all_rows(conn: Connection) -> bool:
    return bool(
        await conn.fetchval("SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user")
    )


# ── What is done ────────────────────────────────────────────────────────────────────────────────────────


async def _send_set_local_to_every_node(conn: Connection) -> None:
    """Or the tenant stays unknown there, and row security shows nothing. From the next connection on."""
    await conn.execute(
        """
        DO $$
        BEGIN
            EXECUTE format('ALTER DATABASE %I SET citus.propagate_set_commands = %L',
                           current_database(), 'local');
        END
        $$
        """
    )


async def _distribute(conn: Connection, table: Table, *, beside: str) -> None:
    if table.kind is Kind.REFERENCE:
        await conn.execute("SELECT create_reference_table($1::text::regclass)", table.name)
    elif table.name == beside:
        await conn.execute("SELECT create_distributed_table($1::text::regclass, 'tenant_id')", table.name)
    else:
        await conn.execute(
            "SELECT create_distributed_table($1::text::regclass, 'tenant_id', colocate_with => $2)",
            table.name,
            beside,
        )


async def _copy_function(conn: Connection, function: str) -> None:
    await conn.execute("SELECT create_distributed_function($1::text::regprocedure)", function)
