"""Signups over HTTP, everything on, beside the same statements sent straight to PostgreSQL.

Authentication, row security, idempotency, welcome offer, invoice, VAT, number, ledger and events. The
statements of signups that were recorded are sent again on a copy of the database they began in, by as many
processes and as many connections: that is what PostgreSQL can do, and what the rest of the house is held to.
"""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import count, product
from typing import TypeVar

import click
import msgspec

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
from bench.http import Client
from bench.processes import together
from bench.recorder import Recorder, Statements
from kernel.database import Conn, open_pool, transaction
from kernel.structs import Value
from tests.client import client_for
from tests.flows.backend import Backend, Json, customer

T = TypeVar("T")

SIGNUPS = 2_000  # of each measurement
WARM_UP = 25  # signups nobody counts, for each client: statements are prepared, caches filled


class Pace(Value, frozen=True, kw_only=True):
    per_second: float
    p50_ms: float
    p99_ms: float


async def measure(clients: Sequence[int], processes: Sequence[int], tenants: Sequence[int]) -> None:
    for many in tenants:
        await house.new_database("shops")
        keys = await _open_shops("shops", many)
        recorded = await _recorded(keys)
        for at_once, workers in product(clients, processes):
            straight = await _straight(recorded, at_once, workers)
            click.echo(f"tenants {many}, clients {at_once}, processes {workers}")
            _say("straight", straight, None)
            for server, command in _servers(workers).items():
                async with house.copy_of("shops", "measured"):
                    with _serving(command) as port:
                        _say(server, await _over_http(port, keys, at_once), straight)
        await house.drop("shops")


def _say(what: str, pace: Pace, straight: Pace | None) -> None:
    share = f"   {pace.per_second / straight.per_second:.2f} of straight (goal 0.60)" if straight else ""
    times = f"p50 {pace.p50_ms:6.1f} ms   p99 {pace.p99_ms:6.1f} ms"
    click.echo(f"  {what:10} {pace.per_second:7,.0f}/s   {times}{share}")


# ── What is there before ────────────────────────────────────────────────────────────────────────────────


def _settings(database: str) -> Settings:
    return Settings.from_environment(
        {
            "DATABASE_URL": house.url_of(database),
            "REDIS_URL": os.environ["REDIS_URL"],
            "SECRET_KEY": os.environ["SECRET_KEY"],
            "BASE_URL": "http://127.0.0.1",
            "LOG_LEVEL": "WARNING",
        }
    )


async def _open_shops(database: str, tenants: int) -> list[str]:
    """A seller, a plan and a welcome offer in each; their keys."""
    settings = _settings(database)
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
            backend = Backend(tenant, http)
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


def _signup(n: int) -> bytes:
    who = customer(f"user-{n}", payment_method="pm_card_visa")
    return msgspec.json.encode({"customer": who, "plan": "pro", "quantity": "3", "offer": "WELCOME"})


# ── Over HTTP ───────────────────────────────────────────────────────────────────────────────────────────


def _servers(workers: int) -> dict[str, Callable[[int], tuple[str, ...]]]:
    return {
        "granian": lambda port: serve.api(host="127.0.0.1", port=port, workers=workers),
        "uvicorn": lambda port: (
            str(serve.PROGRAMS / "uvicorn"),
            *("--factory", "api.app:create_app", "--host", "127.0.0.1", "--port", str(port)),
            *("--workers", str(workers), "--loop", "uvloop", "--no-access-log", "--log-level", "warning"),
        ),
    }


@contextmanager
def _serving(command: Callable[[int], tuple[str, ...]]) -> Iterator[int]:
    port = free_port()
    settings = {
        "DATABASE_URL": house.url_of("measured"),
        "APP_DATABASE_URL": house.app_url_of("measured"),
        "LOG_LEVEL": "WARNING",
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


async def _over_http(port: int, keys: Sequence[str], clients: int) -> Pace:
    numbers = count()
    open_clients = [await Client.connect("127.0.0.1", port, patience=30) for _ in range(clients)]

    async def sign_up(client: Client) -> float:
        n = next(numbers)
        started = time.perf_counter()
        status = await client.post("/v1/signups", _signup(n), key=keys[n % len(keys)], attempt=f"attempt-{n}")
        assert status == 201, f"a signup was answered {status}"
        return time.perf_counter() - started

    await _each(open_clients, sign_up, clients * WARM_UP)
    pace = await _paced(open_clients, sign_up)
    for client in open_clients:
        client.close()
    return pace


async def _paced(doers: Sequence[T], do: Callable[[T], Awaitable[float]]) -> Pace:
    started = time.perf_counter()
    seconds = sorted(await _each(doers, do, SIGNUPS))
    elapsed = time.perf_counter() - started
    return Pace(
        per_second=len(seconds) / elapsed,
        p50_ms=1000 * seconds[len(seconds) // 2],
        p99_ms=1000 * seconds[len(seconds) * 99 // 100],
    )


async def _each(doers: Sequence[T], do: Callable[[T], Awaitable[float]], times: int) -> list[float]:
    """So often in all, each doer as fast as it can; how long each took."""
    left = iter(range(times))

    async def doing(doer: T) -> list[float]:
        return [await do(doer) for _ in left]

    return [each for found in await asyncio.gather(*map(doing, doers)) for each in found]


# ── Straight ────────────────────────────────────────────────────────────────────────────────────────────


async def _recorded(keys: Sequence[str]) -> list[Statements]:
    recorder = Recorder()
    async with house.copy_of("shops", "recorded"), client_for(create_app(_settings("recorded"))) as http:
        with recorder.listening():
            for n in range(SIGNUPS):
                headers = {
                    "authorization": f"Bearer {keys[n % len(keys)]}",
                    "content-type": "application/json",
                    "idempotency-key": f"attempt-{n}",
                }
                answer = await http.post("/v1/signups", content=_signup(n), headers=headers)
                assert answer.status_code == 201, answer.text
    return [each for each in recorder.transactions if any("INTO invoices" in query for query, _ in each)]


async def _straight(recorded: Sequence[Statements], clients: int, processes: int) -> Pace:
    shares = [recorded[n::processes] for n in range(processes)]
    async with house.copy_of("shops", "straight"):
        done = await together([partial(_send, share, clients // processes) for share in shares])
    seconds = sorted(each for found in done.found for each in found)
    return Pace(
        per_second=len(seconds) / done.seconds,
        p50_ms=1000 * seconds[len(seconds) // 2],
        p99_ms=1000 * seconds[len(seconds) * 99 // 100],
    )


async def _send(share: Sequence[Statements], connections: int, begin: Callable[[], None]) -> list[float]:
    pool = await open_pool(house.app_url_of("straight"), size=connections)
    left = iter(share)

    async def sending(conn: Conn) -> list[float]:
        return [await _one(conn, statements) for statements in left]

    conns = [await pool.acquire() for _ in range(connections)]
    await asyncio.gather(*(_one(conn, next(left)) for conn in conns))  # statements are prepared
    begin()
    found = await asyncio.gather(*map(sending, conns))
    for conn in conns:
        await pool.release(conn)
    await pool.close()
    return [each for some in found for each in some]


async def _one(conn: Conn, statements: Statements) -> float:
    started = time.perf_counter()
    for query, args in statements:
        await (conn.fetch(query, *args) if args else conn.execute(query))
    return time.perf_counter() - started
