"""`ristourne distribute`: from one PostgreSQL to a cluster, by tenant."""

import asyncio
import sys

import click

from api import distribute as distributing
from api import migrate
from api.cli_shared import json_option, say, settings_here
from api.distribute import Distribution, Kind, Table
from api.tenancy import BEFORE_A_TENANT


@click.command()
@click.option("--apply", "apply_it", is_flag=True, help="Distribute what is not. Needs Citus.")
@click.option("--wait", default=60.0, show_default=True, help="Seconds to wait for a migrator.")
@json_option
def distribute(apply_it: bool, wait: float, as_json: bool) -> None:
    """Show how the tables are distributed by tenant over a cluster, and what stands against it.

    Read from the database as it was migrated; nothing changes without --apply, which goes on where it was
    left. Exit code 1 when something stands against it.
    """
    url = settings_here().database_url
    if apply_it:
        asyncio.run(distributing.apply(url, wait=wait, told=_tell))
    found = asyncio.run(_look(url))
    say(found, _said(found), as_json=as_json)
    sys.exit(1 if found.objections else 0)


async def _look(url: str) -> Distribution:
    async with migrate.connected(url) as conn:
        return await distributing.distribution(conn)


def _tell(table: Table) -> None:
    click.echo(f"{table.name}: {table.kind}", err=True)


def _said(found: Distribution) -> list[str]:
    width = max(len(table.name) for table in found.tables)
    lines = [f"{table.kind:<11}  {table.name:<{width}}  {_why(table)}".rstrip() for table in found.tables]
    lines += [f"{'function':<11}  {name}, on every node" for name in found.functions]
    lines += [f"{'deferred':<11}  {name}: checked by each node when it commits" for name in found.deferred]
    lines += [f"Stands against it: {objection}." for objection in found.objections]
    return [*lines, _summary(found)]


def _why(table: Table) -> str:
    if table.applied:
        return "✓"
    return "by tenant_id" if table.kind is Kind.DISTRIBUTED else BEFORE_A_TENANT.get(table.name, "")


def _summary(found: Distribution) -> str:
    if found.objections:
        return "Not every table can be distributed."
    if found.citus is None:
        return "Every table can be distributed. Citus is not in this database: all of it is on this server."
    to_do = len(found.to_do)
    return f"Citus {found.citus}: " + (
        f"{to_do} tables are to be distributed: --apply." if to_do else "all is distributed."
    )
