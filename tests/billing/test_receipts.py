"""The receipt of an invoice (facture acquittée): its page, with what settled it, day by day."""

from datetime import UTC, date, datetime

import pytest
from msgspec.structs import replace

from billing.documents import page, render
from billing.documents.receipt import receipt_of
from billing.invoices import store as invoices
from billing.invoices.model import Invoice
from billing.parties.model import Language
from billing.payments.model import Means, NewPayment, OutsideMeans
from billing.payments.record import record_payment
from billing.settlement.apply import apply_note
from billing.settlement.model import Receipt, SettlementId
from kernel.database import Tx
from kernel.errors import Conflict
from kernel.text import Name
from tests.billing.test_documents import an_english_customer, pages_of
from tests.makers import EUR, NOON, a_line, an_invoice, euros
from tests.shop import a_credit, a_payment, a_shop, an_issued_invoice, at

LATER = datetime(2026, 3, 9, 12, tzinfo=UTC)


def money(minor: int, day: date, means: Means, reference: str | None = None) -> Receipt:
    return Receipt(
        id=SettlementId.new(),
        amount=euros(minor),
        currency=EUR,
        settled_at=NOON,
        received_on=day,
        means=means,
        reference=reference,
        number=None,
    )


def a_note(minor: int, at: datetime) -> Receipt:
    card = money(minor, at.date(), Means.CARD)
    return replace(card, received_on=None, means=None, number="A2026-000009", settled_at=at)


def text_of(invoice: Invoice, *receipts: Receipt) -> str:
    return " ".join(pages_of(render.receipt_pdf(invoice, receipts)))


def test_a_french_receipt_says_what_came_when_and_that_nothing_is_left() -> None:
    text = text_of(
        an_invoice(),
        a_note(29_76, datetime(2026, 2, 1, 23, 30, tzinfo=UTC)),
        money(100_00, date(2026, 1, 20), Means.TRANSFER, "VIR 2026-01"),
        money(50_00, date(2026, 2, 10), Means.PROVIDER),
    )

    for words in (
        "Facture acquittée F2026-000001",
        "Total TTC 179,76 €",
        "Reste à payer 0,00 €",
        "Cette facture a été entièrement réglée le 10 février 2026.",
        "Date Règlement Montant 20 janvier 2026 Virement · VIR 2026-01 100,00 € 2 février 2026",
        "2 février 2026 Avoir A2026-000009 29,76 € 10 février 2026",
        "10 février 2026 Moyen de paiement enregistré 50,00 €",
    ):
        assert words in text
    assert "IBAN" not in text
    assert "À régler" not in text


def test_an_english_receipt_says_it_in_english() -> None:
    invoice = an_invoice(customer=an_english_customer())
    text = text_of(invoice, money(invoice.total.minor, date(2026, 2, 10), Means.CHECK, "n° 12"))

    for words in (
        "Paid invoice F2026-000001",
        "Left to pay €0.00",
        "This invoice was paid in full on 10 February 2026.",
        "Date Settled by Amount 10 February 2026 Check · n° 12",
    ):
        assert words in text


@pytest.mark.parametrize("language", list(Language))
@pytest.mark.parametrize("means", list(Means))
def test_there_is_a_word_for_every_means(means: Means, language: Language) -> None:
    invoice = replace(an_invoice(), language=language)
    receipt = page.of_receipt(invoice, [money(179_76, date(2026, 2, 10), means)])

    assert receipt.received is not None
    assert receipt.received.rows[0].cells[0]


async def test_everything_that_settles_it_is_on_it_and_what_was_taken_back_is_not(tx: Tx) -> None:
    customer = await a_shop(tx)
    invoice = await an_issued_invoice(tx, customer, [a_line(price="100.00")])
    credited = await an_issued_invoice(tx, customer, [a_line(price="20.00")])
    await a_payment(tx, credited)
    note = await a_credit(tx, credited)
    await apply_note(tx, note, invoice, euros(24_00))
    await a_credit(tx, invoice, *[])  # what is due is taken off, and the older note gets its own back
    invoice = await invoices.get(tx, invoice.id)

    (said,) = pages_of(await receipt_of(tx, invoice))

    assert "Avoir A2026-000002 120,00 €" in said
    assert note.number not in said


async def test_money_is_on_the_day_it_came(tx: Tx) -> None:
    invoice = await an_issued_invoice(tx, await a_shop(tx), [a_line(price="100.00")])
    earlier = NewPayment(
        means=OutsideMeans.TRANSFER, received_on=NOON.date(), reference=Name("VIR 7"), amount=euros(20_00)
    )
    await record_payment(at(tx, LATER), invoice.id, earlier)
    await record_payment(at(tx, LATER), invoice.id, NewPayment(means=OutsideMeans.CASH))

    (said,) = pages_of(await receipt_of(tx, await invoices.get(tx, invoice.id)))

    assert "Virement · VIR 7 20,00 €" in said
    assert said.index("Virement · VIR 7") < said.index("9 mars 2026 Espèces 100,00 €")


async def test_what_is_not_settled_has_no_receipt_yet(tx: Tx) -> None:
    invoice = await an_issued_invoice(tx, await a_shop(tx))
    await a_payment(tx, invoice, 1_00)

    with pytest.raises(Conflict) as refusal:
        await receipt_of(tx, await invoices.get(tx, invoice.id))

    assert refusal.value.code == "invoice_not_settled"


def test_an_invoice_of_nothing_needs_no_table() -> None:
    nothing = an_invoice([a_line(price="0.00")])

    assert page.of_receipt(nothing, []).received is None
    assert "Reste à payer 0,00 €" in text_of(nothing)
