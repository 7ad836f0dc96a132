"""How values cross the two borders: JSON on the wire, rows in the database.

A scalar is a class with `parse(text)` and `schema` (Money's Currency, Rate, every Id …). On the wire it
is a string; `from_wire` reads it strictly. In a row it is what PostgreSQL stores; `load` reads that.
"""

from collections.abc import Callable, Iterable
from functools import cache, partial
from typing import Any, Protocol, TypeVar, get_args
from uuid import UUID

import msgspec

from kernel.decimals import Measure, Rate, UnitPrice
from kernel.ids import Id
from kernel.money import Money

T = TypeVar("T")
S = TypeVar("S", bound=msgspec.Struct)


class Row(Protocol):
    """A record of asyncpg, which reads like a mapping and is none, or a dict."""

    def items(self) -> Iterable[tuple[str, Any]]: ...

    def __getitem__(self, key: str, /) -> Any: ...


class Value(msgspec.Struct, frozen=True, gc=False):
    """A noun; a change is a new value. Say `kw_only=True` again: msgspec does not inherit it.

    What cannot change cannot come to hold itself: the collector of cycles need not look at thousands of them.
    """


class Input(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a caller sends. A field we do not know is a mistake we tell them about."""


def sent_fields(change: msgspec.Struct) -> dict[str, Any]:
    """The fields of a PATCH that were sent: the others are UNSET."""
    fields = msgspec.structs.asdict(change)
    return {name: value for name, value in fields.items() if value is not msgspec.UNSET}


def to_wire(value: object) -> object:
    """msgspec's enc_hook: scalars become their text."""
    if _is_scalar(type(value)):  # type: ignore[arg-type]  # types are hashable
        return str(value)
    raise NotImplementedError(f"{type(value).__name__} has no form on the wire")


@cache
def _is_scalar(kind: type) -> bool:
    return issubclass(kind, str | Id | Rate | Measure | UnitPrice)


def from_wire(kind: type, raw: object) -> object:
    """msgspec's dec_hook for JSON from outside: only text becomes a scalar."""
    parse = getattr(kind, "parse", None)
    assert parse is not None, f"{kind.__name__} cannot be read from the wire"
    if not isinstance(raw, str):
        raise ValueError(f"Expected a string, got {type(raw).__name__}")
    return parse(raw)


def encode(value: object) -> bytes:
    return msgspec.json.encode(value, enc_hook=to_wire)


def decode(raw: bytes, kind: type[T]) -> T:
    return msgspec.json.decode(raw, type=kind, dec_hook=from_wire)


def load(row: Row, kind: type[S], **more: object) -> S:
    """A row as a struct: `total_minor` beside `currency` is the Money field `total`."""
    values: dict[str, object] = {**dict(row.items()), **more}
    for name in _money_fields(kind):
        minor = values.pop(f"{name}_minor")
        values[name] = None if minor is None else {"minor": minor, "currency": values["currency"]}
    return msgspec.convert(values, kind, dec_hook=_from_row)


def _from_row(kind: type, raw: object) -> object:
    read: Callable[[object], object] = _reader(kind, type(raw))  # type: ignore[arg-type]
    return read(raw)


@cache
def _reader(kind: type[Any], raw: type[Any]) -> Callable[[Any], object]:
    """What was checked on its way in is not checked again on its way out."""
    if issubclass(raw, kind):
        return lambda value: value
    if issubclass(raw, UUID) and issubclass(kind, Id):
        return kind.of
    if issubclass(raw, str) and not issubclass(kind, str):
        return partial(from_wire, kind)  # inside JSON everything is text
    return kind  # Decimal columns to Measure and UnitPrice, integer columns to Rate


@cache
def _money_fields(kind: type[msgspec.Struct]) -> tuple[str, ...]:
    return tuple(
        field.name
        for field in msgspec.structs.fields(kind)
        if field.type is Money or Money in get_args(field.type)
    )
