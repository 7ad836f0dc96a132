"""The keyed hash under which the console keeps and signs things: a stolen table opens nothing."""

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64encode


class Keyed:
    """One key, many uses. A `use` sets them apart: a hash for one is worth nothing for another."""

    def __init__(self, subkey: bytes) -> None:
        self._subkey = subkey

    def hash(self, use: str, text: str) -> bytes:
        return hmac.digest(self._subkey, f"{use}\0{text}".encode(), hashlib.sha256)

    def sign(self, use: str, text: str) -> str:
        return urlsafe_b64encode(self.hash(use, text)).decode().rstrip("=")

    def is_signed(self, use: str, text: str, signature: str) -> bool:
        return hmac.compare_digest(self.sign(use, text).encode(), signature.encode())


def chance() -> str:
    """256 bits as text for a cookie or an address."""
    return secrets.token_urlsafe(32)
