"""What a provider posts: who is let in, what they are told, and what is kept of it."""

import io
import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from random import Random
from typing import Any

import asyncpg
import httpx
import pytest
from litestar import Litestar

from api.app import create_app
from api.provider_webhooks import Connection
from api.settings import Settings
from billing.gateways.connections.model import PaymentConnectionId
from kernel.database import Pool, Tx
from kernel.ids import TenantId
from tests.flows.backend import Backend
from tests.flows.conftest import Time
from tests.makers import NOON
from webhooks import signature
from webhooks.signature import sign

SECRET, OLD = "whsec_new", "whsec_old"
HERE = PaymentConnectionId.new()  # any id will do for a connection
MEBIBYTE = 1024 * 1024


class Stand:
    """Connections in memory."""

    def __init__(self) -> None:
        self.secrets: tuple[str, ...] = (SECRET, OLD)
        self.tenants: dict[str, TenantId] = {}
        self.asked: list[PaymentConnectionId] = []

    async def find(self, pool: Pool, connection_id: str) -> Connection | None:
        tenant = self.tenants.get(connection_id)
        return Connection(id=HERE, tenant=tenant) if tenant else None

    async def secrets_of(self, tx: Tx, connection_id: PaymentConnectionId) -> Sequence[str]:
        self.asked.append(connection_id)
        return self.secrets if connection_id == HERE else ()


@pytest.fixture(scope="module")
def stand() -> Stand:
    return Stand()


@pytest.fixture(scope="module")
def app(settings: Settings, stand: Stand) -> Litestar:
    return create_app(settings, connections=stand)


@pytest.fixture
async def address(backend: Backend, stand: Stand, time: Time) -> str:
    """Where the provider posts to; it is NOON."""
    stand.tenants = {str(HERE): backend.tenant}
    return f"/webhooks/stripe/{HERE}"


def an_event(reference: str = "evt_1", **more: Any) -> bytes:
    about = {"id": "re_1", "object": "refund", "description": "for Zoé Martin"}
    event = {"id": reference, "type": "refund.updated", "created": 1_768_000_000, "data": {"object": about}}
    return json.dumps({**event, **more}).encode()


def signed(body: bytes, secret: str = SECRET, **late: int) -> dict[bytes, bytes]:
    return {b"stripe-signature": sign(body, secret, at=NOON + timedelta(**late))}


async def deliver(
    anonymous: httpx.AsyncClient, address: str, body: bytes, headers: dict[bytes, bytes] | None = None
) -> tuple[int, str]:
    """Status and code, "" when it was taken."""
    answer = await anonymous.post(address, content=body, headers=signed(body) if headers is None else headers)
    return answer.status_code, answer.json().get("code", "")


async def test_an_event_is_kept_before_it_is_acknowledged_and_once(
    anonymous: httpx.AsyncClient, address: str, backend: Backend
) -> None:
    answers = [
        await anonymous.post(address, content=an_event(), headers=signed(an_event())) for _ in range(3)
    ]

    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert [answer.json()["duplicate"] for answer in answers] == [False, True, True]


async def test_either_secret_is_enough_while_they_are_rotated(
    anonymous: httpx.AsyncClient, address: str
) -> None:
    for secret in (SECRET, OLD):
        body = an_event(f"evt_{secret}")
        assert await deliver(anonymous, address, body, signed(body, secret)) == (200, "")


ATTACKS: dict[str, tuple[bytes, dict[bytes, bytes], str]] = {
    "no signature": (an_event(), {}, "signature_missing"),
    "a stranger's": (an_event(), signed(an_event(), "whsec_theirs"), "signature_wrong"),
    "of another body": (an_event(), signed(b"{}"), "signature_wrong"),
    "replayed": (an_event(), signed(an_event(), minutes=-6), "signature_not_now"),
    "from the future": (an_event(), signed(an_event(), days=3650), "signature_not_now"),
    "no ASCII": (an_event(), {b"stripe-signature": "t=1,v1=é".encode()}, "signature_wrong"),
    "no form": (an_event(), {b"stripe-signature": b"\xff"}, "signature_malformed"),
    "no event": (b"[]", signed(b"[]"), "provider_event_unreadable"),
    "bad UTF-8": (b'{"id":"\xff"}', signed(b'{"id":"\xff"}'), "provider_event_unreadable"),
    "nothing": (b"", signed(b""), "provider_event_unreadable"),
}


@pytest.mark.parametrize(("body", "headers", "code"), ATTACKS.values(), ids=ATTACKS)
async def test_what_is_not_theirs_or_not_now_is_a_400(
    anonymous: httpx.AsyncClient, address: str, body: bytes, headers: dict[bytes, bytes], code: str
) -> None:
    assert await deliver(anonymous, address, body, headers) == (400, code)


FORGERIES = ("stranger", "turned", "swapped", "cut", "scheme", "replayed", "future", "moved", "twice")


async def test_a_thousand_that_are_forged_replayed_or_ahead_of_time_are_all_refused(
    anonymous: httpx.AsyncClient, address: str, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    before = await owner.fetchval("SELECT count(*) FROM provider_events")
    dice = Random(5)  # noqa: S311 - the same forgeries every time
    for n in range(1000):
        body, headers = forged(FORGERIES[n % len(FORGERIES)], n, dice)
        status, code = await deliver(anonymous, address, body, headers)
        assert (status, code.partition("_")[0]) == (400, "signature"), FORGERIES[n % len(FORGERIES)]
    assert await owner.fetchval("SELECT count(*) FROM provider_events") == before


def forged(how: str, n: int, dice: Random) -> tuple[bytes, dict[bytes, bytes]]:
    body = an_event(f"evt_forged_{n}")
    (name,), (header,) = zip(*signed(body).items(), strict=True)
    at = dice.randrange(len(body))
    forgeries: dict[str, tuple[bytes, dict[bytes, bytes]]] = {
        "stranger": (body, signed(body, f"whsec_{dice.random()}")),
        "turned": (body[:at] + bytes([body[at] ^ 1 << dice.randrange(8)]) + body[at + 1 :], {name: header}),
        "swapped": (body, signed(an_event(f"evt_another_{n}"))),
        "cut": (body, {name: header[: -dice.randrange(1, 64)]}),
        "scheme": (body, {name: header.replace(b"v1", dice.choice([b"v0", b"v2", b"V1", b""]))}),
        "replayed": (body, signed(body, seconds=-dice.randrange(301, 10**8))),
        "future": (body, signed(body, seconds=dice.randrange(301, 10**9))),
        "moved": (body, {name: header.replace(b"t=1", b"t=2")}),
        "twice": (body, {name: header + b",t=1"}),
    }
    return forgeries[how]


async def test_a_connection_that_is_not_there_is_a_404_whoever_signs(
    anonymous: httpx.AsyncClient, address: str
) -> None:
    for path in (f"/webhooks/stripe/{PaymentConnectionId.new()}", "/webhooks/stripe/nonsense"):
        assert await deliver(anonymous, path, an_event()) == (404, "payment_connection_not_found")
        assert await deliver(anonymous, path, an_event(), {}) == (404, "payment_connection_not_found")


async def test_of_a_connection_that_is_not_there_secrets_are_looked_for_and_a_signature_computed(
    anonymous: httpx.AsyncClient, address: str, stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that it takes as long as one that is."""
    checked: list[Sequence[str]] = []
    check = signature.check

    def checking(body: bytes, headers: Sequence[bytes], secrets: Sequence[str], *, now: datetime) -> None:
        checked.append(secrets)
        check(body, headers, secrets, now=now)

    monkeypatch.setattr(signature, "check", checking)
    stand.asked.clear()
    for path in (address, f"/webhooks/stripe/{PaymentConnectionId.new()}"):
        await deliver(anonymous, path, an_event(), signed(an_event(), "whsec_theirs"))

    assert [asked == HERE for asked in stand.asked] == [True, False]
    assert [bool(secrets) for secrets in checked] == [True, True]
    assert checked[1] != checked[0]


async def test_without_a_secret_nothing_is_let_in(
    anonymous: httpx.AsyncClient, address: str, stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stand, "secrets", ())
    assert await deliver(anonymous, address, an_event()) == (400, "signature_wrong")


async def test_an_announced_two_mebibytes_are_not_read_at_all(app: Litestar, address: str) -> None:
    status, read = await upload(app, address, [bytes(65_536)] * 32, announced=2 * MEBIBYTE)
    assert (status, read) == (413, 0)


async def test_of_two_mebibytes_that_nobody_announced_one_is_read(
    app: Litestar, anonymous: httpx.AsyncClient, address: str
) -> None:
    piece = 65_536
    status, read = await upload(app, address, [bytes(piece)] * 32, announced=None)
    assert status == 413
    assert read <= MEBIBYTE + piece  # the piece with which it became too much


async def test_a_mebibyte_is_read(anonymous: httpx.AsyncClient, address: str) -> None:
    padding = "x" * (MEBIBYTE - len(an_event("evt_large", padding="")))
    body = an_event("evt_large", padding=padding)
    assert len(body) == MEBIBYTE
    assert await deliver(anonymous, address, body) == (200, "")


async def test_only_posts_are_taken(anonymous: httpx.AsyncClient, address: str) -> None:
    assert (await anonymous.get(address)).status_code == 405


async def test_nothing_of_the_payload_is_logged_or_kept(
    anonymous: httpx.AsyncClient,
    address: str,
    owner: "asyncpg.Connection[asyncpg.Record]",
    logged: io.StringIO,
) -> None:
    await deliver(anonymous, address, an_event("evt_secret"))
    await deliver(anonymous, address, an_event("evt_secret"), signed(b"of something else"))

    said = logged.getvalue()
    assert said.count("/webhooks/stripe/") == 2
    assert "400" in said
    assert "Martin" not in said
    assert "re_1" not in said
    assert SECRET not in said
    kept = await owner.fetchval("SELECT string_agg(e::text, '') FROM provider_events e")
    assert "evt_secret" in kept
    assert "Martin" not in kept


async def upload(
    app: Litestar, address: str, pieces: Sequence[bytes], *, announced: int | None
) -> tuple[int, int]:
    """Status, and how many bytes of it were taken off the wire."""
    left, read, status = list(pieces), 0, 0

    async def receive() -> Any:
        nonlocal read
        piece = left.pop(0)
        read += len(piece)
        return {"type": "http.request", "body": piece, "more_body": bool(left)}

    async def send(message: Any) -> None:
        nonlocal status
        status = message.get("status", status)

    headers = [(b"stripe-signature", b"t=1,v1=0")]
    if announced is not None:
        headers.append((b"content-length", str(announced).encode()))
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "path": address,
        "raw_path": address.encode(),
        "root_path": "",
        "scheme": "http",
        "query_string": b"",
        "headers": headers,
        "server": ("test", 80),
        "client": ("127.0.0.1", 1),
        "app": app,
    }
    await app(scope, receive, send)  # type: ignore[arg-type]
    return status, read
