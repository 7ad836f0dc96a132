"""The page of an invoice and of a credit note, read back from the PDF."""

import re
from datetime import UTC, date, datetime
from pathlib import Path

import asyncpg
import pypdfium2  # type: ignore[import-untyped]
import pytest
from msgspec.structs import replace

from billing.credit_notes.model import CreditNote, Destination, Reason, Rebate
from billing.deposits.rules import deduction_of
from billing.documents import keep, page, render
from billing.documents.words import ENGLISH, FRENCH, Words
from billing.invoices.model import (
    Collection,
    DocumentKind,
    DocumentReference,
    Invoice,
    InvoiceKind,
    Status,
)
from billing.parties.model import Customer, Language, VatDue
from billing.settlement.model import Deduction
from billing.tax.model import Category, TaxBehavior, TaxGroup
from kernel.database import Pool, transaction
from kernel.decimals import Quantity, Rate
from kernel.ids import TenantId
from kernel.money import Currency
from kernel.periods import Period
from kernel.text import Name, Reference
from tests import shop
from tests.makers import (
    NOON,
    REVERSE_CHARGE,
    a_credit_line,
    a_credit_note,
    a_customer,
    a_line,
    a_seller,
    an_address,
    an_invoice,
    euros,
    vat,
    with_discount,
)

LATE_PAYMENT = ("pénalités", "indemnité forfaitaire", "interest", "recovery indemnity")


def an_english_customer() -> Customer:
    return a_customer(
        name=Name("Hartley & Sons Ltd"),
        language=Language.ENGLISH,
        address=an_address("221B Baker Street", "NW1 6XE", "London", "GB"),
        vat_number="GB123456789",
    )


def pages_of(pdf: bytes) -> list[str]:
    """The text of each page, every run of spaces written as one."""
    document = pypdfium2.PdfDocument(pdf)
    try:
        return [_plain(page.get_textpage().get_text_bounded()) for page in document]
    finally:
        document.close()


def _plain(text: str) -> str:
    unbroken = text.replace("\u200b", "").replace("\ufffe\r\n", "-").replace("\ufffe", "-")
    return re.sub(r"\s+", " ", unbroken)


def text_of(document: Invoice | CreditNote) -> str:
    return " ".join(pages_of(render.pdf(document)))


def test_a_french_invoice_carries_every_mention() -> None:
    customer = a_customer(vat_number="FR83404833048")

    text = text_of(an_invoice(customer=customer, note="Bon de commande BC-118"))

    for mention in (
        "Facture F2026-000001",
        "Date d’émission 15 janvier 2026 Échéance 14 février 2026",
        "Date de la prestation 1er janv. 2026 – 31 janv. 2026 Devise EUR",
        "Nuage Clair 8 quai de la Fosse 44000 Nantes France",
        "SAS au capital de 10 000 € SIREN 303265045 RCS Nantes 303 265 045 N° TVA FR40303265045",
        "Atelier Bœuf & Cœur 12 rue des Lilas 75011 Paris France N° TVA FR83404833048",
        "Désignation Quantité Prix unit. HT Remise HT TVA Montant HT",
        "Abonnement Pro 1er janv. 2026 – 31 janv. 2026 Bienvenue : −13,89",
        "1 100,00 −13,89 20,00 % 86,11",
        "3 10,00 −4,17 20,00 % 25,83",
        "1 50,00 −6,94 5,50 % 43,06",
        "20,00 % 111,94 22,39",
        "5,50 % 43,06 2,37",
        "Total HT 155,00 €",
        "Total TVA 24,76 €",
        "Total TTC 179,76 €",
        "Net à payer 179,76 €",
        "À régler au plus tard le 14 février 2026.",
        "IBAN FR76 3000 6000 0112 3456 7890 189 BIC AGRIFRPP Référence à rappeler F2026-000001",
        "Bon de commande BC-118",
        "Nature des opérations : prestations de services.",
        "TVA acquittée sur les encaissements.",
        "pénalités au taux de refinancement de la BCE majoré de 10 points",
        "indemnité forfaitaire pour frais de recouvrement de 40 €",
        "L441-10 et D441-5",
        "Escompte pour paiement anticipé : néant.",
        "Page 1/1",
    ):
        assert mention in text


def test_a_buyers_siren_stands_under_their_address() -> None:
    customer = replace(a_customer(vat_number="FR83404833048"), siren="404833048")

    for document in (an_invoice(customer=customer), a_credit_note(an_invoice(customer=customer))):
        assert "75011 Paris France SIREN 404833048 N° TVA FR83404833048" in text_of(document)


def test_an_english_invoice_carries_every_mention() -> None:
    text = text_of(an_invoice(customer=an_english_customer()))

    for mention in (
        "Invoice F2026-000001",
        "Issue date 15 January 2026 Due date 14 February 2026",
        "Date of supply 1 Jan 2026 – 31 Jan 2026 Currency EUR",
        "SAS with a share capital of 10 000 € SIREN 303265045 RCS Nantes 303 265 045 VAT no. FR40303265045",
        "Hartley & Sons Ltd 221B Baker Street NW1 6XE London United Kingdom VAT no. GB123456789",
        "Description Quantity Unit price Discount VAT Net amount",
        "Bienvenue: −13.89",
        "1 100.00 −13.89 20.00 % 86.11",
        "20.00 % 111.94 22.39",
        "Total excl. VAT €155.00",
        "Total VAT €24.76",
        "Total incl. VAT €179.76",
        "Amount due €179.76",
        "To be paid by 14 February 2026.",
        "Nature of the transactions: supply of services.",
        "VAT due on receipt of payment",
        "ECB refinancing rate plus 10 percentage points",
        "fixed recovery indemnity of €40",
        "No discount for early payment.",
    ):
        assert mention in text


def test_a_french_credit_note_carries_every_mention() -> None:
    invoice = an_invoice()
    seats = a_credit_line(invoice.lines[2], euros(8_61), quantity=Quantity(1))
    lines = [a_credit_line(invoice.lines[0], euros(43_06)), seats]

    text = text_of(a_credit_note(invoice, lines, reason_text="Départ d’un collaborateur"))

    for mention in (
        "Facture d’avoir A2026-000001",
        "Date d’émission 20 janvier 2026 Facture d’origine F2026-000001 du 15 janvier 2026",
        "Motif Résiliation Devise EUR",
        "Motif : Départ d’un collaborateur",
        "SAS au capital de 10 000 € SIREN 303265045 RCS Nantes 303 265 045 N° TVA FR40303265045",
        "Atelier Bœuf & Cœur 12 rue des Lilas 75011 Paris France",
        "Désignation Quantité TVA Montant HT crédité",
        "Abonnement Pro 1er janv. 2026 – 31 janv. 2026 20,00 % 43,06",
        "Postes supplémentaires 1er janv. 2026 – 31 janv. 2026 1 20,00 % 8,61",
        "20,00 % 51,67 10,33",
        "Total HT 51,67 €",
        "Total TVA 10,33 €",
        "Total TTC 62,00 €",
        "Net à votre crédit 62,00 €",
        "Remboursement",
        "remboursés sur votre moyen de paiement d’origine",
        "TVA acquittée sur les encaissements.",
        "votre déduction est à réduire de la TVA de cet avoir (CGI art. 272-1)",
    ):
        assert mention in text


def test_an_english_credit_note_carries_every_mention() -> None:
    text = text_of(a_credit_note(an_invoice(customer=an_english_customer())))

    for mention in (
        "Credit note A2026-000001",
        "Issue date 20 January 2026 Original invoice F2026-000001 of 15 January 2026",
        "Reason Cancellation Currency EUR",
        "Description VAT Net credited",
        "Total incl. VAT €179.76",
        "Net to credit €179.76",
        "Refund",
        "refunded to your original means of payment",
        "your deduction is to be reduced by the VAT of this credit note",
    ):
        assert mention in text


def test_a_gross_invoice_prints_its_prices_with_vat_and_its_sums_net_too() -> None:
    text = text_of(an_invoice(tax_behavior=TaxBehavior.INCLUSIVE))

    for mention in (
        "Désignation Quantité Prix unit. TTC Remise TTC TVA Montant HT Montant TTC",
        "1 100,00 −13,89 20,00 % 71,76 86,11",
        "1 50,00 −6,94 5,50 % 40,82 43,06",
        "3 10,00 −4,17 20,00 % 21,52 25,83",
        "5,50 % 40,82 2,24",
        "20,00 % 93,28 18,66",
        "Total HT 134,10 € Total TVA 20,90 € Total TTC 155,00 € Net à payer 155,00 €",
        "Les prix et les remises s’entendent toutes taxes comprises.",
    ):
        assert mention in text
    english = text_of(an_invoice(customer=an_english_customer(), tax_behavior=TaxBehavior.INCLUSIVE))
    assert "Unit price incl. VAT Discount incl. VAT VAT Net amount Amount incl. VAT" in english
    assert "Prices and discounts include VAT." in english


def test_a_credit_note_on_a_gross_invoice_says_what_it_credits_with_vat_and_without() -> None:
    text = text_of(a_credit_note(an_invoice(tax_behavior=TaxBehavior.INCLUSIVE)))

    assert "Désignation TVA Montant HT crédité Montant TTC crédité" in text
    assert "20,00 % 71,76 86,11" in text
    assert "Total HT 134,10 € Total TVA 20,90 € Total TTC 155,00 € Net à votre crédit 155,00 €" in text


def test_who_is_charged_no_vat_reads_net_prices() -> None:
    lines = [replace(line, tax=REVERSE_CHARGE, waived=line.tax) for line in (a_line(price="29.00"),)]

    text = text_of(an_invoice(lines, tax_behavior=TaxBehavior.INCLUSIVE))

    assert "Désignation Quantité Prix unit. HT TVA Montant HT" in text
    assert "1 24,17 0,00 % 24,17" in text
    assert "toutes taxes comprises" not in text


@pytest.mark.parametrize("customer", [a_customer(), an_english_customer()], ids=["fr", "en"])
def test_a_credit_note_neither_duns_nor_asks_for_money(customer: Customer) -> None:
    text = text_of(a_credit_note(an_invoice(customer=customer)))

    assert not [mention for mention in (*LATE_PAYMENT, "IBAN", "Échéance", "Due date") if mention in text]
    assert "−" not in text


@pytest.mark.parametrize("words", [FRENCH, ENGLISH], ids=["fr", "en"])
def test_there_are_words_for_everything_we_can_have_to_say(words: Words) -> None:
    assert set(words.reasons) == set(Reason)
    assert set(words.mentions) == set(Category)
    assert set(words.vat_due) == set(VatDue)
    assert set(words.prices) == set(TaxBehavior)


def test_a_credit_note_says_where_each_part_of_it_goes() -> None:
    one = euros(1_00)
    nothing = euros(0)
    ways = {"to_invoice": nothing, "to_provider": nothing, "by_hand": nothing, "to_balance": nothing}

    def said(way: str, day: date | None = None) -> str:
        destination = Destination(**{**ways, way: one})
        return text_of(a_credit_note(destination=destination, refund_on=day))

    assert "1,00 € viennent en déduction de la facture F2026-000001" in said("to_invoice")
    assert "1,00 € sont remboursés sur votre moyen de paiement d’origine." in said("to_provider")
    later = said("to_provider", date(2026, 3, 1))
    assert "1,00 € seront remboursés le 1er mars 2026 sur votre moyen de paiement" in later
    assert "1,00 € vous sont remboursés par virement" in said("by_hand")
    assert "1,00 € restent à votre crédit" in said("to_balance")
    assert "virement" not in said("to_provider")


def test_a_reason_may_be_as_long_as_it_takes() -> None:
    paragraphs = [f"Paragraphe {n}, une panne longuement racontée." for n in range(40)]

    text = text_of(a_credit_note(reason=Reason.OTHER, reason_text="\n".join(paragraphs)))

    assert "Motif Autre Devise EUR" in text
    assert "Motif : Paragraphe 0," in text
    assert all(paragraph in text for paragraph in paragraphs)


def a_rebate(language: Language = Language.FRENCH, *, invoices: int = 2, carried: int = 0) -> CreditNote:
    """140.00 of 390.00 earned, by two invoices or more."""
    note = a_credit_note(an_invoice(language=language))
    source = note.sources[0]
    return replace(
        note,
        reason=Reason.REBATE,
        invoice_id=None,
        invoice_number=None,
        invoice_issued_on=None,
        sources=(source, replace(source, number="F2026-000002", issued_on=date(2026, 3, 1))),
        rebate=Rebate(
            contract_id="rbc_01jd4w8m2kfzr9t7x3n5q6v8c1",
            reference=Reference("RFA-2026"),
            name=Name("Ristourne annuelle"),
            starts_on=date(2026, 1, 1),
            ends_on=date(2027, 1, 1),
            marginal=False,
            volume=euros(3800_00),
            quantity=None,
            rate=Rate.parse("30"),
            earned=euros(390_00),
            settled_before=euros(250_00),
            carried=euros(carried),
            invoices=invoices,
            lines=invoices,
        ),
    )


def test_a_rebate_names_its_contract_its_period_and_its_invoices_and_says_why() -> None:
    text = text_of(a_rebate())

    assert "Contrat RFA-2026 Période 1er janv. 2026 – 31 déc. 2026 Motif Ristourne" in text
    assert "Facture F2026-000001 du 15 janvier 2026" in text
    assert "Facture F2026-000002 du 1er mars 2026" in text
    assert "Chiffre d’affaires de la période : 3 800,00 € HT." in text
    assert "Palier atteint : 30,00 %, sur tout le volume." in text
    assert "Ristourne acquise : 390,00 €, dont 250,00 € déjà accordés." in text
    assert "Facture d’origine" not in text


def test_what_earlier_periods_had_too_much_is_said() -> None:
    english = text_of(a_rebate(Language.ENGLISH, carried=-12_00))
    assert "of which €250.00 has been given before, less €12.00 given too much for earlier" in english


def test_very_many_invoices_are_counted_per_rate_of_vat() -> None:
    text = text_of(a_rebate(Language.ENGLISH, invoices=12_345))

    assert "12,345 invoices issued from 1 January 2026 to 31 December 2026 VAT 5.50 %" in text
    assert "F2026-000001" not in text


def test_a_corrected_invoice_names_what_it_replaces_and_what_took_that_back() -> None:
    replaced = DocumentReference(
        kind=DocumentKind.INVOICE, id="inv", number="F2026-000007", issued_on=date(2026, 3, 2)
    )
    note = replace(replaced, kind=DocumentKind.CREDIT_NOTE, number="A2026-000003")
    corrected = an_invoice(kind=InvoiceKind.CORRECTED, references=(replaced, note))

    text = text_of(corrected)

    assert "Facture rectificative F2026-000001" in text
    assert "Annule et remplace la facture F2026-000007 du 2 mars 2026" in text
    assert "Annulée par l’avoir A2026-000003 du 2 mars 2026" in text


def test_a_seller_who_opted_for_debits_says_so() -> None:
    text = text_of(an_invoice(vat_due=VatDue.ON_INVOICE))

    assert "Option pour le paiement de la taxe d’après les débits" in text
    assert "encaissements" not in text


def test_a_zero_rate_says_why() -> None:
    franchise = TaxGroup(Category.EXEMPT, Rate(0), "TVA non applicable, art. 293 B du CGI")
    lines = [a_line(), a_line("Conseil", tax=REVERSE_CHARGE), a_line("Cours", tax=franchise)]

    text = text_of(an_invoice(lines))

    assert "0,00 % 100,00 0,00 Autoliquidation, art. 283-2 du CGI" in text
    assert "0,00 % 100,00 0,00 TVA non applicable, art. 293 B du CGI" in text


def test_reverse_charge_is_named_in_the_language_of_the_document() -> None:
    text = text_of(an_invoice([a_line(tax=REVERSE_CHARGE)], customer=an_english_customer()))

    assert "Reverse charge – Autoliquidation, art. 283-2 du CGI" in text
    assert "VAT due on" not in text


def test_french_law_is_not_quoted_for_a_seller_elsewhere() -> None:
    seller = a_seller(address=an_address("1 rue du Marché", "1204", "Genève", "CH"))

    text = text_of(an_invoice(seller=seller))

    assert not [mention for mention in (*LATE_PAYMENT, "Escompte", "encaissements") if mention in text]


def test_who_is_charged_is_not_told_where_to_send_the_money() -> None:
    text = text_of(an_invoice(collection=Collection.AUTOMATIC))

    assert "prélevé sur votre moyen de paiement" in text
    assert "IBAN" not in text


def test_an_invoice_of_nothing_asks_for_nothing() -> None:
    text = text_of(an_invoice(with_discount([a_line()], 100_00)))

    assert "Net à payer 0,00 €" in text
    assert "Rien à payer" in text
    assert not [mention for mention in (*LATE_PAYMENT, "IBAN") if mention in text]


def test_what_a_note_paid_at_issue_is_deducted() -> None:
    deducted = [
        Deduction(number="A2026-000001", amount=euros(60_00)),
        Deduction(number="A2026-000002", amount=euros(19_76)),
    ]
    text = " ".join(pages_of(render.invoice_pdf(an_invoice(), deducted)))
    assert "Avoir A2026-000001 déduit −60,00 €" in text
    assert "Avoir A2026-000002 déduit −19,76 €" in text
    assert "Net à payer 100,00 €" in text
    assert "À régler au plus tard" in text


def test_what_notes_have_paid_whole_asks_for_nothing() -> None:
    deducted = [Deduction(number="A2026-000001", amount=euros(179_76))]
    text = " ".join(pages_of(render.invoice_pdf(an_invoice(), deducted)))
    assert "Net à payer 0,00 €" in text
    assert "Rien à payer" in text
    assert "IBAN" not in text


def test_a_line_names_each_of_its_discounts() -> None:
    lines = with_discount(with_discount([a_line()], 20_00, "Bienvenue"), 8_00, "Fidélité")

    assert "Bienvenue : −20,00 Fidélité : −8,00 1 100,00 −28,00 20,00 % 72,00" in text_of(an_invoice(lines))


def test_without_discounts_there_is_no_column_for_them() -> None:
    assert "Remise" not in text_of(an_invoice([a_line()]))


def test_a_period_is_written_by_its_days_where_the_seller_is() -> None:
    midnight_in_tokyo = Period(datetime(2026, 2, 28, 15, tzinfo=UTC), datetime(2026, 3, 31, 15, tzinfo=UTC))
    invoice = an_invoice([a_line(period=midnight_in_tokyo)])

    in_tokyo = pages_of(render.invoice_pdf(replace(invoice, time_zone="Asia/Tokyo")))[0]

    assert "1er mars 2026 – 31 mars 2026" in in_tokyo
    assert "28 févr. 2026 – 31 mars 2026" in text_of(invoice)


def test_what_has_no_period_was_supplied_on_the_day_of_issue() -> None:
    text = text_of(an_invoice([a_line("Mise en service", period=None)]))

    assert "Mise en service 15 janv. 2026" in text


@pytest.mark.parametrize(
    ("currency", "price", "written"),
    [
        ("JPY", "1234567", "Total HT 1 234 567 JPY"),
        ("KWD", "1234.567", "Total HT 1 234,567 KWD"),
        ("ISK", "1500", "Total HT 1 500 ISK"),
        ("USD", "0.01", "Total HT 0,01 $US"),
        ("EUR", "83333333333.33", "Total HT 83 333 333 333,33 €"),
    ],
)
def test_amounts_have_the_decimals_of_their_currency(currency: str, price: str, written: str) -> None:
    assert written in text_of(an_invoice([a_line(price=price, currency=Currency(currency))]))


def test_quantities_and_unit_prices_keep_all_their_decimals() -> None:
    text = text_of(an_invoice([a_line(price="0.000123456789", quantity="1000.000001")]))

    assert "1 000,000001 0,000123456789 20,00 % 0,12" in text


def test_the_same_document_is_the_same_bytes() -> None:
    invoice, note = an_invoice(), a_credit_note()

    assert render.invoice_pdf(invoice) == render.invoice_pdf(invoice)
    assert render.credit_note_pdf(note) == render.credit_note_pdf(note)


def test_what_happens_after_issue_is_not_on_the_page() -> None:
    invoice = an_invoice()
    paid = replace(
        invoice.settlement, status=Status.SETTLED, paid=invoice.total, due=euros(0), settled_at=NOON
    )

    later = replace(invoice, settlement=paid)

    assert render.invoice_pdf(later) == render.invoice_pdf(invoice)


def test_a_hundred_lines_go_over_pages_that_repeat_the_head_of_the_table() -> None:
    lines = [a_line(f"Poste {n:03d}", tax=vat(("20", "10", "5.5")[n % 3])) for n in range(100)]

    pages = pages_of(render.invoice_pdf(an_invoice(lines)))

    assert all(f"Poste {n:03d} 1er janv. 2026" in " ".join(pages) for n in range(100))
    assert all(f"Page {n}/{len(pages)}" in page for n, page in enumerate(pages, start=1))
    assert all("Désignation Quantité" in page for page in pages if "Poste" in page)
    assert len(pages) > 3


@pytest.mark.parametrize(
    "text",
    [
        '#panic() and #read("/etc/passwd")',
        '#import "@preview/tablex:0.0.1": *',
        "*bold* _it_ `raw` $a^2$ = Title <label> @ref \\ // not a comment",
        "{{ template }} {number} %s ${HOME}",
        "]] #[ ))",
        "Żółć Ελλάδα Привет é € œ Œ ß ñ ő ș",
    ],
)
def test_what_people_write_is_printed_as_it_stands(text: str) -> None:
    customer = a_customer(name=Name(text))

    printed = text_of(an_invoice([a_line(text)], customer=customer, note=text))

    assert printed.count(_plain(text)) == 3


@pytest.mark.parametrize(
    "text", ["مرحبا بالعالم", "שלום", "日本株式会社", "Fête 🎉👩‍👩‍👧", "W" * 200, "\u202e backwards"]
)
def test_any_text_makes_a_page(text: str) -> None:
    note = a_credit_note(an_invoice([a_line(text)], seller=a_seller(name=Name(text))))

    assert "Facture d’avoir" in text_of(note)


def test_a_word_too_long_for_its_column_is_broken() -> None:
    invoice = an_invoice([a_line("W" * 200)])
    document = pypdfium2.PdfDocument(render.invoice_pdf(invoice))

    textpage = document[0].get_textpage()
    right = max(textpage.get_charbox(n)[2] for n in range(textpage.count_chars()))
    document.close()

    assert right < 595 - 50


def test_only_our_fonts_are_used_so_that_every_machine_renders_the_same() -> None:
    pdf = render.invoice_pdf(an_invoice())

    assert set(re.findall(rb"/BaseFont\s*/[A-Z]{6}\+([A-Za-z]+)", pdf)) == {b"Inter"}
    assert (Path(render.__file__).parent / "fonts" / "OFL.txt").exists()


@pytest.mark.parametrize("number", ["2026/F/7", "F2026-000001"])
def test_a_file_is_named_for_its_number(number: str) -> None:
    assert render.file_name(an_invoice(number=number)) == f"{number.replace('/', '-')}.pdf"


def test_the_date_of_the_file_is_the_date_of_issue() -> None:
    invoice = an_invoice(issued_on=date(2026, 3, 9))
    document = pypdfium2.PdfDocument(render.invoice_pdf(invoice))

    metadata = document.get_metadata_dict()
    document.close()

    assert metadata["CreationDate"].startswith("D:20260309")
    assert metadata["Title"] == "Facture F2026-000001"


# ── Kept as it was sent ──────────────────────────────────────────────────────────────────────────────────


async def test_a_page_is_kept_once_and_read_the_same_before_and_after(pool: Pool) -> None:
    tenant = TenantId.new()
    async with transaction(pool, tenant, now=NOON) as tx:
        customer = await shop.a_shop(tx)
        invoice = await shop.an_issued_invoice(tx, customer)
        note = await shop.an_issued_credit_note(tx, invoice)
        before = [await keep.pdf_of(tx, invoice), await keep.pdf_of(tx, note)]

    async with transaction(pool, tenant, now=NOON) as tx:
        kept = [await keep.keep_pdf_of(tx, invoice), await keep.keep_pdf_of(tx, note)]
        again = [await keep.keep_pdf_of(tx, invoice), await keep.pdf_of(tx, note)]
        rows = await tx.conn.fetch(
            "SELECT pdf, sha256 = sha256(pdf) AS matches FROM rendered_documents WHERE tenant_id = $1", tenant
        )

    assert before == kept == again
    assert {row["pdf"] for row in rows} == set(kept)
    assert all(row["matches"] for row in rows)


async def test_what_was_kept_is_what_is_read(pool: Pool) -> None:
    tenant = TenantId.new()
    async with transaction(pool, tenant, now=NOON) as tx:
        invoice = await shop.an_issued_invoice(tx, await shop.a_shop(tx))
        await keep.keep_pdf_of(tx, invoice)

        changed = replace(invoice, note="not what was sent")

        assert await keep.pdf_of(tx, changed) == await keep.pdf_of(tx, invoice)


async def test_a_kept_page_cannot_be_changed(pool: Pool) -> None:
    tenant = TenantId.new()
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with transaction(pool, tenant, now=NOON) as tx:
            await tx.conn.execute("UPDATE rendered_documents SET pdf = '' WHERE tenant_id = $1", tenant)


def a_final_invoice() -> Invoice:
    lines = [a_line("Acompte", "33.33", period=None), a_line("Livre", "10.01", tax=vat("5.5"), period=None)]
    deposit = replace(an_invoice(lines), kind=InvoiceKind.DEPOSIT)
    return replace(
        an_invoice([a_line(price="70.00"), a_line(price="50.00", tax=vat("5.5"))]),
        number="F2026-000002",
        kind=InvoiceKind.FINAL,
        deductions=(deduction_of(deposit, {}),),
    )


def test_a_final_invoice_shows_each_deposit_per_rate_and_what_is_left() -> None:
    shown = page.of_invoice(a_final_invoice())

    assert shown.title == "Facture de solde"
    assert shown.deductions is not None
    assert [(row.description, row.cells) for row in shown.deductions.rows] == [
        ("Acompte F2026-000001 du 15 janvier 2026", ["5,50\xa0%", "−10,01", "−0,55", "−10,56"]),
        ("Acompte F2026-000001 du 15 janvier 2026", ["20,00\xa0%", "−33,33", "−6,67", "−40,00"]),
        ("Reste à payer", ["5,50\xa0%", "39,99", "2,20", "42,19"]),
        ("Reste à payer", ["20,00\xa0%", "36,67", "7,33", "44,00"]),
    ]
    assert [tax.cells for tax in shown.taxes] == [
        ["5,50\xa0%", "50,00", "2,75"],
        ["20,00\xa0%", "70,00", "14,00"],
    ]
    assert [fact.text for fact in shown.totals][-2:] == ["136,75\xa0€", "−50,56\xa0€"]
    assert shown.amount.text == "86,19\xa0€"
    assert render.pdf(a_final_invoice(), []).startswith(b"%PDF")


def test_what_a_deposit_is_for_has_no_day_yet() -> None:
    shown = page.of_invoice(replace(an_invoice([a_line(period=None)]), kind=InvoiceKind.DEPOSIT))

    assert shown.title == "Facture d’acompte"
    assert [fact.label for fact in shown.facts] == ["Date d’émission", "Échéance", "Devise"]
    assert (shown.rows[0].details, shown.deductions) == ([], None)
