"""Killed with SIGKILL at the worst moment, and started again: everything happens once, nothing is lost."""

import asyncio
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeAlias

import asyncpg
import httpx
import pytest
from msgspec.structs import replace

from api import clock, serve
from api.house import House
from api.settings import Settings
from api.stack.embedded import free_port
from api.stack.processes import Process, Program
from api.work import drain
from billing.gateways.model import ChargeIntent, Outcome, RefundIntent
from billing.gateways.sandbox import Sandbox
from kernel.jobs import LEASE
from kernel.periods import plus_months
from tests import servers
from tests.flows.backend import Backend, Json, customer, euros, legal_entity, plan, tax_rate
from tests.gateways import Only
from tests.notifications.inbox import Inbox

Owner: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

SIGNUP: Json = {"customer": customer(payment_method="pm_sandbox_ok"), "plan": "pro"}


# ── the API ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("die", ["before", "after"])
async def test_a_request_whose_answer_was_lost_is_sent_again(
    backend: Backend, owner: Owner, environment: dict[str, str], tmp_path: Path, die: str
) -> None:
    """Dead before the COMMIT it never happened; dead after it, the retry gets the first answer."""
    await open_shop(backend)
    port = free_port()
    address = f"http://127.0.0.1:{port}/v1/signups"
    headers = {**backend.http.headers, "idempotency-key": "the-one-attempt"}
    dying = [
        "tests.flows.dying:create_dying_app" if part == "api.app:create_served" else part
        for part in serve.api(host="127.0.0.1", port=port)
        if part != "--respawn-failed-workers"
    ]

    async with httpx.AsyncClient(headers=headers, timeout=20) as client:
        with running(dying, {**environment, "DIE": die}, tmp_path / "dying.log") as first:
            await answering(port, first)
            with pytest.raises(httpx.TransportError):
                await client.post(address, json=SIGNUP)
            kept = await answers_kept(owner, backend)
            assert len(kept) == (die == "after")

        with running(serve.api(host="127.0.0.1", port=port), environment, tmp_path / "api.log") as fresh:
            await answering(port, fresh)
            second = await client.post(address, json=SIGNUP)
            third = await client.post(address, json=SIGNUP)

    assert second.status_code == third.status_code == 201
    assert (second.headers.get("idempotent-replayed") == "true") == (die == "after")
    assert third.headers["idempotent-replayed"] == "true"
    assert second.content == third.content
    if kept:
        assert second.content == kept[0]
    (invoice,) = (await backend.get("/v1/invoices"))["data"]
    assert invoice["id"] == second.json()["invoice"]["id"]
    assert invoice["number"].endswith("-000001")
    assert len((await backend.get("/v1/events", type="invoice.issued"))["data"]) == 1
    assert len((await backend.get("/v1/subscriptions"))["data"]) == 1


# ── workers ──────────────────────────────────────────────────────────────────────────────────────


class Counting(Sandbox):
    """How often money was asked for."""

    calls = 0

    async def charge(self, intent: ChargeIntent) -> Outcome:
        self.calls += 1
        return await super().charge(intent)

    async def refund(self, intent: RefundIntent) -> Outcome:
        self.calls += 1
        return await super().refund(intent)


@pytest.mark.parametrize("die", ["before", "after"])
@pytest.mark.parametrize("what", ["charge", "refund"])
async def test_a_worker_that_dies_at_the_provider(
    backend: Backend, house: House, owner: Owner, environment: dict[str, str], what: str, die: str
) -> None:
    """The next one asks the provider what it knows of our id before it sends anything."""
    await open_shop(backend)
    signup = await backend.post("/v1/signups", SIGNUP)
    if what == "refund":
        await drain(house)
        await backend.post(
            f"/v1/subscriptions/{signup['subscription']['id']}/cancel",
            {"credit": "full", "refund": "automatic"},
        )

    code, _ = await worker("provider", {**environment, "DIE": die})
    assert code == -signal.SIGKILL
    assert await made(owner, what, backend) == ([34_80] if die == "after" else [])
    provider = Counting(house.pool)
    await drain(replace(house, gateways=Only(provider)))
    assert provider.calls == 0, "the lease of the job is not over"

    await drain(replace(house, gateways=Only(provider), now=lambda: clock.now() + LEASE))

    assert provider.calls == (die == "before")
    assert await made(owner, what, backend) == [34_80]
    (thing,) = (await backend.get(f"/v1/{'payments' if what == 'charge' else 'refunds'}"))["data"]
    assert (thing["status"], thing["amount"]) == ("succeeded", euros(34_80))


@pytest.mark.parametrize("die", ["before", "after"])
async def test_a_worker_dies_at_every_commit_of_the_story(
    backend: Backend, owner: Owner, inbox: Inbox, environment: dict[str, str], die: str
) -> None:
    """Signed up, paid, cancelled, refunded, by workers each of which is killed one COMMIT later."""
    await open_shop(backend)
    signup = await backend.post("/v1/signups", SIGNUP)
    code, charging = await worker("commits", {**environment, "DIE": die})
    assert code == 0, charging
    await backend.post(
        f"/v1/subscriptions/{signup['subscription']['id']}/cancel", {"credit": "full", "refund": "automatic"}
    )
    code, refunding = await worker("commits", {**environment, "DIE": die})
    assert code == 0, refunding
    print(f"workers killed {die} a COMMIT: {int(charging) - 1} + {int(refunding) - 1}")
    assert min(int(charging), int(refunding)) > 4

    assert await made(owner, "charge", backend) == await made(owner, "refund", backend) == [34_80]
    (invoice,) = (await backend.get("/v1/invoices"))["data"]
    (note,) = (await backend.get("/v1/credit_notes"))["data"]
    (payment,) = (await backend.get("/v1/payments"))["data"]
    (refund,) = (await backend.get("/v1/refunds"))["data"]
    assert payment["status"] == refund["status"] == "succeeded"
    assert (invoice["settlement"]["status"], note["settlement"]["status"]) == ("settled", "used")

    # A mail that was handed over by somebody who died goes again, and is the same mail.
    mails = {mail["Message-ID"]: mail["Subject"] for mail in inbox.messages}
    assert len(mails) == len(set(mails.values())) == 4, mails
    assert await undone(owner, backend) == 0
    assert await unbalanced(owner, backend) == []


@pytest.mark.parametrize("die", ["before", "after"])
async def test_a_worker_dies_at_every_commit_of_an_advance(
    backend: Backend, owner: Owner, inbox: Inbox, environment: dict[str, str], die: str
) -> None:
    """Each goes on from where the one before came to, and every period is billed and paid at its time."""
    await open_shop(backend)
    signup = await backend.post("/v1/signups", SIGNUP)
    begins = datetime.fromisoformat(signup["subscription"]["created_at"])
    to = plus_months(begins.date(), 2)
    await backend.post("/v1/test_clock/advance", {"to": f"{to.isoformat()}T23:59:59Z"})

    code, workers = await worker("commits", {**environment, "DIE": die})

    assert code == 0, workers
    print(f"workers killed {die} a COMMIT: {int(workers) - 1}")
    assert int(workers) > 8
    clock = await backend.get("/v1/test_clock")
    assert (clock["status"], clock["now_at"]) == ("ready", f"{to.isoformat()}T23:59:59Z")
    assert clock["unfinished"] == []
    invoices = (await backend.get("/v1/invoices"))["data"]
    payments = (await backend.get("/v1/payments"))["data"]
    periods = [each["lines"][0]["period"] for each in invoices]
    assert [each["start"] for each in periods[:2]] == [each["end"] for each in periods[1:]]
    assert len({each["number"] for each in invoices}) == 3
    assert [each["issued_at"] for each in invoices] == [each["start"] for each in periods]
    assert [each["received_on"] for each in payments] == [each["issued_on"] for each in invoices]
    assert await made(owner, "charge", backend) == [34_80] * 3
    assert len({mail["Message-ID"] for mail in inbox.messages}) == 3
    assert await unbalanced(owner, backend) == []


# ── what the tests share ─────────────────────────────────────────────────────────────────────────


@pytest.fixture
def environment(settings: Settings, inbox: Inbox) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": settings.redis_url,
        "SECRET_KEY": servers.SECRET_KEY.hex(),
        "SMTP_URL": inbox.url,
    }


async def open_shop(backend: Backend) -> None:
    await backend.post("/v1/tax_rates", tax_rate("20"))
    await backend.post("/v1/legal_entities", legal_entity())
    await backend.post("/v1/plans", plan())


@contextmanager
def running(argv: "tuple[str, ...] | list[str]", environment: dict[str, str], log: Path) -> Iterator[Process]:
    program = Program(name="api", argv=tuple(argv), environment=environment, log=log, folder=serve.ROOT)
    process = Process(program)
    try:
        yield process
    finally:
        process.stop()


async def answering(port: int, process: Process) -> None:
    async with asyncio.timeout(30), httpx.AsyncClient() as client:
        while not process.ended():
            try:
                await client.get(f"http://127.0.0.1:{port}/healthz")
            except httpx.TransportError:
                await asyncio.sleep(0.05)
            else:
                return
    raise AssertionError(process.last_words())


async def worker(how: str, environment: dict[str, str]) -> tuple[int, str]:
    """How it ended, and what it said last."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.flows.dying", how),
        cwd=serve.ROOT,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate()
    lines = said.decode().splitlines() or [""]
    return await process.wait(), lines[-1]


async def answers_kept(owner: Owner, backend: Backend) -> list[bytes]:
    rows = await owner.fetch("SELECT body FROM idempotency_answers WHERE tenant_id = $1", backend.tenant)
    return [row["body"] for row in rows]


async def made(owner: Owner, what: str, backend: Backend) -> list[int]:
    """What the provider has in its books for this tenant."""
    ours = {"charge": "payments", "refund": "refunds"}[what]
    rows = await owner.fetch(
        f"""
        SELECT theirs.amount_minor
        FROM sandbox.{what}s theirs
        JOIN {ours} ours ON ours.id = theirs.our_id
        WHERE ours.tenant_id = $1
        """,
        backend.tenant,
    )
    return [row["amount_minor"] for row in rows]


async def undone(owner: Owner, backend: Backend) -> int:
    """Events not handed on, and jobs not done but for those of a time to come."""
    return int(
        await owner.fetchval(
            """
            SELECT (SELECT count(*) FROM events WHERE tenant_id = $1 AND state = 'pending')
                 + (SELECT count(*) FROM jobs WHERE tenant_id = $1 AND state <> 'done' AND scheduled_for < $2)
            """,
            backend.tenant,
            clock.now() + timedelta(days=1),
        )
    )


async def unbalanced(owner: Owner, backend: Backend) -> "list[asyncpg.Record]":
    return await owner.fetch(
        """
        SELECT document_id
        FROM ledger_entries
        WHERE tenant_id = $1
        GROUP BY document_id, currency
        HAVING sum(amount_minor) <> 0
        """,
        backend.tenant,
    )
