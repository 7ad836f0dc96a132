"""How codes are written, read and made up. Pure.

People type codes from a poster, a mail, a voice on the phone: case, spaces and hyphens of any kind do not
matter. A code that is made up has 15 characters out of 28, 72 bits, and can be neither guessed nor misread.
"""

import re
import secrets
import unicodedata
from typing import ClassVar, Self

# No vowels, so that no word comes about, and of what looks alike at most one: no I, L and 1, no O and 0.
ALPHABET = "BCDFGHJKMNPQRSTVWXYZ23456789"
GROUPS, GROUP = 3, 5
LENGTH = GROUPS * GROUP
MADE_UP = re.compile(rf"\b[{ALPHABET}]{{{GROUP}}}(-[{ALPHABET}]{{{GROUP}}}){{{GROUPS - 1}}}\b")
LONGEST = 40
LONGEST_PREFIX = 20

# Of a random byte, the remainder by 28; the last four would make some characters likelier than others.
_CHARACTER_OF = bytes(ord(ALPHABET[byte % len(ALPHABET)]) for byte in range(256))
_UNFAIR = bytes(range(256 - 256 % len(ALPHABET), 256))
_IGNORED = frozenset({"Zs", "Pd", "Cf"})  # spaces, hyphens and dashes, and what cannot be seen


class Code(str):
    """A code of your own, as you want it shown."""

    __slots__ = ()
    schema: ClassVar[dict[str, object]] = {
        "type": "string",
        "pattern": "^[A-Za-z0-9][A-Za-z0-9 -]*$",
        "minLength": 3,
        "maxLength": LONGEST,
        "examples": ["SUMMER26"],
        "description": "Case, spaces and hyphens do not matter when it is used.",
    }

    @classmethod
    def parse(cls, text: str) -> Self:
        shown = text.strip()
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9 \-]*", shown) or not 3 <= len(normal(shown)) <= LONGEST:
            raise ValueError(
                f"A code has 3 to {LONGEST} letters and digits, and spaces or hyphens in between"
            )
        if len(shown) > LONGEST:
            raise ValueError(f"A code has at most {LONGEST} characters")
        return cls(shown)


class Prefix(str):
    """What codes that are made up begin with."""

    __slots__ = ()
    schema: ClassVar[dict[str, object]] = {
        "type": "string",
        "pattern": f"^[A-Za-z0-9]{{1,{LONGEST_PREFIX}}}$",
        "examples": ["SPRING"],
    }

    @classmethod
    def parse(cls, text: str) -> Self:
        if not re.fullmatch(rf"[A-Za-z0-9]{{1,{LONGEST_PREFIX}}}", text):
            raise ValueError(f"A prefix has 1 to {LONGEST_PREFIX} letters and digits")
        return cls(text)


def normal(text: str) -> str:
    """Two codes with the same one are the same code. Of any text; it may be nobody's code."""
    upper = unicodedata.normalize("NFKC", text).upper()
    return "".join(c for c in upper if unicodedata.category(c) not in _IGNORED)


def made_up(count: int, prefix: Prefix | None = None) -> list[Code]:
    """So many, that nobody can guess. That none is there already is for the database to say."""
    characters = _characters(count * LENGTH)
    groups = (characters[at : at + GROUP] for at in range(0, len(characters), GROUP))
    begins = (prefix,) if prefix else ()
    return [Code("-".join((*begins, *each))) for each in zip(*[groups] * GROUPS, strict=True)]


def _characters(count: int) -> str:
    drawn = b""
    while len(drawn) < count:
        drawn += secrets.token_bytes(count - len(drawn) + 64).translate(_CHARACTER_OF, _UNFAIR)
    return drawn[:count].decode("ascii")
