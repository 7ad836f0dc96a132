"""Recording what went back past us: part by part, never above what was promised and what is left."""

from datetime import date, timedelta

import pytest

from billing.credit_notes import store as credit_notes
from billing.credit_notes.model import CreditNote, NewCreditNote, Reason
from billing.credit_notes.model import Status as NoteStatus
from billing.parties.model import RefundMode
from billing.payments.model import Means, OutsideMeans
from kernel.database import Pool, Tx, transaction
from kernel.errors import DomainError
from kernel.ids import TenantId
from kernel.money import Currency, Money
from kernel.text import Name
from refunds import store
from refunds.credit_invoice import credit_invoice
from refunds.model import NewManualRefund, Refund, Status
from refunds.record_refund import record_refund
from tests.books import accounts_of, assert_sound
from tests.makers import NOON, euros
from tests.shop import a_payment, a_shop, an_issued_invoice, while_open

TODAY = date(2026, 1, 15)


async def a_note(tx: Tx, mode: RefundMode = RefundMode.MANUAL) -> CreditNote:
    """Of 179.76, all of which was paid by transfer."""
    invoice = await an_issued_invoice(tx, await a_shop(tx))
    await a_payment(tx, invoice)
    request = NewCreditNote(reason=Reason.CANCELLATION, refund=mode)
    return (await credit_invoice(tx, invoice.id, request)).credit_note


async def record(tx: Tx, note: CreditNote, minor: int | None = None, *, on: date | None = None) -> Refund:
    request = NewManualRefund(
        means=OutsideMeans.TRANSFER,
        amount=None if minor is None else euros(minor),
        refunded_on=on,
        reference=Name("VIR 118"),
    )
    return await record_refund(tx, note.id, request)


async def test_without_an_amount_it_is_all_that_was_promised(tx: Tx) -> None:
    note = await a_note(tx)
    assert note.settlement.promised == euros(179_76)
    refund = await record(tx, note)

    assert (refund.amount, refund.status, refund.succeeded_on) == (euros(179_76), Status.SUCCEEDED, TODAY)
    assert (refund.means, refund.reference, refund.payment_id) == (Means.TRANSFER, "VIR 118", None)
    assert await store.get(tx, refund.id) == refund
    assert (await credit_notes.get(tx, note.id)).settlement.status is NoteStatus.USED
    assert await accounts_of(tx) == {}
    await assert_sound(tx)


async def test_each_part_lowers_what_was_promised(tx: Tx) -> None:
    note = await a_note(tx)
    for part, left in ((100_00, 79_76), (79_75, 1), (1, 0)):
        await record(tx, note, part)
        settlement = (await credit_notes.get(tx, note.id)).settlement
        assert (settlement.promised, settlement.left) == (euros(left), euros(0))
        await assert_sound(tx)


async def test_what_stayed_on_the_note_can_go_back_later(tx: Tx) -> None:
    note = await a_note(tx, RefundMode.NONE)
    await record(tx, note, 100_00)

    settlement = (await credit_notes.get(tx, note.id)).settlement
    assert (settlement.refunded, settlement.left) == (euros(100_00), euros(79_76))
    await assert_sound(tx)


@pytest.mark.parametrize("day", [TODAY, date(2026, 1, 12), date(2025, 1, 15)])
async def test_it_went_back_on_the_day_that_is_given(tx: Tx, day: date) -> None:
    refund = await record(tx, await a_note(tx), on=day)

    assert refund.succeeded_on == day
    booked = await tx.conn.fetchval(
        "SELECT DISTINCT booked_on FROM ledger_entries WHERE document_id = $1", refund.id
    )
    assert booked == day


@pytest.mark.parametrize(
    ("amount", "on", "code"),
    [
        (euros(179_77), None, "refund_exceeds_note"),
        (euros(0), None, "refund_not_positive"),
        (euros(-1), None, "refund_not_positive"),
        (Money(1, Currency("USD")), None, "currency_mismatch"),
        (None, TODAY + timedelta(days=1), "day_in_future"),
        (None, TODAY - timedelta(days=367), "day_too_far_back"),
    ],
)
async def test_money_that_cannot_have_gone_is_refused(
    tx: Tx, amount: Money | None, on: date | None, code: str
) -> None:
    note = await a_note(tx)
    request = NewManualRefund(means=OutsideMeans.CHECK, amount=amount, refunded_on=on)

    with pytest.raises(DomainError) as refused:
        await record_refund(tx, note.id, request)
    assert refused.value.code == code
    assert (await credit_notes.get(tx, note.id)).settlement == note.settlement


async def test_without_an_amount_something_must_have_been_promised(tx: Tx) -> None:
    note = await a_note(tx, RefundMode.NONE)

    with pytest.raises(DomainError) as refused:
        await record(tx, note)
    assert refused.value.code == "refund_exceeds_note"


async def test_two_records_of_the_same_money_take_turns(pool: Pool, tenant: TenantId) -> None:
    async with transaction(pool, tenant, now=NOON) as tx:
        note = await a_note(tx)

    with pytest.raises(DomainError, match=r"79\.76 EUR of A2026-000001") as refused:
        await while_open(
            pool, tenant, lambda tx: record(tx, note, 100_00), lambda tx: record(tx, note, 100_00)
        )
    assert refused.value.code == "refund_exceeds_note"
