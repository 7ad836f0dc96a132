"""Changing plan or quantity: what is not used is credited from the line as billed, the rest billed anew.

Pro is 29.00 a month, Basic 9.90, Business 99.00, Seats 10.00 each, Yearly 290.00 a year; VAT is 20 %. The
first period is 15 January to 15 February, 31 days, of which 21 are left on the tenth day.
"""

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from billing.credit_notes import store as credit_notes
from billing.credit_notes.model import CreditNote, Reason
from billing.invoices.model import Invoice, Status
from billing.parties.change_settings import change_settings
from billing.parties.model import Proration, RefundMode, SettingsChange
from billing.tax.model import TaxBehavior
from kernel.database import Pool, Tx, leave_behind, transaction
from kernel.decimals import Quantity
from kernel.errors import Conflict, Invalid, NotFound
from kernel.ids import TenantId
from kernel.money import Currency
from kernel.periods import Interval, Period, Unit
from kernel.text import Reference
from promotions import store as promotions
from promotions.model import AtEnd, Conditions, Forever, NewOffer, Once, Periods
from refunds.cancel_subscription import cancel_subscription, undo_cancellation
from refunds.change_subscription import change_subscription, undo_change
from refunds.model import (
    Change,
    ChangeWhen,
    Credit,
    NewCancellation,
    NewChange,
    NewSubscriptionPause,
    PauseWhen,
    When,
)
from refunds.pause_subscription import pause_subscription
from subscriptions import plan_store, store
from subscriptions.billing_run import bill_chunk
from subscriptions.create_plan import add_version
from subscriptions.entitlements import grants_of
from subscriptions.model import BillingAnchor, NewVersion, PendingChange, PriceModel, Signup, SubscriptionId
from subscriptions.model import Status as SubscriptionStatus
from subscriptions.renew import renew
from subscriptions.resume import resume_subscription
from subscriptions.sign_up import sign_up
from tests.books import accounts_of, assert_sound
from tests.makers import NOON, euros
from tests.promotions.offers import a_new_offer, days, fixed, percent
from tests.refunds.cases import TENTH_DAY, an_intent, paid_by_provider, settlement_of
from tests.shop import a_credit, a_payment, a_transaction, at, by_amount, while_open
from tests.subscriptions.plans import a_plan, a_price, a_signup, renewed, signed_up

YEARLY = Interval(Unit.YEAR)
LAST_EVENING = datetime(2026, 2, 14, 21, tzinfo=UTC)
LAST_MORNING = datetime(2026, 2, 15, 7, tzinfo=UTC)  # the period ends at noon in Paris, which is 11:00


async def a_subscription(tx: Tx, offer: NewOffer | None = None) -> Signup:
    """Of Pro, in a shop that has the other plans too."""
    signup = await signed_up(tx, offer=offer)
    await a_plan(tx, "basic", a_price("9.90"), entitlements={"seats": 1})
    await a_plan(tx, "business", a_price("99.00"), entitlements={"seats": 50, "sso": True})
    await a_plan(tx, "seats", a_price("10.00", model=PriceModel.PER_UNIT), entitlements={})
    await a_plan(tx, "yearly", a_price("290.00"), interval=YEARLY, entitlements={})
    return signup


async def change(
    tx: Tx,
    subscription_id: SubscriptionId,
    plan: str | None = None,
    *,
    quantity: str | None = None,
    when: ChangeWhen = ChangeWhen.NOW,
    by: Proration | None = None,
    refund: RefundMode | None = None,
    now: datetime = TENTH_DAY,
) -> Change:
    request = NewChange(
        plan=plan,
        quantity=None if quantity is None else Quantity.parse(quantity),
        when=when,
        proration=by,
        refund=refund,
    )
    return await change_subscription(at(tx, now), subscription_id, request)


def first_invoice(signup: Signup) -> Invoice:
    assert signup.invoice is not None
    return signup.invoice


def invoice_of(change: Change) -> Invoice:
    assert change.invoice is not None
    return change.invoice


def note_of(change: Change) -> CreditNote:
    (note,) = change.credit_notes
    return note


async def events_of(tx: Tx) -> list[str]:
    await leave_behind(tx)
    events = await tx.conn.fetch("SELECT type FROM events WHERE type LIKE 'subscription.%' ORDER BY id")
    return [event["type"].removeprefix("subscription.") for event in events]


# ── Worked by hand ──────────────────────────────────────────────────────────────────────────────────────


async def test_an_upgrade_of_a_discounted_partly_paid_plan(tx: Tx) -> None:
    """Half of 29.00 is 14.50, with VAT 17.40, of which 10.00 were paid and 7.40 are due."""
    signup = await a_subscription(tx, a_new_offer(percent("50"), duration=Periods(count=3)))
    await paid_by_provider(tx, first_invoice(signup), 10_00)

    changed = await change(tx, signup.subscription.id, "business")

    # Not used: 14.50 × 21 / 31 = 9.82, VAT 1.96. Of 11.78, 7.40 were due and 4.38 paid.
    note = note_of(changed)
    assert (note.reason, note.reason_text) == (Reason.OTHER, "Changement d’abonnement")
    assert (note.net, note.tax, note.total) == (euros(9_82), euros(1_96), euros(11_78))
    assert (note.destination.to_invoice, note.destination.to_balance) == (euros(7_40), euros(4_38))
    assert note.settlement.left == euros(0)
    assert (await settlement_of(tx, first_invoice(signup))).status is Status.SETTLED

    # The rest: 99.00 × 21 / 31 = 67.06, half of it 33.53, VAT 6.71. Of 40.24 the note pays 4.38.
    invoice = invoice_of(changed)
    (line,) = invoice.lines
    assert (line.amount, line.discount, line.net) == (euros(67_06), euros(33_53), euros(33_53))
    assert line.period == Period(TENTH_DAY, signup.subscription.current_period.end)
    assert (invoice.tax, invoice.total, invoice.settlement.due) == (euros(6_71), euros(40_24), euros(35_86))

    # Of what is left of the first, 0.94 VAT was paid whole; of the second, 6.71 × 4.38 / 40.24 = 0.73.
    assert await accounts_of(tx) == {
        "411": 35_86,
        "512": 10_00,
        "706": -(4_68 + 33_53),
        "44571": -(94 + 73),
        "4458": -(6_71 - 73),
    }
    await assert_sound(tx)

    # The period was counted when it began, and the next is half price too: 49.50.
    renewal = await renewed(tx, changed.subscription)
    assert renewal.invoice is not None
    assert renewal.invoice.net == euros(49_50)


async def test_a_cancellation_inside_a_first_stub_period(tx: Tx) -> None:
    """From 15 January to the first of February are 17 of January's 31 days: 29.00 × 17 / 31 = 15.90."""
    signup = await a_stub(tx)
    assert first_invoice(signup).net == euros(15_90)

    cancellation = await cancel_subscription(at(tx, TENTH_DAY), signup.subscription.id, NewCancellation())

    # From the 25th on 7 of these 17 days are not used: 15.90 × 7 / 17 = 6.55, VAT 1.31.
    (note,) = cancellation.credit_notes
    assert (note.net, note.total) == (euros(6_55), euros(7_86))
    await assert_sound(tx)


async def test_a_change_inside_a_first_stub_period_is_a_part_of_a_whole_month(tx: Tx) -> None:
    signup = await a_stub(tx)
    changed = await change(tx, signup.subscription.id, "business")

    assert note_of(changed).net == euros(6_55)
    assert invoice_of(changed).net == euros(22_35)  # 99.00 × 7 / 31
    await assert_sound(tx)


async def a_stub(tx: Tx) -> Signup:
    """A subscription of the calendar's months, whose first period ends with January."""
    await a_subscription(tx)
    return await sign_up(tx, replace(a_signup(customer="user-78"), billing_anchor=BillingAnchor(day=1)))


async def test_two_changes_in_one_day_leave_nothing_of_the_first(tx: Tx) -> None:
    signup = await a_subscription(tx)
    await a_payment(tx, first_invoice(signup))
    up = await change(tx, signup.subscription.id, "business")
    assert note_of(up).net == euros(19_65)  # 29.00 × 21 / 31
    assert invoice_of(up).settlement.due == euros(80_47 - 23_58)  # 67.06 and VAT, less 19.65 and VAT

    down = await change(tx, signup.subscription.id, "basic", now=TENTH_DAY + timedelta(hours=6))

    # All 21 days of Business, and of Pro not once more; Basic from the same day on: 9.90 × 21 / 31 = 6.71.
    note, invoice = note_of(down), invoice_of(down)
    assert (note.invoice_id, note.net, note.total) == (invoice_of(up).id, euros(67_06), euros(80_47))
    assert (invoice.net, invoice.total) == (euros(6_71), euros(8_05))
    # 56.89 of Business were due; the 23.58 the first note had paid on it are back, and pay Basic.
    assert note.destination.to_invoice == euros(80_47)
    assert invoice.settlement.status is Status.SETTLED
    assert (await credit_notes.get(tx, note_of(up).id)).settlement.left == euros(23_58 - 8_05)
    await assert_sound(tx)


async def test_a_downgrade_on_the_last_day(tx: Tx) -> None:
    signup = await a_subscription(tx)
    await a_payment(tx, first_invoice(signup))

    changed = await change(tx, signup.subscription.id, "basic", now=LAST_EVENING)

    # One day: 29.00 / 31 = 0.94, VAT 0.19; 9.90 / 31 = 0.32, VAT 0.06. 1.13 - 0.38 stay on the note.
    note, invoice = note_of(changed), invoice_of(changed)
    assert (note.net, note.total) == (euros(94), euros(1_13))
    assert (invoice.net, invoice.total) == (euros(32), euros(38))
    assert invoice.settlement.status is Status.SETTLED
    assert note.settlement.left == euros(75)
    await assert_sound(tx)


async def test_on_the_morning_the_period_ends_only_the_terms_change(tx: Tx) -> None:
    signup = await a_subscription(tx)
    changed = await change(tx, signup.subscription.id, "basic", now=LAST_MORNING)

    assert (changed.credit_notes, changed.invoice) == ((), None)
    (billed,) = await store.invoices_of_period(tx, changed.subscription)
    assert billed.stopped_at is None  # it pays for what is left of the day
    assert (await grants_of(tx, "user-77")).features == {"seats": 1}
    renewal = await renewed(tx, changed.subscription)
    assert renewal.invoice is not None
    assert renewal.invoice.net == euros(9_90)
    await assert_sound(tx)


# ── Now ─────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_subscription_is_on_the_new_terms_and_keeps_its_anchor(tx: Tx) -> None:
    signup = await a_subscription(tx)
    business = await plan_store.plan(tx, "business")

    changed = await change(tx, signup.subscription.id, "business")

    expected = replace(signup.subscription, plan_id=business.id, version=1)
    assert changed.subscription == expected == await store.get(tx, expected.id)
    assert (await grants_of(tx, "user-77")).features == {"seats": 50, "sso": True}
    assert await events_of(tx) == ["started", "changed"]


async def test_more_seats_are_billed_for_the_rest_and_fewer_given_back(tx: Tx) -> None:
    signup = await a_subscription(tx)
    five = await change(tx, signup.subscription.id, "seats", quantity="5", now=NOON)
    assert (note_of(five).net, invoice_of(five).net) == (euros(29_00), euros(50_00))

    eight = await change(tx, signup.subscription.id, quantity="8")
    assert note_of(eight).net == euros(33_87)  # 50.00 × 21 / 31
    (line,) = invoice_of(eight).lines
    assert (line.net, str(line.quantity), str(line.unit_price)) == (euros(54_19), "8", "6.774")

    two = await change(tx, signup.subscription.id, quantity="2", now=TENTH_DAY + timedelta(days=10))
    assert note_of(two).net == euros(28_39)  # 54.19 × 11 / 21
    assert invoice_of(two).net == euros(7_10)  # 20.00 × 11 / 31
    await assert_sound(tx)


async def test_by_the_second_a_part_of_a_day_counts(tx: Tx) -> None:
    signup = await a_subscription(tx)
    await change_settings(tx, SettingsChange(proration=Proration.SECOND))
    changed = await change(tx, signup.subscription.id, "business", now=TENTH_DAY + timedelta(hours=6))

    assert note_of(changed).net == euros(19_41)  # 29.00 × 20.75 / 31
    assert invoice_of(changed).net == euros(66_27)  # 99.00 × 20.75 / 31
    await assert_sound(tx)


async def test_without_proration_only_the_next_period_costs_more(tx: Tx) -> None:
    signup = await a_subscription(tx)
    changed = await change(tx, signup.subscription.id, "business", by=Proration.NONE)
    assert (changed.credit_notes, changed.invoice) == ((), None)

    # What was billed is in use still: a change that prorates credits it as it was billed.
    again = await change(tx, signup.subscription.id, "basic")
    assert (note_of(again).net, invoice_of(again).net) == (euros(19_65), euros(6_71))
    await assert_sound(tx)


async def test_the_call_says_it_otherwise_than_the_tenant(tx: Tx) -> None:
    signup = await a_subscription(tx)
    await change_settings(tx, SettingsChange(proration=Proration.NONE))
    changed = await change(tx, signup.subscription.id, "business", by=Proration.DAY)

    assert note_of(changed).net == euros(19_65)


async def test_what_was_credited_before_is_not_credited_again(tx: Tx) -> None:
    signup = await a_subscription(tx)
    invoice = first_invoice(signup)
    await a_credit(tx, invoice, by_amount(invoice.lines[0], 20_00))

    assert note_of(await change(tx, signup.subscription.id, "business")).net == euros(9_00)
    await assert_sound(tx)


async def test_overdue_periods_are_billed_first_and_the_current_one_changed(tx: Tx) -> None:
    signup = await a_subscription(tx)
    now = signup.subscription.current_period.end + timedelta(days=19)
    changed = await change(tx, signup.subscription.id, "business", now=now)

    assert changed.subscription.period_number == 1
    assert (note_of(changed).net, invoice_of(changed).net) == (euros(9_32), euros(31_82))  # 9 of 28 days
    assert (await settlement_of(tx, first_invoice(signup))).credited == euros(0)
    await assert_sound(tx)


async def test_the_plan_it_has_stays_the_version_that_was_agreed(tx: Tx) -> None:
    signup = await a_subscription(tx)
    await change(tx, signup.subscription.id, "seats", quantity="2", now=NOON)
    newer = NewVersion(interval=Interval(Unit.MONTH), prices=[a_price("15.00", model=PriceModel.PER_UNIT)])
    await add_version(tx, "seats", newer)

    changed = await change(tx, signup.subscription.id, "seats", quantity="3", now=NOON)
    assert (changed.subscription.version, invoice_of(changed).net) == (1, euros(30_00))

    await change(tx, signup.subscription.id, "pro", now=NOON)
    back = await change(tx, signup.subscription.id, "seats", quantity="3", now=NOON)
    assert (back.subscription.version, invoice_of(back).net) == (2, euros(45_00))


# ── Where the money goes ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("mode", RefundMode)
async def test_with_a_refund_mode_the_note_goes_that_way_and_the_invoice_is_due_whole(
    tx: Tx, mode: RefundMode
) -> None:
    signup = await a_subscription(tx)
    await paid_by_provider(tx, first_invoice(signup))

    changed = await change(tx, signup.subscription.id, "basic", refund=mode)

    note = note_of(changed)
    through_provider = mode in (RefundMode.AUTOMATIC, RefundMode.DEFERRED)
    assert [refund.amount for refund in changed.refunds] == ([euros(23_58)] if through_provider else [])
    assert changed.to_refund_by_hand == euros(23_58 if mode is RefundMode.MANUAL else 0)
    assert note.settlement.left == euros(23_58 if mode is RefundMode.NONE else 0)
    assert invoice_of(changed).settlement.due == euros(8_05)
    await assert_sound(tx)


async def test_an_unpaid_period_owes_only_what_was_used(tx: Tx) -> None:
    signup = await a_subscription(tx)
    changed = await change(tx, signup.subscription.id, "basic")

    assert (await settlement_of(tx, first_invoice(signup))).due == euros(34_80 - 23_58)
    assert note_of(changed).settlement.applied == euros(23_58)
    assert invoice_of(changed).settlement.due == euros(8_05)
    await assert_sound(tx)


async def test_cancelled_in_full_after_changes_every_invoice_of_the_period_is_credited(tx: Tx) -> None:
    """And what a note had paid is back on that note, not with the customer."""
    signup = await a_subscription(tx)
    await paid_by_provider(tx, first_invoice(signup))  # 34.80
    changed = await change(tx, signup.subscription.id, "business")  # 80.47 - 23.58
    await paid_by_provider(tx, invoice_of(changed))  # 56.89

    request = NewCancellation(credit=Credit.FULL, refund=RefundMode.AUTOMATIC)
    cancellation = await cancel_subscription(
        at(tx, TENTH_DAY + timedelta(days=5)), signup.subscription.id, request
    )

    newer, older = cancellation.credit_notes
    assert (newer.invoice_id, newer.total) == (invoice_of(changed).id, euros(80_47))
    assert (older.invoice_id, older.total) == (first_invoice(signup).id, euros(34_80 - 23_58))
    assert [refund.amount for refund in cancellation.refunds] == [euros(56_89), euros(11_22)]
    assert (await credit_notes.get(tx, note_of(changed).id)).settlement.left == euros(23_58)
    await assert_sound(tx)


async def test_cancelled_after_a_change_only_what_is_in_use_is_credited(tx: Tx) -> None:
    signup = await a_subscription(tx)
    changed = await change(tx, signup.subscription.id, "business")
    later = TENTH_DAY + timedelta(days=7)

    cancellation = await cancel_subscription(at(tx, later), signup.subscription.id, NewCancellation())

    (note,) = cancellation.credit_notes
    assert (note.invoice_id, note.net) == (invoice_of(changed).id, euros(44_71))  # 67.06 × 14 / 21
    await assert_sound(tx)


# ── Another interval ────────────────────────────────────────────────────────────────────────────────────


async def test_another_interval_begins_a_period_now(tx: Tx) -> None:
    signup = await a_subscription(tx)
    await a_payment(tx, first_invoice(signup))
    changed = await change(tx, signup.subscription.id, "yearly")

    year = Period(TENTH_DAY, datetime(2027, 1, 25, 11, tzinfo=UTC))
    subscription = changed.subscription
    assert (subscription.current_period, subscription.anchor_at) == (year, TENTH_DAY)
    assert (subscription.period_number, subscription.next_billing_at) == (0, year.end)
    assert note_of(changed).net == euros(19_65)
    assert (invoice_of(changed).net, invoice_of(changed).lines[0].period) == (euros(290_00), year)
    assert invoice_of(changed).settlement.due == euros(348_00 - 23_58)

    renewal = await renewed(tx, subscription)
    assert renewal.subscription.current_period == Period(year.end, datetime(2028, 1, 25, 11, tzinfo=UTC))
    await assert_sound(tx)


async def test_from_a_year_back_to_months_the_rest_of_the_year_is_given_back(tx: Tx) -> None:
    signup = await a_subscription(tx)
    yearly = await change(tx, signup.subscription.id, "yearly", now=NOON)
    back = await change(tx, signup.subscription.id, "basic")

    assert note_of(back).net == euros(282_05)  # 290.00 × 355 / 365
    assert note_of(back).invoice_id == invoice_of(yearly).id
    assert invoice_of(back).net == euros(9_90)
    assert back.subscription.current_period == Period(TENTH_DAY, datetime(2026, 2, 25, 11, tzinfo=UTC))
    await assert_sound(tx)


@pytest.mark.parametrize(
    ("interval", "restarts"),
    [
        (Interval(Unit.MONTH, 1), False),
        (Interval(Unit.MONTH, 12), True),
        (Interval(Unit.YEAR, 1), True),
        (Interval(Unit.DAY, 30), True),
    ],
)
async def test_only_periods_of_the_same_length_keep_the_anchor(
    tx: Tx, interval: Interval, *, restarts: bool
) -> None:
    signup = await a_subscription(tx)
    await a_plan(tx, "other", a_price("1.00"), interval=interval)
    changed = await change(tx, signup.subscription.id, "other")

    assert (changed.subscription.anchor_at == TENTH_DAY) == restarts


async def test_twelve_months_are_a_year_and_seven_days_a_week(tx: Tx) -> None:
    signup = await a_subscription(tx)
    for first, second in (
        (Interval(Unit.YEAR, 2), Interval(Unit.MONTH, 24)),
        (Interval(Unit.WEEK, 2), Interval(Unit.DAY, 14)),
    ):
        await a_plan(tx, f"first-{first.unit}", a_price("1.00"), interval=first)
        await a_plan(tx, f"second-{first.unit}", a_price("2.00"), interval=second)
        begun = await change(tx, signup.subscription.id, f"first-{first.unit}", now=NOON)
        changed = await change(tx, signup.subscription.id, f"second-{first.unit}", now=NOON)
        assert changed.subscription.current_period == begun.subscription.current_period


async def test_several_intervals_at_the_same_moment_are_as_good(tx: Tx) -> None:
    """The clock of a test tenant stands still."""
    signup = await a_subscription(tx)
    for plan in ("yearly", "basic", "yearly", "pro"):
        changed = await change(tx, signup.subscription.id, plan, now=NOON)
        await assert_sound(tx)

    assert changed.subscription.current_period == signup.subscription.current_period
    request = NewCancellation(credit=Credit.FULL)
    cancellation = await cancel_subscription(at(tx, NOON), signup.subscription.id, request)
    assert [note.invoice_id for note in cancellation.credit_notes] == [invoice_of(changed).id]


async def test_without_proration_another_interval_is_billed_whole_and_nothing_credited(tx: Tx) -> None:
    signup = await a_subscription(tx)
    changed = await change(tx, signup.subscription.id, "yearly", by=Proration.NONE)

    assert (changed.credit_notes, invoice_of(changed).net) == ((), euros(290_00))


# ── Prices with VAT ─────────────────────────────────────────────────────────────────────────────────────


async def test_in_gross_prices_gross_amounts_are_credited_and_billed(tx: Tx) -> None:
    await change_settings(tx, SettingsChange(tax_behavior=TaxBehavior.INCLUSIVE))
    signup = await a_subscription(tx)
    assert first_invoice(signup).total == euros(29_00)
    await a_payment(tx, first_invoice(signup))

    changed = await change(tx, signup.subscription.id, "business")

    assert note_of(changed).total == euros(19_65)  # 29.00 × 21 / 31
    assert invoice_of(changed).total == euros(67_06)  # 99.00 × 21 / 31
    assert invoice_of(changed).settlement.due == euros(47_41)
    await assert_sound(tx)


# ── Held offers ─────────────────────────────────────────────────────────────────────────────────────────


async def test_a_fixed_amount_goes_on_in_proportion_and_counts_no_period(tx: Tx) -> None:
    offer = a_new_offer(fixed(10_00), duration=Once())
    signup = await a_subscription(tx, offer)
    changed = await change(tx, signup.subscription.id, "business")

    (line,) = invoice_of(changed).lines
    assert (line.amount, line.discount) == (euros(67_06), euros(6_77))  # 10.00 × 21 / 31
    assert note_of(changed).net == euros(12_87)  # 19.00 × 21 / 31
    (held,) = (await promotions.held(tx, signup.subscription.redemption_ids)).values()
    assert held.redemption.periods_used == 1
    renewal = await renewed(tx, changed.subscription)
    assert renewal.invoice is not None
    assert renewal.invoice.net == euros(99_00)


async def test_an_offer_takes_nothing_off_a_plan_it_is_not_for_and_waits(tx: Tx) -> None:
    conditions = Conditions(plans=(Reference("pro"),))
    offer = a_new_offer(percent("50"), duration=Periods(count=2), conditions=conditions)
    signup = await a_subscription(tx, offer)

    away = await change(tx, signup.subscription.id, "business")
    assert invoice_of(away).net == euros(67_06)
    renewal = await renewed(tx, away.subscription)
    assert renewal.invoice is not None
    assert renewal.invoice.net == euros(99_00)

    # Back on Pro inside a period it has not served: it is counted, once.
    assert renewal.subscription.next_billing_at is not None
    start = renewal.subscription.current_period.start
    back = await change(tx, signup.subscription.id, "pro", now=start)
    assert invoice_of(back).net == euros(14_50)
    await change(tx, signup.subscription.id, "business", now=start)
    again = await change(tx, signup.subscription.id, "pro", now=start)
    assert invoice_of(again).net == euros(14_50)
    last = await renewed(tx, again.subscription)
    assert last.invoice is not None
    assert last.invoice.net == euros(29_00)


async def test_a_period_that_begins_now_is_a_period_of_the_offer(tx: Tx) -> None:
    signup = await a_subscription(tx, a_new_offer(percent("50"), duration=Periods(count=2)))
    changed = await change(tx, signup.subscription.id, "yearly")

    assert invoice_of(changed).net == euros(145_00)
    assert (await renewed(tx, changed.subscription)).invoice.net == euros(290_00)  # type: ignore[union-attr]


async def test_a_discount_of_all_is_an_invoice_of_nothing(tx: Tx) -> None:
    signup = await a_subscription(tx, a_new_offer(percent("100"), duration=Forever()))
    changed = await change(tx, signup.subscription.id, "business")

    assert (changed.credit_notes, invoice_of(changed).total) == ((), euros(0))
    assert invoice_of(changed).settlement.status is Status.SETTLED


async def test_in_a_trial_only_the_terms_change(tx: Tx) -> None:
    signup = await a_subscription(tx, a_new_offer(days(30)))
    changed = await change(tx, signup.subscription.id, "yearly", now=NOON + timedelta(days=5))

    assert (changed.credit_notes, changed.invoice) == ((), None)
    assert changed.subscription.current_period == signup.subscription.current_period
    renewal = await renewed(tx, changed.subscription)
    assert renewal.invoice is not None
    assert renewal.invoice.net == euros(290_00)
    assert renewal.subscription.current_period.start == signup.subscription.trial_ends_at


# ── With the next period ────────────────────────────────────────────────────────────────────────────────


async def test_at_the_end_of_the_period_the_renewal_carries_it_out(tx: Tx) -> None:
    signup = await a_subscription(tx)
    business = await plan_store.plan(tx, "business")
    scheduled = await change(tx, signup.subscription.id, "business", when=ChangeWhen.PERIOD_END)

    pending = PendingChange(plan_id=business.id, version=1, quantity=Quantity(1), restarts=False)
    assert scheduled.subscription == replace(signup.subscription, pending_change=pending)
    assert scheduled.subscription == await store.get(tx, signup.subscription.id)
    assert (scheduled.credit_notes, scheduled.invoice) == ((), None)
    assert (await grants_of(tx, "user-77")).features == {"export": True, "seats": 5}

    renewal = await renewed(tx, scheduled.subscription)

    assert renewal.invoice is not None
    assert renewal.invoice.net == euros(99_00)
    assert (renewal.subscription.plan_id, renewal.subscription.pending_change) == (business.id, None)
    assert renewal.subscription == await store.get(tx, signup.subscription.id)
    assert renewal.subscription.current_period.start == signup.subscription.current_period.end
    assert (await grants_of(tx, "user-77")).features == {"seats": 50, "sso": True}
    assert await events_of(tx) == ["started", "change_scheduled", "renewed", "changed"]
    await assert_sound(tx)


async def test_another_interval_counts_from_the_end_of_the_period(tx: Tx) -> None:
    signup = await a_subscription(tx)
    scheduled = await change(tx, signup.subscription.id, "yearly", when=ChangeWhen.PERIOD_END)
    first = await renewed(tx, scheduled.subscription)
    second = await renewed(tx, first.subscription)

    end = signup.subscription.current_period.end
    assert first.subscription.current_period == Period(end, end.replace(year=2027))
    assert second.subscription.current_period == Period(end.replace(year=2027), end.replace(year=2028))


async def test_the_newest_change_counts(tx: Tx) -> None:
    signup = await a_subscription(tx)
    await change(tx, signup.subscription.id, "business", when=ChangeWhen.PERIOD_END)
    scheduled = await change(tx, signup.subscription.id, "basic", when=ChangeWhen.PERIOD_END)
    assert (await renewed(tx, scheduled.subscription)).invoice.net == euros(9_90)  # type: ignore[union-attr]


async def test_a_change_now_takes_the_place_of_one_to_come(tx: Tx) -> None:
    signup = await a_subscription(tx)
    await change(tx, signup.subscription.id, "business", when=ChangeWhen.PERIOD_END)
    changed = await change(tx, signup.subscription.id, "basic")

    assert changed.subscription.pending_change is None
    assert (await renewed(tx, changed.subscription)).invoice.net == euros(9_90)  # type: ignore[union-attr]


async def test_a_change_to_come_can_be_undone(tx: Tx) -> None:
    signup = await a_subscription(tx)
    await change(tx, signup.subscription.id, "business", when=ChangeWhen.PERIOD_END)

    assert await undo_change(tx, signup.subscription.id) == signup.subscription

    assert (await renewed(tx, signup.subscription)).invoice.net == euros(29_00)  # type: ignore[union-attr]
    assert await events_of(tx) == ["started", "change_scheduled", "change_undone", "renewed"]
    with pytest.raises(Conflict) as refused:
        await undo_change(tx, signup.subscription.id)
    assert refused.value.code == "change_not_scheduled"


async def test_a_cancellation_that_comes_first_leaves_nothing_of_it(tx: Tx) -> None:
    signup = await a_subscription(tx)
    await change(tx, signup.subscription.id, "business", when=ChangeWhen.PERIOD_END)
    request = NewCancellation(when=When.PERIOD_END)
    await cancel_subscription(at(tx, TENTH_DAY), signup.subscription.id, request)

    undone = await undo_cancellation(tx, signup.subscription.id)
    assert undone.pending_change is not None

    cancelled = await cancel_subscription(at(tx, TENTH_DAY), signup.subscription.id, NewCancellation())
    assert cancelled.subscription.pending_change is None
    assert cancelled.subscription == await store.get(tx, signup.subscription.id)


async def test_what_ends_with_its_offer_does_not_change(tx: Tx) -> None:
    signup = await a_subscription(tx, a_new_offer(percent("50"), at_end=AtEnd.END))
    scheduled = await change(tx, signup.subscription.id, "business", when=ChangeWhen.PERIOD_END)
    renewal = await renewed(tx, scheduled.subscription)

    assert renewal.subscription.status is SubscriptionStatus.ENDED
    assert renewal.subscription.plan_id == signup.subscription.plan_id
    assert renewal.subscription == await store.get(tx, signup.subscription.id)


async def test_a_run_carries_out_what_a_renewal_would(pool: Pool) -> None:
    """Among subscriptions that change and others that do not."""
    found = []
    for by_run in (True, False):
        async with a_transaction(pool) as tx:
            signup = await a_subscription(tx)
            others = [(await sign_up(tx, a_signup(customer=f"user-{n}"))).subscription.id for n in range(3)]
            for each, plan in zip(others, ("business", "yearly"), strict=False):
                await change(tx, each, plan, when=ChangeWhen.PERIOD_END)
            later = at(tx, signup.subscription.current_period.end)
            if by_run:
                await bill_chunk(later)
            else:
                for each in (signup.subscription.id, *others):
                    await renew(later, each)
            after = [await store.get(tx, each) for each in others]
            billed = await tx.conn.fetch("SELECT net_minor FROM invoices ORDER BY net_minor")
            standing = [
                (each.current_period, each.anchor_at, each.period_number, each.pending_change)
                for each in after
            ]
            found.append((standing, [row["net_minor"] for row in billed]))
    assert found[0] == found[1]
    assert found[0][1] == [*[29_00] * 6, 99_00, 290_00]


# ── Refused ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("plan", "quantity"), [(None, None), ("pro", None), ("pro", "1"), (None, "1")])
async def test_the_same_terms_are_nothing_to_change(tx: Tx, plan: str | None, quantity: str | None) -> None:
    signup = await a_subscription(tx)
    for when in ChangeWhen:
        with pytest.raises(Conflict) as refused:
            await change(tx, signup.subscription.id, plan, quantity=quantity, when=when)
        assert refused.value.code == "nothing_to_change"


async def test_what_is_over_or_held_up_is_not_changed(tx: Tx) -> None:
    signup = await a_subscription(tx)
    for status, code in (
        (SubscriptionStatus.PAUSED, "subscription_state"),
        (SubscriptionStatus.INCOMPLETE, "subscription_state"),
        (SubscriptionStatus.CANCELLED, "subscription_over"),
        (SubscriptionStatus.ENDED, "subscription_over"),
    ):
        stopped = replace(signup.subscription, status=status, next_billing_at=None, paused_at=tx.now)
        await store.update(tx, stopped)
        with pytest.raises(Conflict) as refused:
            await change(tx, signup.subscription.id, "business")
        assert refused.value.code == code


async def test_a_plan_without_the_currency_is_refused(tx: Tx) -> None:
    signup = await a_subscription(tx)
    await a_plan(tx, "dollars", a_price(currency=Currency("USD")))
    with pytest.raises(Invalid) as refused:
        await change(tx, signup.subscription.id, "dollars")
    assert (refused.value.code, refused.value.param) == ("price_missing", "plan")
    with pytest.raises(NotFound):
        await change(tx, signup.subscription.id, "nobody")


async def test_a_quantity_that_the_price_has_not_is_refused(tx: Tx) -> None:
    signup = await a_subscription(tx)
    for plan, quantity, code in (
        ("business", "2", "quantity_of_flat_price"),
        ("seats", "0", "quantity_zero"),
    ):
        with pytest.raises(Invalid) as refused:
            await change(tx, signup.subscription.id, plan, quantity=quantity)
        assert refused.value.code == code


async def test_before_a_cancellation_that_comes_first_it_is_refused_and_otherwise_not(tx: Tx) -> None:
    signup = await a_subscription(tx)
    request = NewCancellation(when=When.PERIOD_END)
    await cancel_subscription(at(tx, TENTH_DAY), signup.subscription.id, request)

    for plan, when in (
        ("business", ChangeWhen.PERIOD_END),
        ("yearly", ChangeWhen.PERIOD_END),
        ("yearly", ChangeWhen.NOW),  # its period would go past the end that was asked for
    ):
        with pytest.raises(Conflict) as refused:
            await change(tx, signup.subscription.id, plan, when=when)
        assert refused.value.code == "cancellation_scheduled"
    await change(tx, signup.subscription.id, "business")

    with pytest.raises(Conflict) as refused:
        await change(tx, signup.subscription.id, "basic", now=signup.subscription.current_period.end)
    assert refused.value.code == "cancellation_scheduled"


async def test_in_a_trial_no_period_begins_that_could_go_past_its_end(tx: Tx) -> None:
    signup = await a_subscription(tx, a_new_offer(days(30)))
    request = NewCancellation(when=When.PERIOD_END)
    await cancel_subscription(at(tx, NOON), signup.subscription.id, request)

    changed = await change(tx, signup.subscription.id, "yearly")

    assert changed.subscription.cancel_at == signup.subscription.current_period.end


async def test_a_pause_to_come_stands_against_a_period_that_goes_past_it_and_nothing_else(tx: Tx) -> None:
    signup = await a_subscription(tx)
    request = NewSubscriptionPause(when=PauseWhen.PERIOD_END)
    await pause_subscription(at(tx, NOON), signup.subscription.id, request)

    with pytest.raises(Conflict) as refused:
        await change(tx, signup.subscription.id, "yearly")
    assert refused.value.code == "pause_scheduled"

    await change(tx, signup.subscription.id, "business")
    await change(tx, signup.subscription.id, "yearly", when=ChangeWhen.PERIOD_END)
    end = signup.subscription.current_period.end
    paused = await renewed(tx, signup.subscription)
    assert (paused.subscription.status, paused.invoice) == (SubscriptionStatus.PAUSED, None)

    resumed = await resume_subscription(at(tx, end + timedelta(days=9)), signup.subscription.id)
    assert resumed.invoice is not None
    assert resumed.invoice.net == euros(290_00)
    assert resumed.subscription.current_period.start == end + timedelta(days=9)
    assert resumed.subscription.pending_change is None
    await assert_sound(tx)


async def test_while_a_payment_is_under_way_nothing_changes(tx: Tx) -> None:
    signup = await a_subscription(tx)
    await an_intent(tx, first_invoice(signup), None)

    with pytest.raises(Conflict) as refused:
        await change(tx, signup.subscription.id, "business")
    assert refused.value.code == "payment_in_flight"


@pytest.mark.parametrize(
    "request_",
    [
        NewChange(plan="basic", when=ChangeWhen.PERIOD_END, proration=Proration.DAY),
        NewChange(plan="basic", when=ChangeWhen.PERIOD_END, refund=RefundMode.AUTOMATIC),
        NewChange(plan="basic", when=ChangeWhen.PERIOD_END, refund_on=NOON.date()),
    ],
)
async def test_what_credits_nothing_says_nothing_of_money(tx: Tx, request_: NewChange) -> None:
    signup = await a_subscription(tx)
    with pytest.raises(Invalid) as refused:
        await change_subscription(tx, signup.subscription.id, request_)
    assert refused.value.code == "change_not_prorated"


async def test_two_changes_at_once_take_turns(pool: Pool, tenant: TenantId) -> None:
    async with transaction(pool, tenant, now=NOON) as tx:
        signup = await a_subscription(tx)

    with pytest.raises(Conflict) as refused:
        await while_open(
            pool,
            tenant,
            lambda tx: change(tx, signup.subscription.id, "business"),
            lambda tx: change(tx, signup.subscription.id, "business"),
        )
    assert refused.value.code == "nothing_to_change"
    async with transaction(pool, tenant, now=TENTH_DAY) as tx:
        await assert_sound(tx)
