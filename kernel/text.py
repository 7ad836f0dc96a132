"""Text that people give us, made safe to print on a document, put in a mail header and search for."""

import re
import unicodedata
from typing import ClassVar, Self

from babel import Locale
from email_validator import EmailNotValidError, validate_email

_NOT_COUNTRIES = {"EU", "EZ", "UN", "QO", "XA", "XB", "ZZ"}
_TERRITORIES = frozenset(c for c in map(str, Locale("en").territories) if re.fullmatch("[A-Z]{2}", c))
_COUNTRIES = _TERRITORIES - _NOT_COUNTRIES
# Control characters, both line separators and private characters have no place in a line of text, nor has
# what turns the direction of the text that follows. Joiners have: emoji and many scripts need them.
_UNPRINTABLE = frozenset({"Cc", "Cs", "Co", "Zl", "Zp"})
_TURNING = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})


def _clean(text: str, *, longest: int, what: str, lines: bool = False) -> str:
    cleaned = unicodedata.normalize("NFC", text).strip()
    if not cleaned or len(cleaned) > longest:
        raise ValueError(f"{what} has between 1 and {longest} characters")
    allowed = "\n" if lines else ""
    if not all(c in allowed or _is_printable(c) for c in cleaned):
        raise ValueError(f"{what} has no control characters or line breaks in it")
    if all(unicodedata.category(c) == "Cf" for c in cleaned):
        raise ValueError(f"{what} has something in it that can be seen")
    return cleaned


def _is_printable(character: str) -> bool:
    """Characters that this Python does not know yet are: emoji come every year."""
    code = ord(character)
    is_noncharacter = code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF
    return not (
        is_noncharacter
        or unicodedata.category(character) in _UNPRINTABLE
        or unicodedata.bidirectional(character) in _TURNING
    )


LONGEST_NAME = 200


class Name(str):
    """One line of text, 1 to 200 characters."""

    __slots__ = ()
    schema: ClassVar[dict[str, object]] = {"type": "string", "minLength": 1, "maxLength": LONGEST_NAME}

    @classmethod
    def parse(cls, text: str) -> Self:
        return cls(_clean(text, longest=LONGEST_NAME, what="This text"))


class Note(str):
    """Some lines of text, 1 to 2000 characters."""

    __slots__ = ()
    schema: ClassVar[dict[str, object]] = {"type": "string", "minLength": 1, "maxLength": 2000}

    @classmethod
    def parse(cls, text: str) -> Self:
        return cls(_clean(text.replace("\r\n", "\n"), longest=2000, what="This text", lines=True))


class Reference(str):
    """The caller's own name for a thing, unique per kind: `user-42`, `WELCOME-2026`."""

    __slots__ = ()
    schema: ClassVar[dict[str, object]] = {
        "type": "string",
        "pattern": r"^[A-Za-z0-9][A-Za-z0-9._:@+/-]{0,99}$",
        "examples": ["user-42"],
        "description": "Your own name for it. It works wherever our id does.",
    }

    @classmethod
    def parse(cls, text: str) -> Self:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._:@+/\-]{0,99}", text):
            raise ValueError(
                "A reference has 1 to 100 characters of A-Z a-z 0-9 . _ : @ + / - "
                "and begins with a letter or digit"
            )
        if re.fullmatch(r"[a-z]{2,8}_[0-7][0-9a-hjkmnp-tv-z]{25}", text):
            raise ValueError("A reference cannot look like one of our ids")
        return cls(text)


class Email(str):
    """An e-mail address whose form is right; whether anybody reads it is not our business."""

    __slots__ = ()
    schema: ClassVar[dict[str, object]] = {"type": "string", "format": "email", "maxLength": 254}

    @classmethod
    def parse(cls, text: str) -> Self:
        try:
            checked = validate_email(text, check_deliverability=False, test_environment=True)
        except EmailNotValidError as error:
            raise ValueError(f"This is not an e-mail address: {error}") from None
        return cls(checked.normalized)


class Country(str):
    """ISO 3166-1 alpha-2, `FR`."""

    __slots__ = ()
    schema: ClassVar[dict[str, object]] = {
        "type": "string",
        "pattern": "^[A-Z]{2}$",
        "examples": ["FR"],
    }

    @classmethod
    def parse(cls, text: str) -> Self:
        if text not in _COUNTRIES:
            raise ValueError(f"{text[:10]!r} is not an ISO 3166 country code such as FR")
        return cls(text)
