"""Lists come newest first, a page at a time. Ids are in order of time: a page starts below one."""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from typing import Generic, TypeVar
from uuid import UUID

import msgspec

from kernel.errors import Invalid
from kernel.structs import Row, Value, load

T = TypeVar("T", bound=msgspec.Struct)

_TOP = UUID(int=2**128 - 1)  # above every id: the first page starts here


class Window(Value, frozen=True, kw_only=True):
    """Which page is asked for: `limit` rows whose id is below `before`.

    The statement reads `WHERE … AND id < $before ORDER BY id DESC LIMIT $rows`.
    """

    limit: int = 20
    before: UUID = _TOP

    @property
    def rows(self) -> int:
        """One more than will be shown, to know whether there is a next page."""
        return self.limit + 1


class Page(Value, Generic[T], frozen=True, kw_only=True):
    """`next_cursor` leads to the page after this one; null on the last."""

    data: list[T]
    next_cursor: str | None


def page_of(rows: Sequence[Row], kind: type[T], window: Window) -> Page[T]:
    """The rows of a statement in the form `Window` describes; each has its `id`."""
    return Page(
        data=[load(row, kind) for row in rows[: window.limit]],
        next_cursor=next_cursor(rows, window),
    )


def next_cursor(rows: Sequence[Row], window: Window) -> str | None:
    more = len(rows) > window.limit
    return _cursor(rows[window.limit - 1]["id"]) if more else None


def window(limit: int, cursor: str | None) -> Window:
    return Window(limit=limit, before=_TOP if cursor is None else _id_of(cursor))


def _cursor(last: UUID) -> str:
    return urlsafe_b64encode(last.bytes).decode().rstrip("=")


def _id_of(cursor: str) -> UUID:
    try:
        return UUID(bytes=urlsafe_b64decode(cursor.encode("ascii") + b"=="))
    except (ValueError, binascii.Error):
        raise Invalid(
            "cursor_invalid",
            "This cursor is not one that a list gave you. Start again without it.",
            param="cursor",
        ) from None
