"""HTTP before the accounts: keys, forms, lists, idempotency, and the faults that were ordered.

stripe = StripeServer()
account = stripe.account("sk_test_…")
httpx.AsyncClient(transport=stripe.transport())        in this process
async with stripe.listening() as url: …                on a loopback port
"""

import asyncio
import copy
import hashlib
import hmac
import json
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from itertools import islice
from random import Random
from typing import Any, TypeAlias
from urllib.parse import parse_qsl

import httpx
import uvicorn

from tests.stripe_server import shapes
from tests.stripe_server.account import Account, Card, Refused
from tests.stripe_server.misbehaving import EXECUTED, Fault
from tests.stripe_server.shapes import Object

KEYS_ARE_KEPT = timedelta(hours=24)
LISTS = {
    "/v1/payment_intents": "payment_intent",
    "/v1/refunds": "refund",
    "/v1/disputes": "dispute",
    "/v1/charges": "charge",
    "/v1/customers": "customer",
}
# Cards with which the answer to a POST is lost, and where the POST names them.
LOSING = {
    "/v1/payment_intents": (Card.LOST, "payment_method"),
    "/v1/refunds": (Card.REFUND_LOST, "payment_intent"),
}
EXPANDED = ("latest_charge", "payment_intent", "payment_method", "setup_intent", "charge", "customer")

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Answer: TypeAlias = tuple[int, Object]


def sign(payload: bytes, secret: str, at: datetime) -> str:
    """The header `Stripe-Signature` of one delivery."""
    seconds = int(at.timestamp())
    mac = hmac.digest(secret.encode(), f"{seconds}.".encode() + payload, hashlib.sha256)
    return f"t={seconds},v1={mac.hex()}"


class StripeServer:
    """`ordered` are the faults of the next POSTs, one each; `chance` is the share of POSTs that get one."""

    def __init__(self, *, seed: int = 0) -> None:
        self.accounts: dict[str, Account] = {}
        self.ordered: deque[Fault] = deque()
        self.chance: dict[Fault, float] = {}
        self.requests: Counter[str] = Counter()  # by method and path
        self.misbehaved: Counter[Fault] = Counter()
        self._random = Random(seed)  # noqa: S311 - the same faults every time
        self._kept: dict[tuple[str, str], tuple[datetime, bytes, Answer]] = {}

    def account(self, secret_key: str) -> Account:
        """The account behind a secret key, opened the first time."""
        return self.accounts.setdefault(secret_key, Account(f"acct_1{len(self.accounts):015d}"))

    def events(self) -> list[Object]:
        """Of all accounts, each one's in the order in which it happened."""
        return [event for account in self.accounts.values() for event in account.events]

    def sign(self, payload: bytes, secret: str, at: datetime) -> str:
        return sign(payload, secret, at)

    def payload(self, event: Object) -> bytes:
        """What would be posted to a webhook."""
        return json.dumps(event, indent=2).encode()

    def transport(self) -> httpx.ASGITransport:
        return httpx.ASGITransport(self)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        async def on_a_socket(scope: Scope, receive: Receive, send: Send) -> None:
            try:
                await self(scope, receive, send)
            except httpx.ReadTimeout:
                while (await receive())["type"] != "http.disconnect":
                    continue

        config = uvicorn.Config(on_a_socket, port=0, log_level="critical", lifespan="off")
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve())
        try:
            while not server.started:
                await asyncio.sleep(0.01)
            port = server.servers[0].sockets[0].getsockname()[1]
            yield f"http://127.0.0.1:{port}"
        finally:
            server.should_exit = server.force_exit = True
            await serving

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = await _read(scope, receive)
        self.requests[f"{request.method} {_pattern(request.path)}"] += 1
        fault = self._fault_of(request)
        status, body = self._answer(request, fault)
        if fault in (Fault.LOST, Fault.DROPPED):
            raise httpx.ReadTimeout("no answer")
        raw = json.dumps(body).encode()
        headers = [(b"content-type", b"application/json"), (b"request-id", b"req_1")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": raw})

    def _answer(self, request: "Request", fault: Fault | None) -> Answer:
        account = self.accounts.get(request.secret_key)
        if account is None:
            return 401, shapes.error("invalid_request_error", "Invalid API Key provided")
        if fault in (Fault.DROPPED, Fault.BUSY, Fault.IN_USE):
            return _turned_away(fault)
        if request.method == "GET":
            return _caught(lambda: _get(account, request))
        return self._once(account, request, fault)

    def _once(self, account: Account, request: "Request", fault: Fault | None) -> Answer:
        """The same key is the same answer for a day, a 500 included; then it is forgotten."""
        key = (request.secret_key, request.idempotency_key)
        kept = self._kept.get(key) if request.idempotency_key else None
        if kept is not None and account.now < kept[0] + KEYS_ARE_KEPT:
            _, body, answer = kept
            same = body == request.body
            return copy.deepcopy(answer) if same else _another_body()

        if fault is Fault.BROKEN_BEFORE:
            answer, is_kept = _broken(), True
        else:
            answer, is_kept = _tried(lambda: _post(account, request))
        if fault is Fault.BROKEN_AFTER:
            answer, is_kept = _broken(), True
        if is_kept and request.idempotency_key:
            self._kept[key] = (account.now, request.body, copy.deepcopy(answer))
        return answer

    def _fault_of(self, request: "Request") -> Fault | None:
        if request.method != "POST":
            return None
        fault = self._ordered() or self._of_the_card(request)
        if fault is not None:
            self.misbehaved[fault] += 1
        return fault

    def _ordered(self) -> Fault | None:
        if self.ordered:
            return self.ordered.popleft()
        at = self._random.random() if self.chance else 1.0
        for fault, share in self.chance.items():
            if at < share:
                return fault
            at -= share
        return None

    def _of_the_card(self, request: "Request") -> Fault | None:
        account = self.accounts.get(request.secret_key)
        card, field = LOSING.get(request.path, (None, ""))
        lost = account is not None and account.card_of(request.form.get(field)) is card is not None
        return Fault.LOST if lost else None

    @property
    def executed_and_not_answered(self) -> int:
        return sum(self.misbehaved[fault] for fault in EXECUTED)


class Request:
    def __init__(self, method: str, path: str, query: str, headers: Mapping[str, str], body: bytes) -> None:
        self.method = method
        self.path = path
        self.body = body
        self.secret_key = headers.get("authorization", "").removeprefix("Bearer ")
        self.idempotency_key = headers.get("idempotency-key", "")
        self.form = _nested(parse_qsl(body.decode() if method == "POST" else query, keep_blank_values=True))


def _get(account: Account, request: Request) -> Answer:
    if request.path == "/v1/account":
        return 200, account.shape
    if request.path.endswith("/search"):
        return 400, shapes.error(
            "invalid_request_error", "What was just written is not found by a search: list instead."
        )
    if request.path in LISTS:
        return 200, _list(account, request)
    parts = request.path.split("/")
    if request.path.startswith("/v1/customers/") and parts[-1] == "payment_methods":
        found = list(account.of_kind("payment_method", customer=parts[3]))
        return 200, shapes.page(request.path, found, has_more=False)
    return 200, _expand(account, account.find(parts[-1]), _many(request.form.get("expand")))


def _list(account: Account, request: Request) -> Object:
    form = request.form
    where = {name: form[name] for name in ("customer", "payment_intent", "charge") if name in form}
    found = account.of_kind(LISTS[request.path], **where)
    since = int(form.get("created", {}).get("gte", 0))
    after = form.get("starting_after")
    if after is not None:
        for each in found:
            if each["id"] == after:
                break
    size = int(form.get("limit", 10))
    if not 1 <= size <= 100:
        raise Refused(400, shapes.error("invalid_request_error", "1 to 100", param="limit"))
    some = list(islice((each for each in found if each["created"] >= since), size + 1))
    paths = [path.removeprefix("data.") for path in _many(form.get("expand"))]
    page = [_expand(account, each, paths) for each in some[:size]]
    return shapes.page(request.path, page, has_more=len(some) > size)


def _post(account: Account, request: Request) -> Object:
    creates = {
        "/v1/customers": account.create_customer,
        "/v1/payment_intents": account.create_payment_intent,
        "/v1/refunds": account.create_refund,
        "/v1/checkout/sessions": account.create_checkout_session,
    }
    create = creates.get(request.path)
    if create is None:
        raise Refused(404, shapes.error("invalid_request_error", "Unrecognized request URL"))
    return _expand(account, create(request.form), _many(request.form.get("expand")))


def _expand(account: Account, found: Object, paths: list[str]) -> Object:
    """A copy, in which the ids that the paths name are the objects themselves."""
    shown = copy.deepcopy(found)
    for path in paths:
        name, _, rest = path.partition(".")
        if name not in EXPANDED:
            message = f"This property cannot be expanded ({path})."
            raise Refused(400, shapes.error("invalid_request_error", message))
        if isinstance(shown.get(name), str):
            shown[name] = account.find(shown[name])
        if rest and shown.get(name):
            shown[name] = _expand(account, shown[name], [rest])
    return shown


def _caught(act: Callable[[], Answer]) -> Answer:
    try:
        return act()
    except Refused as refused:
        return refused.status, refused.body


def _tried(act: Callable[[], Object]) -> tuple[Answer, bool]:
    """The answer, and whether it is kept: what was refused before anything began is not."""
    try:
        return (200, act()), True
    except Refused as refused:
        return (refused.status, refused.body), refused.is_kept


def _turned_away(fault: Fault) -> Answer:
    if fault is Fault.BUSY:
        return 429, shapes.error("invalid_request_error", "Too many requests", code="rate_limit")
    if fault is Fault.IN_USE:
        return 409, shapes.error(
            "invalid_request_error", "This key is in use.", code="idempotency_key_in_use"
        )
    return 200, {}


def _broken() -> Answer:
    return 500, shapes.error("api_error", "An unknown error occurred")


def _another_body() -> Answer:
    return 400, shapes.error("idempotency_error", "Keys can only be used with the same parameters.")


async def _read(scope: Scope, receive: Receive) -> Request:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    headers = {name.decode().lower(): value.decode() for name, value in scope["headers"]}
    return Request(scope["method"], scope["path"], scope["query_string"].decode(), headers, body)


def _nested(pairs: list[tuple[str, str]]) -> Object:
    """`a[b][0]=c` is {"a": {"b": {"0": "c"}}}."""
    form: Object = {}
    for name, value in pairs:
        *path, last = name.replace("]", "").split("[")
        inside = form
        for step in path:
            inside = inside.setdefault(step, {})
        inside[last] = value
    return form


def _many(sent: Object | None) -> list[str]:
    return list(sent.values()) if sent else []


def _pattern(path: str) -> str:
    return "/".join("{id}" if "_1" in part else part for part in path.split("/"))
