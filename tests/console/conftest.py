"""The console as a browser meets it, without a browser: cookies, forms, redirects."""

from collections.abc import AsyncIterator

import httpx
import pytest
from litestar import Litestar

from api import clock
from api.access.create_tenant import Opened, create_tenant
from api.app import create_app
from api.settings import Settings
from kernel.database import Pool
from tests.client import client_for
from tests.console.browser import Browser, Office


@pytest.fixture(scope="session")
async def app(settings: Settings) -> Litestar:
    return create_app(settings)


@pytest.fixture(scope="session")
async def anonymous(app: Litestar) -> AsyncIterator[httpx.AsyncClient]:
    async with client_for(app) as client:
        yield client


@pytest.fixture
async def opened(pool: Pool) -> Opened:
    """An account with a live and a test tenant."""
    async with pool.acquire() as conn, conn.transaction():
        return await create_tenant(conn, "Acme", now=clock.now())


@pytest.fixture
def office(pool: Pool, settings: Settings, app: Litestar, anonymous: httpx.AsyncClient) -> Office:
    return Office(pool, settings, app)


@pytest.fixture(scope="module")
def office_of_module(pool: Pool, settings: Settings, app: Litestar, anonymous: httpx.AsyncClient) -> Office:
    return Office(pool, settings, app)


@pytest.fixture
def stranger(office: Office) -> Browser:
    """A browser that has never been here."""
    return office.browser()


@pytest.fixture
async def admin(office: Office, opened: Opened) -> Browser:
    """Signed in, by a one-time link."""
    return await office.admin(opened.account_id)
