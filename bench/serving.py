"""Shops to measure in, servers to ask, and clients that ask as fast as they can."""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from api import clock, serve
from api.access.create_key import issue
from api.access.create_tenant import create_tenant
from api.access.key_text import Hasher
from api.access.scopes import ALL
from api.app import create_app
from api.settings import Settings
from api.stack.embedded import free_port
from api.stack.processes import Process, Program
from bench import house
from kernel.database import open_pool, transaction
from kernel.structs import Value
from tests.client import client_for
from tests.flows.backend import Backend, Json

T = TypeVar("T")


class Pace(Value, frozen=True, kw_only=True):
    per_second: float
    p50_ms: float
    p99_ms: float


def settings_of(database: str) -> Settings:
    return Settings.from_environment(
        {
            "DATABASE_URL": house.url_of(database),
            "REDIS_URL": os.environ["REDIS_URL"],
            "SECRET_KEY": os.environ["SECRET_KEY"],
            "BASE_URL": "http://127.0.0.1",
            "LOG_LEVEL": "WARNING",
        }
    )


async def open_shops(database: str, tenants: int) -> list[str]:
    """A seller, a plan and a welcome offer in each; their keys."""
    settings = settings_of(database)
    keys = []
    async with client_for(create_app(settings)) as http:
        pool = await open_pool(house.app_url_of(database), size=1)
        for n in range(tenants):
            now = clock.now()
            async with pool.acquire() as conn, conn.transaction():
                tenant = (await create_tenant(conn, f"Shop {n}", now=now)).test.id
            async with transaction(pool, tenant, now=now) as tx:
                hasher = Hasher(settings.subkey("api keys"))
                key = await issue(tx, name="Backend", scopes=ALL, expires_at=None, hasher=hasher, now=now)
            http.headers["authorization"] = f"Bearer {key.secret}"
            backend = Backend(tenant, http, pool)
            await backend.open_shop()
            await backend.post("/v1/plans", PLAN)
            await backend.post("/v1/offers", OFFER)
            keys.append(str(key.secret))
        await pool.close()
    return keys


PLAN: Json = {
    "reference": "pro",
    "name": "Pro",
    "interval": {"unit": "month"},
    "prices": [{"model": "per_unit", "currency": "EUR", "unit_price": "9.90"}],
}
OFFER: Json = {
    "reference": "WELCOME",
    "name": "Welcome",
    "benefit": {"type": "percent", "percent": "50"},
    "conditions": {"new_customers_only": True},
    "duration": {"type": "periods", "count": 3},
}


def servers(workers: int) -> dict[str, Callable[[int], tuple[str, ...]]]:
    return {
        "granian": lambda port: serve.api(host="127.0.0.1", port=port, workers=workers),
        "uvicorn": lambda port: (
            str(serve.PROGRAMS / "uvicorn"),
            *("--factory", "api.app:create_served", "--host", "127.0.0.1", "--port", str(port)),
            *("--workers", str(workers), "--loop", "uvloop", "--no-access-log", "--log-level", "warning"),
        ),
    }


@contextmanager
def serving(command: Callable[[int], tuple[str, ...]], *, log_level: str = "WARNING") -> Iterator[int]:
    """The port. At INFO a line is written for each request."""
    port = free_port()
    settings = {
        "DATABASE_URL": house.url_of("measured"),
        "APP_DATABASE_URL": house.app_url_of("measured"),
        "LOG_LEVEL": log_level,
        "DATABASE_POOL_SIZE": "32",
    }
    process = Process(
        Program(
            name="api",
            argv=command(port),
            environment={**os.environ, **settings},
            folder=serve.ROOT,
            log=house.folder() / "api.log",
            stop_signal=signal.SIGTERM,
        )
    )
    try:
        yield port
    finally:
        process.stop()


async def paced(doers: Sequence[T], do: Callable[[T], Awaitable[float]], times: int) -> Pace:
    started = time.perf_counter()
    seconds = sorted(await each_of(doers, do, times))
    elapsed = time.perf_counter() - started
    return Pace(
        per_second=len(seconds) / elapsed,
        p50_ms=1000 * seconds[len(seconds) // 2],
        p99_ms=1000 * seconds[len(seconds) * 99 // 100],
    )


async def each_of(doers: Sequence[T], do: Callable[[T], Awaitable[float]], times: int) -> list[float]:
    """So often in all, each doer as fast as it can; how long each took."""
    left = iter(range(times))

    async def doing(doer: T) -> list[float]:
        return [await do(doer) for _ in left]

    return [each for found in await asyncio.gather(*map(doing, doers)) for each in found]
