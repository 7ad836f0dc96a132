"""The outermost layer: a request gets its name, its path is looked at, one line is logged about it."""

import re
import time
from typing import Any
from urllib.parse import quote

import structlog
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from api import problems, target
from api.console.guard import guarded
from kernel.errors import Invalid
from kernel.ids import Id

_SANE = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_QUIET = frozenset({"/healthz", "/readyz", "/metrics"})

log = structlog.get_logger("access")


class RequestId(Id, prefix="req"):
    """One request, as logs and problems name it. A caller may bring a name of their own."""


class Front:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        request_id = _request_id(dict(scope["headers"]))
        scope["state"] = {"request_id": request_id}
        status, started = 0, time.perf_counter()
        out = guarded(scope, send)

        async def named(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [
                    *message["headers"],
                    (b"x-request-id", request_id.encode()),
                ]
            await out(message)

        try:
            target.check_path(scope.get("raw_path") or quote(scope["path"]).encode())
            await self._app(scope, receive, named)
        except Invalid as refusal:
            await problems.send(refusal, scope, named)
        except Exception as error:
            if status:  # the answer has begun: all that is left is to break it off
                raise
            await problems.send(error, scope, named)
        finally:
            _log(scope, status, time.perf_counter() - started)


def _request_id(headers: dict[bytes, bytes]) -> str:
    given = headers.get(b"x-request-id", b"").decode("latin-1")
    return given if _SANE.fullmatch(given) else str(RequestId.new())


def _log(scope: Any, status: int, seconds: float) -> None:
    """Ids and a public id, never a header, a query or a body."""
    route = scope.get("path_template")
    if route in _QUIET:
        return
    caller, tx = scope["state"].get("caller"), scope["state"].get("tx")
    admin = scope["state"].get("admin")
    log.info(
        "request",
        request_id=scope["state"]["request_id"],
        tenant=str(tx.tenant) if tx else None,
        key=caller.public_id if caller else None,
        admin=str(admin) if admin else None,
        method=scope["method"],
        route=route,
        status=status,
        duration_ms=round(seconds * 1000, 2),
    )
