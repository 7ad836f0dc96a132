"""Ids: 128 bits behind a prefix, one kind never taken for another."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.invoices.model import InvoiceId
from billing.parties.model import CustomerId
from kernel.ids import KINDS, Id
from kernel.text import Reference

LAST = "cus_7zzzzzzzzzzzzzzzzzzzzzzzzz"


@given(st.uuids())
def test_an_id_is_read_back_from_its_text(value: UUID) -> None:
    customer_id = CustomerId.of(value)

    assert CustomerId.parse(str(customer_id)) == customer_id
    assert customer_id.uuid == value


def test_the_text_keeps_the_order_of_time() -> None:
    ids = [CustomerId.new() for _ in range(100)]

    assert [str(each) for each in ids] == sorted(str(each) for each in ids)
    assert ids == sorted(ids)


def test_an_id_knows_when_it_was_made() -> None:
    before = datetime.now(UTC) - timedelta(milliseconds=1)

    assert before <= CustomerId.new().made_at <= datetime.now(UTC)


def test_the_first_and_the_last_id_are_read() -> None:
    assert CustomerId.parse("cus_" + "0" * 26).uuid == UUID(int=0)
    assert CustomerId.parse(LAST).uuid == UUID(int=2**128 - 1)


@pytest.mark.parametrize(
    "text",
    [
        LAST.replace("cus", "inv"),  # another kind
        LAST.replace("cus_", ""),  # no prefix
        LAST.replace("cus_", "cus-"),
        LAST.replace("_7", "_8"),  # 130 bits
        LAST.upper(),
        LAST.replace("7z", "7Z"),
        LAST[:-1] + "i",  # i l o u are not in the alphabet
        LAST[:-1] + "١",
        LAST[:-1],
        LAST + "z",
        LAST + "\n",
        " " + LAST,
        "cus_",
        "_",
        "",
    ],
)
def test_what_is_not_an_id_of_this_kind_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"not an id of the form cus_…"):
        CustomerId.parse(text)
    assert CustomerId.read(text) is None


def test_a_refusal_repeats_only_the_beginning_of_a_long_text() -> None:
    with pytest.raises(ValueError, match="not an id") as refused:
        CustomerId.parse("x" * 100_000)
    assert len(str(refused.value)) < 150


def test_two_kinds_of_the_same_bits_are_not_equal() -> None:
    customer_id = CustomerId.new()

    assert customer_id != InvoiceId(customer_id.bytes)
    assert customer_id == CustomerId(customer_id.bytes)
    assert len({customer_id, CustomerId(customer_id.bytes)}) == 1


def test_a_key_that_is_an_id_is_taken_as_it_is() -> None:
    customer_id = CustomerId.new()

    assert CustomerId.read(customer_id) is customer_id
    assert CustomerId.read(str(customer_id)) == customer_id


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())
def test_no_reference_can_be_taken_for_an_id(kind: type[Id]) -> None:
    with pytest.raises(ValueError, match="cannot look like one of our ids"):
        Reference.parse(str(kind.new()))
