"""Pausing and resuming: nothing is used and nothing billed; then it goes on, or begins anew."""

from datetime import UTC, date, datetime, timedelta
from itertools import product

import pytest

from billing.parties.model import RefundMode
from kernel.database import Pool, Tx, transaction
from kernel.errors import Conflict, Invalid
from kernel.ids import TenantId
from promotions.model import AtEnd, Forever
from refunds.cancel_subscription import cancel_due, cancel_subscription
from refunds.model import (
    Credit,
    NewCancellation,
    NewSubscriptionPause,
    PauseCredit,
    PauseWhen,
    SubscriptionPause,
    When,
)
from refunds.pause_subscription import pause_subscription
from subscriptions import billing_store, store
from subscriptions.billing_run import bill_chunk
from subscriptions.entitlements import grants_of
from subscriptions.events import SubscriptionPaused, SubscriptionResumed
from subscriptions.model import NEXT, Renewal, Status, Subscription
from subscriptions.renew import renew
from subscriptions.resume import resume_due, resume_subscription
from tests.books import assert_sound
from tests.promotions.offers import a_new_offer, days, percent
from tests.refunds.cases import TENTH_DAY, Billed, billed, paid_by_provider
from tests.shop import at, while_open
from tests.subscriptions.plans import renewed, signed_up

LATER = datetime(2026, 2, 1, 11, tzinfo=UTC)
END = datetime(2026, 2, 15, 11, tzinfo=UTC)
APRIL = datetime(2026, 4, 10, 9, tzinfo=UTC)


async def pause(
    tx: Tx,
    subscription: Subscription,
    *,
    credit: PauseCredit = PauseCredit.NONE,
    when: PauseWhen = PauseWhen.NOW,
    resume_at: datetime | None = None,
    now: datetime = TENTH_DAY,
) -> SubscriptionPause:
    request = NewSubscriptionPause(when=when, credit=credit, resume_at=resume_at)
    return await pause_subscription(at(tx, now), subscription.id, request)


async def resume(tx: Tx, case: Billed, *, now: datetime) -> Renewal:
    return await resume_subscription(at(tx, now), case.subscription.id)


async def count(tx: Tx, table: str) -> int:
    return int(await tx.conn.fetchval(f"SELECT count(*) FROM {table} WHERE tenant_id = $1", tx.tenant))


async def test_paused_it_entitles_to_nothing_and_is_not_billed(tx: Tx) -> None:
    case = await billed(tx)
    paused = (await pause(tx, case.subscription)).subscription

    assert (paused.status, paused.next_billing_at, paused.paused_at) == (Status.PAUSED, None, TENTH_DAY)
    assert (await grants_of(tx, case.subscription.customer_id)).features == {}
    assert await billing_store.next_renewal(tx) is None
    with pytest.raises(Conflict, match="The subscription is paused") as refused:
        await renew(at(tx, APRIL), case.subscription.id)
    assert refused.value.code == "renewal_not_due"
    assert await store.get(tx, paused.id) == paused


async def test_resumed_in_time_it_goes_on_in_the_period_it_has_paid_for(tx: Tx) -> None:
    case = await billed(tx)
    await pause(tx, case.subscription, resume_at=APRIL)
    renewal = await resume(tx, case, now=LATER)

    assert (renewal.subscription, renewal.invoice) == (case.subscription, None)
    assert await store.get(tx, case.subscription.id) == case.subscription
    assert (await renewed(tx, renewal.subscription)).subscription.current_period.start == END
    assert await count(tx, "invoices") == 2


async def test_resumed_later_a_new_period_begins_then_and_is_billed_whole(tx: Tx) -> None:
    case = await billed(tx)
    await pause(tx, case.subscription)
    renewal = await resume(tx, case, now=APRIL)

    subscription = renewal.subscription
    assert (subscription.status, subscription.period_number, subscription.paused_at) == (
        Status.ACTIVE,
        0,
        None,
    )
    assert (subscription.anchor_at, subscription.current_period.start) == (APRIL, APRIL)
    assert subscription.next_billing_at == datetime(2026, 5, 10, 9, tzinfo=UTC)
    assert renewal.invoice is not None
    assert (renewal.invoice.net.minor, renewal.invoice.lines[0].period) == (
        29_00,
        subscription.current_period,
    )
    assert await store.get(tx, subscription.id) == subscription
    assert (await grants_of(tx, subscription.customer_id)).features["seats"] == 5
    await assert_sound(tx)


async def test_a_new_period_begins_at_the_very_end_of_the_old_one(tx: Tx) -> None:
    case = await billed(tx)
    await pause(tx, case.subscription)
    assert (await resume(tx, case, now=END)).invoice is not None


@pytest.mark.parametrize("resumed_at", [TENTH_DAY, TENTH_DAY + timedelta(seconds=1), LATER, END, APRIL])
async def test_what_was_credited_is_not_gone_on_in(tx: Tx, resumed_at: datetime) -> None:
    case = await billed(tx)
    await paid_by_provider(tx, case.invoice)
    paused = await pause(tx, case.subscription, credit=PauseCredit.PRORATED)
    renewal = await resume(tx, case, now=resumed_at)

    # 21 of 31 days of 29.00 are left on the tenth day: 19.65 net, 23.58 with VAT.
    assert [note.total.minor for note in paused.credit_notes] == [23_58]
    assert [refund.amount.minor for refund in paused.refunds] == [23_58]
    assert renewal.invoice is not None
    assert renewal.subscription.current_period.start == resumed_at
    await assert_sound(tx)


async def test_paused_and_resumed_at_the_instant_it_began_it_is_billed_anew(tx: Tx) -> None:
    """A test clock stands still."""
    case = await billed(tx)
    for _ in range(2):
        await pause(tx, case.subscription, credit=PauseCredit.PRORATED, now=tx.now)
        assert (await resume(tx, case, now=tx.now)).invoice is not None

    assert await count(tx, "invoices") == 3
    cancelled = await cancel_subscription(tx, case.subscription.id, NewCancellation())
    assert [note.total.minor for note in cancelled.credit_notes] == [34_80]
    await assert_sound(tx)


async def test_what_a_pause_has_credited_a_cancellation_does_not_credit_again(tx: Tx) -> None:
    case = await billed(tx)
    await pause(tx, case.subscription, credit=PauseCredit.PRORATED)
    cancelled = await cancel_subscription(at(tx, LATER), case.subscription.id, NewCancellation())
    assert (cancelled.credit_notes, cancelled.subscription.status) == ((), Status.CANCELLED)


async def test_a_trial_goes_on_for_as_long_as_it_would_have(tx: Tx) -> None:
    trial = (await signed_up(tx, offer=a_new_offer(days(30)))).subscription
    await pause(tx, trial)
    resumed = (await resume_subscription(at(tx, LATER), trial.id)).subscription

    assert (resumed.status, resumed.current_period) == (Status.ACTIVE, trial.current_period)
    first = (await renewed(tx, resumed)).subscription
    assert (first.period_number, first.current_period.start) == (0, trial.trial_ends_at)


async def test_after_the_end_of_its_trial_it_is_billed_from_its_resumption(tx: Tx) -> None:
    trial = (await signed_up(tx, offer=a_new_offer(days(30)))).subscription
    await pause(tx, trial)
    renewal = await resume_subscription(at(tx, APRIL), trial.id)
    assert (renewal.subscription.status, renewal.subscription.anchor_at) == (Status.ACTIVE, APRIL)
    assert renewal.invoice is not None


async def test_an_offer_is_gone_on_with(tx: Tx) -> None:
    half = (await signed_up(tx, offer=a_new_offer(percent("50"), duration=Forever()))).subscription
    await pause(tx, half)
    renewal = await resume_subscription(at(tx, APRIL), half.id)
    assert renewal.invoice is not None
    assert renewal.invoice.net.minor == 14_50


async def test_what_ends_with_its_offer_ends_when_it_would_begin_anew(tx: Tx) -> None:
    short = (await signed_up(tx, offer=a_new_offer(percent("50"), at_end=AtEnd.END))).subscription
    await pause(tx, short)
    renewal = await resume_subscription(at(tx, APRIL), short.id)
    assert (renewal.subscription.status, renewal.invoice) == (Status.ENDED, None)
    assert not any(isinstance(event, SubscriptionResumed) for event in tx.events)


# ── At the end of the period ────────────────────────────────────────────────────────────────────────────


async def test_at_the_end_of_its_period_it_is_paused_instead_of_renewed(tx: Tx) -> None:
    case = await billed(tx)
    answer = await pause(tx, case.subscription, when=PauseWhen.PERIOD_END, resume_at=APRIL)
    assert (answer.subscription.status, answer.subscription.pause_at) == (Status.ACTIVE, END)

    chunk = await bill_chunk(at(tx, END + timedelta(days=3)))

    paused = await store.get(tx, case.subscription.id)
    assert (paused.status, paused.paused_at, paused.pause_at) == (Status.PAUSED, END, None)
    assert (paused.resume_at, paused.current_period.end) == (APRIL, END)
    assert (chunk.claimed, chunk.ended, chunk.invoices) == (1, 0, {})
    assert await count(tx, "invoices") == 1
    assert tx.events[-1] == SubscriptionPaused(
        subscription_id=paused.id, customer_id=paused.customer_id, resume_at=APRIL
    )


async def test_until_then_resuming_undoes_it(tx: Tx) -> None:
    case = await billed(tx)
    await pause(tx, case.subscription, when=PauseWhen.PERIOD_END, resume_at=APRIL)

    kept = await resume(tx, case, now=LATER)

    assert kept == Renewal(subscription=case.subscription, invoice=None)
    assert (await renewed(tx, case.subscription)).invoice is not None


async def test_a_period_that_is_over_is_billed_before_the_pause_begins(tx: Tx) -> None:
    case = await billed(tx)
    paused = (await pause(tx, case.subscription, now=APRIL)).subscription
    assert (paused.period_number, await count(tx, "invoices")) == (2, 3)


# ── At a time ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("late", [timedelta(0), timedelta(days=40)])
async def test_at_its_time_it_is_resumed_as_of_that_time(tx: Tx, late: timedelta) -> None:
    case = await billed(tx)
    await pause(tx, case.subscription, when=PauseWhen.PERIOD_END, resume_at=APRIL)
    await resume_due(at(tx, APRIL - timedelta(seconds=1)), case.subscription.id)
    assert await count(tx, "invoices") == 1

    for _ in range(2):
        await resume_due(at(tx, APRIL + late), case.subscription.id)

    resumed = await store.get(tx, case.subscription.id)
    assert (resumed.status, resumed.current_period.start, resumed.resume_at) == (Status.ACTIVE, APRIL, None)
    assert await count(tx, "invoices") == 2


async def test_paused_again_only_the_time_changes_at_which_it_is_resumed(tx: Tx) -> None:
    case = await billed(tx)
    await pause(tx, case.subscription, resume_at=LATER)
    again = (await pause(tx, case.subscription, resume_at=APRIL, now=LATER - timedelta(days=1))).subscription

    assert (again.paused_at, again.resume_at) == (TENTH_DAY, APRIL)
    await resume_due(at(tx, LATER), case.subscription.id)
    assert (await store.get(tx, case.subscription.id)).status is Status.PAUSED


async def test_cancelled_before_that_it_is_not_resumed(tx: Tx) -> None:
    case = await billed(tx)
    await pause(tx, case.subscription, resume_at=APRIL)
    await cancel_subscription(at(tx, LATER), case.subscription.id, NewCancellation(credit=Credit.NONE))

    await resume_due(at(tx, APRIL), case.subscription.id)

    assert (await store.get(tx, case.subscription.id)).status is Status.CANCELLED


async def test_whichever_job_comes_first_what_was_to_be_cancelled_before_is_not_resumed(tx: Tx) -> None:
    case = await billed(tx)
    await pause(tx, case.subscription, resume_at=APRIL)
    request = NewCancellation(when=When.AT, at=END, credit=Credit.NONE)
    await cancel_subscription(at(tx, LATER), case.subscription.id, request)

    much_later = at(tx, APRIL + timedelta(days=1))
    await resume_due(much_later, case.subscription.id)
    await cancel_due(much_later, case.subscription.id)

    over = await store.get(tx, case.subscription.id)
    assert (over.status, over.cancelled_at) == (Status.CANCELLED, END)
    assert await count(tx, "invoices") == 1


# ── Refused ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("status", "when"), list(product(Status, PauseWhen)))
async def test_what_can_be_paused_is_said_by_the_table(tx: Tx, status: Status, when: PauseWhen) -> None:
    case = await billed(tx)
    over = status in (Status.CANCELLED, Status.ENDED)
    paused_at = TENTH_DAY if status is Status.PAUSED else None
    await tx.conn.execute(
        "UPDATE subscriptions SET status = $2, next_billing_at = $3, paused_at = $4 WHERE tenant_id = $1",
        tx.tenant,
        status,
        None if over or paused_at else END,
        paused_at,
    )
    if status is Status.PAUSED or Status.PAUSED in NEXT[status]:
        paused = (await pause(tx, case.subscription, when=when)).subscription
        assert Status.PAUSED is paused.status or paused.pause_at == END
    else:
        with pytest.raises(Conflict) as refused:
            await pause(tx, case.subscription, when=when)
        assert refused.value.code == ("subscription_over" if over else "subscription_state")


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.PAUSED])
async def test_only_what_is_paused_is_resumed(tx: Tx, status: Status) -> None:
    case = await billed(tx)
    over = status in (Status.CANCELLED, Status.ENDED)
    await tx.conn.execute(
        "UPDATE subscriptions SET status = $2, next_billing_at = $3 WHERE tenant_id = $1",
        tx.tenant,
        status,
        None if over else END,
    )
    with pytest.raises(Conflict) as refused:
        await resume(tx, case, now=tx.now)
    assert refused.value.code == "subscription_not_paused"


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (NewSubscriptionPause(resume_at=TENTH_DAY), "resume_time"),
        (NewSubscriptionPause(when=PauseWhen.PERIOD_END, resume_at=END), "resume_time"),
        (NewSubscriptionPause(when=PauseWhen.PERIOD_END, credit=PauseCredit.PRORATED), "pause_credit"),
        (NewSubscriptionPause(refund=RefundMode.MANUAL), "pause_credit"),
        (
            NewSubscriptionPause(
                credit=PauseCredit.PRORATED, refund=RefundMode.DEFERRED, refund_on=date(2026, 1, 1)
            ),
            "refund_on_past",
        ),
    ],
)
async def test_what_does_not_fit_together_is_refused(
    tx: Tx, request_: NewSubscriptionPause, code: str
) -> None:
    case = await billed(tx)
    with pytest.raises(Invalid) as refused:
        await pause_subscription(at(tx, TENTH_DAY), case.subscription.id, request_)
    assert refused.value.code == code


async def test_a_pause_and_a_renewal_take_turns(pool: Pool, tenant: TenantId) -> None:
    async with transaction(pool, tenant, now=TENTH_DAY) as tx:
        case = await billed(tx)

    async def pausing(tx: Tx) -> SubscriptionPause:
        return await pause_subscription(tx, case.subscription.id, NewSubscriptionPause())

    async def resuming(tx: Tx) -> Renewal:
        return await resume_subscription(tx, case.subscription.id)

    resumed = await while_open(pool, tenant, pausing, resuming, now=TENTH_DAY)
    assert resumed.subscription.status is Status.ACTIVE
