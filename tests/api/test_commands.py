"""A command happens once, as answered, or not at all."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any, TypeAlias

import asyncpg
import httpx
import pytest
from litestar import Litestar
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from api import clock
from api.app import OPERATIONS, create_app
from api.operations import command, query
from api.settings import Settings
from kernel import jobs, outbox
from kernel.database import Pool, Tx
from kernel.errors import Conflict
from kernel.events import Event
from kernel.structs import Input
from tests.api.conftest import MakeKey
from tests.client import client_for

Owner: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Json = dict[str, Any]

NEW_KEY = {"name": "x", "scopes": ["events:read"]}


# ── operations that go wrong ─────────────────────────────────────────────────────────────────────


class SomethingHappened(Event, frozen=True, kw_only=True, tag="test.happened"):
    what: str


class Doing(Input, frozen=True, kw_only=True):
    what: str = "nothing special"


class Door:
    """Closed, it holds a command inside its transaction until it is opened."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.open = asyncio.Event()


DOORS: dict[str, Door] = {}


@command("/v1/things/{door}/wait", scope="events:write", status=201)
async def wait_at_door(tx: NamedDependency[Tx], door: FromPath[str], data: JSONBody[Doing]) -> Doing:
    """Write, then wait."""
    outbox.publish(tx, SomethingHappened(what=data.what))
    DOORS[door].reached.set()
    await DOORS[door].open.wait()
    return data


@command("/v1/things/fail", scope="events:write")
async def fail(tx: NamedDependency[Tx]) -> Doing:
    """Write, then fail in a way nobody thought of."""
    outbox.publish(tx, SomethingHappened(what="failure"))
    raise RuntimeError("a secret detail")


@command("/v1/things/refuse", scope="events:write")
async def refuse(tx: NamedDependency[Tx]) -> Doing:
    """Write, then refuse."""
    outbox.publish(tx, SomethingHappened(what="refusal"))
    raise Conflict("test_refusal", "Not now.")


@command("/v1/things/swallow", scope="events:write")
async def swallow(tx: NamedDependency[Tx]) -> Doing:
    """Ignore an error of the database and say that all is well."""
    try:
        await tx.conn.execute("SELECT 1 / 0")
    except asyncpg.DivisionByZeroError:
        return Doing()
    return Doing()


@command("/v1/things/lose", scope="events:write")
async def lose_connection(tx: NamedDependency[Tx]) -> Doing:
    """Lose the connection between the last statement and the commit."""
    outbox.publish(tx, SomethingHappened(what="lost"))
    pid = tx.conn.get_server_pid()
    other = await asyncpg.connect(OWNER_URL[0])
    await other.execute("SELECT pg_terminate_backend($1)", pid)
    await other.close()
    return Doing()


@command("/v1/things/lose_early", scope="events:write")
async def lose_connection_early(tx: NamedDependency[Tx]) -> Doing:
    """Lose the connection and go on."""
    await lose_connection.fn(tx)
    outbox.publish(tx, SomethingHappened(what="after the end"))
    return Doing()


@query("/v1/things/write", scope="events:read")
async def write_in_a_query(tx: NamedDependency[Tx]) -> Doing:
    """Try to write where only reading is allowed."""
    await jobs.schedule(tx, "work", {}, due=tx.now)
    return Doing()


OWNER_URL: list[str] = []


@pytest.fixture(scope="module")
async def strange_app(settings: Settings) -> Litestar:
    OWNER_URL[:] = [settings.database_url]
    strange = [wait_at_door, fail, refuse, swallow, lose_connection, lose_connection_early, write_in_a_query]
    return create_app(settings, operations=[*OPERATIONS, *strange])


@pytest.fixture(scope="module")
async def strangers(strange_app: Litestar) -> AsyncIterator[httpx.AsyncClient]:
    async with client_for(strange_app) as client:
        yield client


@pytest.fixture
def strange(strangers: httpx.AsyncClient, key: str) -> httpx.AsyncClient:
    """A client of its own tenant, for an application with operations that go wrong."""
    return httpx.AsyncClient(
        transport=strangers._transport,
        base_url="http://test",
        headers={"Authorization": f"Bearer {key}"},
    )


@pytest.fixture
def door(request: pytest.FixtureRequest) -> Door:
    DOORS["door"] = Door()
    return DOORS["door"]


async def keys(client: httpx.AsyncClient) -> list[Json]:
    found: list[Json] = (await client.get("/v1/api_keys?limit=100")).json()["data"]
    return found


async def happened(client: httpx.AsyncClient) -> list[str]:
    events = (await client.get("/v1/events?limit=100")).json()["data"]
    return [event["data"].get("what", event["type"]) for event in events]


# ── its effect stays when it is answered below 400, and only then ────────────────────────────────


async def test_a_refusal_leaves_nothing_behind(strange: httpx.AsyncClient) -> None:
    answer = await strange.post("/v1/things/refuse")
    assert (answer.status_code, answer.json()["code"]) == (409, "test_refusal")
    assert await happened(strange) == []


async def test_a_failure_leaves_nothing_behind_and_keeps_its_text(strange: httpx.AsyncClient) -> None:
    answer = await strange.post("/v1/things/fail", headers={"X-Request-Id": "mine-1"})
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["request_id"] == answer.headers["x-request-id"] == "mine-1"
    assert "secret" not in answer.text
    assert await happened(strange) == []


async def test_a_swallowed_database_error_is_not_a_2xx(strange: httpx.AsyncClient) -> None:
    """PostgreSQL answers such a COMMIT with a rollback, and no error."""
    answer = await strange.post("/v1/things/swallow")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")


@pytest.mark.parametrize("path", ["/v1/things/lose", "/v1/things/lose_early"])
async def test_a_commit_that_fails_is_not_a_2xx(strange: httpx.AsyncClient, path: str) -> None:
    answer = await strange.post(path)
    assert (answer.status_code, answer.json()["code"]) == (503, "busy")
    assert answer.headers["retry-after"] == "1"
    assert await happened(strange) == []


async def test_a_commit_that_fails_is_not_remembered_either(strange: httpx.AsyncClient) -> None:
    headers = {"Idempotency-Key": "lost"}
    assert (await strange.post("/v1/things/lose", headers=headers)).status_code == 503
    again = await strange.post("/v1/things/lose", headers=headers)
    assert (again.status_code, "idempotent-replayed" in again.headers) == (503, False)


async def test_a_query_cannot_write(strange: httpx.AsyncClient) -> None:
    assert (await strange.get("/v1/things/write")).status_code == 500
    assert await happened(strange) == []


# ── idempotency ──────────────────────────────────────────────────────────────────────────────────


async def test_the_second_attempt_gets_the_first_answer(client: httpx.AsyncClient) -> None:
    created = (await client.post("/v1/api_keys", json=NEW_KEY)).json()
    headers = {"Idempotency-Key": "revoke it"}
    path = f"/v1/api_keys/{created['id']}/revoke"
    first = await client.post(path, headers=headers)
    second = await client.post(path, headers=headers)
    assert first.status_code == second.status_code == 200
    assert first.content == second.content
    assert first.headers["content-type"] == second.headers["content-type"]
    assert "idempotent-replayed" not in first.headers
    assert second.headers["idempotent-replayed"] == "true"


async def test_a_repeated_creation_shows_no_secret(client: httpx.AsyncClient) -> None:
    headers = {"Idempotency-Key": "once"}
    first = await client.post("/v1/api_keys", json=NEW_KEY, headers=headers)
    second = await client.post("/v1/api_keys", json=NEW_KEY, headers=headers)
    assert first.json()["secret"].startswith("rk_test_")
    assert (second.status_code, second.json()) == (201, {**first.json(), "secret": None})
    assert len(await keys(client)) == 2


async def test_another_body_under_the_same_key_is_refused(client: httpx.AsyncClient) -> None:
    headers = {"Idempotency-Key": "once"}
    await client.post("/v1/api_keys", json=NEW_KEY, headers=headers)
    other = await client.post("/v1/api_keys", json={**NEW_KEY, "name": "y"}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


async def test_the_same_body_for_another_thing_is_another_request(client: httpx.AsyncClient) -> None:
    one, two = [(await client.post("/v1/api_keys", json=NEW_KEY)).json()["id"] for _ in range(2)]
    headers = {"Idempotency-Key": "once"}
    assert (await client.post(f"/v1/api_keys/{one}/revoke", headers=headers)).status_code == 200
    other = await client.post(f"/v1/api_keys/{two}/revoke", headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


async def test_a_refusal_is_not_remembered(client: httpx.AsyncClient) -> None:
    headers = {"Idempotency-Key": "once"}
    refused = await client.post("/v1/api_keys", json={"name": ""}, headers=headers)
    assert refused.status_code == 422
    assert (await client.post("/v1/api_keys", json=NEW_KEY, headers=headers)).status_code == 201


@pytest.mark.parametrize("text", ["", " ", "é", "k" * 256, "a\tb", " a", "a\x7f"])
async def test_a_strange_idempotency_key_is_refused(client: httpx.AsyncClient, text: str) -> None:
    answer = await client.post("/v1/api_keys", json=NEW_KEY, headers={b"Idempotency-Key": text.encode()})
    assert (answer.status_code, answer.json()["code"]) == (400, "idempotency_key_invalid")


async def test_keys_of_other_tenants_are_other_keys(
    client: httpx.AsyncClient, make_key: MakeKey, opened: Any
) -> None:
    live = await make_key(tenant=opened.live.id)
    headers = {"Idempotency-Key": "once"}
    first = await client.post("/v1/api_keys", json=NEW_KEY, headers=headers)
    other = await client.post(
        "/v1/api_keys", json=NEW_KEY, headers={**headers, "Authorization": f"Bearer {live}"}
    )
    assert first.json()["id"] != other.json()["id"]


async def test_fifty_attempts_at_once_have_one_effect(client: httpx.AsyncClient) -> None:
    headers = {"Idempotency-Key": "once"}

    async def attempt() -> Json:
        while True:
            answer = await client.post("/v1/api_keys", json=NEW_KEY, headers=headers)
            if answer.status_code == 201:
                created: Json = answer.json()
                return created
            assert (answer.status_code, answer.json()["code"]) == (409, "idempotency_in_progress")
            await asyncio.sleep(0.01)

    answers = await asyncio.gather(*(attempt() for _ in range(50)))
    assert len({answer["id"] for answer in answers}) == 1
    assert len([answer for answer in answers if answer["secret"]]) == 1
    assert len(await keys(client)) == 2


async def test_while_the_first_attempt_runs_the_second_is_told_to_wait(
    strange: httpx.AsyncClient, door: Door
) -> None:
    headers = {"Idempotency-Key": "once"}
    first = asyncio.create_task(strange.post("/v1/things/door/wait", headers=headers))
    await door.reached.wait()
    second = await strange.post("/v1/things/door/wait", headers=headers)
    assert (second.status_code, second.json()["code"]) == (409, "idempotency_in_progress")
    assert second.headers["retry-after"] == "1"

    door.open.set()
    answered = await first
    third = await strange.post("/v1/things/door/wait", headers=headers)
    assert (answered.status_code, third.status_code) == (201, 201)
    assert third.content == answered.content
    assert await happened(strange) == ["nothing special"]


# ── clients that go away ─────────────────────────────────────────────────────────────────────────


async def test_a_client_that_gives_up_leaves_no_transaction_open(
    strange: httpx.AsyncClient, strange_app: Litestar, door: Door
) -> None:
    waiting = asyncio.create_task(strange.post("/v1/things/door/wait"))
    await door.reached.wait()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert await happened(strange) == []
    pool: Pool = strange_app.state.pool
    assert pool.get_idle_size() == pool.get_size()


async def test_half_a_body_is_no_request(app: Litestar, client: httpx.AsyncClient, key: str) -> None:
    messages = iter([{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}])
    sent: list[Any] = []

    async def receive() -> Any:
        return next(messages)

    async def send(message: Any) -> None:
        sent.append(message)

    scope: Any = {
        "type": "http",
        "method": "POST",
        "path": "/v1/api_keys",
        "raw_path": b"/v1/api_keys",
        "query_string": b"",
        "root_path": "",
        "headers": [(b"authorization", f"Bearer {key}".encode())],
    }
    await app(scope, receive, send)
    assert sent == []
    assert len(await keys(client)) == 1


# ── dry runs and quotes ──────────────────────────────────────────────────────────────────────────


async def test_a_dry_run_answers_the_same_and_does_nothing(client: httpx.AsyncClient) -> None:
    dry = await client.post("/v1/api_keys?dry_run=true", json=NEW_KEY, headers={"Idempotency-Key": "once"})
    assert dry.status_code == 201
    assert dry.json()["secret"] is None
    assert len(await keys(client)) == 1
    assert await happened(client) == []

    real = await client.post("/v1/api_keys", json=NEW_KEY, headers={"Idempotency-Key": "once"})
    assert "idempotent-replayed" not in real.headers
    same = {"name", "scopes", "expires_at", "revoked_at", "last_used_at"}
    assert {k: dry.json()[k] for k in same} == {k: real.json()[k] for k in same}


async def test_a_dry_run_is_never_a_replay(client: httpx.AsyncClient) -> None:
    headers = {"Idempotency-Key": "once"}
    await client.post("/v1/api_keys", json=NEW_KEY, headers=headers)
    dry = await client.post("/v1/api_keys?dry_run=true", json=NEW_KEY, headers=headers)
    assert dry.headers["quote"]
    assert "idempotent-replayed" not in dry.headers


async def test_a_quote_is_kept_to(client: httpx.AsyncClient) -> None:
    dry = await client.post("/v1/api_keys?dry_run=true", json=NEW_KEY)
    real = await client.post("/v1/api_keys", json=NEW_KEY, headers={"If-Quote": dry.headers["quote"]})
    assert real.status_code == 201
    assert real.json()["secret"] is not None


async def test_a_refused_dry_run_gives_no_quote(client: httpx.AsyncClient) -> None:
    dry = await client.post("/v1/api_keys?dry_run=true", json={"name": "x"})
    assert (dry.status_code, "quote" in dry.headers) == (422, False)


async def test_what_no_longer_comes_out_the_same_is_not_done(client: httpx.AsyncClient) -> None:
    created = (await client.post("/v1/api_keys", json=NEW_KEY)).json()
    path = f"/v1/api_keys/{created['id']}/rotate"
    quote = {"If-Quote": (await client.post(f"{path}?dry_run=true")).headers["quote"]}
    await client.post(f"/v1/api_keys/{created['id']}/revoke")
    real = await client.post(path, headers=quote)
    assert (real.status_code, real.json()["code"]) == (412, "quote_stale")


async def test_another_answer_than_quoted_is_rolled_back(client: httpx.AsyncClient, owner: Owner) -> None:
    created = (await client.post("/v1/api_keys", json=NEW_KEY)).json()
    path = f"/v1/api_keys/{created['id']}/rotate"
    quote = {"If-Quote": (await client.post(f"{path}?dry_run=true")).headers["quote"]}
    await owner.execute("UPDATE api_keys SET name = 'y' WHERE public_id = $1", created["public_id"])
    before = await keys(client)
    real = await client.post(path, headers=quote)
    assert (real.status_code, real.json()["code"]) == (412, "quote_stale")
    assert [key["expires_at"] for key in await keys(client)] == [key["expires_at"] for key in before]


async def test_a_quote_is_for_one_request_only(client: httpx.AsyncClient) -> None:
    quote = {"If-Quote": (await client.post("/v1/api_keys?dry_run=true", json=NEW_KEY)).headers["quote"]}
    other = await client.post("/v1/api_keys", json={**NEW_KEY, "name": "y"}, headers=quote)
    assert (other.status_code, other.json()["code"]) == (412, "quote_stale")


async def test_a_quote_of_another_tenant_does_not_count(
    client: httpx.AsyncClient, make_key: MakeKey, opened: Any
) -> None:
    quote = {"If-Quote": (await client.post("/v1/api_keys?dry_run=true", json=NEW_KEY)).headers["quote"]}
    live = {"Authorization": f"Bearer {await make_key(tenant=opened.live.id)}"}
    other = await client.post("/v1/api_keys", json=NEW_KEY, headers={**quote, **live})
    assert (other.status_code, other.json()["code"]) == (412, "quote_stale")


async def test_a_quote_expires(client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    quote = {"If-Quote": (await client.post("/v1/api_keys?dry_run=true", json=NEW_KEY)).headers["quote"]}
    later = clock.now() + timedelta(minutes=15)
    monkeypatch.setattr(clock, "now", lambda: later)
    real = await client.post("/v1/api_keys", json=NEW_KEY, headers=quote)
    assert (real.status_code, real.json()["code"]) == (412, "quote_stale")


@pytest.mark.parametrize("quote", ["", "abc", "é", "A" * 400])
async def test_what_we_never_quoted_is_refused(client: httpx.AsyncClient, quote: str) -> None:
    answer = await client.post("/v1/api_keys", json=NEW_KEY, headers={b"If-Quote": quote.encode()})
    assert (answer.status_code, answer.json()["code"]) == (400, "quote_invalid")


async def test_a_changed_quote_is_refused(client: httpx.AsyncClient) -> None:
    quote = (await client.post("/v1/api_keys?dry_run=true", json=NEW_KEY)).headers["quote"]
    for at in range(0, len(quote), 7):
        changed = quote[:at] + ("A" if quote[at] != "A" else "B") + quote[at + 1 :]
        answer = await client.post("/v1/api_keys", json=NEW_KEY, headers={"If-Quote": changed})
        assert (answer.status_code, answer.json()["code"]) == (400, "quote_invalid")


async def test_dry_run_is_true_or_false(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/api_keys?dry_run=yes", json=NEW_KEY)
    assert (answer.status_code, answer.json()["param"]) == (400, "dry_run")
    assert (await client.post("/v1/api_keys?dry_run=false", json=NEW_KEY)).status_code == 201
    query_of_a_list = await client.get("/v1/api_keys?dry_run=true")
    assert query_of_a_list.json()["code"] == "parameter_unknown"
