"""Money: whole minor units of one currency, shared out and rounded in one place."""

from fractions import Fraction
from math import floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.money import Currency, Money, allocate, round_half_up, total, zero
from tests.makers import EUR, euros

JPY = Currency("JPY")
KWD = Currency("KWD")

minors = st.integers(0, 10**13)
weights = st.lists(st.integers(0, 10**13), min_size=1, max_size=12).filter(any)


def shares(minor: int, weights: list[int]) -> list[int]:
    return [part.minor for part in allocate(euros(minor), weights)]


def test_money_adds_and_subtracts_in_minor_units() -> None:
    assert euros(29_00) + euros(99) - euros(30_00) == euros(-1)
    assert -euros(5) == euros(-5)
    assert total([euros(1), euros(2)], EUR) == euros(3)
    assert total([], EUR) == zero(EUR)


@pytest.mark.parametrize("operation", ["__add__", "__sub__", "__lt__", "__le__", "__gt__", "__ge__"])
def test_currencies_do_not_mix(operation: str) -> None:
    with pytest.raises(AssertionError, match="do not mix"):
        getattr(euros(1), operation)(Money(1, JPY))


def test_the_same_number_in_another_currency_is_not_equal() -> None:
    assert Money(1, EUR) != Money(1, JPY)


def test_only_nothing_is_false() -> None:
    assert not zero(EUR)
    assert euros(-1)


@pytest.mark.parametrize(
    ("money", "text"),
    [
        (euros(29_00), "29.00 EUR"),
        (euros(5), "0.05 EUR"),
        (euros(-5), "-0.05 EUR"),
        (Money(29, JPY), "29 JPY"),
        (Money(0, JPY), "0 JPY"),
        (Money(29_005, KWD), "29.005 KWD"),
        (Money(5, KWD), "0.005 KWD"),
    ],
)
def test_money_is_written_with_the_decimals_of_its_currency(money: Money, text: str) -> None:
    assert str(money) == text


@pytest.mark.parametrize("text", ["eur", "EURO", "XXX", "", "€", "EU\u0420"])
def test_a_currency_is_an_iso_4217_code(text: str) -> None:
    with pytest.raises(ValueError, match="ISO 4217"):
        Currency.parse(text)


@pytest.mark.parametrize(
    ("numerator", "denominator", "rounded"),
    [(5, 10, 1), (4, 10, 0), (15, 10, 2), (25, 10, 3), (-5, 10, 0), (-6, 10, -1), (1005, 10, 101), (0, 7, 0)],
)
def test_a_half_goes_up(numerator: int, denominator: int, rounded: int) -> None:
    assert round_half_up(numerator, denominator) == rounded


@given(st.integers(-(10**30), 10**30), st.integers(1, 10**20))
def test_rounding_is_exact_however_long_the_numbers(numerator: int, denominator: int) -> None:
    assert round_half_up(numerator, denominator) == floor(Fraction(numerator, denominator) + Fraction(1, 2))


def test_the_largest_remainder_gets_the_cent() -> None:
    assert shares(25_00, [100_00, 50_00, 30_00]) == [13_89, 6_94, 4_17]


def test_of_equal_remainders_the_first_gets_the_cent() -> None:
    assert shares(100, [1, 1, 1]) == [34, 33, 33]
    assert shares(101, [1, 1, 1]) == [34, 34, 33]
    assert shares(1, [0, 1, 1]) == [0, 1, 0]


def test_nothing_is_shared_out_even_where_there_is_nothing_to_share_it_over() -> None:
    assert shares(0, [0, 0]) == [0, 0]
    assert shares(0, []) == []


def test_something_cannot_be_shared_out_over_nothing() -> None:
    with pytest.raises(AssertionError, match="cannot be shared out"):
        allocate(euros(1), [0, 0])


@given(minors, weights)
def test_the_parts_add_back_to_the_whole(minor: int, weights: list[int]) -> None:
    assert sum(shares(minor, weights)) == minor


@given(minors, weights)
def test_a_part_is_less_than_a_cent_away_from_its_exact_share(minor: int, weights: list[int]) -> None:
    for part, weight in zip(shares(minor, weights), weights, strict=True):
        assert abs(part - Fraction(minor * weight, sum(weights))) < 1


@given(weights, st.data())
def test_what_is_taken_off_is_never_more_than_is_there(weights: list[int], data: st.DataObject) -> None:
    minor = data.draw(st.integers(0, sum(weights)))

    assert all(part <= weight for part, weight in zip(shares(minor, weights), weights, strict=True))


@given(minors, weights)
def test_a_line_of_nothing_gets_nothing(minor: int, weights: list[int]) -> None:
    assert all(part == 0 for part, weight in zip(shares(minor, weights), weights, strict=True) if not weight)
