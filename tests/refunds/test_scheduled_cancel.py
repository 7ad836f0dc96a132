"""A cancellation to come: kept as asked for, carried out at its time and not before, undone until then."""

from datetime import UTC, datetime, timedelta

import pytest

from billing.credit_notes.model import Reason
from billing.parties.model import RefundMode
from kernel.database import Tx
from kernel.errors import Conflict, Invalid
from refunds.cancel_subscription import cancel_due, cancel_subscription, undo_cancellation
from refunds.model import Cancellation, Credit, NewCancellation, When
from subscriptions import billing_store, store
from subscriptions.model import Status
from subscriptions.renew import renew
from tests.books import assert_sound
from tests.refunds.cases import Billed, billed, paid_by_provider
from tests.shop import at

END = datetime(2026, 2, 15, 11, tzinfo=UTC)
MONTH_LATER = datetime(2026, 3, 15, 11, tzinfo=UTC)
MID_FEBRUARY = datetime(2026, 3, 1, 11, tzinfo=UTC)


async def at_period_end(tx: Tx, case: Billed) -> Cancellation:
    return await cancel_subscription(tx, case.subscription.id, NewCancellation(when=When.PERIOD_END))


async def status_of(tx: Tx, case: Billed) -> Status:
    return (await store.get(tx, case.subscription.id)).status


async def due_jobs(tx: Tx, kind: str) -> list[datetime]:
    rows = await tx.conn.fetch(
        "SELECT scheduled_for FROM jobs WHERE tenant_id = $1 AND kind = $2 ORDER BY scheduled_for",
        tx.tenant,
        kind,
    )
    return [row["scheduled_for"] for row in rows]


async def test_until_its_time_the_subscription_runs_on(tx: Tx) -> None:
    case = await billed(tx)
    answer = await at_period_end(tx, case)

    assert answer.subscription.cancel_at == case.subscription.current_period.end
    assert answer.credit_notes == ()
    assert await status_of(tx, case) is Status.ACTIVE
    assert await due_jobs(tx, "cancel_subscription") == [case.subscription.current_period.end]


async def test_at_the_period_end_it_is_cancelled_and_not_billed_again(tx: Tx) -> None:
    case = await billed(tx)
    await at_period_end(tx, case)
    then = at(tx, case.subscription.current_period.end)

    with pytest.raises(Conflict) as refused:
        await renew(then, case.subscription.id)
    await cancel_due(then, case.subscription.id)

    assert refused.value.code == "renewal_not_due"
    cancelled = await store.get(then, case.subscription.id)
    assert (cancelled.status, cancelled.next_billing_at) == (Status.CANCELLED, None)
    assert cancelled.cancelled_at == case.subscription.current_period.end
    await assert_sound(then)


async def test_whichever_job_comes_first_and_however_late_it_is_as_of_its_time(tx: Tx) -> None:
    case = await billed(tx)
    await paid_by_provider(tx, case.invoice)
    request = NewCancellation(when=When.AT, at=case.subscription.current_period.start + timedelta(days=10))
    await cancel_subscription(tx, case.subscription.id, request)
    much_later = at(tx, MONTH_LATER)

    await cancel_due(much_later, case.subscription.id)

    cancelled = await store.get(much_later, case.subscription.id)
    assert cancelled.cancelled_at == request.at
    notes = await much_later.conn.fetch(
        "SELECT total_minor, reason FROM credit_notes WHERE tenant_id = $1", tx.tenant
    )
    # 21 of 31 days of 29.00 are left on the tenth day: 19.65 net, 23.58 with VAT.
    assert [(row["total_minor"], row["reason"]) for row in notes] == [(23_58, Reason.CANCELLATION)]
    await assert_sound(much_later)


async def test_periods_before_a_later_time_are_billed(tx: Tx) -> None:
    case = await billed(tx)
    request = NewCancellation(when=When.AT, at=MID_FEBRUARY, credit=Credit.NONE)
    await cancel_subscription(tx, case.subscription.id, request)

    await cancel_due(at(tx, MONTH_LATER), case.subscription.id)

    billed_periods = await tx.conn.fetchval(
        "SELECT count(*) FROM subscription_invoices WHERE tenant_id = $1", tx.tenant
    )
    assert billed_periods == 2
    assert await status_of(tx, case) is Status.CANCELLED


async def test_before_its_time_the_job_does_nothing(tx: Tx) -> None:
    case = await billed(tx)
    await at_period_end(tx, case)

    await cancel_due(tx, case.subscription.id)

    assert await status_of(tx, case) is Status.ACTIVE


async def test_it_can_be_undone_and_the_subscription_renews(tx: Tx) -> None:
    case = await billed(tx)
    await at_period_end(tx, case)

    kept = await undo_cancellation(tx, case.subscription.id)

    then = at(tx, case.subscription.current_period.end)
    await cancel_due(then, case.subscription.id)
    assert kept.cancel_at is None
    assert (await renew(then, case.subscription.id)).invoice is not None


async def test_what_is_about_to_be_cancelled_is_not_due_to_be_renewed_until_that_is_undone(tx: Tx) -> None:
    case = await billed(tx)
    await at_period_end(tx, case)
    assert await billing_store.next_renewal(tx) is None

    await undo_cancellation(tx, case.subscription.id)
    assert await billing_store.next_renewal(tx) == case.subscription.current_period.end


async def test_what_is_not_to_come_cannot_be_undone(tx: Tx) -> None:
    case = await billed(tx)
    await refused_to_undo(tx, case)
    await cancel_subscription(tx, case.subscription.id, NewCancellation())
    await refused_to_undo(tx, case)


async def refused_to_undo(tx: Tx, case: Billed) -> None:
    with pytest.raises(Conflict) as refused:
        await undo_cancellation(tx, case.subscription.id)
    assert refused.value.code == "cancellation_not_scheduled"


async def test_asked_for_again_the_new_time_counts(tx: Tx) -> None:
    case = await billed(tx)
    await at_period_end(tx, case)
    await cancel_subscription(tx, case.subscription.id, NewCancellation(when=When.AT, at=MID_FEBRUARY))

    await cancel_due(at(tx, case.subscription.current_period.end), case.subscription.id)
    assert await status_of(tx, case) is Status.ACTIVE
    assert (await cancel_subscription(tx, case.subscription.id, NewCancellation())).subscription.is_over


@pytest.mark.parametrize(
    "request_",
    [
        NewCancellation(when=When.AT),
        NewCancellation(at=END),
        NewCancellation(when=When.PERIOD_END, at=END),
        NewCancellation(when=When.AT, at=datetime(2020, 1, 1, tzinfo=UTC)),
    ],
)
async def test_a_time_that_cannot_be_meant_is_refused(tx: Tx, request_: NewCancellation) -> None:
    case = await billed(tx)
    with pytest.raises(Invalid) as refused:
        await cancel_subscription(tx, case.subscription.id, request_)
    assert refused.value.code == "cancellation_time"


async def test_a_refund_before_the_cancellation_is_refused_when_it_is_asked_for(tx: Tx) -> None:
    case = await billed(tx)
    request = NewCancellation(when=When.PERIOD_END, refund=RefundMode.DEFERRED, refund_on=tx.now.date())
    with pytest.raises(Invalid) as refused:
        await cancel_subscription(tx, case.subscription.id, request)
    assert refused.value.code == "refund_on_past"
