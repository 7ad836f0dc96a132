"""Signups over HTTP, everything on, beside the same statements sent straight to PostgreSQL.

Authentication, row security, idempotency, welcome offer, invoice, VAT, number, ledger and events. The
statements of signups that were recorded are sent again on a copy of the database they began in, by as many
processes and as many connections: that is what PostgreSQL can do, and what the rest of the house is held to.
"""

import time
from collections.abc import Sequence
from itertools import count, product

import click
import msgspec

from api.app import create_app
from bench import house
from bench.http import Client
from bench.recorder import Recorder, Statements, resent
from bench.serving import Pace, each_of, open_shops, paced, servers, serving, settings_of
from tests.client import client_for
from tests.flows.backend import customer

SIGNUPS = 2_000  # of each measurement
WARM_UP = 25  # signups nobody counts, for each client: statements are prepared, caches filled


async def measure(clients: Sequence[int], processes: Sequence[int], tenants: Sequence[int]) -> None:
    for many in tenants:
        await house.new_database("shops")
        keys = await open_shops("shops", many)
        recorded = await _recorded(keys)
        for at_once, workers in product(clients, processes):
            straight = await resent("shops", recorded, at_once, workers)
            click.echo(f"tenants {many}, clients {at_once}, processes {workers}")
            _say("straight", straight, None)
            for server, command in servers(workers).items():
                async with house.copy_of("shops", "measured"):
                    with serving(command) as port:
                        _say(server, await _over_http(port, keys, at_once), straight)
        await house.drop("shops")


def _say(what: str, pace: Pace, straight: Pace | None) -> None:
    share = f"   {pace.per_second / straight.per_second:.2f} of straight (goal 0.60)" if straight else ""
    times = f"p50 {pace.p50_ms:6.1f} ms   p99 {pace.p99_ms:6.1f} ms"
    click.echo(f"  {what:10} {pace.per_second:7,.0f}/s   {times}{share}")


# ── What is there before ────────────────────────────────────────────────────────────────────────────────


def _signup(n: int) -> bytes:
    who = customer(f"user-{n}", payment_method="pm_card_visa")
    return msgspec.json.encode({"customer": who, "plan": "pro", "quantity": "3", "offer": "WELCOME"})


# ── Over HTTP ───────────────────────────────────────────────────────────────────────────────────────────


async def _over_http(port: int, keys: Sequence[str], clients: int) -> Pace:
    numbers = count()
    open_clients = [await Client.connect("127.0.0.1", port, patience=30) for _ in range(clients)]

    async def sign_up(client: Client) -> float:
        n = next(numbers)
        started = time.perf_counter()
        status = await client.post("/v1/signups", _signup(n), key=keys[n % len(keys)], attempt=f"attempt-{n}")
        assert status == 201, f"a signup was answered {status}"
        return time.perf_counter() - started

    await each_of(open_clients, sign_up, clients * WARM_UP)
    pace = await paced(open_clients, sign_up, SIGNUPS)
    for client in open_clients:
        client.close()
    return pace


# ── Straight ────────────────────────────────────────────────────────────────────────────────────────────


async def _recorded(keys: Sequence[str]) -> list[Statements]:
    recorder = Recorder()
    async with house.copy_of("shops", "recorded"), client_for(create_app(settings_of("recorded"))) as http:
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
