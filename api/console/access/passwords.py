"""Passwords: which are good enough, and Argon2id.

Hashing takes 64 MiB and a noticeable moment, for a name that nobody has as well: how long an answer takes
does not tell who is an admin. It happens in a thread, two at a time.
"""

import asyncio
import re
import unicodedata

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from api.console.access.common import is_common
from api.console.access.model import Refused
from kernel.text import Email

SHORTEST = 12
LONGEST = 200
AT_ONCE = 2


class Passwords:
    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()  # the parameters of RFC 9106 for little memory
        self._nobodys = self._hasher.hash("the password of nobody")
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def hash(self, password: str) -> str:
        async with self._turns:
            return await asyncio.to_thread(self._hasher.hash, _bytes_of(password))

    async def match(self, kept: str | None, password: str) -> bool:
        """Never for a name without a password, and never faster for it."""
        async with self._turns:
            matches = await asyncio.to_thread(self._verify, kept or self._nobodys, _bytes_of(password))
        return matches and kept is not None

    def is_outdated(self, kept: str) -> bool:
        """Made with other parameters than today's."""
        return self._hasher.check_needs_rehash(kept)

    def _verify(self, kept: str, password: bytes) -> bool:
        try:
            return self._hasher.verify(kept, password)
        except (VerificationError, InvalidHashError):
            return False


def check(password: str, repeated: str, *, email: Email) -> None:
    """Length is what makes a password hard to guess. It must only not be guessed first."""
    if password != repeated:
        raise Refused(422, "The two passwords are not the same. Type the same one twice.")
    if not SHORTEST <= len(password) <= LONGEST:
        raise Refused(422, f"A password has {SHORTEST} to {LONGEST} characters. A short sentence works well.")
    if len(set(password.casefold())) < 5 or is_common(password, about=[email, *re.split(r"\W|_", email)]):
        raise Refused(422, "This password is guessed first. Choose one that says nothing about you.")


def _bytes_of(password: str) -> bytes:
    """The same on every keyboard; one that is too long to be anybody's is cut, not hashed at length."""
    return unicodedata.normalize("NFC", password[: LONGEST * 4]).encode()
