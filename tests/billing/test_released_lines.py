"""What a credit note releases is billed again: exactly, and once."""

import pytest
from msgspec.structs import replace

from billing.credit_notes.model import CreditNote, NewCreditNote, NewReversal, Reason
from billing.invoices import draft as drafts
from billing.invoices.model import (
    Draft,
    DraftChange,
    DraftKind,
    Invoice,
    Line,
    NewDiscount,
    NewDraft,
    NewLine,
    ReleasedLineId,
)
from billing.parties.model import RefundMode
from billing.released import store
from billing.released.model import ReleasedLine
from billing.settlement.reverse import reverse_note
from billing.tax.model import Category, TaxBehavior, TaxGroup
from kernel import outbox
from kernel.database import Pool, Tx, leave_behind, transaction
from kernel.decimals import Measure, Rate, UnitPrice
from kernel.errors import Conflict, DomainError, Invalid
from kernel.ids import TenantId
from kernel.money import Currency
from kernel.paging import Window
from kernel.text import Name
from refunds.credit_invoice import credit_invoice
from refunds.drafts import edit as notes
from refunds.drafts.issue import issue_draft as issue_note
from refunds.drafts.model import CreditOnInvoice, NewDraftCreditNote
from tests.billing.test_match import another_seller
from tests.books import accounts_of, assert_sound
from tests.makers import EUR, NOON, a_line, euros, three_lines, with_discount
from tests.shop import (
    a_payment,
    a_shop,
    a_shop_by_hand,
    an_issued_invoice,
    another_customer,
    by_amount,
    by_quantity,
    while_open,
)


async def credited(tx: Tx, invoice: Invoice, **fields: object) -> CreditNote:
    """Releasing what it takes off."""
    asked = {"reason": Reason.BILLING_ERROR, "refund": RefundMode.NONE, "release_lines": True, **fields}
    request = NewCreditNote(**asked)  # type: ignore[arg-type]
    return (await credit_invoice(tx, invoice.id, request)).credit_note


async def released(tx: Tx, *, billed: bool | None = None) -> list[ReleasedLine]:
    page = await store.page(tx, Window(limit=100), customer_id=None, credit_note_id=None, billed=billed)
    return list(reversed(page.data))


async def a_draft(tx: Tx, *lines: ReleasedLine, **fields: object) -> Draft:
    asked = {"customer": "user-42", "currency": EUR, **fields}
    request = NewDraft(released_lines=[line.id for line in lines], **asked)  # type: ignore[arg-type]
    return await drafts.draft_invoice(tx, request)


async def billed_again(tx: Tx, *lines: ReleasedLine, **fields: object) -> Invoice:
    return await drafts.issue_draft(tx, (await a_draft(tx, *lines, **fields)).id)


def a_new_line(price: str = "10.00") -> NewLine:
    return NewLine(description=Name("Conseil"), unit_price=UnitPrice.parse(price))


def shown(line: Line | ReleasedLine) -> tuple[object, ...]:
    return (line.description, line.item, line.period, line.tax)


@pytest.mark.parametrize("behavior", TaxBehavior)
async def test_what_was_credited_whole_is_billed_again_to_the_cent(tx: Tx, behavior: TaxBehavior) -> None:
    """Its discount has gone into the price, and the units are those of the line."""
    shop = await a_shop(tx)
    lines = with_discount(three_lines(), 25_00)
    invoice = await an_issued_invoice(tx, shop, lines, tax_behavior=behavior)
    await a_payment(tx, invoice)
    before = await accounts_of(tx)

    await credited(tx, invoice)
    lines_free = await released(tx, billed=False)
    again = await billed_again(tx, *lines_free, tax_behavior=behavior)

    assert [line.amount for line in lines_free] == [line.billed for line in invoice.lines]
    assert [line.quantity for line in lines_free] == [line.quantity for line in invoice.lines]
    assert [shown(line) for line in again.lines] == [shown(line) for line in invoice.lines]
    assert [line.billed for line in again.lines] == [line.billed for line in invoice.lines]
    assert (again.taxes, again.total) == (invoice.taxes, invoice.total)
    assert await accounts_of(tx) == before
    assert {line.billed_by for line in await released(tx)} == {again.id}
    assert await released(tx, billed=False) == []
    await assert_sound(tx)


async def test_of_a_line_what_was_credited_is_released_and_no_more(tx: Tx) -> None:
    shop = await a_shop(tx)
    invoice = await an_issued_invoice(tx, shop, [a_line("Postes", "10.00", "3"), a_line("Support", "50.00")])
    seats, support = invoice.lines
    await credited(tx, invoice, lines=[by_quantity(seats, "2"), by_amount(support, 12_34)])

    two, part = await released(tx)

    assert (two.amount, two.quantity) == (euros(20_00), Measure(2))
    assert (part.amount, part.quantity) == (euros(12_34), None)

    again = await billed_again(tx, two, part)

    assert [line.billed for line in again.lines] == [euros(20_00), euros(12_34)]
    assert [line.quantity for line in again.lines] == [Measure(2), Measure(1)]
    await assert_sound(tx)


async def test_a_line_is_billed_again_beside_others_whose_discount_does_not_touch_it(tx: Tx) -> None:
    invoice = await an_issued_invoice(tx, await a_shop(tx))
    await credited(tx, invoice)
    (line, *_) = await released(tx)
    half = NewDiscount(name=Name("Geste"), percent=Rate.parse("50"))

    again = await billed_again(tx, line, lines=[a_new_line("10.00")], discounts=[half])

    assert [each.billed for each in again.lines] == [euros(5_00), line.amount]


async def test_a_credit_that_does_not_ask_for_it_releases_nothing(tx: Tx) -> None:
    await credited(tx, await an_issued_invoice(tx, await a_shop(tx)), release_lines=False)

    assert await released(tx) == []


@pytest.mark.parametrize(
    "fields",
    [
        {"total": euros(1_00)},
        {"percent": Rate.parse("50")},
        {"net_of_tax": True},
        {"reason": Reason.REBATE},
        {"reason": Reason.EARLY_PAYMENT},
    ],
)
async def test_what_only_lowers_the_price_releases_nothing(tx: Tx, fields: dict[str, object]) -> None:
    invoice = await an_issued_invoice(tx, await a_shop(tx))

    with pytest.raises(Invalid) as refused:
        await credited(tx, invoice, **fields)

    assert (refused.value.code, refused.value.param) == ("lines_not_released", "release_lines")


async def test_a_deposit_releases_nothing_and_bills_nothing_again(tx: Tx) -> None:
    shop = await a_shop(tx)
    deposit = await billed_again(tx, lines=[a_new_line()], kind=DraftKind.DEPOSIT)
    with pytest.raises(Invalid, match="deposit") as refused:
        await credited(tx, deposit)
    assert refused.value.code == "lines_not_released"

    await credited(tx, await an_issued_invoice(tx, shop))
    with pytest.raises(Invalid) as refused:
        await a_draft(tx, *await released(tx), kind=DraftKind.DEPOSIT)
    assert refused.value.code == "deposit_of_released_lines"


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"currency": Currency("USD")}, "currency_mismatch"),
        ({"tax_behavior": TaxBehavior.INCLUSIVE}, "tax_behavior_mismatch"),
        ({"discounts": [NewDiscount(name=Name("x"), percent=Rate.parse("1"))]}, "discount_of_released_lines"),
    ],
)
async def test_a_draft_bills_only_what_is_like_it(tx: Tx, fields: dict[str, object], code: str) -> None:
    await credited(tx, await an_issued_invoice(tx, await a_shop(tx)))

    with pytest.raises(Invalid) as refused:
        await a_draft(tx, *await released(tx), **fields)

    assert refused.value.code == code


async def test_a_line_of_another_customer_or_of_nobody_or_twice_is_refused(tx: Tx) -> None:
    await credited(tx, await an_issued_invoice(tx, await a_shop(tx)))
    line = (await released(tx))[0]
    other = await another_customer(tx)

    for named, fields, code in (
        ([line.id], {"customer": str(other.id)}, "customer_mismatch"),
        ([line.id, line.id], {}, "released_line_twice"),
        ([ReleasedLineId.new()], {}, "released_line_not_found"),
        ([], {}, "draft_lines"),
        ([line.id], {"lines": [a_new_line()] * 1000}, "draft_lines"),
    ):
        asked = {"customer": "user-42", "currency": EUR, "released_lines": named, **fields}
        with pytest.raises(DomainError) as refused:
            await drafts.draft_invoice(tx, NewDraft(**asked))  # type: ignore[arg-type]
        assert refused.value.code == code


async def test_a_line_of_another_seller_is_not_billed_by_this_one(tx: Tx) -> None:
    customer = await a_shop_by_hand(tx)
    abroad = replace(customer, legal_entity_id=(await another_seller(tx)).id)
    await credited(tx, await an_issued_invoice(tx, abroad))

    with pytest.raises(Invalid) as refused:
        await a_draft(tx, *await released(tx))

    assert refused.value.code == "seller_mismatch"


async def test_without_vat_it_is_all_one_whether_prices_include_it(tx: Tx) -> None:
    shop = await a_shop(tx)
    await credited(
        tx,
        await an_issued_invoice(
            tx, shop, [a_line(tax=TaxGroup(Category.EXEMPT, Rate(0), "art. 261 du CGI"))]
        ),
    )

    again = await billed_again(tx, *await released(tx), tax_behavior=TaxBehavior.INCLUSIVE)

    assert (again.net, again.total) == (euros(100_00), euros(100_00))
    await assert_sound(tx)


async def test_a_draft_of_a_note_releases_lines_the_moment_it_is_issued(tx: Tx) -> None:
    invoice = await an_issued_invoice(tx, await a_shop(tx))
    asked = CreditOnInvoice(invoice=invoice.id, reason=Reason.BILLING_ERROR, release_lines=True)
    draft = await notes.draft_credit_note(tx, NewDraftCreditNote(on_invoice=asked))
    assert await released(tx) == []

    await issue_note(tx, draft.id)

    assert [line.credit_note_id for line in await released(tx)] == [draft.id] * len(invoice.lines)


async def test_of_two_drafts_with_one_line_the_first_that_is_issued_bills_it(tx: Tx) -> None:
    await credited(tx, await an_issued_invoice(tx, await a_shop(tx)))
    line, *others = await released(tx)
    first, second = await a_draft(tx, line), await a_draft(tx, line, *others)

    invoice = await drafts.issue_draft(tx, first.id)

    with pytest.raises(Conflict, match=str(invoice.id)) as refused:
        await drafts.issue_draft(tx, second.id)
    assert refused.value.code == "released_line_billed"
    with pytest.raises(Conflict):
        await a_draft(tx, line)
    rest = DraftChange(released_lines=[each.id for each in others])
    await drafts.edit_draft(tx, second.id, rest)
    await drafts.issue_draft(tx, second.id)
    await assert_sound(tx)


async def test_two_drafts_with_one_line_issued_at_once_take_turns(pool: Pool, tenant: TenantId) -> None:
    async with transaction(pool, tenant, now=NOON) as tx:
        await credited(tx, await an_issued_invoice(tx, await a_shop(tx)))
        line, *_ = await released(tx)
        first, second = await a_draft(tx, line), await a_draft(tx, line)

    async def issue_first(tx: Tx) -> Invoice:
        return await drafts.issue_draft(tx, first.id)

    async def issue_second(tx: Tx) -> Invoice:
        return await drafts.issue_draft(tx, second.id)

    with pytest.raises(Conflict) as refused:
        await while_open(pool, tenant, issue_first, issue_second)

    assert refused.value.code == "released_line_billed"
    async with transaction(pool, tenant, now=NOON) as tx:
        assert [each.billed_by for each in await released(tx, billed=True)] == [first.id]
        await assert_sound(tx)


async def test_a_draft_that_is_deleted_leaves_its_lines_free(tx: Tx) -> None:
    await credited(tx, await an_issued_invoice(tx, await a_shop(tx)))
    lines = await released(tx)
    draft = await a_draft(tx, *lines)

    await drafts.delete_draft(tx, draft.id)

    assert await released(tx, billed=False) == lines
    assert (await billed_again(tx, *lines)).lines


async def test_what_was_billed_again_can_be_released_again(tx: Tx) -> None:
    invoice = await an_issued_invoice(tx, await a_shop(tx))
    await credited(tx, invoice)
    again = await billed_again(tx, *await released(tx))

    await credited(tx, again)

    assert [line.invoice_id for line in await released(tx, billed=False)] == [again.id] * len(again.lines)
    await assert_sound(tx)


async def test_a_note_that_is_taken_back_releases_nothing_any_more(tx: Tx) -> None:
    note = await credited(tx, await an_issued_invoice(tx, await a_shop(tx)))

    done = await reverse_note(tx, note.id, NewReversal())

    assert {line.billed_by for line in await released(tx)} == {done.invoice.id}
    await assert_sound(tx)


async def test_a_note_whose_lines_have_been_billed_again_is_not_taken_back(tx: Tx) -> None:
    note = await credited(tx, await an_issued_invoice(tx, await a_shop(tx)))
    line, *_ = await released(tx)
    await billed_again(tx, line)

    with pytest.raises(Conflict) as refused:
        await reverse_note(tx, note.id, NewReversal())

    assert refused.value.code == "released_line_billed"


async def test_both_documents_tell_of_it(tx: Tx) -> None:
    note = await credited(tx, await an_issued_invoice(tx, await a_shop(tx)))
    again = await billed_again(tx, *await released(tx))
    await leave_behind(tx)

    for document in (note.id, again.id):
        told = await outbox.page_about(tx, Window(limit=100), document)
        assert "credit_note.released_lines_billed" in {each.type for each in told.data}
