"""Paging: newest first, every row once, whatever is added meanwhile."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.errors import Invalid
from kernel.ids import EventId
from kernel.paging import Page, Window, page_of, window
from kernel.structs import Row, Value


class Item(Value, frozen=True, kw_only=True):
    id: EventId


def rows_below(ids: list[EventId], asked: Window) -> list[Row]:
    """What `WHERE id < $before ORDER BY id DESC LIMIT $rows` finds."""
    found = [{"id": each.uuid} for each in sorted(ids, reverse=True) if each.uuid < asked.before]
    return list(found[: asked.rows])


def page(ids: list[EventId], limit: int, cursor: str | None) -> Page[Item]:
    asked = window(limit, cursor)
    return page_of(rows_below(ids, asked), Item, asked)


@given(st.integers(0, 12), st.integers(1, 5))
def test_the_pages_hold_every_row_once_newest_first(count: int, limit: int) -> None:
    ids = [EventId.new() for _ in range(count)]
    seen: list[EventId] = []
    cursor: str | None = None
    while True:
        shown = page(ids, limit, cursor)
        seen += [item.id for item in shown.data]
        ids.append(EventId.new())  # what comes meanwhile is above
        cursor = shown.next_cursor
        if cursor is None:
            break

    assert seen == sorted(ids[:count], reverse=True)


def test_the_last_page_leads_nowhere() -> None:
    ids = [EventId.new() for _ in range(2)]

    assert page(ids, 2, None).next_cursor is None
    assert page(ids, 1, None).next_cursor is not None


@pytest.mark.parametrize("cursor", ["", "x", "é", "A" * 21, "A" * 23, "A" * 1000, "=" * 22, "????????"])
def test_a_cursor_that_no_list_gave_is_refused(cursor: str) -> None:
    with pytest.raises(Invalid) as refused:
        window(20, cursor)
    assert refused.value.code == "cursor_invalid"
