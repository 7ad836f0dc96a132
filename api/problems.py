"""Every refusal leaves as `application/problem+json` (RFC 9457), with a code listed in docs/problems.md."""

import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import asyncpg
import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.types import Scope, Send

from kernel.errors import Conflict, DomainError, Invalid, NotFound, TooMany, Unavailable, not_found
from kernel.structs import Value, encode

MEDIA_TYPE = "application/problem+json"

STATUS_OF_KIND: dict[type[DomainError], int] = {
    Invalid: 422,
    NotFound: 404,
    Conflict: 409,
    TooMany: 429,
    Unavailable: 503,
}
# Refusals of the edge, whose status says more than their kind.
STATUS_OF_CODE: dict[str, int] = {
    "body_duplicate_key": 400,
    "body_encoded": 415,
    "body_not_json": 400,
    "body_not_utf8": 400,
    "body_number_out_of_range": 400,
    "body_too_deep": 400,
    "body_too_large": 413,
    "body_unexpected": 400,
    "body_unprintable": 400,
    "cursor_invalid": 400,
    "idempotency_key_invalid": 400,
    "key_expired": 401,
    "key_malformed": 401,
    "key_missing": 401,
    "key_revoked": 401,
    "key_unknown": 401,
    "parameter_invalid": 400,
    "parameter_repeated": 400,
    "parameter_unknown": 400,
    "path_invalid": 400,
    "provider_event_unreadable": 400,
    "quote_invalid": 400,
    "quote_stale": 412,
    "scope_missing": 403,
    "signature_malformed": 400,
    "signature_missing": 400,
    "signature_not_now": 400,
    "signature_wrong": 400,
    "content_type_unsupported": 415,
}
CODE_OF_STATUS: dict[int, str] = {
    400: "request_invalid",
    404: "route_not_found",
    405: "method_not_allowed",
    413: "body_too_large",
    415: "content_type_unsupported",
}
HEADERS_OF_STATUS: dict[int, dict[str, str]] = {
    401: {"www-authenticate": "Bearer"},
    503: {"retry-after": "1"},
}
HEADERS_OF_CODE: dict[str, dict[str, str]] = {"idempotency_in_progress": {"retry-after": "1"}}

# The database is busy, restarting or out of reach: the same request will succeed later.
_BUSY = (
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.LockNotAvailableError,
    asyncpg.QueryCanceledError,
    asyncpg.InsufficientResourcesError,
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    TimeoutError,
    ConnectionError,
)

log = structlog.get_logger("api")


class Problem(Value, frozen=True, kw_only=True):
    """What stands in the body. `param` names the field, parameter or header to look at.

    `retry_after` is given where it is worth trying again: in how many seconds.
    """

    type: str
    title: str
    status: int
    detail: str
    code: str
    param: str | None
    request_id: str
    retry_after: int | msgspec.UnsetType = msgspec.UNSET

    @property
    def headers(self) -> list[tuple[str, str]]:
        more = HEADERS_OF_CODE.get(self.code) or HEADERS_OF_STATUS.get(self.status, {})
        if self.retry_after is not msgspec.UNSET:
            more = {**more, "retry-after": str(self.retry_after)}
        return [("content-type", MEDIA_TYPE), *more.items()]


def respond(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Litestar's exception handler for everything."""
    problem = problem_of(error, request.scope)
    allow = {k: v for k, v in (getattr(error, "headers", None) or {}).items() if k == "allow"}
    return Response(encode(problem), status_code=problem.status, headers={**dict(problem.headers), **allow})


async def send(error: Exception, scope: Scope, send: Send) -> None:
    """The same, where no framework is at hand."""
    problem = problem_of(error, scope)
    headers = [(name.encode(), value.encode()) for name, value in problem.headers]
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": encode(problem), "more_body": False})


def problem_of(error: Exception, scope: Scope) -> Problem:
    request_id = scope["state"].get("request_id", "")
    refusal = _refusal(error, scope)
    if refusal is None:
        log.error("unexpected", request_id=request_id, exc_info=error)
        return _problem(500, "internal_error", "Something failed on our side.", None, request_id)
    status = STATUS_OF_CODE.get(refusal.code) or _status_of_kind(refusal)
    problem = _problem(status, refusal.code, refusal.detail, refusal.param, request_id)
    if isinstance(refusal, TooMany):
        return msgspec.structs.replace(problem, retry_after=refusal.retry_after)
    return problem


def _problem(status: int, code: str, detail: str, param: str | None, request_id: str) -> Problem:
    return Problem(
        type=f"/docs/problems#{code}",
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        code=code,
        param=param,
        request_id=request_id,
    )


def _status_of_kind(refusal: DomainError) -> int:
    if isinstance(refusal, _Http):
        return refusal.status
    return next(status for kind, status in STATUS_OF_KIND.items() if isinstance(refusal, kind))


class _Http(DomainError):
    """A refusal by the framework: no such route, not this method."""

    def __init__(self, status: int) -> None:
        code = CODE_OF_STATUS.get(status, "request_invalid")
        super().__init__(code, f"{HTTPStatus(status).description or HTTPStatus(status).phrase}.")
        self.status = status


def _refusal(error: Exception, scope: Scope) -> DomainError | None:
    """What the caller is told, or None when it is our fault."""
    translate = next(fn for kind, fn in _TRANSLATIONS if isinstance(error, kind))
    return translate(error, scope)


def _as_it_is(error: Any, _: Scope) -> DomainError:
    assert isinstance(error, DomainError)
    return error


def _of_body(error: Any, __: Scope) -> DomainError:
    """msgspec says `Object missing required field `name` - at `$.customer``."""
    sentence, _, place = str(error).partition(" - at `$")
    path = place.rstrip("`").removeprefix(".")
    if field := re.search(r"(?:required|unknown) field `(.+)`", sentence):
        path = f"{path}.{field[1]}".removeprefix(".")
    return Invalid("body_invalid", f"{sentence}.", param=path or None)


def _of_parameters(error: Any, scope: Scope) -> DomainError:
    first = next(iter(error.extra or ()), None)
    if first is None:
        return Invalid("parameter_invalid", f"{error.detail.partition(' for path')[0]}.")
    name: str = first.get("key", "")
    in_path: dict[str, str] = scope["path_params"]
    if name in in_path:
        return not_found(name.removesuffix("_id").replace("_", " "), in_path[name])
    return Invalid("parameter_invalid", f"{first['message']}.", param=name)


def _of_framework(error: Any, _: Scope) -> DomainError | None:
    return _Http(error.status_code) if error.status_code < 500 else None


def _of_values(error: Any, __: Scope) -> DomainError | None:
    """A time that no calendar has once it is in UTC: only its use finds that out."""
    if "date value out of range" not in str(error):
        return None
    return Invalid("time_out_of_range", "A time lies between the years 1 and 9999, in UTC too.")


def busy() -> Unavailable:
    return Unavailable("busy", "The service is busy. Send the same request again in a moment.")


def _busy(_: Any, __: Scope) -> DomainError:
    return busy()


def _ours(_: Any, __: Scope) -> None:
    return None


_TRANSLATIONS: list[
    tuple[type[Exception] | tuple[type[Exception], ...], Callable[[Any, Scope], DomainError | None]]
] = [
    (DomainError, _as_it_is),
    (msgspec.ValidationError, _of_body),
    (ValidationException, _of_parameters),
    (HTTPException, _of_framework),
    ((asyncpg.DataError, OverflowError), _of_values),
    (_BUSY, _busy),
    (Exception, _ours),
]
