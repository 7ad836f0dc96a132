"""The ledger: every act balances, and VAT falls due as money comes and goes."""

from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.credit_notes import store as credit_notes
from billing.invoices import store as invoices
from billing.invoices.model import Invoice, PricedLine
from billing.ledger import postings, store
from billing.ledger.book import book
from billing.ledger.model import Account, Posting, Source
from billing.parties.model import VatDue
from billing.payments.model import OutsideMeans
from billing.tax.model import TaxBehavior
from kernel.database import Pool, Tx
from kernel.errors import NotFound
from kernel.paging import Window
from kernel.text import Name
from refunds.model import NewManualRefund
from refunds.record_refund import record_refund
from tests.books import accounts_of, assert_sound
from tests.makers import REVERSE_CHARGE, a_line, euros, vat, with_discount
from tests.shop import a_credit, a_payment, a_shop, a_transaction, an_issued_invoice, by_amount


async def sold(tx: Tx, *, vat_due: VatDue = VatDue.ON_PAYMENT) -> Invoice:
    """179.76, of which 24.76 is VAT."""
    return await an_issued_invoice(tx, await a_shop(tx, vat_due=vat_due))


async def test_an_invoice_is_owed_and_its_vat_waits_for_the_payment(tx: Tx) -> None:
    await sold(tx)

    assert await accounts_of(tx) == {"411": 179_76, "706": -155_00, "4458": -24_76}
    await assert_sound(tx)


async def test_a_seller_on_debits_owes_the_vat_at_once(tx: Tx) -> None:
    invoice = await sold(tx, vat_due=VatDue.ON_INVOICE)
    assert await accounts_of(tx) == {"411": 179_76, "706": -155_00, "44571": -24_76}

    await a_payment(tx, invoice, 100_00)
    assert await accounts_of(tx) == {"411": 79_76, "512": 100_00, "706": -155_00, "44571": -24_76}

    await a_credit(tx, invoice)
    assert await accounts_of(tx) == {"411": -100_00, "512": 100_00}
    await assert_sound(tx)


async def test_vat_falls_due_with_the_share_that_was_paid(tx: Tx) -> None:
    invoice = await sold(tx)
    await a_payment(tx, invoice, 89_88)  # half

    collected = await accounts_of(tx)
    assert collected["44571"] == -(11_20 + 1_19)  # halves of 22.39 and 2.37, each rounded up
    assert collected["4458"] == -(24_76 - 12_39)
    await assert_sound(tx)


async def test_all_vat_has_fallen_due_when_all_is_paid(tx: Tx) -> None:
    invoice = await sold(tx)
    for part in (60_00, 60_00, 59_76):
        await a_payment(tx, invoice, part)
        await assert_sound(tx)

    assert await accounts_of(tx) == {"512": 179_76, "706": -155_00, "44571": -24_76}


async def test_vat_that_was_credited_does_not_fall_due(tx: Tx) -> None:
    invoice = await sold(tx)
    await a_credit(tx, invoice, by_amount(invoice.lines[0], 43_06))
    await a_payment(tx, invoice)

    assert await accounts_of(tx) == {"512": 128_09, "706": -111_94, "44571": -16_15}
    await assert_sound(tx)


async def test_nothing_is_left_when_all_was_credited_and_given_back(tx: Tx) -> None:
    invoice = await sold(tx)
    await a_payment(tx, invoice)
    note = await a_credit(tx, invoice)
    assert await accounts_of(tx) == {"411": -179_76, "512": 179_76}

    await record_refund(tx, note.id, NewManualRefund(means=OutsideMeans.TRANSFER, amount=note.total))
    assert await accounts_of(tx) == {}
    await assert_sound(tx)


async def test_an_invoice_of_nothing_leaves_no_entry(tx: Tx) -> None:
    await an_issued_invoice(tx, await a_shop(tx), with_discount([a_line(price="29.00")], 29_00))

    assert (await store.page(tx, Window(), document_id=None)).data == []


async def test_what_does_not_balance_is_not_booked(tx: Tx) -> None:
    invoice = await sold(tx)
    lopsided = [Posting(account=Account.BANK, amount=euros(1))]

    with pytest.raises(AssertionError, match="does not balance"):
        await book(
            tx, invoice, Source.INVOICE, invoice.id, lopsided, label="A mistake", booked_on=date(2026, 1, 1)
        )


async def test_entries_are_read_per_document(tx: Tx) -> None:
    invoice = await sold(tx)
    payment = await a_payment(tx, invoice)

    everything = (await store.page(tx, Window(), document_id=None)).data
    of_payment = (await store.page(tx, Window(), document_id=str(payment.id))).data

    assert {entry.document_id for entry in of_payment} == {str(payment.id)}
    assert {entry.account for entry in of_payment} == {
        Account.BANK,
        Account.CUSTOMERS,
        Account.VAT_WAITING,
        Account.VAT_COLLECTED,
    }
    assert len(everything) == len(of_payment) + 4
    with pytest.raises(NotFound):
        await store.page(tx, Window(), document_id="nothing")


async def test_money_is_booked_on_the_day_it_came(tx: Tx) -> None:
    invoice = await sold(tx)
    payment = await a_payment(tx, invoice)

    booked = (await store.page(tx, Window(), document_id=str(payment.id))).data
    assert {entry.booked_on for entry in booked} == {payment.received_on}


@pytest.mark.parametrize(
    ("received", "left", "due"),
    [(0, 100, 0), (50, 100, 10), (33, 100, 7), (100, 100, 20), (120, 100, 20), (0, 0, 0), (50, 0, 0)],
)
def test_what_has_fallen_due_is_the_share_received_of_what_is_left(
    received: int, left: int, due: int
) -> None:
    assert postings.due_of(euros(20), received=euros(received), left=euros(left)) == euros(due)


# ── In every order ──────────────────────────────────────────────────────────────────────────────────────


@st.composite
def some_lines(draw: st.DrawFn) -> list[PricedLine]:
    groups = st.sampled_from([vat("20"), vat("5.5"), vat("2.1"), REVERSE_CHARGE])
    lines = [
        a_line(price=euros(draw(st.integers(1, 99_99))).decimal, tax=draw(groups))
        for _ in range(draw(st.integers(1, 3)))
    ]
    return with_discount(lines, draw(st.integers(0, sum(line.billed.minor for line in lines) - 1)))


async def pay_a_part(tx: Tx, invoice: Invoice, data: st.DataObject) -> None:
    due = (await invoices.get(tx, invoice.id)).settlement.due
    if due:
        await a_payment(tx, invoice, data.draw(st.integers(1, due.minor)))


async def credit_a_part(tx: Tx, invoice: Invoice, data: st.DataObject) -> None:
    earlier = await credit_notes.credited_lines(tx, invoice.id)
    line = data.draw(st.sampled_from(invoice.lines))
    left = line.billed - earlier[line.id].amount if line.id in earlier else line.billed
    if left:
        await a_credit(tx, invoice, by_amount(line, data.draw(st.integers(1, left.minor))))


async def give_a_part_back(tx: Tx, invoice: Invoice, data: st.DataObject) -> None:
    notes = await credit_notes.page(tx, Window(), customer_id=None, invoice_id=invoice.id)
    for note in notes.data:
        if note.settlement.left:
            amount = euros(data.draw(st.integers(1, note.settlement.left.minor)))
            await record_refund(
                tx,
                note.id,
                NewManualRefund(means=OutsideMeans.CHECK, amount=amount, reference=Name("CHQ 1")),
            )
            return


@settings(max_examples=25)
@given(
    lines=some_lines(),
    tax_behavior=st.sampled_from(TaxBehavior),
    vat_due=st.sampled_from(VatDue),
    data=st.data(),
)
async def test_whatever_happens_in_whatever_order_the_books_are_sound(
    pool: Pool,
    lines: list[PricedLine],
    tax_behavior: TaxBehavior,
    vat_due: VatDue,
    data: st.DataObject,
) -> None:
    acts = st.sampled_from([pay_a_part, credit_a_part, give_a_part_back])
    async with a_transaction(pool) as tx:
        customer = await a_shop(tx, vat_due=vat_due)
        invoice = await an_issued_invoice(tx, customer, lines, tax_behavior=tax_behavior)
        for act in data.draw(st.lists(acts, min_size=1, max_size=8)):
            await act(tx, invoice, data)
            await assert_sound(tx)

        settlement = (await invoices.get(tx, invoice.id)).settlement
        if settlement.credited < invoice.total:
            await a_credit(tx, invoice)
        await give_everything_back(tx, invoice)
        await assert_sound(tx)
        assert await accounts_of(tx) == {}


async def give_everything_back(tx: Tx, invoice: Invoice) -> None:
    notes = await credit_notes.page(tx, Window(), customer_id=None, invoice_id=invoice.id)
    for note in notes.data:
        if note.settlement.left:
            request = NewManualRefund(means=OutsideMeans.CASH, amount=note.settlement.left)
            await record_refund(tx, note.id, request)
