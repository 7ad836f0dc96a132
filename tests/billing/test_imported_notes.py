"""Credit notes issued elsewhere: on an imported invoice, on one of ours, or on none."""

from datetime import date

import pytest
from msgspec.structs import replace

from billing.credit_notes import store as credit_notes
from billing.credit_notes.issue import issue_credit_note
from billing.credit_notes.model import CreditNote, NewCreditNote, Reason, Refunding
from billing.credit_notes.model import Status as NoteStatus
from billing.documents.keep import pdf_of
from billing.imports.import_credit_notes import import_credit_notes
from billing.imports.model import (
    DocumentNumber,
    ImportedCreditLine,
    NewImportedCreditNote,
    NewImportedCreditNotes,
)
from billing.invoices import store as invoices
from billing.invoices.model import Invoice, LineId, Status
from billing.ledger import store as ledger
from billing.parties.model import RefundMode, VatDue
from billing.payments.model import NewPayment, OutsideMeans
from billing.payments.record import record_payment
from billing.settlement.apply import apply_note
from kernel.database import Tx
from kernel.errors import DomainError
from kernel.money import Currency, Money
from kernel.paging import Window
from kernel.text import Name
from tests.billing.test_imports import a_line as an_invoice_line
from tests.billing.test_imports import a_payment, a_tax, an_import, at, imported
from tests.books import accounts_of, assert_sound
from tests.makers import EUR, a_line, euros
from tests.shop import a_shop, a_shop_by_hand, an_issued_invoice

DECEMBER = date(2025, 12, 10)


def on_line(line: LineId, minor: int) -> ImportedCreditLine:
    return ImportedCreditLine(description=Name("Trop perçu"), amount=euros(minor), line=line)


def of_its_own(minor: int = 50_00, percent: str = "20") -> ImportedCreditLine:
    return ImportedCreditLine(description=Name("Avoir"), amount=euros(minor), tax=at(percent))


def a_note(number: str = "A 2025.7", **fields: object) -> NewImportedCreditNote:
    """On no invoice, unless it is said."""
    request = NewImportedCreditNote(
        number=DocumentNumber(number),
        issued_on=DECEMBER,
        reason=Reason.BILLING_ERROR,
        customer="user-42",
        currency=EUR,
        lines=[of_its_own()],
    )
    return replace(request, **fields)


def on(invoice: Invoice, minor: int, number: str = "A 2025.7", **fields: object) -> NewImportedCreditNote:
    lines = [on_line(invoice.lines[0].id, minor)]
    day = max(DECEMBER, invoice.issued_on)
    return replace(
        a_note(number, invoice=invoice.id, customer=None, currency=None, lines=lines, issued_on=day), **fields
    )


async def notes(tx: Tx, *requests: NewImportedCreditNote) -> list[CreditNote]:
    done = await import_credit_notes(tx, NewImportedCreditNotes(credit_notes=list(requests)))
    return list(done.credit_notes)


async def refusal(tx: Tx, *requests: NewImportedCreditNote) -> tuple[str, str | None]:
    with pytest.raises(DomainError) as refused:
        await notes(tx, *requests)
    return refused.value.code, refused.value.param


async def credit_the_rest(tx: Tx, invoice: Invoice) -> None:
    locked = await invoices.lock(tx, invoice.id)
    refund = Refunding(mode=RefundMode.NONE, due_on=date(2026, 1, 15), by_provider=euros(0))
    await issue_credit_note(tx, locked, NewCreditNote(reason=Reason.CANCELLATION), refund=refund)


# ── On an invoice ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("vat_due", VatDue)
async def test_on_an_imported_invoice_it_takes_off_what_is_due(tx: Tx, vat_due: VatDue) -> None:
    await a_shop(tx, vat_due=vat_due)
    (invoice,) = await imported(tx, an_import(payments=[a_payment(60_00)]))

    (note,) = await notes(tx, on(invoice, 50_00))

    assert (note.number, note.issued_on, note.imported) == ("A 2025.7", DECEMBER, True)
    assert (note.total, note.settlement.applied, note.settlement.left) == (
        euros(60_00),
        euros(60_00),
        euros(0),
    )
    assert note.lines[0].description == "Trop perçu"
    assert (await invoices.get(tx, invoice.id)).settlement.status is Status.SETTLED
    assert await accounts_of(tx) == {"44571": -10_00, "890": 10_00}
    await assert_sound(tx)


@pytest.mark.parametrize("vat_due", VatDue)
async def test_what_was_given_back_elsewhere_counts_as_used(tx: Tx, vat_due: VatDue) -> None:
    await a_shop(tx, vat_due=vat_due)
    (invoice,) = await imported(tx, an_import(payments=[a_payment(120_00)]))

    (note,) = await notes(tx, on(invoice, 50_00, used=euros(45_00)))

    assert (note.settlement.marked, note.settlement.left) == (euros(45_00), euros(15_00))
    assert note.settlement.status is NoteStatus.PARTLY_USED
    assert await accounts_of(tx) == {"411": -15_00, "44571": -10_00, "890": 25_00}
    await assert_sound(tx)


async def test_what_it_takes_off_its_invoice_is_used_of_it(tx: Tx) -> None:
    await a_shop(tx)
    (invoice,) = await imported(tx, an_import())

    (note,) = await notes(tx, on(invoice, 50_00, used=euros(60_00)))

    assert (note.settlement.applied, note.settlement.marked) == (euros(60_00), euros(0))
    await assert_sound(tx)


async def test_several_notes_on_one_invoice_and_one_of_ours_add_up_to_it(tx: Tx) -> None:
    await a_shop(tx)
    (invoice,) = await imported(
        tx,
        an_import(
            lines=[an_invoice_line(33_33)] * 3, taxes=[a_tax(99_99, 20_01)], payments=[a_payment(60_00)]
        ),
    )
    first, second = (
        replace(on(invoice, 33_33, number), lines=[on_line(line.id, 33_33)], taxes=[a_tax(33_33, 6_67)])
        for number, line in zip(("1", "2"), invoice.lines, strict=False)
    )

    done = await notes(tx, first, second)
    await credit_the_rest(tx, invoice)

    assert [note.tax for note in done] == [euros(6_67), euros(6_67)]
    credited = (await credit_notes.taxes_of_invoice(tx, invoice.id)).values()
    assert [(tax.base, tax.tax) for tax in credited] == [(euros(99_99), euros(20_01))]
    await assert_sound(tx)


async def test_it_can_be_on_an_invoice_of_ours(tx: Tx) -> None:
    customer = await a_shop(tx)
    invoice = await an_issued_invoice(tx, customer, [a_line(price="100.00")])
    await record_payment(tx, invoice.id, NewPayment(means=OutsideMeans.CASH))

    (note,) = await notes(tx, on(invoice, 50_00))

    assert note.settlement.left == euros(60_00)
    assert await accounts_of(tx) == {
        "411": -60_00,
        "512": 120_00,
        "44571": -10_00,
        "706": -100_00,
        "890": 50_00,
    }
    await assert_sound(tx)


async def test_what_is_left_of_it_pays_other_invoices(tx: Tx) -> None:
    customer = await a_shop_by_hand(tx)
    (first,) = await imported(tx, an_import(payments=[a_payment(120_00)]))
    (note,) = await notes(tx, on(first, 50_00))
    other = await an_issued_invoice(tx, customer, [a_line(price="100.00")])

    await apply_note(tx, note, await invoices.lock(tx, other.id), euros(60_00))

    assert (await invoices.get(tx, other.id)).settlement.due == euros(60_00)
    await assert_sound(tx)


# ── On none ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("vat_due", VatDue)
async def test_on_no_invoice_it_is_the_customers_balance(tx: Tx, vat_due: VatDue) -> None:
    await a_shop(tx, vat_due=vat_due)

    (note,) = await notes(tx, a_note(used=euros(24_00), lines=[of_its_own(), of_its_own(20_00, "5.5")]))

    assert (note.total, note.settlement.left) == (euros(81_10), euros(57_10))
    assert (note.invoice_id, note.lines[0].tax.rate) == (None, 200_000)
    await assert_sound(tx)


async def test_its_entries_are_found_by_its_id(tx: Tx) -> None:
    await a_shop(tx)
    (note,) = await notes(tx, a_note())

    page = await ledger.page(tx, Window(limit=10), document_id=str(note.id))

    assert {(entry.document, entry.document_id) for entry in page.data} == {("import", str(note.id))}


async def test_its_page_is_where_it_was_issued(tx: Tx) -> None:
    await a_shop(tx)
    (note,) = await notes(tx, a_note())

    with pytest.raises(DomainError) as refused:
        await pdf_of(tx, note)
    assert refused.value.code == "document_imported"


# ── What cannot be ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"customer": None}, "credit_note_of", None),
        ({"customer": "nobody"}, "customer_not_found", None),
        ({"currency": None}, "currency_required", "currency"),
        ({"issued_on": date(2026, 1, 16)}, "issued_in_future", "issued_on"),
        ({"number": DocumentNumber("A2026-000003")}, "number_of_own_series", "number"),
        ({"used": euros(60_01)}, "used_exceeds_note", "used"),
        ({"used": euros(-1)}, "used_exceeds_note", "used"),
        ({"used": Money(1, Currency("USD"))}, "currency_mismatch", "used"),
        ({"lines": [of_its_own(0)]}, "credit_not_positive", "lines"),
        ({"lines": [replace(of_its_own(), tax=None)]}, "credit_line_form", "lines"),
        ({"taxes": [a_tax(50_00, 10_02)]}, "tax_implausible", "taxes"),
        (
            {"taxes": [replace(a_tax(50_00, 0), tax=Money(10_00, Currency("USD")))]},
            "currency_mismatch",
            "taxes",
        ),
        ({"reason": Reason.OTHER}, "reason_text_required", "reason_text"),
    ],
)
async def test_what_cannot_have_been_issued_is_refused(
    tx: Tx, fields: dict[str, object], code: str, param: str | None
) -> None:
    await a_shop(tx)
    at_place = f"credit_notes[1].{param}" if param else "credit_notes[1]"

    assert await refusal(tx, a_note("1"), replace(a_note("2"), **fields)) == (code, at_place)


async def test_on_an_invoice_there_is_no_more_than_that(tx: Tx) -> None:
    await a_shop(tx)
    (invoice,) = await imported(tx, an_import())
    line = invoice.lines[0].id

    async def code(request: NewImportedCreditNote) -> str:
        return (await refusal(tx, request))[0]

    assert await code(on(invoice, 100_01)) == "credit_exceeds_line"
    assert await code(on(invoice, 100_00, taxes=[a_tax(100_00, 19_99)])) == "tax_implausible"
    assert await code(on(invoice, 50_00, issued_on=date(2025, 11, 30))) == "issued_before_invoice"
    assert await code(on(invoice, 50_00, lines=[of_its_own()])) == "credit_line_form"
    assert await code(on(invoice, 50_00, lines=[on_line(line, 1_00)] * 2)) == "credit_line_twice"
    await notes(tx, on(invoice, 50_00, "1"))
    assert (await refusal(tx, on(invoice, 10_00, "1"))) == ("number_taken", "credit_notes[0].number")
