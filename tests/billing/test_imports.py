"""Documents issued elsewhere: as they are printed there, and from then on like our own."""

from datetime import date

import msgspec
import pytest

from billing.credit_notes import store as credit_notes
from billing.credit_notes.issue import issue_credit_note
from billing.credit_notes.model import NewCreditNote, Reason, Refunding
from billing.documents.keep import pdf_of
from billing.imports import rules
from billing.imports.import_invoices import import_invoices
from billing.imports.model import (
    DocumentNumber,
    ImportedGroup,
    ImportedLine,
    ImportedPayment,
    ImportedTax,
    NewImportedInvoice,
    NewImportedInvoices,
)
from billing.invoices import store as invoices
from billing.invoices.model import Invoice, InvoiceKind, Status
from billing.numbering import Series, numbering
from billing.parties.model import RefundMode, VatDue
from billing.payments.model import NewPayment, OutsideMeans
from billing.payments.record import record_payment
from billing.tax.model import Category, TaxBehavior
from kernel.database import Tx
from kernel.decimals import Quantity, Rate
from kernel.errors import DomainError
from kernel.money import Currency, Money
from kernel.text import Name
from tests.books import accounts_of, assert_sound
from tests.makers import EUR, NOON, euros
from tests.shop import a_shop, an_issued_invoice, another_customer, default_seller

TODAY = date(2026, 1, 15)


def at(percent: str) -> ImportedGroup:
    return ImportedGroup(rate=Rate.parse(percent))


def a_line(minor: int = 100_00, percent: str = "20", currency: Currency = EUR) -> ImportedLine:
    return ImportedLine(description=Name("Abonnement"), amount=Money(minor, currency), tax=at(percent))


def a_tax(base: int, tax: int, percent: str = "20") -> ImportedTax:
    return ImportedTax(group=at(percent), base=euros(base), tax=euros(tax))


def a_payment(minor: int, received_on: date = date(2025, 12, 20)) -> ImportedPayment:
    return ImportedPayment(amount=euros(minor), received_on=received_on, means=OutsideMeans.CHECK)


def an_import(number: str = "FA 2025.042", **fields: object) -> NewImportedInvoice:
    request = NewImportedInvoice(
        customer="user-42",
        number=DocumentNumber(number),
        issued_on=date(2025, 12, 1),
        due_on=date(2025, 12, 31),
        currency=EUR,
        lines=[a_line()],
    )
    return msgspec.structs.replace(request, **fields)


async def imported(tx: Tx, *requests: NewImportedInvoice) -> list[Invoice]:
    done = await import_invoices(tx, NewImportedInvoices(invoices=list(requests)))
    return list(done.invoices)


async def refusal(tx: Tx, *requests: NewImportedInvoice) -> tuple[str, str | None]:
    with pytest.raises(DomainError) as refused:
        await imported(tx, *requests)
    return refused.value.code, refused.value.param


async def credit(tx: Tx, invoice: Invoice) -> None:
    locked = await invoices.lock(tx, invoice.id)
    refund = Refunding(mode=RefundMode.NONE, due_on=TODAY, by_provider=euros(0))
    await issue_credit_note(tx, locked, NewCreditNote(reason=Reason.CANCELLATION), refund=refund)


# ── As it is printed there ───────────────────────────────────────────────────────────────────────


async def test_an_imported_invoice_says_what_it_said_where_it_was_issued(tx: Tx) -> None:
    await a_shop(tx)
    lines = [msgspec.structs.replace(a_line(), quantity=Quantity.parse("3")), a_line(50_00, "5.5")]

    (invoice,) = await imported(tx, an_import(lines=lines))

    assert (invoice.number, invoice.kind) == ("FA 2025.042", InvoiceKind.IMPORTED)
    assert (invoice.issued_on, invoice.due_on) == (date(2025, 12, 1), date(2025, 12, 31))
    assert (invoice.net, invoice.tax, invoice.total) == (euros(150_00), euros(22_75), euros(172_75))
    assert invoice.lines[0].amount == euros(100_00)
    assert invoice.settlement.due == euros(172_75)
    await assert_sound(tx)


async def test_its_number_is_not_one_of_ours(tx: Tx) -> None:
    customer = await a_shop(tx)
    await imported(tx, an_import())

    ours = await an_issued_invoice(tx, customer)

    assert ours.number == "F2026-000001"


async def test_vat_that_was_rounded_per_line_stays_as_it_was_and_is_credited_to_the_cent(tx: Tx) -> None:
    await a_shop(tx)
    (invoice,) = await imported(
        tx, an_import(lines=[a_line(33_33)] * 3, taxes=[a_tax(99_99, 20_01)], payments=[a_payment(120_00)])
    )

    await credit(tx, invoice)

    credited = (await credit_notes.taxes_of_invoice(tx, invoice.id)).values()
    assert (invoice.tax, [tax.tax for tax in credited]) == (euros(20_01), [euros(20_01)])
    assert (await invoices.get(tx, invoice.id)).settlement.status is Status.SETTLED
    await assert_sound(tx)


async def test_gross_prices_are_imported_as_they_are(tx: Tx) -> None:
    await a_shop(tx)
    (invoice,) = await imported(
        tx,
        an_import(
            lines=[a_line(60_00), a_line(60_00)],
            taxes=[a_tax(99_99, 20_01)],
            tax_behavior=TaxBehavior.INCLUSIVE,
        ),
    )

    assert (invoice.net, invoice.tax, invoice.total) == (euros(99_99), euros(20_01), euros(120_00))
    await credit(tx, invoice)
    await assert_sound(tx)


async def test_an_invoice_without_vat_says_why(tx: Tx) -> None:
    await a_shop(tx)
    exempt = ImportedGroup(rate=Rate(0), category=Category.EXEMPT, reason=Name("TVA non applicable"))
    line = msgspec.structs.replace(a_line(), tax=exempt)

    (invoice,) = await imported(tx, an_import(lines=[line]))

    assert (invoice.total, invoice.lines[0].tax.reason) == (euros(100_00), "TVA non applicable")
    silent = msgspec.structs.replace(line, tax=ImportedGroup(rate=Rate(0), category=Category.EXEMPT))
    assert await refusal(tx, an_import("2", lines=[silent])) == ("tax_reason_required", "invoices[0].lines")


# ── What had become of it there ──────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("vat_due", VatDue)
async def test_what_was_paid_elsewhere_is_not_booked_again(tx: Tx, vat_due: VatDue) -> None:
    await a_shop(tx, vat_due=vat_due)

    (invoice,) = await imported(tx, an_import(payments=[a_payment(40_00), a_payment(20_00)]))

    assert (invoice.settlement.paid, invoice.settlement.due) == (euros(60_00), euros(60_00))
    vat = {"44571": -10_00, "4458": -10_00} if vat_due is VatDue.ON_PAYMENT else {"44571": -20_00}
    assert await accounts_of(tx) == {"411": 60_00, "890": -40_00, **vat}
    assert await tx.conn.fetchval("SELECT bool_and(document = 'import') FROM ledger_entries")
    await assert_sound(tx)


@pytest.mark.parametrize("vat_due", VatDue)
async def test_the_rest_is_paid_here_and_its_vat_falls_due(tx: Tx, vat_due: VatDue) -> None:
    await a_shop(tx, vat_due=vat_due)
    (invoice,) = await imported(tx, an_import(payments=[a_payment(60_00)]))

    await record_payment(tx, invoice.id, NewPayment(means=OutsideMeans.TRANSFER))

    assert await accounts_of(tx) == {"512": 60_00, "890": -40_00, "44571": -20_00}
    await assert_sound(tx)


async def test_what_was_paid_elsewhere_is_settled_and_can_be_credited(tx: Tx) -> None:
    await a_shop(tx)
    (invoice,) = await imported(tx, an_import(payments=[a_payment(120_00)]))

    await credit(tx, invoice)

    assert invoice.settlement.status is Status.SETTLED
    assert await accounts_of(tx) == {"411": -120_00, "890": 20_00, "706": 100_00}
    await assert_sound(tx)


@pytest.mark.parametrize(
    ("asked", "due_on", "dunned"),
    [
        (False, date(2026, 1, 14), False),
        (True, date(2026, 1, 14), True),
        (False, date(2026, 1, 15), True),
    ],
)
async def test_what_was_overdue_already_is_dunned_only_if_asked_for(
    tx: Tx, asked: bool, due_on: date, dunned: bool
) -> None:
    customer = await a_shop(tx)
    request = an_import(due_on=due_on, dunning=asked)

    decided = rules.imported(request, customer, await default_seller(tx), now=NOON)

    assert decided.dunned is dunned


async def test_a_document_issued_elsewhere_has_its_page_there(tx: Tx) -> None:
    await a_shop(tx)
    (invoice,) = await imported(tx, an_import())

    with pytest.raises(DomainError) as refused:
        await pdf_of(tx, invoice)
    assert refused.value.code == "document_imported"


# ── Many at once ─────────────────────────────────────────────────────────────────────────────────


async def test_many_are_imported_in_the_order_they_were_sent(tx: Tx) -> None:
    await a_shop(tx)
    await another_customer(tx)
    numbers = [f"{number:04d}" for number in range(300, 0, -1)]

    done = await imported(tx, *[an_import(n, customer=("user-42", "user-43")[int(n) % 2]) for n in numbers])

    assert [invoice.number for invoice in done] == numbers
    assert len({invoice.customer_id for invoice in done}) == 2
    await assert_sound(tx)


async def test_a_number_is_imported_once(tx: Tx) -> None:
    customer = await a_shop(tx)
    await imported(tx, an_import("2025-1"))

    assert await refusal(tx, an_import("2025-2"), an_import("2025-1")) == ("number_taken", "invoices[1]")
    assert await refusal(tx, an_import("2025-3"), an_import("2025-3")) == ("number_taken", "invoices[1]")
    assert (await an_issued_invoice(tx, customer)).number == "F2026-000001"


@pytest.mark.parametrize(
    ("number", "is_refused"),
    [
        ("F2026-000007", True),  # to come, or there already
        ("F2027-000001", True),
        ("F2026-1000000", True),
        ("F2025-000007", False),  # nothing is issued back in time
        ("F2026-7", False),
        ("2026-000007", False),
    ],
)
async def test_a_number_that_our_series_may_come_to_is_refused(tx: Tx, number: str, is_refused: bool) -> None:
    await a_shop(tx)
    form = numbering(await default_seller(tx), Series.INVOICE, now=NOON).form

    if is_refused:
        with pytest.raises(DomainError) as refused:
            rules.check_number(number, form, TODAY)
        assert refused.value.code == "number_of_own_series"
    else:
        rules.check_number(number, form, TODAY)


# ── What cannot be ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"customer": "nobody"}, "customer_not_found", None),
        ({"issued_on": date(2026, 1, 16), "due_on": date(2026, 2, 1)}, "issued_in_future", "issued_on"),
        ({"issued_on": date(1, 1, 1)}, "issued_too_far_back", "issued_on"),
        ({"due_on": date(9999, 12, 31)}, "due_too_far", "due_on"),
        ({"due_on": date(2025, 11, 30)}, "due_before_issue", "due_on"),
        ({"lines": [a_line(-1)]}, "line_negative", "lines"),
        ({"lines": [a_line(currency=Currency("USD"))]}, "currency_mismatch", "lines"),
        ({"lines": [a_line(percent="0")]}, "tax_rate_category", "lines"),
        ({"taxes": [a_tax(100_00, 20_02)]}, "tax_implausible", "taxes"),
        ({"taxes": [a_tax(100_00, -1)]}, "tax_implausible", "taxes"),
        ({"taxes": [a_tax(99_99, 20_00)]}, "taxes_do_not_add_up", "taxes"),
        ({"taxes": []}, "taxes_do_not_add_up", "taxes"),
        ({"payments": [a_payment(120_01)]}, "payments_exceed_total", "payments"),
        ({"payments": [a_payment(0)]}, "payment_not_positive", "payments"),
        ({"payments": [a_payment(1, date(2026, 1, 16))]}, "day_in_future", "payments"),
        ({"payments": [a_payment(1, date(1, 1, 1))]}, "day_too_far_back", "payments"),
    ],
)
async def test_what_cannot_have_been_issued_is_refused(
    tx: Tx, fields: dict[str, object], code: str, param: str | None
) -> None:
    await a_shop(tx)
    at_place = f"invoices[1].{param}" if param else "invoices[1]"

    assert await refusal(tx, an_import("1"), an_import("2", **fields)) == (code, at_place)


async def test_a_line_of_too_high_a_price_is_refused_and_no_error(tx: Tx) -> None:
    await a_shop(tx)
    line = ImportedLine(
        description=Name("x"), amount=euros(10**13), quantity=Quantity.parse("0.000001"), tax=at("20")
    )

    assert await refusal(tx, an_import(lines=[line])) == ("amount_too_large", "invoices[0].lines")


async def test_an_imported_invoice_of_nothing_is_settled(tx: Tx) -> None:
    await a_shop(tx)

    (invoice,) = await imported(tx, an_import(lines=[a_line(0)]))

    assert invoice.settlement.status is Status.SETTLED
    await assert_sound(tx)
