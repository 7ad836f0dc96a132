"""What is read of an event, and that no body whatever breaks it."""

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.errors import Invalid
from webhooks.model import ObjectKind
from webhooks.stripe_events import EVENTS, read


def an_event(type_: str = "refund.updated", **more: Any) -> bytes:
    event = {
        "id": "evt_1",
        "object": "event",
        "type": type_,
        "created": 1_767_268_800,
        "data": {"object": {"id": "re_1", "object": "refund", "amount": 12_00}},
        **more,
    }
    return json.dumps(event).encode()


def test_an_event_says_which_object_to_look_at() -> None:
    told = read(an_event())
    assert (told.reference, told.kind, told.object_reference) == ("evt_1", ObjectKind.REFUND, "re_1")
    assert told.happened_at == datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize("type_", EVENTS)
def test_every_event_that_is_followed_is_of_a_kind(type_: str) -> None:
    assert read(an_event(type_)).kind is EVENTS[type_]


def test_an_event_that_nothing_follows_from_is_read_whatever_it_is_about() -> None:
    told = read(an_event("balance.available", data={"object": {"object": "balance"}}))
    assert told.kind is None


UNREADABLE = {
    "nothing": b"",
    "no JSON": b"{",
    "a list": b"[]",
    "a string": b'"evt_1"',
    "null": b"null",
    "a number": b"1e999",
    "bad UTF-8": an_event().replace(b"evt_1", b"\xff\xfe"),
    "half a character": an_event().replace(b"evt_1", b"\\ud800"),
    "NUL in an id": an_event(id="evt\0"),
    "a line after an id": an_event(id="evt_1\n"),
    "an id that is a number": an_event(id=1),
    "an id of a thousand characters": an_event(id="e" * 1000),
    "no id": an_event(id=None),
    "no type": an_event(type=None),
    "no object": an_event(data={}),
    "an object without an id": an_event(data={"object": {"object": "refund"}}),
    "no time": an_event(created=None),
    "a time before time": an_event(created=-1),
    "a time that no calendar has": an_event(created=10**15),
    "a time of many digits": an_event().replace(b"1767268800", b"9" * 400),
    "two hundred thousand levels": b"[" * 200_000,
    "levels in an unknown field": an_event(x=0)[:-1] + b',"y":' + b'{"a":' * 200_000 + b"}",
}


@pytest.mark.parametrize("body", UNREADABLE.values(), ids=UNREADABLE)
def test_a_signed_body_that_is_no_event_is_refused(body: bytes) -> None:
    with pytest.raises(Invalid) as refused:
        read(body)
    assert refused.value.code == "provider_event_unreadable"


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(st.binary() | _json.map(msgspec.json.encode))
def test_whatever_comes_is_read_or_refused(body: bytes) -> None:
    with pytest.raises(Invalid):
        read(body)


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(("id", "type", "created", "data"), _json)))
def test_whatever_stands_in_an_event_it_is_read_or_refused(fields: dict[str, Any]) -> None:
    body = json.dumps({**json.loads(an_event()), **fields}).encode()
    try:
        told = read(body)
    except Invalid:
        return
    assert told.reference
    assert "\0" not in told.reference + told.object_reference + told.type
