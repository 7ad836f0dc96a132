"""The running application, and a tenant of its own for every test."""

from collections.abc import AsyncIterator, Awaitable, Callable

import httpx
import pytest
from litestar import Litestar

from api import clock
from api.access.create_key import issue
from api.access.create_tenant import Opened, create_tenant
from api.access.key_text import Hasher
from api.access.scopes import ALL
from api.app import create_app
from api.settings import Settings
from kernel.database import Pool, transaction
from kernel.ids import TenantId
from tests.client import client_for

MakeKey = Callable[..., Awaitable[str]]


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@pytest.fixture(scope="session")
async def app(settings: Settings) -> Litestar:
    return create_app(settings)


@pytest.fixture(scope="session")
async def anonymous(app: Litestar) -> AsyncIterator[httpx.AsyncClient]:
    """A client without a key."""
    async with client_for(app) as client:
        yield client


@pytest.fixture
async def opened(pool: Pool) -> Opened:
    """An account with a live and a test tenant."""
    async with pool.acquire() as conn, conn.transaction():
        return await create_tenant(conn, "Acme", now=clock.now())


@pytest.fixture
def make_key(pool: Pool, settings: Settings, opened: Opened) -> MakeKey:
    """The text of a new key of the test tenant, or of another."""

    async def make(scopes: frozenset[str] = ALL, tenant: TenantId | None = None) -> str:
        now = clock.now()
        async with transaction(pool, tenant or opened.test.id, now=now) as tx:
            key = await issue(
                tx,
                name="A key",
                scopes=scopes,
                expires_at=None,
                hasher=Hasher(settings.subkey("api keys")),
                now=now,
            )
        assert key.secret is not None
        return key.secret

    return make


@pytest.fixture
async def key(make_key: MakeKey) -> str:
    """A key that may do everything in the test tenant."""
    return await make_key()


@pytest.fixture
def client(anonymous: httpx.AsyncClient, key: str) -> httpx.AsyncClient:
    """A client of its own tenant, whose key may do everything."""
    return httpx.AsyncClient(
        transport=anonymous._transport,
        base_url="http://test",
        headers={"Authorization": f"Bearer {key}"},
    )
