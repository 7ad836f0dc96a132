"""Rebates in the books: given once, spread over what was bought, given back with what is credited."""

from collections.abc import Awaitable
from datetime import UTC, date, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.credit_notes import store as credit_notes
from billing.credit_notes.model import CreditNote, CreditShare, NewReversal, Reason
from billing.gateways.model import Outcome
from billing.gateways.model import Status as OutcomeStatus
from billing.invoices import store as invoices
from billing.invoices.model import Invoice
from billing.parties.change_customer import change_customer
from billing.parties.model import CustomerChange, RefundMode, VatDue
from billing.payments.model import OutsideMeans
from billing.settlement.apply import apply_note
from billing.settlement.balance import balance_of
from billing.settlement.reverse import reverse_note
from billing.tax.model import TaxBehavior
from kernel.database import Pool, Tx, transaction
from kernel.errors import Conflict, DomainError, Invalid
from kernel.ids import TenantId
from kernel.money import Money
from promotions.rebates.accruals import accruals
from promotions.rebates.accrue import accrue
from promotions.rebates.model import Basis, Mode, NewAccrual, RebatePeriod, WhenNegative
from refunds.model import NewManualRefund, SettledRebate
from refunds.record_refund import record_refund
from refunds.send_refund import finish_refund
from refunds.settle_rebate import settle_ended
from tests.books import accounts_of, assert_sound
from tests.makers import NOON, REVERSE_CHARGE, a_line, euros, vat
from tests.promotions.rebates.contracts import (
    a_contract,
    bought,
    noon,
    now_settled,
    settled,
    standing,
    tiers,
)
from tests.refunds.cases import an_intent, paid_by_provider
from tests.refunds.test_credit_customer import credited
from tests.shop import (
    a_credit,
    a_payment,
    a_shop,
    a_transaction,
    an_issued_invoice,
    another_customer,
    at,
    by_amount,
    by_quantity,
    while_open,
)


async def note_of(tx: Tx, result: SettledRebate) -> CreditNote:
    [given_] = result.settlements
    assert given_.settlement.credit_note_id is not None
    return await credit_notes.get(tx, given_.settlement.credit_note_id)


# ── The oracle ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("mode", "due"), [(Mode.MARGINAL, 1100_00), (Mode.WHOLE_VOLUME, 1140_00)])
@pytest.mark.parametrize("vat_due", list(VatDue))
async def test_the_oracle(tx: Tx, mode: Mode, due: int, vat_due: VatDue) -> None:
    customer = await a_shop(tx, vat_due=vat_due)
    for price in ("1000.00", "2500.00", "300.00"):
        invoice = await bought(tx, customer, price)
        if price != "300.00":
            await a_payment(tx, invoice)
    contract = await a_contract(tx, mode=mode)

    note = await note_of(tx, await settled(tx, contract, tx.now.date()))
    assert (note.net, note.tax) == (euros(due), euros(due // 5))
    assert (note.invoice_id, len(note.sources), len(note.lines)) == (None, 3, 3)
    assert sum(source.net.minor for source in note.sources) == due
    assert (await accounts_of(tx))["709"] == due
    await assert_sound(tx)


async def test_settling_twice_settles_nothing_new(tx: Tx) -> None:
    customer = await a_shop(tx)
    await bought(tx, customer, "3800.00")
    contract = await a_contract(tx)

    assert await now_settled(tx, contract) == [1100_00]
    assert await now_settled(tx, contract) == []
    await bought(tx, customer, "100.00")
    assert await now_settled(tx, contract) == [30_00]
    assert await now_settled(tx, contract) == []
    await assert_sound(tx)


async def test_the_lower_bound_is_of_its_tier(tx: Tx) -> None:
    customer = await a_shop(tx)
    await bought(tx, customer, "300.00")
    contract = await a_contract(tx, mode=Mode.WHOLE_VOLUME)

    assert await now_settled(tx, contract) == [90_00]


async def test_what_is_bought_outside_the_scope_does_not_count(tx: Tx) -> None:
    customer = await a_shop(tx)
    await bought(tx, customer, "50.00", when=noon(1, 2, 2025))
    await bought(tx, await another_customer(tx), "70.00")
    await bought(tx, customer, "30.00")
    contract = await a_contract(tx, items=["pro"])
    assert await now_settled(tx, contract) == []

    everything = await a_contract(tx, reference="other")
    assert await now_settled(tx, everything) == [3_00]
    await assert_sound(tx)


# ── Where it comes off ──────────────────────────────────────────────────────────────────────────────────


async def test_what_is_due_is_offset_first_and_what_was_paid_is_balance(tx: Tx) -> None:
    customer = await a_shop(tx)
    paid, unpaid = await bought(tx, customer, "100.00"), await bought(tx, customer, "100.00")
    await a_payment(tx, paid)
    contract = await a_contract(tx, terms=tiers((0, "10")))

    note = await note_of(tx, await settled(tx, contract, tx.now.date()))
    assert [(source.total.minor, source.to_invoice.minor) for source in note.sources] == [
        (12_00, 0),
        (12_00, 12_00),
    ]
    assert (note.destination.to_invoice, note.destination.to_balance) == (euros(12_00), euros(12_00))
    assert (await invoices.get(tx, unpaid.id)).settlement.due == euros(108_00)
    assert (await balance_of(tx, "user-42")).amounts == [euros(12_00)]
    await assert_sound(tx)


async def test_what_older_notes_paid_goes_back_to_them(tx: Tx) -> None:
    customer = await a_shop(tx)
    first, second = await bought(tx, customer, "100.00"), await bought(tx, customer, "50.00")
    await a_payment(tx, first)
    note = await a_credit(tx, first, by_amount(first.lines[0], 50_00))
    second = await invoices.lock(tx, second.id)
    await apply_note(tx, note, second, euros(60_00))
    contract = await a_contract(tx, terms=tiers((0, "10")))

    rebate = await note_of(tx, await settled(tx, contract, tx.now.date()))
    assert rebate.total == euros(12_00)
    assert (await credit_notes.get(tx, note.id)).settlement.left == euros(6_00)
    assert (await balance_of(tx, "user-42")).amounts == [euros(12_00)]
    await assert_sound(tx)


async def test_what_a_rebate_leaves_pays_another_invoice_even_one_it_is_on(tx: Tx) -> None:
    customer = await a_shop(tx)
    paid, other = await bought(tx, customer, "100.00"), await bought(tx, customer, "100.00")
    await a_payment(tx, paid)
    contract = await a_contract(tx, terms=tiers((0, "10")))
    note = await note_of(tx, await settled(tx, contract, tx.now.date()))

    locked = await invoices.lock(tx, other.id)
    used, after = await apply_note(tx, note, locked, euros(12_00))
    assert (used.settlement.left, after.settlement.due) == (euros(0), euros(96_00))
    await assert_sound(tx)
    await a_credit(tx, after)
    assert (await balance_of(tx, "user-42")).amounts == [euros(12_00)]
    await assert_sound(tx)


async def test_it_goes_back_by_the_provider_and_the_rest_by_hand(tx: Tx) -> None:
    customer = await a_shop(tx)
    by_card, by_transfer = await bought(tx, customer, "10.00"), await bought(tx, customer, "190.00")
    await paid_by_provider(tx, by_card)
    await a_payment(tx, by_transfer)
    contract = await a_contract(tx, terms=tiers((0, "10")), refund=RefundMode.AUTOMATIC)

    result = await settled(tx, contract, tx.now.date())
    note = await note_of(tx, result)
    assert (note.destination.to_provider, note.destination.by_hand) == (euros(12_00), euros(12_00))
    [refund] = result.settlements[0].refunds
    assert (refund.amount, refund.invoice_id) == (euros(12_00), None)
    await assert_sound(tx)
    await finish_refund(tx, refund.id, Outcome(status=OutcomeStatus.SUCCEEDED, reference="re_1"))
    await assert_sound(tx)
    await record_refund(tx, note.id, NewManualRefund(means=OutsideMeans.TRANSFER))
    await assert_sound(tx)


async def test_vat_is_rounded_once_on_the_document_and_never_beyond_an_invoice(tx: Tx) -> None:
    """Thirty invoices of 0.33: 20 % of 0.99 each time would be nothing at all."""
    customer = await a_shop(tx)
    for _ in range(30):
        await a_payment(tx, await bought(tx, customer, "0.33"))
    contract = await a_contract(tx, terms=tiers((0, "10")))

    note = await note_of(tx, await settled(tx, contract, tx.now.date()))
    assert (note.net.minor, note.tax.minor) == (99, 20)
    await assert_sound(tx)


async def test_several_rates_and_sellers_of_one_thing(tx: Tx) -> None:
    customer = await a_shop(tx)
    for _ in range(3):
        invoice = await bought(
            tx, customer, a_line(price="33.33"), a_line(price="10.01", tax=vat("5.5")), a_line(price="0.01")
        )
        await a_payment(tx, invoice)
    contract = await a_contract(tx, terms=tiers((0, "12.5")))

    note = await note_of(tx, await settled(tx, contract, tx.now.date()))
    assert note.net.minor == 16_26  # 12.5 % of 130.05
    assert len(note.taxes) == 2
    await assert_sound(tx)


async def test_an_invoice_that_is_being_paid_holds_a_settlement(tx: Tx) -> None:
    customer = await a_shop(tx)
    await an_intent(tx, await bought(tx, customer, "100.00"), None)
    contract = await a_contract(tx)

    with pytest.raises(Conflict) as refused:
        await now_settled(tx, contract)
    assert refused.value.code == "payment_in_flight"


async def test_prices_with_vat_are_refused(tx: Tx) -> None:
    customer = await a_shop(tx)
    await an_issued_invoice(tx, customer, tax_behavior=TaxBehavior.INCLUSIVE)
    contract = await a_contract(tx)

    with pytest.raises(Conflict) as refused:
        await now_settled(tx, contract)
    assert refused.value.code == "rebate_gross_prices"


# ── Credits after a rebate ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("paid", [True, False])
async def test_a_full_credit_of_every_invoice_leaves_nothing_anywhere(tx: Tx, mode: Mode, paid: bool) -> None:
    customer = await a_shop(tx)
    all_ = [
        await bought(tx, customer, a_line(price="77.77", quantity="3"), a_line(price="0.07", tax=vat("5.5")))
        for _ in range(3)
    ]
    contract = await a_contract(tx, mode=mode)
    for invoice in all_:
        if paid:
            await a_payment(tx, invoice)
    await now_settled(tx, contract)
    await a_credit(tx, all_[0], by_quantity(all_[0].lines[0], "1"))
    await assert_sound(tx)
    for invoice in all_:
        await a_credit(tx, invoice)

    await assert_sound(tx)
    stand = await standing(tx, contract)
    assert (stand.volume, stand.earned, stand.issued, stand.due) == (euros(0),) * 4
    assert await now_settled(tx, contract) == []
    left = {
        account: minor for account, minor in (await accounts_of(tx)).items() if account not in ("512", "411")
    }
    assert {account: minor for account, minor in left.items() if account in ("44571", "4458")} == {}
    assert left.get("706", 0) + left.get("709", 0) == 0
    received = 3 * (all_[0].total.minor if paid else 0)
    assert sum(each.minor for each in (await balance_of(tx, "user-42")).amounts) == received


async def test_a_later_credit_gives_back_its_share_less_the_rebate_on_it(tx: Tx) -> None:
    customer = await a_shop(tx)
    invoice = await bought(tx, customer, a_line(price="100.00", quantity="10"))
    contract = await a_contract(tx, terms=tiers((0, "10")))
    await now_settled(tx, contract)

    note = await a_credit(tx, invoice, by_quantity(invoice.lines[0], "4"))
    assert note.net == euros(360_00)
    assert (note.lines[0].volume, note.lines[0].rebate_ended) == (euros(400_00), euros(40_00))
    stand = await standing(tx, contract)
    assert (stand.volume, stand.earned, stand.issued, stand.due) == (
        euros(600_00),
        euros(60_00),
        euros(60_00),
        euros(0),
    )
    await assert_sound(tx)


async def test_a_discount_for_early_payment_leaves_the_volume(tx: Tx) -> None:
    customer = await a_shop(tx)
    invoice = await bought(tx, customer, "100.00")
    await a_credit(tx, invoice, by_amount(invoice.lines[0], 2_00), reason=Reason.EARLY_PAYMENT)
    contract = await a_contract(tx, terms=tiers((0, "10")))

    assert (await standing(tx, contract)).volume == euros(100_00)
    assert await now_settled(tx, contract) == [10_00]


async def test_what_takes_a_discount_or_a_gesture_back_is_nothing_that_was_bought(tx: Tx) -> None:
    """They had left the volume; what takes back a credit of the line brings it back."""
    customer = await a_shop(tx)
    invoice = await bought(tx, customer, "100.00")
    line = by_amount(invoice.lines[0], 2_00)
    discount = await a_credit(tx, invoice, line, reason=Reason.EARLY_PAYMENT)
    gesture = (await credited(tx, customer)).credit_note
    returned = await a_credit(tx, invoice, by_amount(invoice.lines[0], 49_00))
    contract = await a_contract(tx, terms=tiers((0, "10")))
    assert (await standing(tx, contract)).volume == euros(50_00)

    for note in (discount, gesture):
        await reverse_note(tx, note.id, NewReversal())
    assert (await standing(tx, contract)).volume == euros(50_00)
    await reverse_note(tx, returned.id, NewReversal())
    assert (await standing(tx, contract)).volume == euros(99_00)
    await assert_sound(tx)


# ── Less than nothing is due ────────────────────────────────────────────────────────────────────────────


async def credited_below_a_tier(tx: Tx, when_negative: WhenNegative) -> list[int]:
    """300.00 in January gave 90.00; 250.00 is left of it, and of the rebate 75.00 where 50.00 is earned."""
    customer = await a_shop(tx)
    first = await bought(tx, customer, a_line(price="50.00", quantity="6"), when=noon(1, 10))
    contract = await a_contract(
        tx, mode=Mode.WHOLE_VOLUME, period=RebatePeriod.MONTH, when_negative=when_negative
    )
    february, march, april = noon(2, 1), noon(3, 1), noon(4, 1)
    sums = [each.settlement.net.minor for each in (await settled(tx, contract, when=february)).settlements]
    await a_credit(at(tx, february), first, by_quantity(first.lines[0], "1"))
    await bought(tx, customer, "200.00", when=noon(2, 10))
    for when in (march, april):
        result = await settled(tx, contract, when=when)
        sums += [
            each.settlement.net.minor * (1 if each.settlement.credit_note_id else -1)
            for each in result.settlements
        ]
        await assert_sound(tx)
    return sums


async def test_it_is_carried_forward_to_the_next_period(tx: Tx) -> None:
    assert await credited_below_a_tier(tx, WhenNegative.CARRY_FORWARD) == [90_00, 15_00]


async def test_or_taken_back_by_an_invoice(tx: Tx) -> None:
    assert await credited_below_a_tier(tx, WhenNegative.CLAW_BACK) == [90_00, -25_00, 40_00]
    accounts = await accounts_of(tx)
    assert accounts["709"] == 90_00 + 40_00


async def test_while_a_period_runs_nothing_is_taken_back(tx: Tx) -> None:
    customer = await a_shop(tx)
    invoice = await bought(tx, customer, a_line(price="50.00", quantity="6"))
    contract = await a_contract(tx, mode=Mode.WHOLE_VOLUME, when_negative=WhenNegative.CLAW_BACK)
    assert await now_settled(tx, contract) == [90_00]
    await a_credit(tx, invoice, by_quantity(invoice.lines[0], "1"))

    assert await now_settled(tx, contract) == []
    [taken] = (await settled(tx, contract, when=noon(1, 1, 2027))).settlements
    assert (taken.settlement.net, taken.settlement.credit_note_id) == (euros(25_00), None)
    await assert_sound(tx)


async def test_what_was_taken_back_is_given_again_when_it_is_earned_again(tx: Tx) -> None:
    customer = await a_shop(tx)
    invoice = await bought(tx, customer, a_line(price="50.00", quantity="6"), when=noon(1, 10))
    contract = await a_contract(
        tx, mode=Mode.WHOLE_VOLUME, period=RebatePeriod.MONTH, when_negative=WhenNegative.CLAW_BACK
    )
    await settled(tx, contract, when=noon(2, 1))
    await a_credit(at(tx, noon(2, 2)), invoice, by_quantity(invoice.lines[0], "1"))
    [taken] = (await settled(tx, contract, when=noon(2, 3))).settlements
    assert (taken.settlement.net, taken.total) == (euros(25_00), euros(30_00))
    await a_credit(at(tx, noon(2, 4)), invoice)

    [again] = (await settled(tx, contract, when=noon(2, 5))).settlements
    assert again.settlement.net == euros(25_00)
    assert (await settled(tx, contract, when=noon(2, 6))).settlements == ()
    await assert_sound(tx)


# ── Groups, quantities, several programmes ──────────────────────────────────────────────────────────────


async def test_a_group_earns_together_and_each_gets_a_note_of_its_own(tx: Tx) -> None:
    one = await a_shop(tx)
    two = await another_customer(tx)
    await bought(tx, one, "100.00")
    await bought(tx, two, "200.00")
    contract = await a_contract(tx, mode=Mode.WHOLE_VOLUME, customers=["user-42", "user-43"])

    result = await settled(tx, contract, tx.now.date())
    given_ = {each.settlement.customer_id: each.settlement.net.minor for each in result.settlements}
    assert given_ == {one.id: 30_00, two.id: 60_00}
    assert (await standing(tx, contract)).due == euros(0)
    await assert_sound(tx)


async def test_a_group_is_whoever_has_its_metadata_now(tx: Tx) -> None:
    one, two = await a_shop(tx), await another_customer(tx)
    contract = await a_contract(tx, customer_metadata={"group": "north"}, mode=Mode.WHOLE_VOLUME)
    await bought(tx, one, "150.00")
    await bought(tx, two, "150.00")
    assert await now_settled(tx, contract) == []

    await change_customer(tx, "user-42", CustomerChange(metadata={"group": "north", "crm": "1"}))
    assert (await standing(tx, contract)).earned == euros(30_00)
    await change_customer(tx, "user-43", CustomerChange(metadata={"group": "north"}))
    assert await now_settled(tx, contract) == [45_00, 45_00]
    await assert_sound(tx)


async def test_sales_without_vat_are_rebated_without_vat(tx: Tx) -> None:
    customer = await a_shop(tx)
    await a_payment(tx, await bought(tx, customer, a_line(price="100.00", tax=REVERSE_CHARGE), "50.00"))
    contract = await a_contract(tx, terms=tiers((0, "10")))

    note = await note_of(tx, await settled(tx, contract, tx.now.date()))
    assert [(tax.base.minor, tax.tax.minor) for tax in note.taxes] == [(10_00, 0), (5_00, 1_00)]
    await assert_sound(tx)


async def test_a_rebate_of_everything_takes_all_the_vat_there_is(tx: Tx) -> None:
    """Three lines of 33.33 at 20 %, part credited before: what is left of the VAT goes with what is left."""
    customer = await a_shop(tx)
    invoice = await bought(tx, customer, *[a_line(price="33.33") for _ in range(3)])
    await a_credit(tx, invoice, by_amount(invoice.lines[0], 10_01))
    contract = await a_contract(tx, terms=tiers((0, "100")))

    note = await note_of(tx, await settled(tx, contract, tx.now.date()))
    assert (note.net.minor, note.tax.minor) == (99_99 - 10_01, 20_00 - 2_00)
    assert (await invoices.get(tx, invoice.id)).settlement.credited == invoice.total
    await assert_sound(tx)


async def test_units_count_on_the_quantity_basis(tx: Tx) -> None:
    customer = await a_shop(tx)
    invoice = await bought(tx, customer, a_line(price="2.00", quantity="250"))
    contract = await a_contract(tx, basis=Basis.QUANTITY, mode=Mode.WHOLE_VOLUME)
    stand = await standing(tx, contract)
    assert (str(stand.quantity), stand.earned) == ("250", euros(100_00))
    assert stand.next_tier is not None
    assert (str(stand.next_tier.more_quantity), stand.next_tier.brings) == ("50", euros(80_00))

    await a_credit(tx, invoice, by_quantity(invoice.lines[0], "200"))
    stand = await standing(tx, contract)
    assert (str(stand.quantity), stand.earned) == ("50", euros(10_00))
    await a_credit(tx, invoice)
    assert str((await standing(tx, contract)).quantity) == "0"


async def test_two_programmes_on_the_same_lines_each_know_their_own(tx: Tx) -> None:
    customer = await a_shop(tx)
    invoice = await bought(tx, customer, a_line(price="100.00", quantity="10"))
    one = await a_contract(tx, terms=tiers((0, "10")))
    other = await a_contract(tx, terms=tiers((0, "5")), reference="other")

    assert await now_settled(tx, one) == [100_00]
    assert await now_settled(tx, other) == [50_00]
    assert await now_settled(tx, one) == []
    await a_credit(tx, invoice, by_quantity(invoice.lines[0], "4"))
    for contract, left in ((one, 60_00), (other, 30_00)):
        stand = await standing(tx, contract)
        assert (stand.earned.minor, stand.issued.minor) == (left, left)
    await a_credit(tx, invoice)
    await assert_sound(tx)


# ── Split in time ───────────────────────────────────────────────────────────────────────────────────────

LINES = st.lists(
    st.tuples(st.integers(1, 12), st.integers(1, 400_00), st.integers(1, 9)), min_size=1, max_size=5
)
CREDITS = st.lists(
    st.tuples(
        st.integers(1, 12),
        st.integers(0, 4),
        st.sampled_from(["quantity", "everything", "share"]),
        st.integers(1, 9),
    ),
    max_size=4,
)


@settings(max_examples=25)
@given(
    lines=LINES, credits_=CREDITS, mode=st.sampled_from(list(Mode)), settled_in=st.sets(st.integers(1, 12))
)
async def test_a_settlement_split_over_months_equals_one_to_the_cent(
    pool: Pool,
    lines: list[tuple[int, int, int]],
    credits_: list[tuple[int, int, str, int]],
    mode: Mode,
    settled_in: set[int],
) -> None:
    """With credits in between: what was given back in the end is the same."""
    once = await a_year(pool, lines, credits_, mode, set())
    split = await a_year(pool, lines, credits_, mode, settled_in)
    assert split == once


async def a_year(
    pool: Pool,
    lines: list[tuple[int, int, int]],
    credits_: list[tuple[int, int, str, int]],
    mode: Mode,
    settled_in: set[int],
) -> tuple[int, int, int]:
    """Purchases and credits month by month: all that was given back net, the volume and what was earned."""
    async with a_transaction(pool) as tx:
        customer = await a_shop(tx)
        contract = await a_contract(tx, mode=mode)
        issued: list[Invoice] = []
        for month in range(1, 13):
            then = at(tx, noon(month))
            for when, minor, quantity in lines:
                if when == month:
                    price = f"{minor / 100:.2f}"
                    issued.append(
                        await bought(
                            tx, customer, a_line(price=price, quantity=str(quantity)), when=noon(month)
                        )
                    )
            for when, which, how, amount in credits_:
                if when == month and which < len(issued):
                    await _credit(then, issued[which], how, amount)
            if month in settled_in:
                await settled(tx, contract, date(2026, month, 15), when=noon(month))
        await settled(tx, contract, when=noon(1, 2, 2027))
        await assert_sound(tx)
        stand = (await accruals(at(tx, noon(12, 31)), contract.reference)).periods[0]
        back: int = await tx.conn.fetchval("SELECT COALESCE(sum(net_minor), 0)::bigint FROM credit_notes")
        return back + min(stand.due.minor, 0), stand.volume.minor, stand.earned.minor


async def _credit(tx: Tx, invoice: Invoice, how: str, amount: int) -> None:
    line = invoice.lines[0]
    try:
        match how:
            case "quantity":
                await a_credit(tx, invoice, by_quantity(line, str(amount)))
            case "share":
                share = Money(line.net.minor * amount // 10, line.net.currency)
                await a_credit(tx, invoice, CreditShare(line=line.id, share=share))
            case _:
                await a_credit(tx, invoice)
    except Conflict:
        pass


# ── When and what for ───────────────────────────────────────────────────────────────────────────────────


async def test_only_what_is_over_is_settled_unless_a_day_is_told(tx: Tx) -> None:
    customer = await a_shop(tx)
    await bought(tx, customer, "100.00")
    contract = await a_contract(tx, period=RebatePeriod.MONTH, terms=tiers((0, "10")))

    for on, code in ((None, "rebate_running"), (date(2026, 1, 16), "rebate_on_future")):
        with pytest.raises(DomainError) as refused:
            await settled(tx, contract, on)
        assert refused.value.code == code
    with pytest.raises(Invalid) as early:
        await settled(tx, contract, date(2025, 12, 31))
    assert early.value.code == "rebate_on_early"
    [given_] = (await settled(tx, contract, when=noon(2, 1))).settlements
    assert (given_.settlement.starts_on, given_.settlement.ends_on) == (date(2026, 1, 1), date(2026, 2, 1))


async def test_a_job_that_runs_twice_leaves_the_next_one_behind_once(tx: Tx) -> None:
    await a_shop(tx)
    contract = await a_contract(tx, period=RebatePeriod.MONTH)
    over = at(tx, datetime(2026, 2, 1, 11, tzinfo=UTC))

    for _ in range(2):
        await settle_ended(over, str(contract.id), goes_on=True)

    due = [row["scheduled_for"] for row in await tx.conn.fetch("SELECT scheduled_for FROM jobs ORDER BY 1")]
    assert [each.date() for each in due] == [date(2026, 1, 31), date(2026, 2, 28)]  # midnight in Paris


# ── Closings ────────────────────────────────────────────────────────────────────────────────────────────


async def test_what_is_earned_and_not_given_is_accrued_once_and_reversed_the_day_after(tx: Tx) -> None:
    customer = await a_shop(tx)
    await bought(tx, customer, "3800.00")
    contract = await a_contract(tx)
    day = tx.now.date()

    accrued = await accrue(tx, contract.reference, NewAccrual(on=day))
    assert (accrued.net, accrued.tax) == (euros(1100_00), euros(220_00))
    assert await accrue(tx, contract.reference, NewAccrual(on=day)) == accrued
    rows = await tx.conn.fetch(
        """
        SELECT account, booked_on, sum(amount_minor)::bigint AS minor
        FROM ledger_entries
        WHERE document = 'rebate_accrual'
        GROUP BY account, booked_on
        ORDER BY booked_on, account
        """
    )
    assert [(row["account"], row["booked_on"].day - day.day, row["minor"]) for row in rows] == [
        ("4198", 0, -1320_00),
        ("44587", 0, 220_00),
        ("709", 0, 1100_00),
        ("4198", 1, 1320_00),
        ("44587", 1, -220_00),
        ("709", 1, -1100_00),
    ]
    await now_settled(tx, contract)
    assert (await accounts_of(tx)).get("4198", 0) == 0
    await assert_sound(tx)


async def test_with_nothing_due_there_is_nothing_to_accrue(tx: Tx) -> None:
    await a_shop(tx)
    contract = await a_contract(tx)
    with pytest.raises(Conflict) as refused:
        await accrue(tx, contract.reference, NewAccrual(on=tx.now.date()))
    assert refused.value.code == "rebate_nothing_due"


# ── In turns ────────────────────────────────────────────────────────────────────────────────────────────


async def test_two_settlements_of_a_contract_take_turns(pool: Pool, tenant: TenantId) -> None:
    async with transaction(pool, tenant, now=NOON) as tx:
        await bought(tx, await a_shop(tx), "3800.00")
        contract = await a_contract(tx)

    def act(tx: Tx) -> Awaitable[list[int]]:
        return now_settled(tx, contract)

    assert await while_open(pool, tenant, act, act) == []


async def test_two_programmes_on_the_same_invoices_take_turns(pool: Pool, tenant: TenantId) -> None:
    async with transaction(pool, tenant, now=NOON) as tx:
        await bought(tx, await a_shop(tx), "10.00")
        one = await a_contract(tx, terms=tiers((0, "70")))
        other = await a_contract(tx, terms=tiers((0, "70")), reference="other")

    second = await while_open(
        pool, tenant, lambda tx: now_settled(tx, one), lambda tx: now_settled(tx, other)
    )
    assert second == [3_00], "no more than is left of the line"


async def test_a_credit_waits_for_a_settlement_and_gives_back_what_it_left(
    pool: Pool, tenant: TenantId
) -> None:
    async with transaction(pool, tenant, now=NOON) as tx:
        invoice = await bought(tx, await a_shop(tx), "100.00")
        contract = await a_contract(tx, terms=tiers((0, "10")))

    note = await while_open(
        pool, tenant, lambda tx: now_settled(tx, contract), lambda tx: a_credit(tx, invoice)
    )
    assert note.net == euros(90_00)
    async with transaction(pool, tenant, now=NOON) as tx:
        await assert_sound(tx)


async def test_a_settlement_waits_for_a_credit_and_counts_it(pool: Pool, tenant: TenantId) -> None:
    async with transaction(pool, tenant, now=NOON) as tx:
        invoice = await bought(tx, await a_shop(tx), a_line(price="10.00", quantity="10"))
        contract = await a_contract(tx, terms=tiers((0, "10")))

    given_ = await while_open(
        pool,
        tenant,
        lambda tx: a_credit(tx, invoice, by_quantity(invoice.lines[0], "4")),
        lambda tx: now_settled(tx, contract),
    )
    assert given_ == [6_00]
