"""Redis wakes workers and keeps nothing: stopped, hung or emptied, every call works, every mail goes out."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from api import serve
from api.settings import Settings
from api.stack import embedded
from api.stack.processes import Process, Program
from api.stack.supervisor import Supervised
from api.wake import DELIVERY_SECONDS
from tests import servers
from tests.flows.backend import Backend, Json, customer, legal_entity, plan, tax_rate, welcome
from tests.notifications.inbox import Inbox

WITHIN_SECONDS = 10


class OwnRedis:
    """A Valkey of this file alone, to be stopped, hung and emptied as we like."""

    def __init__(self, folder: Path) -> None:
        self.server = embedded.valkey(folder, folder / "valkey.log")
        self.process: Process | None = None

    def start(self) -> None:
        if self.process is None:
            self.process = self.server.start()

    def stop(self) -> None:
        if self.process is not None:
            self.process.stop()
            self.process = None

    def hang(self) -> None:
        self._signal(signal.SIGSTOP)

    def wake_up(self) -> None:
        self._signal(signal.SIGCONT)

    async def flush(self) -> None:
        client = Redis.from_url(self.server.url)
        await client.flushall()
        await client.aclose()

    def _signal(self, number: signal.Signals) -> None:
        assert self.process is not None, "it runs"
        os.kill(self.process.pid, number)


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnRedis]:
    valkey = OwnRedis(tmp_path_factory.mktemp("valkey"))
    try:
        yield valkey
    finally:
        valkey.stop()


@pytest.fixture(scope="module")
def redis_url(valkey: OwnRedis) -> str:
    return valkey.server.url


async def test_with_redis_away_from_start_to_end_every_call_works_as_fast(
    backend: Backend, valkey: OwnRedis, settings: Settings, inbox: Inbox, tmp_path: Path
) -> None:
    valkey.start()
    await a_shop(backend)
    up = await signups(backend, "up", 5)

    valkey.stop()
    away = await signups(backend, "away", 5)
    report(f"slowest call with Redis {max(up):.3f} s, without {max(away):.3f} s")
    assert max(away) < DELIVERY_SECONDS
    assert sum(away) < 2 * sum(up) + DELIVERY_SECONDS

    async with a_worker(settings, inbox, tmp_path):
        await asyncio.sleep(3)  # it starts, and waits
        assert inbox.messages == []
        valkey.start()
        report(f"10 signups' mails out {await mails(inbox, 10):.1f} s after Redis came")


@pytest.mark.parametrize("how", ["stopped", "hung"])
async def test_redis_goes_and_comes_back_under_a_running_worker(
    backend: Backend, valkey: OwnRedis, settings: Settings, inbox: Inbox, tmp_path: Path, how: str
) -> None:
    valkey.start()
    await a_shop(backend)
    async with a_worker(settings, inbox, tmp_path):
        await signups(backend, "before", 1)
        report(f"first mail {await mails(inbox, 1):.1f} s after a worker was started")
        await signups(backend, "awake", 1)
        report(f"a mail {await mails(inbox, 2):.1f} s after its signup")

        valkey.stop() if how == "stopped" else valkey.hang()
        await asyncio.sleep(2.5)  # whatever was going on is over
        away = await signups(backend, "away", 5)
        assert max(away) < DELIVERY_SECONDS
        await asyncio.sleep(2.5)

        waiting = 7 - len(inbox.messages)
        valkey.start() if how == "stopped" else valkey.wake_up()
        report(f"{waiting} mails out {await mails(inbox, 7):.1f} s after Redis, {how}, came back")
        await all_paid(backend)


async def test_nothing_is_lost_when_redis_forgets_everything(
    backend: Backend, valkey: OwnRedis, settings: Settings, inbox: Inbox, tmp_path: Path
) -> None:
    """Emptied before a worker is there, and again and again while it works."""
    valkey.start()
    await a_shop(backend)
    await signups(backend, "before", 5)
    await asyncio.sleep(0.2)  # the wake-ups have been delivered
    await valkey.flush()

    async with a_worker(settings, inbox, tmp_path):
        report(f"mails out {await mails(inbox, 5):.1f} s after a worker came to an emptied Redis")
        for n in range(5):
            await signups(backend, f"again-{n}", 1)
            await valkey.flush()
        report(f"mails out {await mails(inbox, 10):.1f} s after Redis was emptied five times")
        await all_paid(backend)


# ── what the tests share ─────────────────────────────────────────────────────────────────────────


async def a_shop(backend: Backend) -> None:
    await backend.post("/v1/tax_rates", tax_rate("20"))
    await backend.post("/v1/legal_entities", legal_entity())
    await backend.post("/v1/plans", plan())
    await backend.post("/v1/offers", welcome())


async def signups(backend: Backend, name: str, many: int) -> list[float]:
    """The main story, for so many customers: each gets one mail. How long each call took, in seconds."""
    took = []

    async def timed(call: Coroutine[Any, Any, Json]) -> Json:
        started = time.perf_counter()
        answer = await call
        took.append(time.perf_counter() - started)
        return answer

    for n in range(many):
        who = customer(f"{name}-{n}", payment_method="pm_sandbox_ok")
        asked = {"customer": who, "plan": "pro", "offer": "welcome"}
        await timed(backend.post("/v1/signups?dry_run=true", asked))
        signup = await timed(backend.post("/v1/signups", asked, idempotency_key=f"{name}-{n}"))
        await timed(backend.get(f"/v1/customers/{name}-{n}/entitlements"))
        await timed(backend.get(f"/v1/invoices/{signup['invoice']['id']}"))
        await timed(backend.patch(f"/v1/customers/{name}-{n}", {"metadata": {"seen": "yes"}}))
    return took


async def mails(inbox: Inbox, many: int) -> float:
    """How long it takes until so many have arrived, in seconds; at most WITHIN_SECONDS."""
    started = time.perf_counter()
    while len(inbox.messages) < many:
        took = time.perf_counter() - started
        assert took < WITHIN_SECONDS, f"{len(inbox.messages)} of {many} mails after {took:.1f} s"
        await asyncio.sleep(0.02)
    assert len({mail["Message-ID"] for mail in inbox.messages}) == many
    return time.perf_counter() - started


async def all_paid(backend: Backend) -> None:
    """A mail may be out before its invoice is paid."""
    async with asyncio.timeout(WITHIN_SECONDS):
        statuses = {"open"}
        while statuses != {"settled"}:
            invoices = (await backend.get("/v1/invoices", limit="100"))["data"]
            statuses = {each["settlement"]["status"] for each in invoices}


@asynccontextmanager
async def a_worker(settings: Settings, inbox: Inbox, folder: Path) -> AsyncIterator[None]:
    """The real one, kept running as `make up` does."""
    program = Program(
        name="worker",
        argv=serve.worker(),
        environment={
            "PATH": os.environ["PATH"],
            "DATABASE_URL": settings.database_url,
            "REDIS_URL": settings.redis_url,
            "SECRET_KEY": servers.SECRET_KEY.hex(),
            "SMTP_URL": inbox.url,
        },
        log=folder / "worker.log",
        folder=serve.ROOT,
    )
    supervised = Supervised(Process(program))

    async def watch() -> None:
        while True:
            news = supervised.look(time.monotonic())
            if news:
                report(news)
            await asyncio.sleep(0.1)

    watching = asyncio.create_task(watch())
    try:
        yield
    except BaseException:
        report(supervised.process.last_words())
        raise
    finally:
        watching.cancel()
        await asyncio.to_thread(supervised.process.stop)


def report(sentence: str) -> None:
    """Shown with `pytest -s`, or `-rP`."""
    print(f"· {sentence}")
