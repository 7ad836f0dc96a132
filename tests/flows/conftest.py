"""A house for each file: a database of its own, the API on it, a mail server, and tenants as asked for."""

import io
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

import asyncpg
import httpx
import pytest
import structlog
from litestar import Litestar

from api import clock, front, gateways, problems, wake, work
from api.access.create_key import issue
from api.access.create_tenant import create_tenant
from api.access.key_text import Hasher
from api.access.model import Mode
from api.access.scopes import ALL
from api.app import create_app
from api.gateways import Gateways, vault_of
from api.house import House
from api.settings import Settings
from billing.gateways.sandbox import Sandbox
from billing.gateways.stripe_http import StripeHttp
from kernel.database import Pool, open_pool, transaction
from notifications.mailer import Mailer
from tests import servers
from tests.client import client_for
from tests.flows.backend import Backend
from tests.makers import NOON
from tests.notifications.inbox import Inbox
from tests.servers import Database
from tests.stripe_server import StripeServer

OpenTenant: TypeAlias = Callable[[], Awaitable[Backend]]


class Time:
    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at

    def forward(self, *, days: int = 0, seconds: int = 0) -> None:
        self.at += timedelta(days=days, seconds=seconds)


# Workers take whatever is due, whoever it belongs to: a file must not do the work of another.


@pytest.fixture(scope="module")
async def database(server_urls: None) -> AsyncIterator[Database]:
    async with servers.migrated_database() as database:
        yield database


@pytest.fixture(scope="module")
def settings(database: Database, redis_url: str) -> Settings:
    return Settings.from_environment(
        {
            "DATABASE_URL": database.owner_url,
            "REDIS_URL": redis_url,
            "SECRET_KEY": servers.SECRET_KEY.hex(),
            "BASE_URL": "http://test",
        }
    )


@pytest.fixture(scope="module")
async def pool(database: Database) -> AsyncIterator[Pool]:
    """Connections as the application: it owns nothing and row security applies to it."""
    pool = await open_pool(database.app_url)
    try:
        yield pool
    finally:
        await pool.close()


@pytest.fixture(scope="module")
async def owner(database: Database) -> "AsyncIterator[asyncpg.Connection[asyncpg.Record]]":
    """The owner of the tables, who sees every tenant: for looking, and for breaking things."""
    conn = await asyncpg.connect(database.owner_url)
    try:
        yield conn
    finally:
        await conn.close()


@pytest.fixture(autouse=True)
async def nothing_left_to_do(owner: "asyncpg.Connection[asyncpg.Record]") -> None:
    """What an earlier test left to do stays undone."""
    await owner.execute("DELETE FROM pending_work")


@pytest.fixture(scope="module")
def app(settings: Settings) -> Litestar:
    return create_app(settings)


@pytest.fixture(scope="module")
async def anonymous(app: Litestar) -> AsyncIterator[httpx.AsyncClient]:
    """A client without a key."""
    async with client_for(app) as client:
        yield client


@pytest.fixture
def open_tenant(pool: Pool, settings: Settings, anonymous: httpx.AsyncClient) -> OpenTenant:
    """A new test tenant, and a backend whose key may do everything in it."""
    return _opener(pool, settings, anonymous, Mode.TEST)


@pytest.fixture
def open_live(pool: Pool, settings: Settings, anonymous: httpx.AsyncClient) -> OpenTenant:
    """The same, live."""
    return _opener(pool, settings, anonymous, Mode.LIVE)


def _opener(pool: Pool, settings: Settings, anonymous: httpx.AsyncClient, mode: Mode) -> OpenTenant:
    async def opened() -> Backend:
        now = datetime.now(UTC)
        async with pool.acquire() as conn, conn.transaction():
            both = await create_tenant(conn, "Nuage Clair", now=now)
        tenant = both.test if mode is Mode.TEST else both.live
        async with transaction(pool, tenant.id, now=now) as tx:
            key = await issue(
                tx,
                name="Backend",
                scopes=ALL,
                expires_at=None,
                hasher=Hasher(settings.subkey("api keys")),
                now=now,
            )
        http = httpx.AsyncClient(
            transport=anonymous._transport,
            base_url="http://test",
            headers={"Authorization": f"Bearer {key.secret}"},
        )
        return Backend(tenant.id, http, pool)

    return opened


@pytest.fixture
async def backend(open_tenant: OpenTenant) -> Backend:
    return await open_tenant()


@pytest.fixture
async def inbox() -> AsyncIterator[Inbox]:
    inbox = Inbox()
    await inbox.open()
    try:
        yield inbox
    finally:
        await inbox.close()


@pytest.fixture
def logged(app: Litestar, monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What the API and the workers log, wherever an earlier test opened the log."""
    printed = io.StringIO()
    for module in (front, gateways, problems, wake, work):
        monkeypatch.setattr(module, "log", structlog.wrap_logger(structlog.PrintLogger(printed)))
    return printed


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    """The clock stands still, for the API and for workers, until a test moves it."""
    time = Time(NOON)
    monkeypatch.setattr(clock, "now", time.now)
    return time


@pytest.fixture
def stripe() -> StripeServer:
    """What workers take for Stripe."""
    return StripeServer()


@pytest.fixture
async def stripe_http(stripe: StripeServer) -> AsyncIterator[StripeHttp]:
    http = StripeHttp(stripe.transport())
    yield http
    await http.close_async()


@pytest.fixture
async def house(pool: Pool, inbox: Inbox, settings: Settings, stripe_http: StripeHttp) -> House:
    """What a worker works with. It goes by whatever clock the API goes by at that moment."""

    def now() -> datetime:
        return clock.now()

    return House(
        pool=pool,
        gateways=Gateways(
            sandbox=Sandbox(pool),
            vault=vault_of(settings),
            http=stripe_http,
            stripe_url="http://stripe",
        ),
        mailer=Mailer(inbox.url, "Ristourne <billing@ristourne.example>"),
        now=now,
    )
