"""Values across the two borders: strictly read from the wire, and as they stand in a row."""

from datetime import UTC, datetime
from decimal import Decimal

import msgspec
import pytest

from billing.invoices.model import NewDraft, NewLine
from billing.parties.model import CustomerId
from kernel.decimals import Quantity, Rate, UnitPrice
from kernel.ids import Id
from kernel.money import Currency, Money
from kernel.structs import Input, Value, decode, encode, load, sent_fields
from kernel.text import Name
from tests.makers import EUR, euros


class Sale(Value, frozen=True, kw_only=True):
    id: CustomerId
    currency: Currency
    price: Money
    paid: Money | None
    rate: Rate
    quantity: Quantity
    at: datetime


class Change(Input, frozen=True, kw_only=True):
    name: Name | msgspec.UnsetType = msgspec.UNSET
    note: Name | msgspec.UnsetType | None = msgspec.UNSET


def a_row(**columns: object) -> dict[str, object]:
    return {
        "id": CustomerId.new().uuid,
        "currency": "EUR",
        "price_minor": 29_00,
        "paid_minor": None,
        "rate": 55_000,
        "quantity": Decimal("1.500000"),
        "at": datetime(2026, 1, 1, tzinfo=UTC),
        **columns,
    }


def test_a_row_is_loaded_as_a_struct() -> None:
    sale = load(a_row(), Sale)

    assert (sale.price, sale.paid) == (euros(29_00), None)
    assert (str(sale.rate), str(sale.quantity)) == ("5.5", "1.5")
    assert isinstance(sale.id, CustomerId)
    assert isinstance(sale.currency, Currency)


def test_columns_that_the_struct_does_not_have_are_left_out() -> None:
    assert load(a_row(tenant_id=CustomerId.new().uuid), Sale).price == euros(29_00)


def test_a_column_that_is_missing_is_an_error() -> None:
    row = a_row()
    del row["rate"]
    with pytest.raises(msgspec.ValidationError, match="rate"):
        load(row, Sale)


def test_what_is_written_on_the_wire_is_read_from_it() -> None:
    sale = load(a_row(paid_minor=1), Sale)

    assert decode(encode(sale), Sale) == sale
    assert msgspec.json.decode(encode(sale))["price"] == {"minor": 29_00, "currency": "EUR"}


@pytest.mark.parametrize(
    ("kind", "raw"),
    [
        (Rate, b"5.5"),
        (Rate, b"20"),
        (Quantity, b"3"),
        (UnitPrice, b"29.9"),
        (UnitPrice, b"true"),
        (Currency, b"null"),
        (CustomerId, b"42"),
    ],
)
def test_a_scalar_on_the_wire_is_a_string(kind: type[Rate | Quantity | UnitPrice | Id], raw: bytes) -> None:
    with pytest.raises(msgspec.ValidationError, match="Expected"):
        decode(raw, kind)


@pytest.mark.parametrize("minor", [b"1.5", b'"100"', b"10000000000001", b"-10000000000001", b"1e30", b"true"])
def test_an_amount_on_the_wire_is_an_integer_within_bounds(minor: bytes) -> None:
    with pytest.raises(msgspec.ValidationError):
        decode(b'{"minor":' + minor + b',"currency":"EUR"}', Money)


def test_a_field_that_is_not_known_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="unknown field `colour`"):
        decode(b'{"name":"x","colour":"red"}', Change)


def test_a_refusal_says_where() -> None:
    body = b'{"customer":"c","currency":"EUR","lines":[{"description":"x","unit_price":"NaN"}]}'
    with pytest.raises(msgspec.ValidationError, match=r"\$\.lines\[0\]\.unit_price"):
        decode(body, NewDraft)


def test_a_patch_knows_what_was_sent() -> None:
    assert sent_fields(decode(b"{}", Change)) == {}
    assert sent_fields(decode(b'{"note":null}', Change)) == {"note": None}


def test_a_value_does_not_change() -> None:
    line = NewLine(description=Name("x"), unit_price=UnitPrice("1"))
    with pytest.raises(AttributeError, match="immutable"):
        line.quantity = Quantity(2)  # type: ignore[misc]


def test_an_unknown_currency_is_refused() -> None:
    assert decode(b'"EUR"', Currency) == EUR
    with pytest.raises(msgspec.ValidationError, match="ISO 4217"):
        decode(b'"EUX"', Currency)
