"""Amounts as Stripe counts them, and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.gateways.stripe_amounts import from_stripe, to_stripe
from kernel.money import Currency, Money


@given(st.integers(1, 10**9), st.sampled_from("EUR USD JPY KRW ISK UGX KWD TND MGA HUF TWD CLP".split()))
def test_what_can_be_sent_comes_back_the_same(minor: int, code: str) -> None:
    amount = Money(minor, Currency(code))
    units = to_stripe(amount)

    assert units is None or from_stripe(units, code.lower()) == amount
    assert units is not None or code in ("KWD", "TND", "MGA")


@pytest.mark.parametrize(
    ("code", "minor", "units"),
    [
        ("EUR", 29_00, 29_00),
        ("JPY", 500, 500),
        ("ISK", 5, 500),  # two decimals, which must be 00
        ("UGX", 5, 500),
        ("KWD", 5_120, 5_120),
        ("KWD", 5_124, None),  # the last of three decimals must be 0
        ("MGA", 500, 5),  # no decimals, where ISO has two
        ("MGA", 501, None),
    ],
)
def test_the_currencies_that_are_special(code: str, minor: int, units: int | None) -> None:
    assert to_stripe(Money(minor, Currency(code))) == units


def test_a_currency_or_a_part_of_a_unit_that_we_do_not_have_is_none() -> None:
    assert from_stripe(100, "xau") is None
    assert from_stripe(550, "isk") is None
