"""Evaluations over HTTP with twenty offers in reach, beside the cheapest read there is, in the same run.

Keys are checked, row security is on, and a line is logged for each request. Each client asks on its own
connection, as fast as it can; server, database and clients share the machine.
"""

import time
from collections.abc import Awaitable, Callable, Sequence

import click
import httpx
import msgspec

from api.app import create_app
from bench import house
from bench.http import Client
from bench.serving import Pace, each_of, open_shops, paced, servers, serving, settings_of
from tests.client import client_for
from tests.flows.backend import Json

GOAL_PER_SECOND = 2_000
EVALUATIONS = 10_000  # of each measurement
WARM_UP = 200  # of each client
OFFERS = 20

Ask = Callable[[Client], Awaitable[int]]


async def measure(clients: int, processes: Sequence[int]) -> None:
    await house.new_database("measured")
    (key,) = await open_shops("measured", 1)
    await _make_offers(key)
    asked: dict[str, Ask] = {
        "GET an offer": lambda client: client.get("/v1/offers/WELCOME", key=key),
        "no offer": lambda client: client.post("/v1/promotions/evaluate", _question(0), key=key),
        f"{OFFERS} offers": lambda client: client.post("/v1/promotions/evaluate", _question(OFFERS), key=key),
    }
    for workers in processes:
        click.echo(f"clients {clients}, processes {workers}, granian")
        with serving(servers(workers)["granian"], log_level="INFO") as port:
            for what, ask in asked.items():
                _say(what, await _over_http(port, ask, clients))


def _say(what: str, pace: Pace) -> None:
    share = pace.per_second / GOAL_PER_SECOND
    times = f"p50 {pace.p50_ms:5.1f} ms   p99 {pace.p99_ms:5.1f} ms"
    click.echo(f"  {what:14} {pace.per_second:7,.0f}/s   {times}   {share:.2f} of the goal")


async def _make_offers(key: str) -> None:
    """In five lanes, of several kinds, some of which refuse."""
    async with client_for(create_app(settings_of("measured"))) as http:
        http.headers["authorization"] = f"Bearer {key}"
        for n in range(OFFERS):
            _made(await http.post("/v1/offers", json=_offer(n)))


def _made(answer: httpx.Response) -> None:
    assert answer.status_code == 201, answer.text


def _offer(n: int) -> Json:
    amount = {"minor": 100 + n, "currency": "EUR"}
    benefit: Json = {"type": "fixed_amount", "amount": amount}
    if n % 2:
        benefit = {"type": "percent", "percent": str(5 + n)}
    conditions: list[Json] = [{}, {"plans": ["pro"]}, {"countries": ["DE"]}, {"min_quantity": "50"}]
    return {
        "reference": f"OFFER-{n}",
        "name": f"Offer {n}",
        "lane": n % 5,
        "benefit": benefit,
        "conditions": conditions[n % 4],
        "duration": {"type": "periods", "count": 3},
    }


def _question(offers: int) -> bytes:
    return msgspec.json.encode(
        {
            "newcomer": {"country": "DE"},
            "plan": "pro",
            "quantity": "3",
            "offers": [f"OFFER-{n}" for n in range(offers)],
        }
    )


async def _over_http(port: int, ask: Ask, clients: int) -> Pace:
    open_clients = [await Client.connect("127.0.0.1", port, patience=30) for _ in range(clients)]

    async def timed(client: Client) -> float:
        started = time.perf_counter()
        status = await ask(client)
        assert status == 200, f"it was answered {status}"
        return time.perf_counter() - started

    await each_of(open_clients, timed, clients * WARM_UP)
    pace = await paced(open_clients, timed, EVALUATIONS)
    for client in open_clients:
        client.close()
    return pace
