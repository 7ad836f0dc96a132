"""One attempt at a command: once only, just to see, or exactly as quoted.

`Idempotency-Key` makes the second attempt answer what the first did. `?dry_run=true` does the real
thing, rolls it back and signs the answer as a quote. `If-Quote` does what was quoted or nothing.
"""

import hashlib
import re
from datetime import datetime
from urllib.parse import parse_qsl

import msgspec
from litestar.types import ASGIApp, HTTPScope, Receive

from api import body as bodies
from api import quotes
from api.held import Held
from api.operations import DRY_RUN, Operation
from api.quotes import Quote, Signer
from kernel import idempotency
from kernel.database import Tx
from kernel.errors import Invalid
from kernel.idempotency import Answer
from kernel.ids import TenantId

_IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]([\x20-\x7e]{0,253}[\x21-\x7e])?")


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A request that was let in, and where its answer goes."""

    operation: Operation
    scope: HTTPScope
    receive: Receive
    body: bytes
    held: Held
    app: ASGIApp
    now: datetime  # wall time

    def header(self, name: bytes) -> str | None:
        found = dict(self.scope["headers"]).get(name)
        return None if found is None else found.decode("latin-1")

    async def answer(self) -> None:
        receive = bodies.replayed(self.body, self.held.until_said(self.receive))
        await self.app(self.scope, receive, self.held.send)


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    fingerprint: bytes
    idempotency_key: str | None
    quote: Quote | None
    dry_run: bool


async def run(tx: Tx, call: Call, signer: Signer) -> bool:
    """Answer a command, and say whether its effect is to stay."""
    attempt = _read(tx.tenant, call, signer)
    if await _answered_before(tx, call.held, attempt):
        return False
    if attempt.quote is not None:
        attempt.quote.check_for(attempt.fingerprint, now=tx.now, wall=call.now)
        tx.now = attempt.quote.decided_at

    await call.answer()

    _check_as_quoted(call, attempt)
    if call.held.status >= 400:
        return False
    if attempt.dry_run:
        _give_quote(tx, call, attempt, signer)
        return False
    _remember(tx, call, attempt)
    return True


def _read(tenant: TenantId, call: Call, signer: Signer) -> Attempt:
    query = parse_qsl(call.scope["query_string"].decode("latin-1"), keep_blank_values=True)
    quote = call.header(b"if-quote")
    return Attempt(
        fingerprint=_fingerprint(tenant, call, [pair for pair in query if pair[0] != DRY_RUN]),
        idempotency_key=_idempotency_key(call),
        quote=None if quote is None else signer.read(quote),
        dry_run=_dry_run(dict(query)),
    )


def _fingerprint(tenant: TenantId, call: Call, query: list[tuple[str, str]]) -> bytes:
    """Two requests with the same one ask for the same thing."""
    target = (str(tenant), call.scope["method"], call.scope["path"], query)
    return hashlib.sha256(msgspec.json.encode(target) + call.body).digest()


def _idempotency_key(call: Call) -> str | None:
    key = call.header(b"idempotency-key")
    if key is not None and not _IDEMPOTENCY_KEY.fullmatch(key):
        raise Invalid(
            "idempotency_key_invalid",
            "An Idempotency-Key has 1 to 255 printable ASCII characters.",
            param="Idempotency-Key",
        )
    return key


def _dry_run(query: dict[str, str]) -> bool:
    wanted = query.get(DRY_RUN, "false")
    if wanted not in ("true", "false"):
        raise Invalid("parameter_invalid", "dry_run is true or false.", param=DRY_RUN)
    return wanted == "true"


async def _answered_before(tx: Tx, held: Held, attempt: Attempt) -> bool:
    if attempt.idempotency_key is None or attempt.dry_run:
        return False
    earlier = await idempotency.earlier_answer(tx, attempt.idempotency_key, fingerprint=attempt.fingerprint)
    if earlier is None:
        return False
    held.set(earlier.status, earlier.headers, earlier.body)
    held.add({"idempotent-replayed": "true"})
    return True


def _check_as_quoted(call: Call, attempt: Attempt) -> None:
    """A refusal was never quoted. A failure of ours is told as such."""
    if attempt.quote is None or call.held.status >= 500:
        return
    if call.held.status >= 400:
        raise quotes.stale()
    attempt.quote.check_answer(_without_secrets(call))


def _give_quote(tx: Tx, call: Call, attempt: Attempt, signer: Signer) -> None:
    body = _without_secrets(call)
    quote = Quote(
        fingerprint=attempt.fingerprint,
        decided_at=tx.now,
        expires_at=call.now + quotes.VALID,
        digest=quotes.digest(body),
    )
    call.held.set(call.held.status, [*call.held.headers, ("quote", signer.sign(quote))], body)


def _remember(tx: Tx, call: Call, attempt: Attempt) -> None:
    if attempt.idempotency_key is None:
        return
    answer = Answer(
        fingerprint=attempt.fingerprint,
        status=call.held.status,
        headers=call.held.headers,
        body=_without_secrets(call),
    )
    idempotency.remember(tx, attempt.idempotency_key, answer)


def _without_secrets(call: Call) -> bytes:
    """The answer as it may be kept and shown again."""
    if not call.operation.secret_fields:
        return call.held.body
    shown = msgspec.json.decode(call.held.body)
    return msgspec.json.encode({**shown, **dict.fromkeys(call.operation.secret_fields)})
