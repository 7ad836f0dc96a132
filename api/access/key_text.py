"""The text of an API key: `rk_test_` + public id + secret + checksum, all in A-Z a-z 0-9.

The form is fixed and ends in a CRC32 of the rest, so that a scanner recognises a leaked key and a
mistyped one is refused before any work. Only a keyed hash of the text is ever stored.
"""

import hashlib
import hmac
import re
import secrets
import string
import zlib

from api.access.model import Mode
from kernel.errors import Invalid
from kernel.structs import Value

_ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
_PUBLIC, _SECRET, _CHECKSUM = 12, 32, 6  # 32 characters of 62 are 190 bits of chance
_FORM = re.compile(
    rf"rk_(?:live|test)_([0-9A-Za-z]{{{_PUBLIC}}})[0-9A-Za-z]{{{_SECRET}}}"
    rf"([0-9A-Za-z]{{{_CHECKSUM}}})"
)


class KeyText(Value, frozen=True, kw_only=True):
    """A key as its holder has it. Printing it shows the public id only."""

    public_id: str
    text: str

    def __repr__(self) -> str:
        return f"KeyText({self.public_id})"


class Hasher:
    """The keyed hash under which keys are stored: a stolen table opens nothing."""

    def __init__(self, subkey: bytes) -> None:
        self._subkey = subkey

    def hash(self, key: KeyText) -> bytes:
        return hmac.digest(self._subkey, key.text.encode(), hashlib.sha256)

    def matches(self, key: KeyText, stored: bytes) -> bool:
        return hmac.compare_digest(self.hash(key), stored)


def mint(mode: Mode) -> KeyText:
    public_id = _chance(_PUBLIC)
    body = f"rk_{mode}_{public_id}{_chance(_SECRET)}"
    return KeyText(public_id=public_id, text=body + _checksum(body))


def parse(text: str) -> KeyText:
    match = _FORM.fullmatch(text)
    if match is None or match[2] != _checksum(text[:-_CHECKSUM]):
        raise Invalid(
            "key_malformed",
            "This is not an API key: it is mistyped or cut off. "
            "Send it whole, as Authorization: Bearer rk_live_… or rk_test_….",
        )
    return KeyText(public_id=match[1], text=text)


def _chance(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def _checksum(body: str) -> str:
    number, digits = zlib.crc32(body.encode()), ""
    for _ in range(_CHECKSUM):
        number, digit = divmod(number, len(_ALPHABET))
        digits = _ALPHABET[digit] + digits
    return digits
