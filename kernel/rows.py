"""Rows inside a row: what `ARRAY(SELECT ROW(…))` brings, so that one statement reads several tables.

asyncpg gives each as a tuple, in the order of its columns. What a `reader` read before in the same words is
not read again: the words are the key, so nothing that has changed is ever remembered.
"""

from collections.abc import Callable, Collection
from functools import lru_cache
from typing import Any, TypeAlias, TypeVar

import msgspec

from kernel.structs import load

S = TypeVar("S", bound=msgspec.Struct)
Inner: TypeAlias = tuple[Any, ...]

REMEMBERED = 4096


def named(columns: str) -> Callable[[Inner], dict[str, Any]]:
    """Reads tuples of these columns as rows. A jsonb column is selected as text."""
    in_order = columns.split()
    return lambda row: dict(zip(in_order, row, strict=True))


def reader(kind: type[S], columns: str, *, documents: Collection[str] = ()) -> Callable[[Inner], S]:
    """Reads tuples of these columns; `documents` are jsonb columns, selected as text."""
    names = columns.split()
    assert set(documents) <= set(names), "a document is one of the columns"

    @lru_cache(REMEMBERED)
    def read(row: Inner) -> S:
        values = dict(zip(names, row, strict=True))
        for name in documents:
            values[name] = None if values[name] is None else msgspec.json.decode(values[name])
        return load(values, kind)

    return read
