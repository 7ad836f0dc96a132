"""What may be done about a refund that waits or has failed: every verb in every state, and what it leaves."""

from collections.abc import Awaitable, Callable
from datetime import date, timedelta
from itertools import product
from typing import TypeAlias

import pytest

from billing.credit_notes import store as credit_notes
from billing.credit_notes.model import CreditNoteSettlement, NewCreditNote, Reason
from billing.invoices.model import Invoice
from billing.parties import store as parties
from billing.parties.model import RefundMode
from billing.payments import store as payments
from billing.payments.model import Means, OutsideMeans, Payment, PaymentId
from kernel.database import Tx
from kernel.errors import DomainError
from kernel.text import Name
from refunds import store
from refunds.cancel_refund import cancel_refund, convert_refund
from refunds.credit_invoice import credit_invoice
from refunds.defer_refund import reschedule_refund, send_refund_now
from refunds.model import NewDay, NewExternalRefund, NewRetry, Refund, Status
from refunds.record_external import record_external
from refunds.retry_refund import retry_refund
from refunds.send_refund import finish_refund, start_refund
from tests.books import accounts_of, assert_sound
from tests.makers import NOON, euros
from tests.refunds.cases import declined, gone, paid_by_provider
from tests.shop import a_payment, a_shop, an_issued_invoice, at, by_amount

Verb: TypeAlias = Callable[[Tx, Refund], Awaitable[object]]

TODAY = NOON.date()
DAY = date(2026, 1, 20)
ALL = 179_76

IN_CASH = NewExternalRefund(means=OutsideMeans.CASH, reference=Name("caisse 7"))

VERBS: dict[str, Verb] = {
    "reschedule": lambda tx, refund: reschedule_refund(tx, refund.id, NewDay(due_on=DAY)),
    "send_now": lambda tx, refund: send_refund_now(tx, refund.id),
    "cancel": lambda tx, refund: cancel_refund(tx, refund.id),
    "retry": lambda tx, refund: retry_refund(tx, refund.id, NewRetry()),
    "convert_to_balance": lambda tx, refund: convert_refund(tx, refund.id),
    "record_external": lambda tx, refund: record_external(tx, refund.id, IN_CASH),
}
# From which states a verb is possible, and the state that it leaves behind.
POSSIBLE = {
    ("reschedule", Status.SCHEDULED): Status.SCHEDULED,
    ("send_now", Status.SCHEDULED): Status.PENDING,
    ("cancel", Status.SCHEDULED): Status.CANCELLED,
    ("cancel", Status.FAILED): Status.CANCELLED,
    ("retry", Status.FAILED): Status.RETRIED,
    ("convert_to_balance", Status.FAILED): Status.CONVERTED_TO_BALANCE,
    ("record_external", Status.FAILED): Status.RECORDED_EXTERNAL,
}


async def a_refund(tx: Tx, status: Status = Status.FAILED) -> Refund:
    """Of all of an invoice, in a state that it came to by the verbs of the house."""
    invoice = await an_issued_invoice(tx, await a_shop(tx))
    await paid_by_provider(tx, invoice)
    deferred = status is Status.SCHEDULED
    return await brought_to(tx, await the_refund(tx, invoice, deferred=deferred), status)


async def the_refund(tx: Tx, invoice: Invoice, *, deferred: bool = False) -> Refund:
    mode = RefundMode.DEFERRED if deferred else RefundMode.AUTOMATIC
    request = NewCreditNote(reason=Reason.CANCELLATION, refund=mode)
    (refund,) = (await credit_invoice(tx, invoice.id, request)).refunds
    return refund


async def brought_to(tx: Tx, refund: Refund, status: Status) -> Refund:
    match status:
        case Status.SCHEDULED | Status.PENDING:
            pass
        case Status.SUCCEEDED:
            await finish_refund(tx, refund.id, gone())
        case _:
            await finish_refund(tx, refund.id, declined())
            verb = next((name for (name, _), left in POSSIBLE.items() if left is status), None)
            if verb:
                await VERBS[verb](tx, refund)
    found = await store.get(tx, refund.id)
    assert found.status is status
    return found


async def note_of(tx: Tx, refund: Refund) -> CreditNoteSettlement:
    assert refund.credit_note_id is not None
    return (await credit_notes.get(tx, refund.credit_note_id)).settlement


async def payment_of(tx: Tx, refund: Refund) -> Payment:
    assert refund.payment_id is not None
    return await payments.get(tx, refund.payment_id)


@pytest.mark.parametrize(("verb", "status"), list(product(VERBS, Status)))
async def test_every_verb_in_every_state_is_possible_or_refused(tx: Tx, verb: str, status: Status) -> None:
    refund = await a_refund(tx, status)
    note = await note_of(tx, refund)

    if (verb, status) in POSSIBLE:
        await VERBS[verb](tx, refund)
        assert (await store.get(tx, refund.id)).status is POSSIBLE[verb, status]
    else:
        with pytest.raises(DomainError) as refused:
            await VERBS[verb](tx, refund)
        assert refused.value.code == "refund_state"
        assert (await store.get(tx, refund.id), await note_of(tx, refund)) == (refund, note)
    await assert_sound(tx)


@pytest.mark.parametrize("verb", ["cancel", "convert_to_balance"])
async def test_what_is_not_given_back_is_balance_and_its_payment_is_free(tx: Tx, verb: str) -> None:
    refund = await a_refund(tx)
    assert (await note_of(tx, refund)).held == euros(ALL)
    await VERBS[verb](tx, refund)

    note = await note_of(tx, refund)
    assert (note.held, note.left, note.refunded) == (euros(0), euros(ALL), euros(0))
    assert (await payment_of(tx, refund)).refunded == euros(0)


async def test_a_scheduled_refund_that_is_cancelled_is_never_sent(tx: Tx) -> None:
    refund = await a_refund(tx, Status.SCHEDULED)
    await cancel_refund(tx, refund.id)

    found, _ = await start_refund(at(tx, NOON + timedelta(days=60)), refund.id)
    assert found.status is Status.CANCELLED
    assert (await note_of(tx, refund)).left == euros(ALL)


async def test_a_moved_refund_is_sent_on_its_new_day_only(tx: Tx) -> None:
    refund = await a_refund(tx, Status.SCHEDULED)
    moved = await reschedule_refund(tx, refund.id, NewDay(due_on=DAY + timedelta(days=1)))
    assert moved == await store.get(tx, refund.id)

    for day, status in ((20, Status.SCHEDULED), (21, Status.PENDING)):
        found, _ = await start_refund(at(tx, NOON.replace(day=day)), refund.id)
        assert found.status is status
    due = await tx.conn.fetch(
        "SELECT scheduled_for FROM jobs WHERE kind = 'send_refund' ORDER BY created_at, id"
    )
    assert [row["scheduled_for"].isoformat() for row in due] == [
        "2026-01-28T23:00:00+00:00",
        "2026-01-20T23:00:00+00:00",
    ]


@pytest.mark.parametrize(
    ("day", "code"),
    [(TODAY - timedelta(days=1), "refund_on_past"), (TODAY + timedelta(days=367), "refund_on_far")],
)
async def test_it_is_moved_within_the_year_to_come(tx: Tx, day: date, code: str) -> None:
    refund = await a_refund(tx, Status.SCHEDULED)

    with pytest.raises(DomainError) as refused:
        await reschedule_refund(tx, refund.id, NewDay(due_on=day))
    assert (refused.value.code, refused.value.param) == (code, "due_on")


async def test_sent_now_it_is_due_today(tx: Tx) -> None:
    refund = await a_refund(tx, Status.SCHEDULED)
    sent = await send_refund_now(tx, refund.id)

    assert (sent.status, sent.due_on) == (Status.PENDING, TODAY)
    await finish_refund(tx, refund.id, gone())
    assert (await note_of(tx, refund)).refunded == euros(ALL)
    assert await accounts_of(tx) == {}


async def test_a_retry_takes_the_place_of_what_failed(tx: Tx) -> None:
    refund = await a_refund(tx)
    answer = await retry_refund(tx, refund.id, NewRetry())

    (retry,) = answer.refunds
    assert answer.retried.status is Status.RETRIED
    assert (retry.retry_of, retry.payment_id, retry.amount) == (refund.id, refund.payment_id, euros(ALL))
    assert (retry.status, retry.failure_code) == (Status.PENDING, None)
    assert await store.get(tx, retry.id) == retry
    assert ((await note_of(tx, refund)).held, (await payment_of(tx, refund)).refunded) == (
        euros(ALL),
        euros(ALL),
    )

    await finish_refund(tx, retry.id, gone())
    await assert_sound(tx)
    assert await accounts_of(tx) == {}


async def test_a_retry_can_fail_and_be_tried_again(tx: Tx) -> None:
    refund = await a_refund(tx)
    for _ in range(3):
        (retry,) = (await retry_refund(tx, refund.id, NewRetry())).refunds
        await finish_refund(tx, retry.id, declined())
        assert (await note_of(tx, refund)).held == euros(ALL)
        await assert_sound(tx)
        refund = retry


async def two_failed(tx: Tx) -> tuple[Refund, Refund]:
    """Over a newer payment of 119.76 and an older one of 60.00, which nobody needs any more."""
    invoice = await an_issued_invoice(tx, await a_shop(tx))
    older = await paid_by_provider(tx, invoice, 60_00)
    newer = await paid_by_provider(tx, invoice, now=NOON + timedelta(hours=1))
    first, second = (await credit_invoice(tx, invoice.id, whole())).refunds
    assert [first.payment_id, second.payment_id] == [newer.id, older.id]
    for each in (first, second):
        await finish_refund(tx, each.id, declined())
    await cancel_refund(tx, second.id)
    return first, second


async def test_a_retry_goes_over_other_payments_of_the_invoice_as_far_as_they_carry(tx: Tx) -> None:
    refund, other = await two_failed(tx)
    assert refund.payment_id is not None
    assert other.payment_id is not None
    over = [other.payment_id, refund.payment_id, other.payment_id]

    answer = await retry_refund(tx, refund.id, NewRetry(payments=over))

    assert [(each.payment_id, each.amount.minor) for each in answer.refunds] == [
        (other.payment_id, 60_00),
        (refund.payment_id, 59_76),
    ]
    await assert_sound(tx)


async def test_a_retry_over_payments_that_cannot_carry_it_changes_nothing(tx: Tx) -> None:
    refund, other = await two_failed(tx)
    assert other.payment_id is not None

    with pytest.raises(DomainError, match=r"59\.76 EUR is more than these payments") as refused:
        await retry_refund(tx, refund.id, NewRetry(payments=[other.payment_id]))
    assert refused.value.code == "payments_cannot_carry"
    assert (await store.get(tx, refund.id)).status is Status.FAILED
    await assert_sound(tx)


def whole() -> NewCreditNote:
    return NewCreditNote(reason=Reason.CANCELLATION, refund=RefundMode.AUTOMATIC)


async def test_a_retry_over_a_payment_of_another_invoice_is_refused(tx: Tx) -> None:
    refund = await a_refund(tx)

    for other in (PaymentId.new(), (await another_payment(tx)).id):
        with pytest.raises(DomainError) as refused:
            await retry_refund(tx, refund.id, NewRetry(payments=[other]))
        assert (refused.value.code, refused.value.param) == ("payment_not_of_note", "payments[0]")


async def another_payment(tx: Tx) -> Payment:
    return await paid_by_provider(tx, await an_issued_invoice(tx, await parties.customer(tx, "user-42")))


async def test_a_retry_over_money_that_came_past_us_is_refused(tx: Tx) -> None:
    invoice = await an_issued_invoice(tx, await a_shop(tx))
    transfer = await a_payment(tx, invoice, 79_76)
    await paid_by_provider(tx, invoice, 100_00)
    refund = (await credit_invoice(tx, invoice.id, whole())).refunds[0]
    await finish_refund(tx, refund.id, declined())

    with pytest.raises(DomainError) as refused:
        await retry_refund(tx, refund.id, NewRetry(payments=[transfer.id]))
    assert refused.value.code == "payments_cannot_carry"


async def test_what_went_back_past_us_after_all_is_recorded(tx: Tx) -> None:
    refund = await a_refund(tx)
    request = NewExternalRefund(
        means=OutsideMeans.TRANSFER, refunded_on=TODAY - timedelta(days=2), reference=Name("VIR 13")
    )
    recorded = await record_external(tx, refund.id, request)

    assert (recorded.status, recorded.means, recorded.reference) == (
        Status.SUCCEEDED,
        Means.TRANSFER,
        "VIR 13",
    )
    assert (recorded.retry_of, recorded.payment_id, recorded.mode) == (refund.id, None, RefundMode.MANUAL)
    assert recorded == await store.get(tx, recorded.id)
    note = await note_of(tx, refund)
    assert (note.refunded, note.held, note.left) == (euros(ALL), euros(0), euros(0))
    assert (await payment_of(tx, refund)).refunded == euros(0)
    assert await accounts_of(tx) == {}
    await assert_sound(tx)


async def test_what_has_not_moved_yet_is_not_recorded(tx: Tx) -> None:
    refund = await a_refund(tx)
    tomorrow = NewExternalRefund(means=OutsideMeans.CASH, refunded_on=TODAY + timedelta(days=1))

    with pytest.raises(DomainError) as refused:
        await record_external(tx, refund.id, tomorrow)
    assert refused.value.code == "day_in_future"


@pytest.mark.parametrize("verb", ["retry", "convert_to_balance", "record_external", "cancel"])
async def test_a_refund_that_fails_after_success_leaves_every_choice_again(tx: Tx, verb: str) -> None:
    refund = await a_refund(tx, Status.SUCCEEDED)
    assert await accounts_of(tx) == {}
    later = at(tx, NOON + timedelta(days=9))

    await finish_refund(later, refund.id, declined())
    failed, note = await store.get(tx, refund.id), await note_of(tx, refund)
    assert (failed.status, failed.failure_code, failed.succeeded_on) == (
        Status.FAILED,
        "refund_declined",
        None,
    )
    assert failed.gateway_reference == "re_1"
    assert (note.refunded, note.held, note.left) == (euros(0), euros(ALL), euros(0))
    assert (await payment_of(tx, refund)).refunded == euros(ALL)
    assert await accounts_of(tx) == {"411": -ALL, "512": ALL}
    await assert_sound(tx)

    await VERBS[verb](later, failed)
    await assert_sound(tx)


async def test_money_that_came_back_is_booked_that_day_and_its_vat_is_due_again(tx: Tx) -> None:
    invoice = await an_issued_invoice(tx, await a_shop(tx))
    await paid_by_provider(tx, invoice)
    line = invoice.lines[0]
    half = NewCreditNote(
        reason=Reason.CANCELLATION, refund=RefundMode.AUTOMATIC, lines=[by_amount(line, 43_06)]
    )
    (refund,) = (await credit_invoice(tx, invoice.id, half)).refunds
    await finish_refund(tx, refund.id, gone())
    before = await accounts_of(tx)

    await finish_refund(at(tx, NOON + timedelta(days=9)), refund.id, declined())

    after = await accounts_of(tx)
    assert after["512"] - before["512"] == 51_67
    booked = await tx.conn.fetch(
        "SELECT DISTINCT booked_on FROM ledger_entries WHERE document_id = $1 ORDER BY 1", refund.id
    )
    assert [row["booked_on"] for row in booked] == [TODAY, date(2026, 1, 24)]
    await assert_sound(tx)


async def test_late_news_is_told_once(tx: Tx) -> None:
    refund = await a_refund(tx, Status.SUCCEEDED)
    for _ in range(3):
        await finish_refund(tx, refund.id, declined())
    await finish_refund(tx, refund.id, gone())

    failures = [event for event in tx.events if type(event).__name__ == "RefundFailed"]
    assert len(failures) == 1
    assert (await store.get(tx, refund.id)).status is Status.FAILED
