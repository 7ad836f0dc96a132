"""When a subscription starts and how long it runs at least: in the past, at a time to come, trials, terms."""

from datetime import UTC, datetime, timedelta

import pytest

from kernel.database import Pool, Tx
from kernel.errors import Conflict, Invalid
from kernel.periods import Interval, Period, Unit
from promotions.model import AtEnd, Periods
from refunds.cancel_subscription import cancel_due, cancel_subscription
from refunds.model import Credit, NewCancellation, When
from subscriptions import renew, store
from subscriptions.billing_run import bill_chunk
from subscriptions.create_plan import add_version
from subscriptions.entitlements import grants_of
from subscriptions.events import SubscriptionScheduled, SubscriptionStarted
from subscriptions.model import BillingAnchor, NewSubscription, NewVersion, Signup, Status
from subscriptions.sign_up import sign_up, subscribe
from tests.books import assert_sound
from tests.makers import NOON
from tests.promotions.offers import a_new_offer, days, percent
from tests.shop import a_transaction, at
from tests.subscriptions.plans import MONTHLY, a_plan, a_price, a_shop_with_a_plan, a_signup, renewed

AUTUMN = datetime(2025, 10, 31, 9, tzinfo=UTC)
MARCH = datetime(2026, 3, 1, 11, tzinfo=UTC)
A_YEAR = Interval(Unit.YEAR)


async def subscribed(
    tx: Tx,
    *,
    starts_at: datetime | None = None,
    offer: str | None = None,
    term: Interval | None = None,
    billing_anchor: BillingAnchor | None = None,
) -> Signup:
    request = NewSubscription(
        customer="user-42",
        plan="pro",
        offer=offer,
        starts_at=starts_at,
        minimum_term=term,
        billing_anchor=billing_anchor,
    )
    return await subscribe(tx, request)


async def with_terms(tx: Tx, *, trial_days: int = 0, term: Interval | None = None) -> None:
    request = NewVersion(interval=MONTHLY, prices=[a_price()], trial_days=trial_days, minimum_term=term)
    await add_version(tx, "pro", request)


# ── In the past ─────────────────────────────────────────────────────────────────────────────────────────


async def test_each_period_since_a_start_in_the_past_has_an_invoice_dated_now(tx: Tx) -> None:
    await a_shop_with_a_plan(tx)
    signup = await subscribed(tx, starts_at=AUTUMN)

    assert signup.invoice is not None
    invoices = [signup.invoice, *signup.later_invoices]
    starts = [
        invoice.lines[0].period.start.date().isoformat() for invoice in invoices if invoice.lines[0].period
    ]
    assert starts == ["2025-10-31", "2025-11-30", "2025-12-31"]
    assert {invoice.issued_on for invoice in invoices} == {NOON.date()}
    assert [invoice.net.minor for invoice in invoices] == [29_00] * 3
    subscription = signup.subscription
    assert NOON in subscription.current_period
    assert (subscription.status, subscription.anchor_at) == (Status.ACTIVE, AUTUMN)
    assert await store.get(tx, subscription.id) == subscription
    await assert_sound(tx)


async def test_an_offer_and_a_stub_come_first_in_the_past_too(tx: Tx) -> None:
    offer = a_new_offer(percent("50"), duration=Periods(count=2))
    await a_shop_with_a_plan(tx, offer)
    signup = await subscribed(
        tx, starts_at=AUTUMN, offer=offer.reference, billing_anchor=BillingAnchor(day=1)
    )
    assert signup.invoice is not None
    nets = [invoice.net.minor for invoice in (signup.invoice, *signup.later_invoices)]
    assert nets == [47, 14_50, 29_00, 29_00]  # a day of October's 31, November, December, January


async def test_a_trial_in_the_past_may_be_over(tx: Tx) -> None:
    offer = a_new_offer(days(30))
    await a_shop_with_a_plan(tx, offer)
    signup = await subscribed(tx, starts_at=AUTUMN, offer=offer.reference)

    assert (signup.subscription.status, signup.invoice) == (Status.ACTIVE, None)
    assert len(signup.later_invoices) == 2
    assert signup.entitlements.features["seats"] == 5


async def test_what_ended_since_is_answered_as_ended(tx: Tx) -> None:
    offer = a_new_offer(days(30), at_end=AtEnd.END)
    await a_shop_with_a_plan(tx, offer)
    signup = await subscribed(tx, starts_at=AUTUMN, offer=offer.reference)
    assert (signup.subscription.status, signup.later_invoices) == (Status.ENDED, ())
    assert signup.entitlements.features == {}


async def test_what_starts_in_the_past_is_what_was_billed_month_by_month(pool: Pool) -> None:
    seen = []
    for backdated in (True, False):
        async with a_transaction(pool) as tx:
            await a_shop_with_a_plan(tx)
            signup = await subscribed(tx if backdated else at(tx, AUTUMN), starts_at=AUTUMN)
            subscription = signup.subscription
            while not backdated and subscription.current_period.end <= NOON:
                subscription = (await renewed(tx, subscription)).subscription
            seen.append(
                (subscription.period_number, subscription.current_period, subscription.next_billing_at)
            )
            assert await tx.conn.fetchval("SELECT count(*) FROM invoices") == 3
    assert seen[0] == seen[1]


# ── At a time to come ───────────────────────────────────────────────────────────────────────────────────


async def test_until_it_starts_it_entitles_to_nothing_and_bills_nothing(tx: Tx) -> None:
    await a_shop_with_a_plan(tx)
    signup = await subscribed(tx, starts_at=MARCH)

    subscription = signup.subscription
    assert (subscription.status, signup.invoice) == (Status.INCOMPLETE, None)
    assert subscription.current_period == Period(NOON, MARCH)
    assert signup.entitlements.features == {}
    assert (await bill_chunk(at(tx, MARCH - timedelta(seconds=1)))).claimed == 0
    assert tx.events[-1] == SubscriptionScheduled(
        subscription_id=subscription.id, customer_id=subscription.customer_id, starts_at=MARCH
    )


async def test_it_starts_in_the_run_with_its_first_invoice(tx: Tx) -> None:
    await a_shop_with_a_plan(tx)
    scheduled = (await subscribed(tx, starts_at=MARCH)).subscription

    await bill_chunk(at(tx, MARCH + timedelta(days=2)))

    started = await store.get(tx, scheduled.id)
    assert (started.status, started.period_number, started.anchor_at) == (Status.ACTIVE, 0, MARCH)
    assert started.current_period.start == MARCH
    assert await tx.conn.fetchval("SELECT net_minor FROM invoices") == 29_00
    assert any(isinstance(event, SubscriptionStarted) for event in tx.events)
    assert (await grants_of(tx, "user-42")).features["seats"] == 5


async def test_with_free_days_it_starts_as_a_trial_and_is_billed_after_it(tx: Tx) -> None:
    offer = a_new_offer(days(10))
    await a_shop_with_a_plan(tx, offer)
    scheduled = (
        await subscribed(tx, starts_at=MARCH, offer=offer.reference, billing_anchor=BillingAnchor(day=1))
    ).subscription

    trial = await renew.renew(at(tx, MARCH), scheduled.id)
    assert (trial.subscription.status, trial.invoice) == (Status.TRIALING, None)
    assert trial.subscription.current_period == Period(MARCH, MARCH + timedelta(days=10))
    assert await store.get(tx, scheduled.id) == trial.subscription

    first = await renewed(tx, trial.subscription)
    assert first.invoice is not None
    assert first.invoice.net.minor == 19_65  # 11 to 31 March
    assert await store.get(tx, scheduled.id) == first.subscription


async def test_before_it_starts_it_can_be_cancelled(tx: Tx) -> None:
    await a_shop_with_a_plan(tx)
    scheduled = (await subscribed(tx, starts_at=MARCH)).subscription

    cancelled = (await cancel_subscription(tx, scheduled.id, NewCancellation())).subscription

    assert cancelled.status is Status.CANCELLED
    assert (await bill_chunk(at(tx, MARCH))).claimed == 0


@pytest.mark.parametrize("starts_at", [NOON - timedelta(days=367), NOON + timedelta(days=367)])
async def test_a_start_that_is_far_away_is_refused(tx: Tx, starts_at: datetime) -> None:
    await a_shop_with_a_plan(tx)
    with pytest.raises(Invalid) as refused:
        await subscribed(tx, starts_at=starts_at)
    assert refused.value.code == "start_time"


async def test_more_periods_than_can_be_billed_at_once_are_refused(tx: Tx) -> None:
    await a_shop_with_a_plan(tx)
    await a_plan(tx, "daily", interval=Interval(Unit.DAY))
    request = NewSubscription(customer="user-42", plan="daily", starts_at=NOON - timedelta(days=60))
    with pytest.raises(Invalid) as refused:
        await subscribe(tx, request)
    assert refused.value.code == "start_time"
    request = NewSubscription(customer="user-42", plan="daily", starts_at=NOON - timedelta(days=59))
    assert len((await subscribe(tx, request)).later_invoices) == 59


# ── Trial days and a minimum term ───────────────────────────────────────────────────────────────────────


async def test_a_plan_gives_its_trial_days_unless_the_offer_brings_its_own(tx: Tx) -> None:
    offer = a_new_offer(days(30))
    await a_shop_with_a_plan(tx, offer)
    await with_terms(tx, trial_days=14)

    plain = (await sign_up(tx, a_signup())).subscription
    offered = (await sign_up(tx, a_signup(customer="user-78", offer=offer.reference))).subscription

    assert (plain.status, plain.trial_ends_at) == (Status.TRIALING, NOON + timedelta(days=14))
    assert offered.trial_ends_at == NOON + timedelta(days=30)


async def test_before_the_end_of_its_term_it_is_not_cancelled(tx: Tx) -> None:
    await a_shop_with_a_plan(tx)
    await with_terms(tx, term=A_YEAR)
    subscription = (await subscribed(tx)).subscription
    assert subscription.term_ends_at == datetime(2027, 1, 15, 11, tzinfo=UTC)

    too_early = [
        NewCancellation(),
        NewCancellation(when=When.PERIOD_END),
        NewCancellation(when=When.AT, at=subscription.term_ends_at - timedelta(seconds=1)),
    ]
    for request in too_early:
        with pytest.raises(Conflict) as refused:
            await cancel_subscription(tx, subscription.id, request)
        assert refused.value.code == "minimum_term"


async def test_at_the_end_of_its_term_it_is_and_no_period_more_is_billed(tx: Tx) -> None:
    await a_shop_with_a_plan(tx)
    subscription = (await subscribed(tx, term=Interval(Unit.MONTH, 3))).subscription
    answer = await cancel_subscription(tx, subscription.id, NewCancellation(when=When.TERM_END))
    ends_at = datetime(2026, 4, 15, 10, tzinfo=UTC)  # summer time
    assert answer.subscription.cancel_at == subscription.term_ends_at == ends_at

    await cancel_due(at(tx, ends_at), subscription.id)

    assert (await store.get(tx, subscription.id)).status is Status.CANCELLED
    assert await tx.conn.fetchval("SELECT count(*) FROM invoices") == 3
    assert await tx.conn.fetchval("SELECT count(*) FROM credit_notes") == 0


async def test_a_term_can_be_overridden_and_is_over_one_day(tx: Tx) -> None:
    await a_shop_with_a_plan(tx)
    await with_terms(tx, term=A_YEAR)
    first, second = [(await subscribed(tx, term=term)).subscription for term in (MONTHLY, None)]

    over = await cancel_subscription(
        at(tx, NOON + timedelta(days=40)), first.id, NewCancellation(when=When.TERM_END, credit=Credit.NONE)
    )
    overridden = await cancel_subscription(tx, second.id, NewCancellation(override_term=True))
    assert over.subscription.status is overridden.subscription.status is Status.CANCELLED


async def test_a_term_begins_when_it_begins_to_be_paid(tx: Tx) -> None:
    await a_shop_with_a_plan(tx)
    await with_terms(tx, trial_days=10, term=MONTHLY)
    subscription = (await subscribed(tx)).subscription
    assert subscription.term_ends_at == datetime(2026, 2, 25, 11, tzinfo=UTC)


async def test_without_a_term_there_is_no_end_of_it(tx: Tx) -> None:
    await a_shop_with_a_plan(tx)
    subscription = (await subscribed(tx)).subscription
    with pytest.raises(Invalid) as refused:
        await cancel_subscription(tx, subscription.id, NewCancellation(when=When.TERM_END))
    assert refused.value.code == "cancellation_time"
