"""Exact decimals: what is read, what is refused, and how a line's amount is rounded once."""

from decimal import Decimal
from fractions import Fraction
from math import floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.decimals import Quantity, Rate, UnitPrice
from kernel.money import Currency, Money
from tests.makers import EUR, euros

NOT_PLAIN = [
    "",
    " 1",
    "1 ",
    "1\n",
    "+1",
    "-1",
    ".5",
    "5.",
    "1,5",
    "1_000",
    "1e5",
    "1E5",
    "NaN",
    "Infinity",
    "0x10",
    "١",
    "１",
    "1.٥",
    "²",
    "1.0.0",
    "0" * 14,
]


@pytest.mark.parametrize("kind", [Rate, Quantity, UnitPrice])
@pytest.mark.parametrize("text", NOT_PLAIN)
def test_only_plain_ascii_digits_are_read(kind: type[Rate | Quantity | UnitPrice], text: str) -> None:
    with pytest.raises(ValueError, match="plain digits"):
        kind.parse(text)


@pytest.mark.parametrize(
    ("text", "ppm"),
    [("20", 200_000), ("5.5", 55_000), ("0", 0), ("100", 1_000_000), ("0.0001", 1), ("2.1000", 21_000)],
)
def test_a_rate_is_in_parts_per_million(text: str, ppm: int) -> None:
    assert Rate.parse(text) == ppm


@pytest.mark.parametrize("text", ["100.0001", "101", "999", "0.00001", "0020"])
def test_a_rate_is_a_percentage_with_four_decimals(text: str) -> None:
    with pytest.raises(ValueError, match="rate"):
        Rate.parse(text)


@pytest.mark.parametrize("text", ["1000000.000001", "1000001", "0.0000001", "00000001"])
def test_a_quantity_goes_up_to_a_million_with_six_decimals(text: str) -> None:
    with pytest.raises(ValueError, match="quantity"):
        Quantity.parse(text)


def test_a_unit_price_has_at_most_twelve_decimals() -> None:
    assert UnitPrice.parse("0.000000000001") == Decimal("0.000000000001")
    with pytest.raises(ValueError, match="12 after"):
        UnitPrice.parse("0.0000000000001")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Rate.parse("20"), "20"),
        (Rate.parse("5.50"), "5.5"),
        (Rate.parse("0.0001"), "0.0001"),
        (Rate.parse("0"), "0"),
        (Quantity.parse("3"), "3"),
        (Quantity.parse("1000000"), "1000000"),
        (Quantity.parse("1.50"), "1.5"),
        (Quantity(Decimal("3.000000")), "3"),
        (Quantity(Decimal("0.000001")), "0.000001"),
        (UnitPrice.parse("29"), "29.00"),
        (UnitPrice.parse("9.9"), "9.90"),
        (UnitPrice(Decimal("29.000000000000")), "29.00"),
        (UnitPrice(Decimal("1E+3")), "1000.00"),
        (UnitPrice.parse("0.0045"), "0.0045"),
    ],
)
def test_a_decimal_is_written_in_one_way_wherever_it_comes_from(
    value: Rate | Quantity | UnitPrice, text: str
) -> None:
    assert str(value) == text


@given(st.integers(0, 1_000_000))
def test_a_rate_reads_what_it_writes(ppm: int) -> None:
    assert Rate.parse(str(Rate(ppm))) == ppm


@given(st.integers(0, 10**12))
def test_a_quantity_reads_what_it_writes(micro: int) -> None:
    quantity = Quantity(Decimal(micro).scaleb(-6))

    assert Quantity.parse(str(quantity)) == quantity
    assert quantity.micro == micro


@given(st.integers(0, 10**25 - 1))
def test_a_unit_price_reads_what_it_writes(pico: int) -> None:
    price = UnitPrice(Decimal(pico).scaleb(-12))

    assert UnitPrice.parse(str(price)) == price


@pytest.mark.parametrize(
    ("rate", "amount", "share"),
    [("20", 139_00, 27_80), ("5.5", 43_06, 2_37), ("50", 1, 1), ("49.9999", 1, 0), ("0", 10**13, 0)],
)
def test_a_share_is_rounded_half_up(rate: str, amount: int, share: int) -> None:
    assert Rate.parse(rate).of(euros(amount)) == euros(share)


@pytest.mark.parametrize(
    ("price", "quantity", "currency", "minor"),
    [
        ("1.005", "1", "EUR", 1_01),
        ("1.004999999999", "1", "EUR", 1_00),
        ("2.675", "1", "EUR", 2_68),
        ("0.000000000001", "1000000", "EUR", 0),
        ("0.005", "1", "EUR", 1),
        ("0.0045", "3", "EUR", 1),
        ("10.00", "3", "EUR", 30_00),
        ("0.333333333333", "3", "EUR", 1_00),
        ("29.00", "0.5", "JPY", 15),
        ("29.00", "1", "JPY", 29),
        ("1.0005", "1", "KWD", 1_001),
        ("9999999999999", "1000000", "EUR", 999_999_999_999_900_000_000),
    ],
)
def test_a_line_is_rounded_half_up_once(price: str, quantity: str, currency: str, minor: int) -> None:
    amount = UnitPrice.parse(price).times(Quantity.parse(quantity), Currency(currency))

    assert amount == Money(minor, Currency(currency))


@given(
    st.integers(0, 10**25 - 1), st.integers(0, 10**12), st.sampled_from([("JPY", 0), ("EUR", 2), ("KWD", 3)])
)
def test_a_line_is_exact_up_to_its_one_rounding(pico: int, micro: int, currency: tuple[str, int]) -> None:
    code, exponent = currency
    price = UnitPrice(Decimal(pico).scaleb(-12))
    quantity = Quantity(Decimal(micro).scaleb(-6))

    exact = Fraction(pico, 10**12) * Fraction(micro, 10**6) * 10**exponent

    assert price.times(quantity, Currency(code)).minor == floor(exact + Fraction(1, 2))


def test_the_smallest_quantity_of_a_price_counts() -> None:
    assert UnitPrice.parse("10000").times(Quantity.parse("0.000001"), EUR) == euros(1)
