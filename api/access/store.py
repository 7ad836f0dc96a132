"""Every SQL statement about accounts, tenants and API keys."""

from collections.abc import Sequence
from datetime import datetime

from api.access.model import AccountId, ApiKey, ApiKeyId, Mode, Tenant
from kernel.database import Conn, Pool, Tx
from kernel.errors import not_found
from kernel.ids import TenantId
from kernel.paging import Page, Window, page_of
from kernel.structs import Value, load


class DirectoryRow(Value, frozen=True, kw_only=True):
    """Where a key leads. Written once and never changed, so it may be remembered."""

    tenant_id: TenantId
    api_key_id: ApiKeyId
    hash: bytes


class Use(Value, frozen=True, kw_only=True):
    """When a key last opened its tenant."""

    api_key_id: ApiKeyId
    used_at: datetime


# ── before a tenant is known ─────────────────────────────────────────────────────────────────────


async def insert_account(conn: Conn, account_id: AccountId, name: str, *, now: datetime) -> None:
    await conn.execute(
        """
        INSERT INTO accounts (id, name, created_at)
        VALUES ($1, $2, $3)
        """,
        account_id,
        name,
        now,
    )


async def insert_tenant(conn: Conn, tenant: Tenant, *, now: datetime) -> None:
    await conn.execute(
        """
        INSERT INTO tenants (id, account_id, name, mode, created_at)
        VALUES ($1, $2, $3, $4, $5)
        """,
        tenant.id,
        tenant.account_id,
        tenant.name,
        tenant.mode,
        now,
    )


async def tenants_named(conn: "Conn | Pool", name: str) -> list[Tenant]:
    rows = await conn.fetch(
        """
        SELECT id, account_id, name, mode
        FROM tenants
        WHERE name = $1
        ORDER BY id
        """,
        name,
    )
    return [load(row, Tenant) for row in rows]


async def all_tenants(conn: "Conn | Pool") -> list[Tenant]:
    rows = await conn.fetch(
        """
        SELECT id, account_id, name, mode
        FROM tenants
        ORDER BY name, mode, id
        """
    )
    return [load(row, Tenant) for row in rows]


async def tenant(conn: "Conn | Pool", tenant_id: TenantId) -> Tenant:
    row = await conn.fetchrow(
        """
        SELECT id, account_id, name, mode
        FROM tenants
        WHERE id = $1
        """,
        tenant_id,
    )
    if row is None:
        raise not_found("tenant", tenant_id)
    return load(row, Tenant)


async def directory_row(conn: Conn, public_id: str) -> DirectoryRow | None:
    row = await conn.fetchrow(
        """
        SELECT tenant_id, api_key_id, hash
        FROM key_directory
        WHERE public_id = $1
        """,
        public_id,
    )
    return load(row, DirectoryRow) if row else None


# ── inside a tenant ──────────────────────────────────────────────────────────────────────────────


async def insert_directory_row(tx: Tx, key: ApiKey, *, key_hash: bytes) -> None:
    await tx.conn.execute(
        """
        INSERT INTO key_directory (public_id, tenant_id, api_key_id, hash)
        VALUES ($1, $2, $3, $4)
        """,
        key.public_id,
        tx.tenant,
        key.id,
        key_hash,
    )


async def insert(tx: Tx, key: ApiKey) -> None:
    await tx.conn.execute(
        """
        INSERT INTO api_keys (tenant_id, id, public_id, name, scopes, created_at, expires_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        """,
        tx.tenant,
        key.id,
        key.public_id,
        key.name,
        key.scopes,
        key.created_at,
        key.expires_at,
    )


async def get(tx: Tx, api_key_id: ApiKeyId) -> ApiKey:
    row = await tx.conn.fetchrow(
        """
        SELECT id, public_id, name, scopes, created_at, expires_at, revoked_at, last_used_at,
               successor_id
        FROM api_keys
        WHERE tenant_id = $1 AND id = $2
        """,
        tx.tenant,
        api_key_id,
    )
    if row is None:
        raise not_found("api key", api_key_id)
    return load(row, ApiKey)


async def admitted(tx: Tx, api_key_id: ApiKeyId) -> tuple[ApiKey, datetime | None]:
    """The key of whoever calls, and what the tenant's own clock says, if it has one."""
    row = await tx.conn.fetchrow(
        """
        SELECT k.id, k.public_id, k.name, k.scopes, k.created_at, k.expires_at, k.revoked_at,
               k.last_used_at, k.successor_id, c.now_at
        FROM api_keys k
        LEFT JOIN test_clocks c ON c.tenant_id = k.tenant_id
        WHERE k.tenant_id = $1 AND k.id = $2
        """,
        tx.tenant,
        api_key_id,
    )
    if row is None:
        raise not_found("api key", api_key_id)
    return load(row, ApiKey), row["now_at"]


async def lock(tx: Tx, api_key_id: ApiKeyId) -> ApiKey:
    row = await tx.conn.fetchrow(
        """
        SELECT id, public_id, name, scopes, created_at, expires_at, revoked_at, last_used_at,
               successor_id
        FROM api_keys
        WHERE tenant_id = $1 AND id = $2
        FOR UPDATE
        """,
        tx.tenant,
        api_key_id,
    )
    if row is None:
        raise not_found("api key", api_key_id)
    return load(row, ApiKey)


async def page(tx: Tx, window: Window) -> Page[ApiKey]:
    rows = await tx.conn.fetch(
        """
        SELECT id, public_id, name, scopes, created_at, expires_at, revoked_at, last_used_at,
               successor_id
        FROM api_keys
        WHERE tenant_id = $1 AND id < $2
        ORDER BY id DESC
        LIMIT $3
        """,
        tx.tenant,
        window.before,
        window.rows,
    )
    return page_of(rows, ApiKey, window)


async def save_end(tx: Tx, key: ApiKey) -> None:
    """Write when the key ends: by expiry, by revocation."""
    await tx.conn.execute(
        """
        UPDATE api_keys
        SET expires_at = $3, revoked_at = $4, successor_id = $5
        WHERE tenant_id = $1 AND id = $2
        """,
        tx.tenant,
        key.id,
        key.expires_at,
        key.revoked_at,
        key.successor_id,
    )


async def save_uses(tx: Tx, uses: Sequence[Use]) -> None:
    await tx.conn.execute(
        """
        UPDATE api_keys
        SET last_used_at = GREATEST(last_used_at, u.used_at)
        FROM unnest($2::uuid[], $3::timestamptz[]) AS u (id, used_at)
        WHERE tenant_id = $1 AND api_keys.id = u.id
        """,
        tx.tenant,
        [use.api_key_id for use in uses],
        [use.used_at for use in uses],
    )


async def mode(tx: Tx) -> Mode:
    return Mode(await tx.conn.fetchval("SELECT mode FROM tenants WHERE id = $1", tx.tenant))
