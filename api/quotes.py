"""A quote is our signed word, from a dry run, on what the real thing will do for a quarter of an hour.

It names the request, the time it was decided at and a digest of the answer. The real call decides at
that time again and must come to the same answer, or it does nothing.
"""

import binascii
import hashlib
import hmac
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import datetime, timedelta

import msgspec

from kernel.errors import Conflict, Invalid
from kernel.structs import Value, encode
from promotions.coupons.codes import MADE_UP

VALID = timedelta(minutes=15)
_MAC_BYTES = 32

# What a second run of the same decision writes differently.
_ID = re.compile(r"\b([a-z]+)_[0-7][0-9a-hjkmnp-tv-z]{25}\b")
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
_NUMBERS = re.compile(r"(.*_)?(number|public_id|hash)")


class Quote(Value, frozen=True, kw_only=True):
    fingerprint: bytes
    decided_at: datetime
    expires_at: datetime
    digest: bytes

    def check_for(self, fingerprint: bytes, *, now: datetime, wall: datetime) -> None:
        """`now` is the tenant's own time: a quote does not outlast it by a test clock either."""
        if self.fingerprint != fingerprint:
            raise Conflict("quote_stale", "This quote was given for another request.", param="If-Quote")
        if wall >= self.expires_at or now >= self.decided_at + VALID:
            raise Conflict("quote_stale", "This quote has expired. Ask again.", param="If-Quote")

    def check_answer(self, body: bytes) -> None:
        if not hmac.compare_digest(self.digest, digest(body)):
            raise stale()


class Signer:
    def __init__(self, subkey: bytes) -> None:
        self._subkey = subkey

    def sign(self, quote: Quote) -> str:
        content = encode(quote)
        return urlsafe_b64encode(self._mac(content) + content).decode().rstrip("=")

    def read(self, text: str) -> Quote:
        """The quote, if it is ours and whole."""
        try:
            raw = urlsafe_b64decode(text.encode("ascii") + b"==")
        except (ValueError, binascii.Error):
            raise _not_ours() from None
        if not hmac.compare_digest(raw[:_MAC_BYTES], self._mac(raw[_MAC_BYTES:])):
            raise _not_ours()
        return msgspec.json.decode(raw[_MAC_BYTES:], type=Quote)

    def _mac(self, content: bytes) -> bytes:
        return hmac.digest(self._subkey, content, hashlib.sha256)


def digest(body: bytes) -> bytes:
    """Of an answer, without its ids, numbers and timestamps, and codes that are made up."""
    value = msgspec.json.decode(body) if body else None
    return hashlib.sha256(msgspec.json.encode(_settled(value), order="sorted")).digest()


def stale() -> Conflict:
    return Conflict(
        "quote_stale",
        "What was quoted no longer holds, and nothing was done. Ask for a new quote.",
        param="If-Quote",
    )


def _settled(value: object) -> object:
    match value:
        case str():
            return MADE_UP.sub("code", _TIMESTAMP.sub("at", _ID.sub(r"\1", value)))
        case list():
            return [_settled(item) for item in value]
        case dict():
            return {
                name: None if _NUMBERS.fullmatch(name) else _settled(item) for name, item in value.items()
            }
    return value


def _not_ours() -> Invalid:
    return Invalid("quote_invalid", "This is not a quote that we gave.", param="If-Quote")
