"""Drafts: edited as often as you like, issued once."""

import pytest

from billing.invoices import draft as drafts
from billing.invoices import store
from billing.invoices.issue import issue_invoice
from billing.invoices.model import (
    DocumentKind,
    DocumentReference,
    Draft,
    DraftChange,
    Invoice,
    InvoiceId,
    InvoiceKind,
    NewDiscount,
    NewDraft,
    NewLine,
)
from billing.invoices.ready import ToIssue
from billing.parties.change_customer import change_customer
from billing.parties.model import CustomerChange
from billing.tax.add_tax_rate import add_tax_rate
from billing.tax.model import Category, NewTaxRate
from kernel.database import Pool, Tx, transaction
from kernel.decimals import Quantity, Rate, UnitPrice
from kernel.errors import DomainError, NotFound
from kernel.ids import TenantId
from kernel.money import Currency, Money
from kernel.text import Name, Note, Reference
from tests.books import assert_sound
from tests.makers import EUR, NOON, euros, three_lines
from tests.shop import a_shop, an_issued_invoice, another_customer, default_seller, while_open


def a_line(price: str = "100.00", quantity: str = "1", *, tax_rate: str | None = None) -> NewLine:
    return NewLine(
        description=Name("Conseil"),
        item=Reference("consulting"),
        unit_price=UnitPrice.parse(price),
        quantity=Quantity.parse(quantity),
        tax_rate=tax_rate,
    )


def off(minor: int, currency: Currency = EUR) -> NewDiscount:
    return NewDiscount(name=Name("Bienvenue"), amount=Money(minor, currency))


def a_request(*lines: NewLine, discounts: list[NewDiscount] | None = None) -> NewDraft:
    return NewDraft(
        customer="user-42",
        currency=EUR,
        lines=list(lines) or [a_line()],
        discounts=discounts or [],
        note=Note("BC-118"),
        metadata={"order": "118"},
    )


async def a_draft(tx: Tx, *lines: NewLine, discounts: list[NewDiscount] | None = None) -> Draft:
    await a_shop(tx)
    reduced = NewTaxRate(reference=Reference("vat-5.5"), name=Name("TVA 5,5 %"), rate=Rate.parse("5.5"))
    await add_tax_rate(tx, reduced)
    return await drafts.draft_invoice(tx, a_request(*lines, discounts=discounts))


async def reverse_charge(tx: Tx) -> None:
    rate = NewTaxRate(
        reference=Reference("reverse"),
        name=Name("Autoliquidation"),
        category=Category.REVERSE_CHARGE,
        rate=Rate(0),
        reason=Name("Art. 283-2 du CGI"),
    )
    await add_tax_rate(tx, rate)


async def test_the_lines_and_the_discount_of_the_oracle(tx: Tx) -> None:
    draft = await a_draft(
        tx,
        a_line("100.00"),
        a_line("50.00", tax_rate="vat-5.5"),
        a_line("10.00", "3"),
        discounts=[off(25_00)],
    )
    invoice = await drafts.issue_draft(tx, draft.id)

    assert [line.discount.minor for line in invoice.lines] == [13_89, 6_94, 4_17]
    assert (invoice.net, invoice.tax, invoice.total) == (euros(155_00), euros(24_76), euros(179_76))
    assert await store.get(tx, invoice.id) == invoice
    await assert_sound(tx)


async def test_the_invoice_takes_the_drafts_id_and_the_draft_is_gone(tx: Tx) -> None:
    draft = await a_draft(tx)
    invoice = await drafts.issue_draft(tx, draft.id)

    assert (invoice.id, invoice.number) == (draft.id, "F2026-000001")
    assert (invoice.note, invoice.metadata) == ("BC-118", {"order": "118"})
    assert [line.item for line in invoice.lines] == ["consulting"]
    for act in (drafts.issue_draft, drafts.delete_draft):
        with pytest.raises(NotFound):
            await act(tx, draft.id)


async def test_a_draft_is_read_back_as_it_was_written(tx: Tx) -> None:
    draft = await a_draft(tx, a_line("0.000000000001", "0.000001"), discounts=[off(1)])

    assert await store.get_draft(tx, draft.id) == draft


async def test_only_what_is_sent_changes(tx: Tx) -> None:
    draft = await a_draft(tx)
    edited = await drafts.edit_draft(tx, draft.id, DraftChange(lines=[a_line("5.00", "2")], note=None))

    assert (edited.note, edited.metadata, len(edited.lines)) == (None, {"order": "118"}, 1)
    assert await store.get_draft(tx, draft.id) == edited
    assert (await drafts.issue_draft(tx, draft.id)).net == euros(10_00)


async def test_a_draft_can_go_to_another_customer(tx: Tx) -> None:
    draft = await a_draft(tx)
    other = await another_customer(tx)
    await drafts.edit_draft(tx, draft.id, DraftChange(customer="user-43"))

    assert (await drafts.issue_draft(tx, draft.id)).customer_id == other.id


async def test_a_deleted_draft_leaves_no_gap(tx: Tx) -> None:
    draft = await a_draft(tx)
    await drafts.delete_draft(tx, draft.id)
    with pytest.raises(NotFound):
        await store.get_draft(tx, draft.id)

    again = await drafts.draft_invoice(tx, a_request())
    assert (await drafts.issue_draft(tx, again.id)).number == "F2026-000001"


async def test_the_rate_of_the_line_beats_the_customers_and_that_the_sellers(tx: Tx) -> None:
    draft = await a_draft(tx, a_line(), a_line(tax_rate="vat-5.5"))
    await reverse_charge(tx)
    await change_customer(tx, "user-42", CustomerChange(tax_rate="reverse"))

    invoice = await drafts.issue_draft(tx, draft.id)

    assert [(line.tax.category, str(line.tax.rate)) for line in invoice.lines] == [
        (Category.REVERSE_CHARGE, "0"),
        (Category.STANDARD, "5.5"),
    ]


async def test_discounts_come_off_one_after_the_other(tx: Tx) -> None:
    half = NewDiscount(name=Name("Moitié"), percent=Rate.parse("50"))
    draft = await a_draft(tx, discounts=[off(10_00), half])

    assert (await drafts.issue_draft(tx, draft.id)).net == euros(45_00)


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (a_request(a_line("9999999999999", "1000000")), "amount_too_large"),
        (a_request(a_line("99999999999")), "amount_too_large"),  # with its VAT
        (a_request(a_line(tax_rate="nowhere")), "tax_rate_not_found"),
        (a_request(discounts=[off(-1)]), "discount_negative"),
        (a_request(discounts=[off(1, Currency("USD"))]), "currency_mismatch"),
        (a_request(discounts=[NewDiscount(name=Name("x"))]), "discount_form"),
    ],
)
async def test_what_could_not_be_issued_is_not_drafted(tx: Tx, request_: NewDraft, code: str) -> None:
    await a_shop(tx)
    with pytest.raises(DomainError) as refused:
        await drafts.draft_invoice(tx, request_)
    assert refused.value.code == code


async def test_issuing_the_same_draft_twice_at_once_is_one_invoice(pool: Pool, tenant: TenantId) -> None:
    async with transaction(pool, tenant, now=NOON) as tx:
        draft = await a_draft(tx)

    async def issue(tx: Tx) -> Invoice:
        return await drafts.issue_draft(tx, draft.id)

    with pytest.raises(NotFound):
        await while_open(pool, tenant, issue, issue)


async def test_what_an_invoice_is_for_and_refers_to_is_kept(tx: Tx) -> None:
    customer = await a_shop(tx)
    first = await an_issued_invoice(tx, customer)
    reference = DocumentReference(
        kind=DocumentKind.INVOICE, id=str(first.id), number=first.number, issued_on=first.issued_on
    )
    request = ToIssue(
        id=InvoiceId.new(),
        entity=await default_seller(tx),
        customer=customer,
        currency=EUR,
        tax_behavior=first.tax_behavior,
        lines=three_lines(),
        collection=first.collection,
        kind=InvoiceKind.CORRECTED,
        references=(reference,),
    )

    issued = await issue_invoice(tx, request)

    assert (first.kind, first.references) == (InvoiceKind.STANDARD, ())
    assert (issued.kind, issued.references) == (InvoiceKind.CORRECTED, (reference,))
    assert await store.get(tx, issued.id) == issued
