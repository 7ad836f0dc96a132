"""Encrypting what opens somebody else's house: AES-256-GCM, with keys that the database does not know.

Each secret is bound to its tenant and row, so that one that is copied to another cannot be read there. The
first key encrypts, all decrypt: a new one is put before the old, and the old taken away once nothing is left
that it encrypted.
"""

import hashlib
import hmac
import os
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from kernel.ids import Id, TenantId

_VERSION = b"\x01"
_NAME_BYTES = 8
_NONCE_BYTES = 12


class SecretLost(Exception):
    """No key that we have opens it: the row was tampered with, or the master key is not the one it was."""

    code = "secret_lost"


class Vault:
    def __init__(self, keys: Sequence[bytes]) -> None:
        assert all(len(key) == 32 for key in keys), "keys of 32 bytes, newest first"
        self._newest = _name(keys[0])
        self._keys = {_name(key): AESGCM(key) for key in keys}

    def __repr__(self) -> str:
        return f"Vault({len(self._keys)} keys)"

    def seal(self, secret: str, *, tenant: TenantId, row: Id) -> bytes:
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._keys[self._newest].encrypt(nonce, secret.encode(), _bound_to(tenant, row))
        return _VERSION + self._newest + nonce + sealed

    def open(self, sealed: bytes, *, tenant: TenantId, row: Id) -> str:
        """Raises SecretLost."""
        version, rest = sealed[:1], sealed[1:]
        name, rest = rest[:_NAME_BYTES], rest[_NAME_BYTES:]
        nonce, ciphertext = rest[:_NONCE_BYTES], rest[_NONCE_BYTES:]
        key = self._keys.get(name)
        if version != _VERSION or key is None:
            raise SecretLost
        try:
            return key.decrypt(nonce, ciphertext, _bound_to(tenant, row)).decode()
        except InvalidTag:
            raise SecretLost from None

    def is_newest(self, sealed: bytes) -> bool:
        """Whether it is encrypted by the key that encrypts today."""
        return sealed[1 : 1 + _NAME_BYTES] == self._newest


def _name(key: bytes) -> bytes:
    """What tells keys apart, and nothing of the key."""
    return hmac.digest(key, b"name of the key", hashlib.sha256)[:_NAME_BYTES]


def _bound_to(tenant: TenantId, row: Id) -> bytes:
    return f"{tenant} {row}".encode()
