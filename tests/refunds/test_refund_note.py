"""Giving back what is left of a credit note: later than it was issued, and what had gone back before."""

from datetime import date, timedelta

import pytest

from billing.credit_notes import store as credit_notes
from billing.credit_notes.model import CreditNote, NewCreditNote, Reason
from billing.invoices.model import Invoice
from billing.parties.model import RefundMode
from billing.payments import store as payments
from billing.payments.model import Means, OutsideMeans
from kernel.database import Pool, Tx, transaction
from kernel.errors import DomainError
from kernel.ids import TenantId
from kernel.money import Currency, Money
from kernel.text import Name
from refunds.credit_invoice import credit_and_record, credit_invoice
from refunds.model import GivenBack, NewCredit, NewManualRefund, NewNoteRefund, Status
from refunds.refund_note import refund_note
from refunds.send_refund import finish_refund
from tests.books import accounts_of, assert_sound
from tests.makers import NOON, euros
from tests.refunds.cases import gone, paid_by_provider
from tests.shop import a_payment, a_shop, an_issued_invoice, while_open

TODAY = NOON.date()
ALL = 179_76


async def an_invoice(tx: Tx, *, by_transfer: int = 0, by_provider: int = 0) -> Invoice:
    invoice = await an_issued_invoice(tx, await a_shop(tx))
    if by_transfer:
        await a_payment(tx, invoice, by_transfer)
    if by_provider:
        await paid_by_provider(tx, invoice, by_provider)
    return invoice


async def a_note(tx: Tx, mode: RefundMode, *, by_transfer: int = 0, by_provider: int = 0) -> CreditNote:
    """Of all of an invoice of 179.76 that was paid so."""
    invoice = await an_invoice(tx, by_transfer=by_transfer, by_provider=by_provider)
    request = NewCreditNote(reason=Reason.CANCELLATION, refund=mode)
    return (await credit_invoice(tx, invoice.id, request)).credit_note


async def give(tx: Tx, note: CreditNote, mode: RefundMode, minor: int | None = None) -> GivenBack:
    amount = None if minor is None else euros(minor)
    given = await refund_note(tx, note.id, NewNoteRefund(mode=mode, amount=amount))
    assert given.credit_note == await credit_notes.get(tx, note.id)
    await assert_sound(tx)
    return given


def standing(given: GivenBack) -> tuple[int, int, int, int]:
    settlement = given.credit_note.settlement
    each = (settlement.refunded, settlement.held, settlement.promised, settlement.left)
    return tuple(amount.minor for amount in each)  # type: ignore[return-value]


async def test_what_was_kept_as_balance_goes_back_through_the_provider(tx: Tx) -> None:
    note = await a_note(tx, RefundMode.NONE, by_provider=ALL)
    given = await give(tx, note, RefundMode.AUTOMATIC, 100_00)
    assert standing(given) == (0, 100_00, 0, 79_76)

    rest = await give(tx, note, RefundMode.AUTOMATIC)
    assert standing(rest) == (0, ALL, 0, 0)
    for refund in (*given.refunds, *rest.refunds):
        await finish_refund(tx, refund.id, gone())
    assert await accounts_of(tx) == {}
    await assert_sound(tx)


async def test_it_goes_over_the_newest_payment_first_and_what_none_carries_is_promised(tx: Tx) -> None:
    invoice = await an_invoice(tx, by_transfer=79_76, by_provider=60_00)
    newest = await paid_by_provider(tx, invoice, 40_00, now=NOON + timedelta(hours=1))
    request = NewCreditNote(reason=Reason.CANCELLATION, refund=RefundMode.NONE)
    note = (await credit_invoice(tx, invoice.id, request)).credit_note

    given = await give(tx, note, RefundMode.AUTOMATIC, 120_00)

    assert [refund.amount.minor for refund in given.refunds] == [40_00, 60_00]
    assert given.refunds[0].payment_id == newest.id
    assert given.to_refund_by_hand == euros(20_00)
    assert standing(given) == (0, 100_00, 20_00, 59_76)


async def test_what_was_promised_by_hand_can_go_through_the_provider_after_all(tx: Tx) -> None:
    note = await a_note(tx, RefundMode.MANUAL, by_provider=ALL)
    given = await give(tx, note, RefundMode.AUTOMATIC, 100_00)

    assert standing(given) == (0, 100_00, 79_76, 0)
    assert given.to_refund_by_hand == euros(0)


async def test_what_no_payment_can_carry_stays_promised(tx: Tx) -> None:
    note = await a_note(tx, RefundMode.MANUAL, by_transfer=ALL)
    given = await give(tx, note, RefundMode.AUTOMATIC, 100_00)

    assert (standing(given), given.refunds) == ((0, 0, ALL, 0), ())


async def test_what_is_left_is_promised_by_hand_and_a_promise_is_taken_back(tx: Tx) -> None:
    note = await a_note(tx, RefundMode.NONE, by_transfer=ALL)
    given = await give(tx, note, RefundMode.MANUAL, 100_00)
    assert (standing(given), given.to_refund_by_hand) == ((0, 0, 100_00, 79_76), euros(100_00))

    kept = await give(tx, note, RefundMode.NONE, 30_00)
    assert (standing(kept), kept.to_refund_by_hand) == ((0, 0, 70_00, 109_76), euros(0))
    assert standing(await give(tx, note, RefundMode.NONE)) == (0, 0, 0, ALL)


async def test_it_is_deferred_to_a_day(tx: Tx) -> None:
    note = await a_note(tx, RefundMode.NONE, by_provider=ALL)
    day = TODAY + timedelta(days=40)
    given = await refund_note(tx, note.id, NewNoteRefund(mode=RefundMode.DEFERRED, refund_on=day))

    (refund,) = given.refunds
    assert (refund.status, refund.due_on) == (Status.SCHEDULED, day)
    assert standing(given) == (0, ALL, 0, 0)


@pytest.mark.parametrize(
    ("mode", "amount", "code"),
    [
        (RefundMode.AUTOMATIC, euros(ALL + 1), "refund_exceeds_note"),
        (RefundMode.MANUAL, euros(ALL + 1), "refund_exceeds_note"),
        (RefundMode.NONE, None, "refund_exceeds_note"),
        (RefundMode.AUTOMATIC, euros(0), "refund_not_positive"),
        (RefundMode.AUTOMATIC, Money(1, Currency("USD")), "currency_mismatch"),
    ],
)
async def test_no_more_goes_back_than_there_is(
    tx: Tx, mode: RefundMode, amount: Money | None, code: str
) -> None:
    note = await a_note(tx, RefundMode.NONE, by_provider=ALL)

    with pytest.raises(DomainError) as refused:
        await refund_note(tx, note.id, NewNoteRefund(mode=mode, amount=amount))
    assert refused.value.code == code
    assert await credit_notes.get(tx, note.id) == note


async def test_it_is_told_with_its_amount(tx: Tx) -> None:
    note = await a_note(tx, RefundMode.NONE, by_transfer=100_00, by_provider=79_76)
    await give(tx, note, RefundMode.AUTOMATIC)

    (asked,) = [event for event in tx.events if type(event).__name__ == "CreditNoteRefundAsked"]
    assert (asked.amount, asked.by_hand) == (euros(ALL), euros(100_00))  # type: ignore[attr-defined]


async def test_two_refunds_of_60_percent_in_parallel_take_turns_and_one_is_refused(
    pool: Pool, tenant: TenantId
) -> None:
    """The first transaction is open while the second asks for its 60 %."""
    async with transaction(pool, tenant, now=NOON) as tx:
        note = await a_note(tx, RefundMode.NONE, by_provider=ALL)
    sixty = NewNoteRefund(mode=RefundMode.AUTOMATIC, amount=euros(107_86))

    with pytest.raises(DomainError, match=r"71\.90 EUR of A2026-000001 can go back") as refused:
        await while_open(
            pool,
            tenant,
            lambda tx: refund_note(tx, note.id, sixty),
            lambda tx: refund_note(tx, note.id, sixty),
        )
    assert refused.value.code == "refund_exceeds_note"
    async with transaction(pool, tenant, now=NOON) as tx:
        assert note.invoice_id is not None
        (payment,) = await payments.of_invoice(tx, note.invoice_id)
        assert payment.refunded == euros(107_86)
        await assert_sound(tx)


async def test_two_credits_of_60_percent_in_parallel_take_turns_and_one_is_refused(
    pool: Pool, tenant: TenantId
) -> None:
    async with transaction(pool, tenant, now=NOON) as tx:
        invoice = await an_invoice(tx, by_provider=ALL)
    sixty = NewCreditNote(reason=Reason.RETURN_OR_DISPUTE, refund=RefundMode.AUTOMATIC, total=euros(107_86))

    with pytest.raises(DomainError) as refused:
        await while_open(
            pool,
            tenant,
            lambda tx: credit_invoice(tx, invoice.id, sixty),
            lambda tx: credit_invoice(tx, invoice.id, sixty),
        )
    assert refused.value.code == "credit_exceeds_invoice"
    async with transaction(pool, tenant, now=NOON) as tx:
        (payment,) = await payments.of_invoice(tx, invoice.id)
        assert payment.refunded == euros(107_86)
        await assert_sound(tx)


def part(minor: int | None, means: OutsideMeans, on: date | None = None) -> NewManualRefund:
    amount = None if minor is None else euros(minor)
    return NewManualRefund(means=means, amount=amount, refunded_on=on, reference=Name("VIR 7"))


def already(*parts: NewManualRefund, mode: RefundMode = RefundMode.MANUAL) -> NewCredit:
    return NewCredit(reason=Reason.CANCELLATION, refund=mode, already_refunded=list(parts))


async def test_parts_that_had_gone_back_before_are_recorded_with_the_note(tx: Tx) -> None:
    invoice = await an_invoice(tx, by_transfer=ALL)
    before = TODAY - timedelta(days=3)

    given = await credit_and_record(
        tx,
        invoice.id,
        already(part(100_00, OutsideMeans.TRANSFER, before), part(20_00, OutsideMeans.CASH)),
    )

    assert [(each.amount.minor, each.means, each.succeeded_on) for each in given.refunds] == [
        (100_00, Means.TRANSFER, before),
        (20_00, Means.CASH, TODAY),
    ]
    assert given.to_refund_by_hand == euros(59_76)
    assert standing(given) == (120_00, 0, 59_76, 0)
    assert (await accounts_of(tx))["512"] == 59_76
    await assert_sound(tx)


async def test_a_part_without_an_amount_is_the_rest(tx: Tx) -> None:
    invoice = await an_invoice(tx, by_transfer=ALL)
    given = await credit_and_record(
        tx, invoice.id, already(part(100_00, OutsideMeans.TRANSFER), part(None, OutsideMeans.CASH))
    )

    assert standing(given) == (ALL, 0, 0, 0)
    assert await accounts_of(tx) == {}


@pytest.mark.parametrize(
    ("request_", "paid", "code"),
    [
        (already(part(1, OutsideMeans.CASH), mode=RefundMode.AUTOMATIC), ALL, "already_refunded_not_manual"),
        (
            already(part(100_00, OutsideMeans.CASH), part(79_77, OutsideMeans.CASH)),
            ALL,
            "refund_exceeds_note",
        ),
        (already(part(100_01, OutsideMeans.CASH)), 100_00, "refund_exceeds_note"),
    ],
)
async def test_no_more_can_have_gone_back_than_was_paid(
    tx: Tx, request_: NewCredit, paid: int, code: str
) -> None:
    invoice = await an_invoice(tx, by_transfer=paid)

    with pytest.raises(DomainError) as refused:
        await credit_and_record(tx, invoice.id, request_)
    assert refused.value.code == code
