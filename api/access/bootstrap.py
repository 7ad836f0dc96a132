"""The demo tenant: what a machine needs to try everything at once."""

from datetime import datetime

from api.access import key_text, scopes, store
from api.access.create_key import issue
from api.access.create_tenant import create_tenant
from api.access.key_text import Hasher
from api.access.model import Mode, Tenant
from api.demo.seller import furnish
from api.settings import Settings
from kernel.database import Conn, Pool, transaction
from kernel.errors import DomainError
from kernel.structs import Value

NAME = "Demo"


class DemoTenant(Value, frozen=True, kw_only=True):
    tenant: Tenant
    api_key: str


async def demo_tenant(
    pool: Pool, settings: Settings, *, now: datetime, known_key: str | None = None
) -> DemoTenant:
    """Account, live and test tenant, a seller and a test key. A key is made only where none opens it.

    `known_key` is the one that an earlier call gave: we keep no key that could be shown again.
    """
    hasher = Hasher(settings.subkey("api keys"))
    async with pool.acquire() as conn, conn.transaction():
        tenant = await _test_tenant(conn, now=now)
    async with transaction(pool, tenant.id, now=now) as tx:
        await furnish(tx)

    if known_key is not None and await _opens(pool, tenant, known_key, hasher, now=now):
        return DemoTenant(tenant=tenant, api_key=known_key)
    async with transaction(pool, tenant.id, now=now) as tx:
        created = await issue(tx, name="Demo", scopes=scopes.ALL, expires_at=None, hasher=hasher, now=now)
    assert created.secret is not None, "a key that was just made has its text"
    return DemoTenant(tenant=tenant, api_key=created.secret)


async def _test_tenant(conn: Conn, *, now: datetime) -> Tenant:
    # Two who start at once take turns, so that there is one demo account.
    await conn.execute("SELECT pg_advisory_xact_lock(hashtext('demo tenant'))")
    tenants = await store.tenants_named(conn, NAME)
    for tenant in tenants:
        if tenant.mode is Mode.TEST:
            return tenant
    return (await create_tenant(conn, NAME, now=now)).test


async def _opens(pool: Pool, tenant: Tenant, text: str, hasher: Hasher, *, now: datetime) -> bool:
    try:
        key = key_text.parse(text)
        async with transaction(pool, tenant.id, now=now) as tx:
            row = await store.directory_row(tx.conn, key.public_id)
            if row is None or row.tenant_id != tenant.id or not hasher.matches(key, row.hash):
                return False
            (await store.get(tx, row.api_key_id)).check_usable(now=now)
    except DomainError:
        return False
    return True
