"""What a browser sends: a form, small and plain, from a page of ours."""

from collections.abc import Mapping
from urllib.parse import parse_qsl, urlsplit

from litestar.types import Receive

from api import body as bodies
from api.console.access.model import Refused

MAX_BYTES = 64 * 1024
MAX_FIELDS = 300
MEDIA_TYPE = b"application/x-www-form-urlencoded"
ALLOWED_CONTROLS = "\t\r\n"

Headers = Mapping[bytes, bytes]


class Form:
    """Fields as they were sent. What is missing is empty. Printing it shows no value."""

    def __init__(self, fields: Mapping[str, list[str]]) -> None:
        self._fields = fields

    def text(self, name: str) -> str:
        return self._fields.get(name, [""])[0]

    def all(self, name: str) -> list[str]:
        return self._fields.get(name, [])

    def __repr__(self) -> str:
        return f"Form({', '.join(sorted(self._fields))})"


async def read(receive: Receive, headers: Headers, *, own_host: str) -> Form:
    """Refuse whatever no form of ours can have sent."""
    _check_headers(headers)
    _check_origin(headers, own_host)
    body = await bodies.read(receive, headers.items())
    if len(body) > MAX_BYTES:
        raise _too_large()
    return parse(body)


def parse(body: bytes) -> Form:
    fields: dict[str, list[str]] = {}
    for name, value in _pairs(body):
        if any(_is_control(character) for character in name + value):
            raise Refused(400, "This form holds characters that are no text.")
        fields.setdefault(name, []).append(value)
    return Form(fields)


def _pairs(body: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS)
    except UnicodeDecodeError:
        raise Refused(400, "This form is not written in UTF-8.") from None
    except ValueError:
        raise Refused(400, "This form has more fields than any of ours.") from None


def _is_control(character: str) -> bool:
    return (character < " " and character not in ALLOWED_CONTROLS) or character == "\x7f"


def _check_headers(headers: Headers) -> None:
    media_type = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if media_type != MEDIA_TYPE:
        raise Refused(415, "The console takes forms, sent by its own pages.")
    length = headers.get(b"content-length", b"0")
    if length.isdigit() and int(length) > MAX_BYTES:
        raise _too_large()


def _check_origin(headers: Headers, own_host: str) -> None:
    """A browser says where a form comes from, and no page can make it lie about that.

    We are who was asked, and who BASE_URL says: a proxy may have asked us by another name.
    """
    origin, site = headers.get(b"origin"), headers.get(b"sec-fetch-site")
    named = origin is not None or site is not None
    asked = headers.get(b"host", b"").decode("latin-1").lower()
    ours = origin is None or host_of(origin.decode("latin-1")) in (asked, own_host)
    if not (named and ours and site in (None, b"same-origin", b"none")):
        raise Refused(403, "This form was not sent by a page of the console. Open the console and try again.")


def host_of(url: str) -> str:
    """With its port, when it is named: `bill.example`, `127.0.0.1:8000`."""
    try:
        return urlsplit(url).netloc.lower()
    except ValueError:
        return ""


def _too_large() -> Refused:
    return Refused(413, "This form is longer than any of ours.")
