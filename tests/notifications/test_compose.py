"""The words of a mail."""

from datetime import date

import pytest

from billing.parties.model import Language
from notifications.compose import Facts, compose
from notifications.model import Kind
from tests.makers import euros


def facts(about: str = "F2026-000001") -> Facts:
    return Facts(
        seller="Nuage Clair",
        about=about,
        amount=euros(1179_76),
        day=date(2026, 2, 1),
        terms="To be paid by 14 February 2026.",
    )


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize("kind", Kind)
def test_every_kind_has_its_words_in_every_language(kind: Kind, language: Language) -> None:
    text = compose(kind, facts(), language)

    assert "F2026-000001" in text.subject + text.body
    assert text.body.endswith("\n\nNuage Clair\n")
    assert not set("{}") & set(text.subject + text.body)
    assert 1 <= len(text.subject) <= 78


def test_a_french_mail_is_written_the_french_way() -> None:
    text = compose(Kind.REFUND_SUCCEEDED, facts("A2026-000001"), Language.FRENCH)

    assert text.subject == "Votre remboursement de 1 179,76 €"
    assert "remboursé 1\u202f179,76\u00a0€, au titre de votre avoir A2026-000001" in text.body


def test_an_english_mail_is_written_the_english_way() -> None:
    text = compose(Kind.SUBSCRIPTION_CANCELLED, facts("Pro"), Language.ENGLISH)

    assert text.subject == "Your subscription to Pro is cancelled"
    assert "with effect from 1 February 2026" in text.body


def test_an_invoice_of_nothing_says_nothing() -> None:
    nothing = Facts(seller="Nuage Clair", about="F2026-000001", amount=euros(0))

    assert "of €0.00" in compose(Kind.INVOICE_ISSUED, nothing, Language.ENGLISH).body


@pytest.mark.parametrize("about", ["{seller}", "{0}", "%s", "Pro {about.__class__}"])
def test_what_people_write_is_not_filled_in(about: str) -> None:
    text = compose(Kind.SUBSCRIPTION_CANCELLED, facts(about), Language.FRENCH)

    assert text.subject == f"Votre abonnement {about} est résilié"
    assert f"Votre abonnement {about} est résilié" in text.body


@pytest.mark.parametrize("line_break", ["\r\n", "\n", "\r", "\x85", "\u2028", "\u2029", "\x0b"])
def test_a_subject_is_one_line(line_break: str) -> None:
    text = compose(Kind.INVOICE_ISSUED, facts(f"F1{line_break}Bcc: evil@example.com"), Language.ENGLISH)

    assert text.subject == "Your invoice F1 Bcc: evil@example.com"
