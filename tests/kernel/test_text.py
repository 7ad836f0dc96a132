"""Text from people: printable on a document, harmless in a mail header."""

import pytest

from kernel.text import Country, Email, Name, Note, Reference


@pytest.mark.parametrize(
    "text",
    [
        "Atelier Bœuf & Cœur",
        "日本語 株式会社",
        "شركة المثال",
        "חברת דוגמה",
        "O’Brien – “Sons” <Ltd>",
        "👩‍👩‍👧 Family",  # joined by U+200D
        "نیم‌فاصله",  # joined by U+200C
        "\U0001fae8",  # newer than the tables of Python 3.11
        "x" * 200,
    ],
)
def test_a_name_is_kept_in_every_script(text: str) -> None:
    assert Name.parse(text) == text


def test_a_name_is_trimmed_and_written_in_one_way() -> None:
    assert Name.parse("  Cafe\u0301\u00a0") == "Café"


@pytest.mark.parametrize("text", ["", "   ", "\u00a0", "x" * 201])
def test_a_name_has_a_length(text: str) -> None:
    with pytest.raises(ValueError, match="between 1 and 200 characters"):
        Name.parse(text)


@pytest.mark.parametrize(
    "character",
    [
        "\x00",
        "\t",
        "\n",
        "\r",
        "\x1b",
        "\x7f",
        "\x85",  # next line
        "\u2028",
        "\u2029",
        "\ud800",  # half of a pair
        "\ue000",  # private use
        "\uffff",
        "\ufdd0",
        "\u202e",  # turns what follows round
        "\u2066",
    ],
)
def test_a_name_has_nothing_in_it_that_is_not_text(character: str) -> None:
    with pytest.raises(ValueError, match="no control characters"):
        Name.parse(f"a{character}b")


@pytest.mark.parametrize("text", ["\u200b", "\ufeff\u200d"])
def test_a_name_can_be_seen(text: str) -> None:
    with pytest.raises(ValueError, match="can be seen"):
        Name.parse(text)


def test_a_note_may_have_several_lines() -> None:
    assert Note.parse("first\r\nsecond\n") == "first\nsecond"
    with pytest.raises(ValueError, match="no control characters"):
        Note.parse("a\u2028b")
    with pytest.raises(ValueError, match="between 1 and 2000"):
        Note.parse("x" * 2001)


@pytest.mark.parametrize("text", ["user-42", "WELCOME-2026", "a", "a" * 100, "a.b_c:d@e+f/g-h", "cus_42"])
def test_a_reference_is_the_callers_own_name(text: str) -> None:
    assert Reference.parse(text) == text


@pytest.mark.parametrize(
    "text", ["", "a" * 101, "-a", ".a", "a b", "a\n", "é", "a?b", "a#b", "a%20b", "１", "a\x00"]
)
def test_a_reference_can_stand_in_an_address(text: str) -> None:
    with pytest.raises(ValueError, match="A reference has 1 to 100 characters"):
        Reference.parse(text)


def test_a_reference_does_not_look_like_an_id() -> None:
    with pytest.raises(ValueError, match="cannot look like one of our ids"):
        Reference.parse("cus_01jd4w8m2kfzr9t7x3n5q6v8c1")


@pytest.mark.parametrize(
    "text", ["", "a", "a@", "@a.fr", "a@b", "a b@c.fr", "a@c.fr\n", "a@c.fr\r\nBcc: x@y.fr", "a@@c.fr"]
)
def test_what_cannot_be_an_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not an e-mail address"):
        Email.parse(text)


def test_the_domain_of_an_address_is_written_in_lower_case() -> None:
    assert Email.parse("Compta@Atelier.EXAMPLE") == "Compta@atelier.example"


@pytest.mark.parametrize("text", ["fr", "FRA", "EU", "XX", "ZZ", "", "F", "F\u0420"])
def test_a_country_is_an_iso_3166_code(text: str) -> None:
    with pytest.raises(ValueError, match="ISO 3166"):
        Country.parse(text)
    assert Country.parse("FR") == "FR"
