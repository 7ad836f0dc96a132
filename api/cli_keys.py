"""`ristourne tenant …` and `ristourne keys …`: the first account and the first key, from a shell."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

import click

from api import clock
from api.access import store
from api.access.create_key import create_key
from api.access.create_tenant import Opened, create_tenant
from api.access.key_text import Hasher
from api.access.model import ApiKey, ApiKeyId, CreatedApiKey, NewApiKey, Tenant
from api.access.revoke_key import revoke_key
from api.access.scopes import ALL, Scope
from api.cli_shared import inside, json_option, say, tenant_option, with_pool
from api.settings import Settings
from kernel.database import Pool
from kernel.paging import Window
from kernel.text import Name

T = TypeVar("T")


@click.group()
def tenant() -> None:
    """Accounts and their tenants."""


@tenant.command("create")
@click.argument("name")
@json_option
def tenant_create(name: str, as_json: bool) -> None:
    """Open an account with a live and a test tenant."""
    opened = asyncio.run(with_pool(lambda pool, _: _open_account(pool, name)))
    say(opened, _lines_of([opened.live, opened.test]), as_json=as_json)


@tenant.command("list")
@json_option
def tenant_list(as_json: bool) -> None:
    """List every tenant."""
    tenants = asyncio.run(with_pool(lambda pool, _: store.all_tenants(pool)))
    say(tenants, _lines_of(tenants), as_json=as_json)


@click.group()
def keys() -> None:
    """API keys."""


@keys.command("create")
@tenant_option
@click.option("--name", required=True, help="What it is for, as lists and logs show it.")
@click.option(
    "--scopes",
    default="everything",
    show_default=True,
    help="Scopes or groups of scopes, with commas: signup_backend, read_only, finance, everything.",
)
@click.option("--expires", type=click.DateTime(), help="When it stops to work (UTC).")
@json_option
def keys_create(tenant_text: str, name: str, scopes: str, expires: datetime | None, as_json: bool) -> None:
    """Make a key and print it: this once, it is not kept."""
    request = _asked(lambda: _new_key(name, scopes, expires))
    created = asyncio.run(with_pool(lambda pool, s: _create_key(pool, s, tenant_text, request)))
    say(created, [str(created.secret)], as_json=as_json)


@keys.command("list")
@tenant_option
@json_option
def keys_list(tenant_text: str, as_json: bool) -> None:
    """List the keys of a tenant, newest first."""
    found = asyncio.run(with_pool(lambda pool, _: _list_keys(pool, tenant_text)))
    say(found, [_line_of(key) for key in found], as_json=as_json)


@keys.command("revoke")
@tenant_option
@click.argument("key_id")
@json_option
def keys_revoke(tenant_text: str, key_id: str, as_json: bool) -> None:
    """Take a key away, from the next request on."""
    api_key_id = _asked(lambda: ApiKeyId.parse(key_id))
    revoked = asyncio.run(with_pool(lambda pool, _: _revoke_key(pool, tenant_text, api_key_id)))
    say(revoked, [_line_of(revoked)], as_json=as_json)


# ── what they do ─────────────────────────────────────────────────────────────────────────────────


async def _open_account(pool: Pool, name: str) -> Opened:
    async with pool.acquire() as conn, conn.transaction():
        return await create_tenant(conn, Name.parse(name), now=clock.now())


async def _create_key(pool: Pool, settings: Settings, tenant_text: str, request: NewApiKey) -> CreatedApiKey:
    hasher = Hasher(settings.subkey("api keys"))
    async with inside(pool, tenant_text) as tx:
        return await create_key(tx, request, own_scopes=ALL, hasher=hasher, now=tx.wall)


async def _list_keys(pool: Pool, tenant_text: str) -> list[ApiKey]:
    async with inside(pool, tenant_text) as tx:
        return (await store.page(tx, Window(limit=1000))).data


async def _revoke_key(pool: Pool, tenant_text: str, api_key_id: ApiKeyId) -> ApiKey:
    async with inside(pool, tenant_text) as tx:
        return await revoke_key(tx, api_key_id, now=tx.wall)


# ── reading and showing ──────────────────────────────────────────────────────────────────────────


def _new_key(name: str, scopes: str, expires: datetime | None) -> NewApiKey:
    return NewApiKey(
        name=Name.parse(name),
        scopes=[Scope.parse(scope.strip()) for scope in scopes.split(",")],
        expires_at=None if expires is None else expires.replace(tzinfo=clock.now().tzinfo),
    )


def _asked(read: Callable[[], T]) -> T:
    try:
        return read()
    except ValueError as error:
        raise click.UsageError(f"{error}.") from None


def _lines_of(tenants: list[Tenant]) -> list[str]:
    return [f"{tenant.id}  {tenant.mode}  {tenant.name}" for tenant in tenants]


def _line_of(key: ApiKey) -> str:
    ended = "revoked" if key.revoked_at else f"until {key.expires_at}" if key.expires_at else "active"
    return f"{key.id}  {key.public_id}  {ended}  {key.name}"
