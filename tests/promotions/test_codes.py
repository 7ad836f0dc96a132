"""Codes: nobody can guess one, and however it is typed it is the same."""

from collections import Counter
from math import log2

import pytest

from promotions.coupons import codes
from promotions.coupons.codes import ALPHABET, MADE_UP, Code, Prefix, made_up, normal


@pytest.mark.parametrize(
    "typed",
    [
        "SUMMER26",
        "summer26",
        " Summer 26 ",
        "SUMMER-26",
        "SUM–MER\N{NON-BREAKING HYPHEN}26",
        "".join(chr(ord(c) + 0xFEE0) for c in "SUMMER26"),
    ],
)
def test_a_code_is_the_same_however_it_is_typed(typed: str) -> None:
    assert normal(typed) == "SUMMER26"


@pytest.mark.parametrize("other", ["SUMMER27", "SUMMER_26", "SUMMER26!", "SUMMERZ6", ""])
def test_another_code_is_another(other: str) -> None:
    assert normal(other) != "SUMMER26"


def test_nobody_can_guess_a_code() -> None:
    assert codes.LENGTH * log2(len(ALPHABET)) >= 60
    assert len(set(made_up(10_000))) == 10_000


def test_every_character_is_as_likely_as_any() -> None:
    """By chance one of them is off by six standard deviations once in millions of runs."""
    counted = Counter("".join(made_up(20_000)).replace("-", ""))
    expected = 20_000 * codes.LENGTH / len(ALPHABET)

    assert counted.keys() == set(ALPHABET)
    assert all(abs(count - expected) < 6 * expected**0.5 for count in counted.values())


def test_no_character_is_taken_for_another_and_no_word_comes_about() -> None:
    assert set("AEIOU01L").isdisjoint(ALPHABET)


def test_a_code_that_is_made_up_is_read_as_such() -> None:
    plain, (prefixed,) = made_up(3), made_up(1, Prefix.parse("Spring"))

    assert all(MADE_UP.fullmatch(code) for code in plain)
    assert prefixed.startswith("Spring-")
    assert Code.parse(prefixed) == prefixed
    assert not MADE_UP.search("SUMMER26")


@pytest.mark.parametrize("text", ["A-B", "-SUMMER", "SUMMER_26", "ÉTÉ26", "A" * 41, "cpn_01", "=1+1", ""])
def test_what_is_no_code_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="code"):
        Code.parse(text)


@pytest.mark.parametrize("text", ["", "SPRING-", "A" * 21, "É"])
def test_what_is_no_prefix_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="prefix"):
        Prefix.parse(text)
