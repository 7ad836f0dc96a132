"""What a body must be before anything reads it: I-JSON (RFC 7493), small, flat and plain.

The framework takes more than PostgreSQL can store or a billing system should guess at: any content
type, duplicate keys, NaN, escaped NUL, lone surrogates, a hundred thousand levels of nesting.
"""

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator
from typing import NoReturn, cast

from litestar.types import HTTPReceiveMessage, Receive

from kernel.errors import Invalid

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 32
MAX_INTEGER = 2**53 - 1
_JSON = re.compile(rb"application/json\s*(;[\x20-\x7e]*)?", re.IGNORECASE)
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_SURROGATE = re.compile("[\ud800-\udfff]")
_BRACKET = re.compile(rb"[\[{\]}]")

Headers = Iterable[tuple[bytes, bytes]]


class Disconnected(Exception):
    """The client went away before its request was whole."""


async def read(receive: Receive, headers: Headers) -> bytes:
    """Collect the body, no further than it may be long."""
    announced = next((value for name, value in headers if name == b"content-length"), b"0")
    if announced.isdigit() and int(announced) > MAX_BYTES:
        _too_large()
    body, more = bytearray(), True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise Disconnected
        body += message["body"]
        more = message["more_body"]
        if len(body) > MAX_BYTES:
            _too_large()
    return bytes(body)


def replayed(body: bytes, rest: Receive) -> Receive:
    """The body for whoever reads next; after it, what the connection says."""
    told = False

    async def receive() -> HTTPReceiveMessage:
        nonlocal told
        if told:
            return cast(HTTPReceiveMessage, await rest())
        told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


def check(body: bytes, headers: Headers, *, expected: bool) -> None:
    """Refuse what is not I-JSON, and any body where none is read. None at all is never wrong."""
    if not body:
        return
    if not expected and body != b"{}":
        raise Invalid("body_unexpected", "This operation takes no body.")
    _check_headers(dict(headers))
    text = _text_of(body)
    _check_depth(body)
    value = _parse(text)
    if "\\u" in text:
        _check_characters(value)


def _check_headers(headers: dict[bytes, bytes]) -> None:
    if not _JSON.fullmatch(headers.get(b"content-type", b"")):
        raise Invalid(
            "content_type_unsupported",
            "Send the body as JSON, with Content-Type: application/json.",
            param="Content-Type",
        )
    if headers.get(b"content-encoding", b"identity").strip().lower() != b"identity":
        raise Invalid(
            "body_encoded",
            "Send the body as it is, without a Content-Encoding.",
            param="Content-Encoding",
        )


def _text_of(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise Invalid("body_not_utf8", f"Byte {error.start} of the body is not UTF-8.") from None


def _check_depth(body: bytes) -> None:
    if body.count(b"[") + body.count(b"{") <= MAX_DEPTH:
        return
    depth = 0
    for bracket in _BRACKET.findall(_STRING.sub(b"", body)):
        depth += 1 if bracket in b"[{" else -1
        if depth > MAX_DEPTH:
            raise Invalid("body_too_deep", f"The body is nested more than {MAX_DEPTH} levels deep.")


def _parse(text: str) -> object:
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise Invalid("body_not_json", f"The body is not JSON: {error}.") from None


def _check_characters(value: object) -> None:
    """Only escapes bring these in: a bare control character is no JSON, a surrogate no UTF-8."""
    if any("\0" in text or _SURROGATE.search(text) for text in _strings(value)):
        raise Invalid("body_unprintable", "A string in the body holds NUL or half a character.")


def _strings(value: object) -> Iterator[str]:
    left = [value]
    while left:
        match left.pop():
            case str(text):
                yield text
            case list(items):
                left.extend(items)
            case dict(members):
                left.extend(members)
                left.extend(members.values())


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise Invalid("body_duplicate_key", f"The key {twice[:64]!r} stands twice in one object.")
    return members


def _integer(digits: str) -> int:
    if len(digits) > 17 or abs(int(digits)) > MAX_INTEGER:
        _out_of_range(digits)
    return int(digits)


def _float(digits: str) -> float:
    if len(digits) > 40 or not math.isfinite(float(digits)):
        _out_of_range(digits)
    return float(digits)


def _out_of_range(digits: str) -> NoReturn:
    raise Invalid(
        "body_number_out_of_range",
        f"The number {digits[:20]} is beyond what JSON numbers carry exactly.",
    )


def _constant(name: str) -> NoReturn:
    raise Invalid("body_not_json", f"The body is not JSON: {name} is not a number.")


def _too_large() -> NoReturn:
    raise Invalid("body_too_large", f"The body is longer than {MAX_BYTES} bytes.")


_hooks: dict[str, Callable[..., object]] = {
    "object_pairs_hook": _object,
    "parse_int": _integer,
    "parse_float": _float,
    "parse_constant": _constant,
}
_DECODER = json.JSONDecoder(**_hooks)  # type: ignore[arg-type]  # a dict of them has no types
