"""Deposit invoices, and the final invoice that deducts them."""

import pytest

from billing.credit_notes import store as credit_notes
from billing.credit_notes.model import NewCreditLine, NewCreditNote, Reason
from billing.invoices import draft as drafts
from billing.invoices import store as invoices
from billing.invoices.model import (
    Draft,
    DraftChange,
    DraftKind,
    Invoice,
    InvoiceId,
    InvoiceKind,
    NewDraft,
    NewLine,
    Status,
)
from billing.parties.model import RefundMode, VatDue
from billing.payments import store as payments
from billing.payments.model import NewPayment, OutsideMeans
from billing.payments.record import record_payment
from billing.settlement import store as settlements
from billing.settlement.apply import apply_note
from billing.settlement.dissociate import take_back
from billing.settlement.model import NewDissociation
from billing.tax.add_tax_rate import add_tax_rate
from billing.tax.model import NewTaxRate
from kernel.database import Pool, Tx, transaction
from kernel.decimals import Rate, UnitPrice
from kernel.errors import DomainError
from kernel.ids import TenantId
from kernel.money import Currency
from kernel.paging import Window
from kernel.text import Name, Reference
from refunds.credit_invoice import credit_invoice
from refunds.dispute import close_dispute, open_dispute
from refunds.disputes.model import Dispute, NewDispute, NewVerdict, Verdict
from refunds.made_elsewhere import refund_made_elsewhere
from refunds.model import GivenBack
from refunds.model import Status as RefundStatus
from refunds.send_refund import finish_refund
from tests.books import accounts_of, assert_sound
from tests.makers import EUR, NOON, euros
from tests.refunds.cases import gone, made, paid_by_provider, settlement_of
from tests.shop import a_shop, another_customer, by_amount, while_open

ON_PAYMENT, ON_INVOICE = VatDue.ON_PAYMENT, VatDue.ON_INVOICE


@pytest.fixture(params=VatDue)
async def vat_due(request: pytest.FixtureRequest, tx: Tx) -> VatDue:
    due: VatDue = request.param
    await a_shop(tx, vat_due=due)
    reduced = NewTaxRate(reference=Reference("vat-5.5"), name=Name("TVA 5,5 %"), rate=Rate.parse("5.5"))
    await add_tax_rate(tx, reduced)
    return due


def a_line(price: str, *, rate: str | None = None) -> NewLine:
    return NewLine(description=Name("Déploiement"), unit_price=UnitPrice.parse(price), tax_rate=rate)


async def a_draft(
    tx: Tx, *lines: NewLine, deposits: list[InvoiceId] | None = None, kind: DraftKind = DraftKind.STANDARD
) -> Draft:
    request = NewDraft(
        customer="user-42", currency=EUR, lines=list(lines), deposits=deposits or [], kind=kind
    )
    return await drafts.draft_invoice(tx, request)


async def a_deposit(tx: Tx, *lines: NewLine) -> Invoice:
    draft = await a_draft(tx, *(lines or [a_line("100.00")]), kind=DraftKind.DEPOSIT)
    return await drafts.issue_draft(tx, draft.id)


async def a_paid_deposit(tx: Tx, *lines: NewLine) -> Invoice:
    deposit = await a_deposit(tx, *lines)
    await record_payment(tx, deposit.id, NewPayment(means=OutsideMeans.TRANSFER))
    return deposit


async def a_final(tx: Tx, *deposits: Invoice, price: str = "500.00") -> Invoice:
    draft = await a_draft(tx, a_line(price), deposits=[each.id for each in deposits])
    return await drafts.issue_draft(tx, draft.id)


async def credit(
    tx: Tx, invoice: Invoice, *lines: NewCreditLine, refund: RefundMode = RefundMode.AUTOMATIC
) -> GivenBack:
    request = NewCreditNote(reason=Reason.CANCELLATION, lines=list(lines) or None, refund=refund)
    return await credit_invoice(tx, invoice.id, request)


async def refusal(tx: Tx, *deposits: Invoice, price: str = "500.00") -> str:
    with pytest.raises(DomainError) as refused:
        await a_final(tx, *deposits, price=price)
    return refused.value.code


# ── The deposit ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.usefixtures("vat_due")
async def test_a_deposit_is_money_held_and_no_sale(tx: Tx) -> None:
    deposit = await a_paid_deposit(tx)

    assert (deposit.kind, deposit.number) == (InvoiceKind.DEPOSIT, "F2026-000001")
    assert await accounts_of(tx) == {"512": 120_00, "4191": -100_00, "44571": -20_00}
    await assert_sound(tx)


@pytest.mark.usefixtures("vat_due")
async def test_a_deposit_that_is_credited_was_no_sale_either(tx: Tx) -> None:
    deposit = await a_paid_deposit(tx)

    await credit(tx, deposit, by_amount(deposit.lines[0], 40_00), refund=RefundMode.NONE)

    assert (await accounts_of(tx))["4191"] == -60_00
    assert "706" not in await accounts_of(tx)
    await assert_sound(tx)


# ── The final invoice ────────────────────────────────────────────────────────────────────────────


@pytest.mark.usefixtures("vat_due")
async def test_the_final_invoice_is_of_everything_less_what_was_paid_in_advance(tx: Tx) -> None:
    deposits = [await a_paid_deposit(tx), await a_paid_deposit(tx, a_line("50.00"))]

    final = await a_final(tx, *deposits)

    assert (final.kind, final.net, final.tax, final.total) == (
        InvoiceKind.FINAL,
        euros(500_00),
        euros(100_00),
        euros(600_00),
    )
    assert [each.total for each in final.deductions] == [euros(120_00), euros(60_00)]
    assert [each.number for each in final.references] == ["F2026-000001", "F2026-000002"]
    assert (final.to_pay, final.settlement.due) == (euros(420_00), euros(420_00))
    assert await invoices.get(tx, final.id) == final
    assert (await settlement_of(tx, deposits[0])).deducted_by == final.id
    await assert_sound(tx)


async def test_its_vat_falls_due_by_what_was_received(tx: Tx, vat_due: VatDue) -> None:
    final = await a_final(tx, await a_paid_deposit(tx))
    waiting = {"4458": -80_00, "44571": -20_00} if vat_due is ON_PAYMENT else {"44571": -100_00}
    assert await accounts_of(tx) == {"411": 480_00, "512": 120_00, "706": -500_00, **waiting}

    await record_payment(tx, final.id, NewPayment(means=OutsideMeans.TRANSFER))

    assert await accounts_of(tx) == {"512": 600_00, "706": -500_00, "44571": -100_00}
    assert (await settlement_of(tx, final)).status is Status.SETTLED
    await assert_sound(tx)


@pytest.mark.usefixtures("vat_due")
async def test_deposits_of_two_rates_are_deducted_per_rate(tx: Tx) -> None:
    deposit = await a_paid_deposit(tx, a_line("33.33"), a_line("10.01", rate="vat-5.5"))
    draft = await a_draft(tx, a_line("70.00"), a_line("50.00", rate="vat-5.5"), deposits=[deposit.id])

    final = await drafts.issue_draft(tx, draft.id)

    (deduction,) = final.deductions
    assert [(str(tax.group.rate), tax.base.minor, tax.tax.minor) for tax in deduction.taxes] == [
        ("5.5", 10_01, 55),
        ("20", 33_33, 6_67),
    ]
    assert final.to_pay == euros(136_75 - 50_56)
    await assert_sound(tx)


@pytest.mark.usefixtures("vat_due")
async def test_of_a_deposit_that_was_credited_in_part_the_rest_is_deducted(tx: Tx) -> None:
    deposit = await a_paid_deposit(tx)
    await credit(tx, deposit, by_amount(deposit.lines[0], 33_33), refund=RefundMode.NONE)

    final = await a_final(tx, deposit)

    (deduction,) = final.deductions
    assert (deduction.net, deduction.tax, deduction.total) == (euros(66_67), euros(13_33), euros(80_00))
    await assert_sound(tx)


@pytest.mark.usefixtures("vat_due")
async def test_a_final_invoice_that_deposits_have_paid_is_settled_at_once(tx: Tx) -> None:
    final = await a_final(tx, await a_paid_deposit(tx), price="100.00")

    assert (final.settlement.status, final.settlement.due) == (Status.SETTLED, euros(0))
    assert (await accounts_of(tx)) == {"512": 120_00, "706": -100_00, "44571": -20_00}
    await assert_sound(tx)


# ── What may be deducted ─────────────────────────────────────────────────────────────────────────


@pytest.mark.usefixtures("vat_due")
async def test_a_deposit_is_deducted_when_it_is_settled(tx: Tx) -> None:
    deposit = await a_deposit(tx)
    await record_payment(tx, deposit.id, NewPayment(means=OutsideMeans.CASH, amount=euros(119_99)))

    assert await refusal(tx, deposit) == "deposit_unsettled"
    await record_payment(tx, deposit.id, NewPayment(means=OutsideMeans.CASH))
    await a_final(tx, deposit)


@pytest.mark.usefixtures("vat_due")
async def test_a_deposit_is_deducted_once(tx: Tx) -> None:
    deposit = await a_paid_deposit(tx)
    await a_final(tx, deposit)

    assert await refusal(tx, deposit) == "deposit_deducted"
    assert await refusal(tx, deposit, deposit) == "deposit_twice"


@pytest.mark.usefixtures("vat_due")
async def test_only_deposits_are_deducted_and_no_more_than_there_is(tx: Tx) -> None:
    deposit, final = await a_paid_deposit(tx), await a_final(tx)

    assert await refusal(tx, final) == "deposit_expected"
    assert await refusal(tx, deposit, price="99.99") == "deposits_exceed_invoice"
    with pytest.raises(DomainError, match="deducts no others"):
        await a_draft(tx, a_line("1.00"), kind=DraftKind.DEPOSIT, deposits=[deposit.id])


@pytest.mark.usefixtures("vat_due")
async def test_a_deposit_is_deducted_for_the_customer_who_paid_it(tx: Tx) -> None:
    deposit = await a_paid_deposit(tx)
    await another_customer(tx)
    draft = await a_draft(tx, a_line("500.00"), deposits=[deposit.id])

    with pytest.raises(DomainError) as refused:
        await drafts.edit_draft(tx, draft.id, DraftChange(customer="user-43"))
    assert refused.value.code == "customer_mismatch"
    with pytest.raises(DomainError) as refused:
        await drafts.draft_invoice(
            tx,
            NewDraft(
                customer="user-42", currency=Currency("USD"), lines=[a_line("1.00")], deposits=[deposit.id]
            ),
        )
    assert refused.value.code == "currency_mismatch"


@pytest.mark.usefixtures("vat_due")
async def test_of_a_deposit_that_was_credited_in_full_there_is_nothing_to_deduct(tx: Tx) -> None:
    deposit = await a_paid_deposit(tx)
    await credit(tx, deposit, refund=RefundMode.NONE)

    assert await refusal(tx, deposit) == "deposit_credited"


@pytest.mark.usefixtures("vat_due")
async def test_a_deposit_that_is_deducted_is_not_credited_any_more(tx: Tx) -> None:
    deposit = await a_paid_deposit(tx)
    await a_final(tx, deposit)

    with pytest.raises(DomainError) as refused:
        await credit(tx, deposit)
    assert refused.value.code == "deposit_deducted"


@pytest.mark.usefixtures("vat_due")
async def test_what_a_deducted_deposit_was_paid_with_is_not_taken_back(tx: Tx) -> None:
    other = await a_final(tx)
    await paid_by_provider(tx, other)
    note = (await credit(tx, other, by_amount(other.lines[0], 100_00), refund=RefundMode.NONE)).credit_note
    deposit = await a_deposit(tx)
    await apply_note(tx, note, await invoices.lock(tx, deposit.id), euros(120_00))
    await a_final(tx, deposit)
    window = Window(limit=10)
    page = await settlements.page(tx, window, invoice_id=deposit.id, credit_note_id=None, payment_id=None)

    with pytest.raises(DomainError) as refused:
        await take_back(tx, page.data[0].id, NewDissociation())
    assert refused.value.code == "deposit_deducted"


@pytest.mark.usefixtures("vat_due")
async def test_a_deduction_is_not_taken_back(tx: Tx) -> None:
    final = await a_final(tx, await a_paid_deposit(tx))
    page = await settlements.page(
        tx, Window(limit=10), invoice_id=final.id, credit_note_id=None, payment_id=None
    )

    with pytest.raises(DomainError) as refused:
        await take_back(tx, page.data[0].id, NewDissociation())
    assert refused.value.code == "settlement_of_deposit"


async def test_of_two_invoices_that_deduct_one_deposit_at_once_one_does(pool: Pool) -> None:
    tenant = TenantId.new()
    async with transaction(pool, tenant, now=NOON) as tx:
        await a_shop(tx)
        deposit = await a_paid_deposit(tx)
        one, other = [await a_draft(tx, a_line("500.00"), deposits=[deposit.id]) for _ in range(2)]

    async def second(tx: Tx) -> str:
        with pytest.raises(DomainError) as refused:
            await drafts.issue_draft(tx, other.id)
        return refused.value.code

    code = await while_open(pool, tenant, lambda tx: drafts.issue_draft(tx, one.id), second)

    assert code == "deposit_deducted"


async def test_a_credit_and_a_deduction_of_one_deposit_take_turns(pool: Pool) -> None:
    tenant = TenantId.new()
    async with transaction(pool, tenant, now=NOON) as tx:
        await a_shop(tx)
        deposit = await a_paid_deposit(tx)
        draft = await a_draft(tx, a_line("500.00"), deposits=[deposit.id])

    async def first(tx: Tx) -> None:
        await credit(tx, deposit, by_amount(deposit.lines[0], 40_00), refund=RefundMode.NONE)

    final = await while_open(pool, tenant, first, lambda tx: drafts.issue_draft(tx, draft.id))

    assert [each.total for each in final.deductions] == [euros(72_00)]


# ── Credit of the final invoice ──────────────────────────────────────────────────────────────────


@pytest.mark.usefixtures("vat_due")
async def test_a_credit_of_the_final_invoice_takes_off_what_is_due_first(tx: Tx) -> None:
    deposit = await a_deposit(tx)
    await paid_by_provider(tx, deposit)
    final = await a_final(tx, deposit)

    given = await credit(tx, final, by_amount(final.lines[0], 450_00))

    assert given.credit_note.destination.to_invoice == euros(480_00)
    assert [refund.amount for refund in given.refunds] == [euros(60_00)]
    await assert_sound(tx)


@pytest.mark.usefixtures("vat_due")
async def test_credited_in_full_it_gives_back_what_was_paid_in_advance_too(tx: Tx) -> None:
    deposits = [await a_deposit(tx), await a_deposit(tx, a_line("50.00"))]
    paid = [await paid_by_provider(tx, each) for each in deposits]
    final = await a_final(tx, *deposits)
    paid.append(await paid_by_provider(tx, final))

    given = await credit(tx, final)
    for refund in given.refunds:
        await finish_refund(tx, refund.id, gone(f"re_{refund.id}"))

    amounts = {refund.payment_id: refund.amount for refund in given.refunds}
    assert amounts == {each.id: each.amount for each in paid}
    assert given.to_refund_by_hand == euros(0)
    assert await accounts_of(tx) == {}
    await assert_sound(tx)


@pytest.mark.usefixtures("vat_due")
async def test_what_a_note_paid_in_advance_never_becomes_cash(tx: Tx) -> None:
    older = await a_draft(tx, a_line("50.00"))
    other = await drafts.issue_draft(tx, older.id)
    await paid_by_provider(tx, other)
    note = (await credit(tx, other, refund=RefundMode.NONE)).credit_note
    deposit = await a_deposit(tx)
    locked = await invoices.lock(tx, deposit.id)
    await apply_note(tx, note, locked, euros(60_00))
    await paid_by_provider(tx, deposit)
    final = await a_final(tx, deposit, price="100.00")

    first = await credit(tx, final, by_amount(final.lines[0], 20_00))
    rest = await credit(tx, final)

    assert first.credit_note.destination.to_balance == euros(24_00)
    assert rest.credit_note.destination.to_balance == euros(36_00)
    assert [refund.amount for refund in rest.refunds] == [euros(60_00)]
    await assert_sound(tx)


@pytest.mark.usefixtures("vat_due")
async def test_a_deposit_paid_past_us_goes_back_by_hand(tx: Tx) -> None:
    final = await a_final(tx, await a_paid_deposit(tx), price="100.00")

    given = await credit(tx, final)

    assert (given.refunds, given.to_refund_by_hand) == ((), euros(120_00))
    await assert_sound(tx)


@pytest.mark.usefixtures("vat_due")
async def test_what_is_left_of_a_credited_deposit_goes_back_after_it_was_deducted(tx: Tx) -> None:
    deposit = await a_deposit(tx)
    await paid_by_provider(tx, deposit)
    given = await credit(tx, deposit, by_amount(deposit.lines[0], 40_00))
    final = await a_final(tx, deposit)

    (refund,) = given.refunds
    await finish_refund(tx, refund.id, gone())
    await assert_sound(tx)

    back = await credit(tx, final)
    assert [each.amount for each in back.refunds] == [euros(72_00)]  # 48.00 of it are back already
    assert back.refunds[0].status is RefundStatus.PENDING
    await assert_sound(tx)


# ── Disputes about what was paid in advance ──────────────────────────────────────────────────────


async def a_disputed_deposit(tx: Tx) -> tuple[Invoice, Invoice, Dispute]:
    """120.00 paid in advance are disputed; 480.00 were paid on the final invoice."""
    deposit = await a_deposit(tx)
    payment = await paid_by_provider(tx, deposit)
    final = await a_final(tx, deposit)
    await paid_by_provider(tx, final)
    return deposit, final, await open_dispute(tx, payment.id, NewDispute())


@pytest.mark.usefixtures("vat_due")
async def test_what_is_disputed_of_a_deposit_waits(tx: Tx) -> None:
    _, final, _ = await a_disputed_deposit(tx)

    given = await credit(tx, final)

    waiting = {refund.amount: refund.blocked for refund in given.refunds}
    assert waiting == {euros(480_00): False, euros(120_00): True}
    await assert_sound(tx)


@pytest.mark.usefixtures("vat_due")
async def test_what_is_disputed_of_a_deposit_does_not_go_back_by_hand(tx: Tx) -> None:
    _, final, _ = await a_disputed_deposit(tx)

    with pytest.raises(DomainError) as refused:
        await credit(tx, final, refund=RefundMode.MANUAL)
    assert refused.value.code == "payment_disputed"


@pytest.mark.usefixtures("vat_due")
async def test_a_deposit_that_was_lost_in_a_dispute_is_due_and_never_given_back(tx: Tx) -> None:
    deposit, final, dispute = await a_disputed_deposit(tx)
    await close_dispute(tx, dispute.id, NewVerdict(outcome=Verdict.LOST))
    assert (await settlement_of(tx, deposit)).due == euros(120_00)
    assert (await settlement_of(tx, final)).due == euros(0)
    await assert_sound(tx)

    given = await credit(tx, final)

    assert [refund.amount for refund in given.refunds] == [euros(480_00)]
    assert (given.to_refund_by_hand, given.credit_note.settlement.left) == (euros(0), euros(120_00))
    note = await credit_notes.lock(tx, given.credit_note.id)
    await apply_note(tx, note, await invoices.lock(tx, deposit.id), euros(120_00))
    await assert_sound(tx)


@pytest.mark.usefixtures("vat_due")
async def test_what_the_provider_gave_back_of_a_deposit_is_credited_on_the_final_invoice(tx: Tx) -> None:
    deposit = await a_deposit(tx)
    payment = await paid_by_provider(tx, deposit)
    final = await a_final(tx, deposit)
    await paid_by_provider(tx, final)

    refund = await refund_made_elsewhere(
        tx, await payments.get(tx, payment.id), made(payment, 60_00, "re_dashboard")
    )

    assert refund.invoice_id == final.id
    assert (await settlement_of(tx, final)).credited == euros(60_00)
    await assert_sound(tx)


@pytest.mark.usefixtures("vat_due")
async def test_what_a_note_on_the_deposit_promised_is_what_the_provider_gave_back(tx: Tx) -> None:
    deposit = await a_deposit(tx)
    payment = await paid_by_provider(tx, deposit)
    given = await credit(tx, deposit, by_amount(deposit.lines[0], 50_00), refund=RefundMode.MANUAL)
    await a_final(tx, deposit)

    refund = await refund_made_elsewhere(
        tx, await payments.get(tx, payment.id), made(payment, 60_00, "re_dashboard")
    )

    assert refund.credit_note_id == given.credit_note.id
    await assert_sound(tx)


async def test_a_dispute_about_a_deposit_and_a_refund_on_the_final_invoice_take_turns(
    pool: Pool, tenant: TenantId
) -> None:
    async with transaction(pool, tenant, now=NOON) as tx:
        await a_shop(tx)
        deposit = await a_deposit(tx)
        payment = await paid_by_provider(tx, deposit)
        final = await a_final(tx, deposit, price="100.00")

    given = await while_open(
        pool,
        tenant,
        lambda tx: open_dispute(tx, payment.id, NewDispute()),
        lambda tx: credit(tx, final),
    )

    assert [(refund.status, refund.blocked) for refund in given.refunds] == [(RefundStatus.SCHEDULED, True)]
    async with transaction(pool, tenant, now=NOON) as tx:
        await assert_sound(tx)


@pytest.mark.parametrize("credited", ["before", "meanwhile"])
@pytest.mark.usefixtures("vat_due")
async def test_a_deposit_lost_to_a_dispute_leaves_no_balance_on_the_final_invoice(
    tx: Tx, credited: str
) -> None:
    deposit = await a_deposit(tx)
    payment = await paid_by_provider(tx, deposit)
    final = await a_final(tx, deposit, price="100.00")
    given = await credit(tx, final, refund=RefundMode.NONE) if credited == "before" else None
    dispute = await open_dispute(tx, payment.id, NewDispute())
    given = given or await credit(tx, final)

    await close_dispute(tx, dispute.id, NewVerdict(outcome=Verdict.LOST))
    await assert_sound(tx)

    assert (await credit_notes.get(tx, given.credit_note.id)).settlement.left == euros(0)
    assert (await settlement_of(tx, deposit)).due == euros(0)
