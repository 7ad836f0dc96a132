"""Calendar anchors: a first stub, billed by its days; then whole periods, each on its day."""

from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.parties.change_settings import change_settings
from billing.parties.model import Proration, SettingsChange
from kernel.database import Tx
from kernel.errors import Invalid
from kernel.periods import Interval, Period, Unit, local_date, nth_period, plus_months
from promotions.model import Forever
from refunds.cancel_subscription import cancel_subscription
from refunds.change_subscription import change_subscription
from refunds.model import NewCancellation, NewChange, NewSubscriptionPause
from refunds.pause_subscription import pause_subscription
from subscriptions import schedule, store
from subscriptions.billing_run import bill_chunk
from subscriptions.model import BillingAnchor, NewSubscription, Signup
from subscriptions.resume import resume_subscription
from subscriptions.schedule import counted_from
from subscriptions.sign_up import subscribe
from tests.books import assert_sound
from tests.makers import NOON
from tests.promotions.offers import a_new_offer, days, fixed, percent
from tests.shop import at
from tests.subscriptions.plans import a_plan, a_price, a_shop_with_a_plan, renewed

PARIS = ZoneInfo("Europe/Paris")
FIRST = BillingAnchor(day=1)


def paris(year: int, month: int, day: int, hour: int = 0) -> datetime:
    return datetime(year, month, day, hour, tzinfo=PARIS).astimezone(UTC)


def periods(interval: Interval, anchor: BillingAnchor, begins_at: datetime, count: int) -> list[Period]:
    first = counted_from(interval, anchor, at=begins_at, zone=PARIS)
    found = [first.period]
    for number in range(first.period_number + 1, first.period_number + count):
        found.append(schedule.following(found[-1], interval, first.anchor_at, number, PARIS))
    return found


def days_on(begins_on: date, unit: Unit, count: int, anchor: BillingAnchor) -> list[str]:
    """On which days the first six periods begin after the stub."""
    begins_at = datetime(begins_on.year, begins_on.month, begins_on.day, 11, tzinfo=UTC)
    found = periods(Interval(unit, count), anchor, begins_at, 7)
    return [local_date(period.start, PARIS).isoformat() for period in found[1:]]


def test_the_31st_is_the_last_day_of_a_month_that_is_shorter() -> None:
    assert days_on(date(2026, 3, 5), Unit.MONTH, 1, BillingAnchor(day=31)) == [
        "2026-03-31", "2026-04-30", "2026-05-31", "2026-06-30", "2026-07-31", "2026-08-31",
    ]  # fmt: skip
    assert days_on(date(2027, 2, 27), Unit.MONTH, 1, BillingAnchor(day=29)) == [
        "2027-02-28", "2027-03-29", "2027-04-29", "2027-05-29", "2027-06-29", "2027-07-29",
    ]  # fmt: skip


def test_a_month_of_the_year_makes_calendar_quarters_and_years() -> None:
    january = BillingAnchor(day=1, month=1)
    assert days_on(date(2026, 2, 5), Unit.MONTH, 3, january)[:3] == ["2026-04-01", "2026-07-01", "2026-10-01"]
    assert days_on(date(2026, 2, 5), Unit.YEAR, 1, january)[:2] == ["2027-01-01", "2028-01-01"]


def test_the_29th_of_february_comes_back_in_leap_years() -> None:
    february = BillingAnchor(day=29, month=2)
    assert days_on(date(2026, 3, 1), Unit.YEAR, 1, february)[:3] == ["2027-02-28", "2028-02-29", "2029-02-28"]


def test_without_a_month_the_next_such_day_is_the_first() -> None:
    assert days_on(date(2026, 2, 5), Unit.MONTH, 3, FIRST)[:2] == ["2026-03-01", "2026-06-01"]
    assert days_on(date(2026, 2, 5), Unit.YEAR, 1, FIRST)[:2] == ["2026-03-01", "2027-03-01"]


def test_what_begins_on_the_day_itself_has_a_whole_period_to_its_end() -> None:
    assert days_on(date(2026, 3, 1), Unit.MONTH, 1, FIRST)[0] == "2026-04-01"


@given(
    st.dates(date(1990, 1, 1), date(2090, 12, 31)),
    st.sampled_from([Interval(Unit.MONTH, n) for n in (1, 2, 3, 5, 6, 12, 24)] + [Interval(Unit.YEAR)]),
    st.integers(1, 31),
    st.none() | st.integers(1, 12),
    st.integers(0, 23),
)
def test_periods_begin_on_the_day_with_no_hole_and_no_overlap(
    begins_on: date, interval: Interval, day: int, month: int | None, hour: int
) -> None:
    begins_at = datetime(begins_on.year, begins_on.month, begins_on.day, hour, 30, tzinfo=PARIS)
    anchor = BillingAnchor(day=day, month=month)
    first = counted_from(interval, anchor, at=begins_at.astimezone(UTC), zone=PARIS)
    found = periods(interval, anchor, begins_at.astimezone(UTC), 26)
    nominal = nth_period(first.anchor_at, interval, first.period_number, PARIS)

    assert found[0].start == begins_at
    assert nominal.start < found[0].end == nominal.end
    assert local_date(nominal.start, PARIS) <= begins_on
    assert all(before.end == after.start for before, after in pairwise(found))
    for period in found[1:]:
        starts = period.start.astimezone(PARIS)
        last_of_month = plus_months(starts.date().replace(day=1), 1) - timedelta(days=1)
        assert starts.day == min(day, last_of_month.day) or (month == 2 and day > 28 and starts.day == 28)
        assert starts.hour == 0


# ── Through the house ───────────────────────────────────────────────────────────────────────────────────


async def begun(tx: Tx, anchor: BillingAnchor = FIRST, **terms: object) -> Signup:
    """On 15 January, in a shop of its own unless there is one."""
    return await subscribe(
        tx,
        NewSubscription(customer="user-42", plan="pro", billing_anchor=anchor, **terms),  # type: ignore[arg-type]
    )


async def test_the_stub_is_billed_by_its_days_and_then_whole_months(tx: Tx) -> None:
    await a_shop_with_a_plan(tx)
    signup = await begun(tx)

    assert signup.invoice is not None
    [line] = signup.invoice.lines
    assert line.period == signup.subscription.current_period == Period(NOON, paris(2026, 2, 1))
    assert signup.invoice.net.minor == round(Fraction(29_00 * 17, 31))  # 15 to 31 January
    february = await renewed(tx, signup.subscription)
    assert february.invoice is not None
    assert february.invoice.lines[0].period == Period(paris(2026, 2, 1), paris(2026, 3, 1))
    assert february.invoice.net.minor == 29_00
    assert await store.get(tx, february.subscription.id) == february.subscription
    await assert_sound(tx)


async def test_by_seconds_where_the_tenant_prorates_by_them(tx: Tx) -> None:
    await a_shop_with_a_plan(tx)
    await change_settings(tx, SettingsChange(proration=Proration.SECOND))
    signup = await begun(tx)
    assert signup.invoice is not None
    assert signup.invoice.net.minor == round(Fraction(29_00 * (16 * 24 + 12), 31 * 24))


async def test_a_stub_is_never_billed_whole(tx: Tx) -> None:
    await a_shop_with_a_plan(tx)
    await change_settings(tx, SettingsChange(proration=Proration.NONE))
    signup = await begun(tx)
    assert signup.invoice is not None
    assert signup.invoice.net.minor == round(Fraction(29_00 * 17, 31))


async def test_on_the_day_itself_the_whole_period_is_billed(tx: Tx) -> None:
    await a_shop_with_a_plan(tx)
    signup = await begun(tx, BillingAnchor(day=15))
    assert signup.invoice is not None
    assert signup.invoice.net.minor == 29_00
    assert signup.subscription.current_period == Period(NOON, paris(2026, 2, 15))


@pytest.mark.parametrize(("benefit", "off"), [(percent("50"), 7_95), (fixed(10_00), 5_48)])
async def test_an_offer_takes_its_share_off_a_stub(tx: Tx, benefit: object, off: int) -> None:
    """Of an amount the share: 10.00 × 17/31; a percentage is one of the stub's 15.90."""
    offer = a_new_offer(benefit, duration=Forever())  # type: ignore[arg-type]
    await a_shop_with_a_plan(tx, offer)
    signup = await begun(tx, offer=offer.reference)
    assert signup.invoice is not None
    assert signup.invoice.lines[0].discount.minor == off


async def test_after_a_trial_comes_the_stub_in_a_run_too(tx: Tx) -> None:
    offer = a_new_offer(days(10))
    await a_shop_with_a_plan(tx, offer)
    trial = (await begun(tx, offer=offer.reference)).subscription
    assert trial.next_billing_at is not None

    await bill_chunk(at(tx, trial.next_billing_at))

    after = await store.get(tx, trial.id)
    assert after.current_period == Period(trial.next_billing_at, paris(2026, 2, 1))
    assert await tx.conn.fetchval("SELECT net_minor FROM invoices") == round(Fraction(29_00 * 7, 31))
    assert (await renewed(tx, after)).subscription.current_period.end == paris(2026, 3, 1)


async def test_a_cancellation_inside_the_stub_credits_the_days_it_was_billed_for(tx: Tx) -> None:
    """By hand: 17 of 31 days of 29.00 are 15.90; cancelled on the 20th, 12 of its 17 days are 11.22."""
    await a_shop_with_a_plan(tx)
    signup = await begun(tx)
    cancelled = await cancel_subscription(
        at(tx, paris(2026, 1, 20, 12)), signup.subscription.id, NewCancellation()
    )
    assert [note.net.minor for note in cancelled.credit_notes] == [11_22]
    await assert_sound(tx)


async def test_resumed_after_a_pause_it_comes_back_to_its_day(tx: Tx) -> None:
    await a_shop_with_a_plan(tx)
    subscription = (await begun(tx)).subscription
    await pause_subscription(tx, subscription.id, NewSubscriptionPause())
    renewal = await resume_subscription(at(tx, paris(2026, 4, 16, 9)), subscription.id)

    assert renewal.subscription.current_period == Period(paris(2026, 4, 16, 9), paris(2026, 5, 1))
    assert renewal.invoice is not None
    assert renewal.invoice.net.minor == 14_50  # 15 of 30 days
    assert await store.get(tx, subscription.id) == renewal.subscription


async def test_a_change_to_a_longer_interval_begins_with_a_stub_of_it(tx: Tx) -> None:
    await a_shop_with_a_plan(tx)
    await a_plan(tx, "yearly", a_price("365.00"), interval=Interval(Unit.YEAR))
    subscription = (await begun(tx)).subscription
    change = await change_subscription(
        at(tx, paris(2026, 1, 20, 9)), subscription.id, NewChange(plan="yearly", proration=Proration.NONE)
    )
    assert change.subscription.current_period == Period(paris(2026, 1, 20, 9), paris(2026, 2, 1))
    assert change.invoice is not None
    assert change.invoice.net.minor == 12_00


@pytest.mark.parametrize(
    ("interval", "anchor"),
    [(Interval(Unit.WEEK), FIRST), (Interval(Unit.MONTH, 5), BillingAnchor(day=1, month=1))],
)
async def test_what_the_calendar_does_not_hold_is_refused(
    tx: Tx, interval: Interval, anchor: BillingAnchor
) -> None:
    await a_shop_with_a_plan(tx)
    await a_plan(tx, "odd", interval=interval)
    with pytest.raises(Invalid) as refused:
        await subscribe(tx, NewSubscription(customer="user-42", plan="odd", billing_anchor=anchor))
    assert refused.value.code == "billing_anchor_interval"
