"""Ids are UUIDv7 behind a prefix: a plain uuid in the database, `cus_01j…` everywhere a person looks.

Each noun has a class of its own, so that one id cannot be taken for another. The text form is a TypeID:
the prefix, an underscore, and 128 bits in 26 characters of Crockford's base32.
"""

from datetime import UTC, datetime
from typing import ClassVar, Self
from uuid import UUID

import uuid_utils

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_VALUES = {character: value for value, character in enumerate(_ALPHABET)}
_PAIRS = [high + low for high in _ALPHABET for low in _ALPHABET]
_LENGTH = 26

KINDS: dict[str, type["Id"]] = {}


class Id:
    """Subclass it with `prefix=`. asyncpg reads `.bytes`; JSON and people read `str(id)`.

    Of what is `logged`, the events that name it can be read as its activity log.
    """

    __slots__ = ("bytes",)

    prefix: ClassVar[str]
    logged: ClassVar[bool]
    schema: ClassVar[dict[str, object]]

    def __init_subclass__(cls, *, prefix: str, logged: bool = False) -> None:
        assert prefix not in KINDS, f"two kinds of id begin with {prefix}_"
        KINDS[prefix] = cls
        cls.prefix = prefix
        cls.logged = logged
        cls.schema = {
            "type": "string",
            "pattern": f"^{prefix}_[0-7][{_ALPHABET}]{{25}}$",
            "examples": [f"{prefix}_01jd4w8m2kfzr9t7x3n5q6v8c1"],
        }

    def __init__(self, value: bytes) -> None:
        self.bytes = value

    @classmethod
    def new(cls) -> Self:
        return cls(uuid_utils.uuid7().bytes)

    @classmethod
    def of(cls, value: UUID) -> Self:
        return cls(value.bytes)

    @classmethod
    def parse(cls, text: str) -> Self:
        prefix, _, suffix = text.rpartition("_")
        wrong = len(suffix) != _LENGTH or suffix[0] > "7" or any(c not in _VALUES for c in suffix)
        if prefix != cls.prefix or wrong:
            raise ValueError(f"{text[:64]!r} is not an id of the form {cls.prefix}_…")
        number = 0
        for character in suffix:
            number = number << 5 | _VALUES[character]
        return cls(number.to_bytes(16, "big"))

    @classmethod
    def read(cls, key: "str | Id") -> Self | None:
        """The id that a key is, or None when the key is somebody's own reference."""
        if isinstance(key, cls):
            return key
        text = str(key)
        if not text.startswith(cls.prefix):
            return None
        try:
            return cls.parse(text)
        except ValueError:
            return None

    @property
    def uuid(self) -> UUID:
        return UUID(bytes=self.bytes)

    @classmethod
    def before(cls, at: datetime) -> Self:
        """Below every id that is made from that wall time on, and above those made before."""
        milliseconds = int(at.timestamp() * 1000)
        return cls(milliseconds.to_bytes(6, "big") + bytes(10))

    @property
    def made_at(self) -> datetime:
        """The wall time at which `new` made it, to the millisecond."""
        assert self.uuid.version == 7, "an id that was given holds no time"
        return datetime.fromtimestamp(int.from_bytes(self.bytes[:6], "big") / 1000, UTC)

    def __str__(self) -> str:
        number = int.from_bytes(self.bytes, "big")
        digits = [_PAIRS[number >> shift & 1023] for shift in range(120, -1, -10)]
        return f"{self.prefix}_{''.join(digits)}"

    def __repr__(self) -> str:
        return str(self)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.bytes == self.bytes

    def __lt__(self, other: Self) -> bool:
        return self.bytes < other.bytes

    def __hash__(self) -> int:
        return hash(self.bytes)


class TenantId(Id, prefix="ten"):
    """One SaaS product, live or test. Everything below it carries it."""


class EventId(Id, prefix="evt"):
    """Something that happened, in the outbox."""


class JobId(Id, prefix="job"):
    """One consequence of one event, or something due at a time."""
