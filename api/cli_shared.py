"""What the commands share: a pool, a tenant by name, and one way to answer."""

import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import click
import msgspec

from api import clock
from api.access import store
from api.access.model import Tenant
from api.settings import Settings
from kernel import clocks
from kernel.database import Pool, Tx, open_pool, transaction
from kernel.errors import Invalid
from kernel.ids import TenantId
from kernel.structs import encode

T = TypeVar("T")

json_option = click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
tenant_option = click.option(
    "--tenant", "tenant_text", required=True, help="A tenant's id, or its name and mode: acme/test."
)


def settings_here() -> Settings:
    """From the environment; what that leaves out, from the stack that `make up` runs in DATA."""
    return Settings.from_environment({**_stack_here(), **os.environ})


def _stack_here() -> dict[str, str]:
    data = Path(os.environ.get("DATA", ".ristourne"))
    try:
        card = json.loads((data / "dev.json").read_text())
        secret = (data / "secret_key").read_text().strip()
    except (OSError, ValueError):
        return {}
    return {
        "DATABASE_URL": card["database_url"],
        "REDIS_URL": card["redis_url"],
        "BASE_URL": card["base_url"],
        "SECRET_KEY": secret,
    }


async def with_pool(act: Callable[[Pool, Settings], Awaitable[T]]) -> T:
    settings = settings_here()
    pool = await open_pool(settings.app_database_url, size=1)
    try:
        return await act(pool, settings)
    finally:
        await pool.close()


@asynccontextmanager
async def inside(pool: Pool, tenant_text: str) -> AsyncIterator[Tx]:
    found = await find_tenant(pool, tenant_text)
    async with transaction(pool, found.id, now=clock.now()) as tx:
        await clocks.go_by(tx)
        yield tx


async def find_tenant(pool: Pool, text: str) -> Tenant:
    tenant_id = TenantId.read(text)
    if tenant_id is not None:
        return await store.tenant(pool, tenant_id)
    name, _, mode = text.rpartition("/")
    found = [t for t in await store.tenants_named(pool, name) if t.mode == mode]
    if len(found) != 1:
        raise Invalid(
            "tenant_unclear",
            f"{len(found)} tenants are called {text!r}. Give the id, or name/live or name/test; "
            "`ristourne tenant list` shows them.",
        )
    return found[0]


def say(value: object, lines: list[str], *, as_json: bool) -> None:
    click.echo(msgspec.json.format(encode(value), indent=2).decode() if as_json else "\n".join(lines))
