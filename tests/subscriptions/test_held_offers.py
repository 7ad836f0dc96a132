"""Offers a subscription holds: several at once, from a period on, for periods, months, days or until a time.

Pro is 29.00 a month and Yearly 290.00 a year; the first period begins on 15 January at noon.
"""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from billing.invoices.model import Invoice
from kernel.database import Tx
from kernel.decimals import Quantity
from kernel.errors import Conflict, Invalid
from kernel.periods import Interval, Period, Unit
from promotions import store as promotions
from promotions.coupons.codes import Code
from promotions.coupons.create_coupon import create_coupon
from promotions.coupons.model import NewCoupon
from promotions.create_offer import create_offer
from promotions.duration import covered, end_of, is_over
from promotions.model import (
    AtEnd,
    Conditions,
    Days,
    Duration,
    Forever,
    Months,
    MoveTo,
    NewOffer,
    Once,
    Periods,
    Status,
    Until,
)
from refunds.cancel_subscription import cancel_subscription
from refunds.change_subscription import change_subscription
from refunds.model import Credit, NewCancellation, NewChange, NewSubscriptionPause, PauseCredit
from refunds.pause_subscription import pause_subscription
from subscriptions.grant_offer import grant_offer
from subscriptions.model import Granted, NewGrant, PriceModel, Signup, Subscription
from subscriptions.model import Status as SubscriptionStatus
from subscriptions.resume import resume_subscription
from subscriptions.sign_up import sign_up
from tests.books import assert_sound
from tests.makers import NOON, euros
from tests.promotions.offers import a_new_offer, days, fixed, percent, redemptions_of
from tests.shop import a_payment, at
from tests.subscriptions.plans import (
    a_plan,
    a_price,
    a_shop_with_a_plan,
    a_signup,
    net_of,
    renewed,
    signed_up,
)

PARIS = ZoneInfo("Europe/Paris")
YEARLY = Interval(Unit.YEAR)
TENTH_DAY = NOON + timedelta(days=10)


async def yearly(tx: Tx, offer: NewOffer) -> Invoice:
    """The first invoice of a year at 290.00."""
    await a_shop_with_a_plan(tx, offer)
    await a_plan(tx, "yearly", a_price("290.00"), interval=YEARLY)
    signup = await sign_up(tx, a_signup(plan="yearly", offer=offer.reference))
    assert signup.invoice is not None
    return signup.invoice


async def given(tx: Tx, subscription: Subscription, offer: NewOffer) -> Granted:
    await create_offer(tx, offer)
    return await grant_offer(tx, subscription.id, NewGrant(offer=offer.reference))


async def nets(tx: Tx, signup: Signup, periods: int) -> list[int | None]:
    """Of the first invoice and those of the periods that follow."""
    subscription = signup.subscription
    billed = [signup.invoice.net.minor if signup.invoice else None]
    for _ in range(periods):
        renewal = await renewed(tx, subscription)
        subscription = renewal.subscription
        billed.append(net_of(renewal))
    return billed


# ── Durations ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("duration", "billed"),
    [
        (Once(), [14_50, 29_00, 29_00]),
        (Periods(count=2), [14_50, 14_50, 29_00]),
        (Months(count=2), [14_50, 14_50, 29_00]),
        (Days(count=31), [14_50, 29_00, 29_00]),
        (Days(count=45), [14_50, 21_75, 29_00]),  # 14 of the 28 days from 15 February on
        (Until(at=NOON + timedelta(days=31)), [14_50, 29_00, 29_00]),
        (Until(at=NOON + timedelta(days=38)), [14_50, 25_37, 29_00]),  # 7 of 28 days: 3.625 off, half up
        (Forever(), [14_50, 14_50, 14_50]),
    ],
)
async def test_half_off_a_month(tx: Tx, duration: Duration, billed: list[int]) -> None:
    signup = await signed_up(tx, offer=a_new_offer(percent("50"), duration=duration))

    assert await nets(tx, signup, 2) == billed


async def test_four_months_of_a_year_are_four_twelfths_of_it_and_not_all(tx: Tx) -> None:
    invoice = await yearly(tx, a_new_offer(percent("50"), duration=Months(count=4)))

    assert invoice.lines[0].discount == euros(48_33)  # 290.00 × 4/12 × 50 %


async def test_of_an_amount_too_a_year_takes_the_part_it_covers(tx: Tx) -> None:
    invoice = await yearly(tx, a_new_offer(fixed(120_00), duration=Months(count=3)))

    assert invoice.lines[0].discount == euros(30_00)


async def test_once_is_the_whole_invoice_whatever_it_covers(tx: Tx) -> None:
    invoice = await yearly(tx, a_new_offer(percent("10"), duration=Once()))

    assert invoice.lines[0].discount == euros(29_00)


async def test_what_it_covered_is_not_covered_again_a_year_later(tx: Tx) -> None:
    await a_shop_with_a_plan(tx, a_new_offer(percent("50"), duration=Months(count=18)))
    await a_plan(tx, "yearly", a_price("290.00"), interval=YEARLY)
    signup = await sign_up(tx, a_signup(plan="yearly", offer="WELCOME"))

    assert await nets(tx, signup, 2) == [145_00, 217_50, 290_00]  # all, half and nothing of the year


async def test_days_begin_when_the_trial_is_over(tx: Tx) -> None:
    await a_shop_with_a_plan(tx)
    signup = await sign_up(tx, a_signup())
    trial = await given(tx, signup.subscription, a_new_offer(percent("50"), duration=Days(count=28)))

    assert (trial.redemption.applies_from, trial.redemption.ends_at) == (
        signup.subscription.current_period.end,
        signup.subscription.current_period.end + timedelta(days=28),
    )


LATE = datetime(2026, 1, 31, 11, tzinfo=UTC)


def month(n: int) -> datetime:
    """The n-th month after 31 January, at noon in Paris: 28 February, 31 March …"""
    days = {0: (1, 31, 11), 1: (2, 28, 11), 2: (3, 31, 10), 3: (4, 30, 10), 4: (5, 31, 10), 12: (13, 31, 11)}
    of, day, hour = days[n]
    return datetime(2026 + (of - 1) // 12, (of - 1) % 12 + 1, day, hour, tzinfo=UTC)


@pytest.mark.parametrize("begins", range(4))
def test_months_are_counted_from_the_anchor_as_periods_are(begins: int) -> None:
    assert end_of(Months(count=4 - begins), month(begins), LATE, PARIS) == month(4)


def test_four_months_from_the_31st_are_four_twelfths_of_the_year() -> None:
    ends_at = end_of(Months(count=4), LATE, LATE, PARIS)
    share = covered(Period(LATE, month(12)), ends_at, LATE, PARIS)

    assert (share.part, share.whole) == (4, 12)


def test_from_a_day_that_is_no_month_of_the_anchor_they_are_months_of_that_day() -> None:
    begins = datetime(2026, 2, 10, 11, tzinfo=UTC)

    assert end_of(Months(count=2), begins, LATE, PARIS) == datetime(2026, 4, 10, 10, tzinfo=UTC)


def test_a_period_that_begins_when_it_is_over_is_not_covered() -> None:
    assert covered(Period(month(1), month(2)), month(1), LATE, PARIS).part == 0


# ── What follows ────────────────────────────────────────────────────────────────────────────────────────


async def test_a_subscription_ends_with_the_period_in_which_its_months_are_over(tx: Tx) -> None:
    offer = a_new_offer(percent("50"), duration=Months(count=2), at_end=AtEnd.END)
    signup = await signed_up(tx, offer=offer)
    second = await renewed(tx, signup.subscription)
    third = await renewed(tx, second.subscription)

    assert (net_of(second), net_of(third)) == (14_50, None)
    assert third.subscription.status is SubscriptionStatus.ENDED


async def test_another_plan_follows_when_its_months_are_over(tx: Tx) -> None:
    await a_shop_with_a_plan(tx)
    await a_plan(tx, "basic", a_price("9.90"))
    await create_offer(tx, a_new_offer(percent("50"), duration=Months(count=2), at_end=MoveTo(plan="basic")))
    signup = await sign_up(tx, a_signup(offer="WELCOME"))

    assert await nets(tx, signup, 3) == [14_50, 14_50, 9_90, 9_90]


# ── Given later ─────────────────────────────────────────────────────────────────────────────────────────


async def test_what_is_given_in_mid_period_applies_once_with_the_next(tx: Tx) -> None:
    signup = await signed_up(tx)
    granted = await given(at(tx, TENTH_DAY), signup.subscription, a_new_offer(fixed(9_00)))

    assert granted.redemption.applies_from == signup.subscription.current_period.end
    assert await nets(tx, signup, 2) == [29_00, 20_00, 29_00]


async def test_a_change_in_the_period_it_was_given_in_does_not_use_it_up(tx: Tx) -> None:
    signup = await signed_up(tx)
    await a_plan(tx, "business", a_price("99.00"))
    await given(at(tx, TENTH_DAY), signup.subscription, a_new_offer(fixed(9_00)))
    changed = await change_subscription(at(tx, TENTH_DAY), signup.subscription.id, NewChange(plan="business"))
    renewal = await renewed(tx, changed.subscription)

    assert changed.invoice is not None
    assert changed.invoice.lines[0].discount == euros(0)
    assert [net_of(renewal), net_of(await renewed(tx, renewal.subscription))] == [90_00, 99_00]


@pytest.mark.parametrize(
    ("duration", "off"),
    [
        (Once(), 145_00),
        (Months(count=3), 35_36),  # 89 of the 365 days, 15 February to 15 May: 35.356 off, half up
    ],
)
async def test_the_period_that_a_change_begins_is_the_next_one(tx: Tx, duration: Duration, off: int) -> None:
    signup = await signed_up(tx)
    await a_plan(tx, "yearly", a_price("290.00"), interval=YEARLY)
    await given(tx, signup.subscription, a_new_offer(percent("50"), duration=duration))

    change = await change_subscription(at(tx, TENTH_DAY), signup.subscription.id, NewChange(plan="yearly"))

    assert change.invoice is not None
    assert change.invoice.lines[0].discount == euros(off)
    assert net_of(await renewed(tx, change.subscription)) == 290_00


async def test_a_period_that_begins_after_a_pause_is_the_next_one(tx: Tx) -> None:
    signup = await signed_up(tx)
    await given(tx, signup.subscription, a_new_offer(percent("50")))
    pause = NewSubscriptionPause(credit=PauseCredit.PRORATED)
    await pause_subscription(at(tx, TENTH_DAY), signup.subscription.id, pause)

    resumed = await resume_subscription(at(tx, TENTH_DAY + timedelta(days=2)), signup.subscription.id)

    assert net_of(resumed) == 14_50
    assert net_of(await renewed(tx, resumed.subscription)) == 29_00


async def test_a_welcome_offer_can_be_given_later_and_once(tx: Tx) -> None:
    signup = await signed_up(tx)
    offer = a_new_offer(
        percent("50"), conditions=Conditions(new_customers_only=True), duration=Periods(count=2)
    )
    first = await given(tx, signup.subscription, offer)
    again = await grant_offer(tx, signup.subscription.id, NewGrant(offer="WELCOME"))

    assert (first.is_new, again.is_new) == (True, False)
    assert again.redemption == first.redemption
    assert await nets(tx, signup, 3) == [29_00, 14_50, 14_50, 29_00]


async def test_after_it_has_served_it_is_not_given_again(tx: Tx) -> None:
    signup = await signed_up(tx, offer=a_new_offer(percent("50")))
    second = await renewed(tx, signup.subscription)

    with pytest.raises(Conflict) as refused:
        await grant_offer(tx, second.subscription.id, NewGrant(offer="WELCOME"))
    assert refused.value.code == "offer_redeemed_before"


async def test_free_days_come_with_the_signup_alone(tx: Tx) -> None:
    signup = await signed_up(tx)

    with pytest.raises(Conflict) as refused:
        await given(tx, signup.subscription, a_new_offer(days(14)))
    assert refused.value.code == "offer_before_invoice"


async def test_something_has_to_be_named(tx: Tx) -> None:
    signup = await signed_up(tx)

    with pytest.raises(Invalid) as refused:
        await grant_offer(tx, signup.subscription.id, NewGrant())
    assert refused.value.code == "offer_or_coupon"


async def test_what_is_over_is_given_nothing(tx: Tx) -> None:
    signup = await signed_up(tx)
    await cancel_subscription(tx, signup.subscription.id, NewCancellation())

    with pytest.raises(Conflict) as refused:
        await given(tx, signup.subscription, a_new_offer())
    assert refused.value.code == "subscription_over"


async def test_another_plan_follows_what_was_given_later(tx: Tx) -> None:
    signup = await signed_up(tx)
    await a_plan(tx, "basic", a_price("9.90"))
    offer = a_new_offer(percent("50"), duration=Periods(count=2), at_end=MoveTo(plan="basic"))
    await given(at(tx, TENTH_DAY), signup.subscription, offer)

    assert await nets(tx, signup, 3) == [29_00, 14_50, 14_50, 9_90]


# ── Several at once ─────────────────────────────────────────────────────────────────────────────────────


async def test_offers_of_two_lanes_come_off_the_same_invoice(tx: Tx) -> None:
    signup = await signed_up(tx, price="100.00", offer=a_new_offer(percent("10"), duration=Forever()))
    await given(tx, signup.subscription, a_new_offer(percent("50"), reference="HALF", lane=1))
    renewal = await renewed(tx, signup.subscription)

    assert renewal.invoice is not None
    assert [(each.source, each.amount) for each in renewal.invoice.lines[0].allowances] == [
        ("WELCOME", euros(10_00)),
        ("HALF", euros(45_00)),
    ]
    await assert_sound(tx)


async def test_what_another_beats_waits_for_its_turn(tx: Tx) -> None:
    signup = await signed_up(tx, price="100.00", offer=a_new_offer(percent("50"), duration=Periods(count=2)))
    await given(tx, signup.subscription, a_new_offer(percent("10"), reference="TEN"))

    assert await nets(tx, signup, 3) == [50_00, 50_00, 90_00, 100_00]


# ── What goes wrong elsewhere ───────────────────────────────────────────────────────────────────────────


async def test_a_full_discount_holds_for_the_seats_added_later(tx: Tx) -> None:
    await a_shop_with_a_plan(tx, a_new_offer(percent("100"), duration=Once()))
    await a_plan(tx, "seats", a_price("10.00", model=PriceModel.PER_UNIT))
    signup = await sign_up(tx, a_signup(plan="seats", offer="WELCOME", quantity="2"))
    request = NewChange(quantity=Quantity(5))
    changed = await change_subscription(at(tx, TENTH_DAY), signup.subscription.id, request)
    renewal = await renewed(tx, changed.subscription)

    assert changed.credit_notes == ()  # of nothing nothing is credited
    assert changed.invoice is not None
    assert [changed.invoice.net, net_of(renewal)] == [euros(0), 50_00]
    (held,) = (await promotions.held(tx, changed.subscription.redemption_ids)).values()
    assert (held.redemption.periods_used, held.redemption.given) == (1, euros(20_00 + 33_87))
    await assert_sound(tx)


async def test_a_discount_is_not_credited_back_as_money(tx: Tx) -> None:
    signup = await signed_up(tx, offer=a_new_offer(fixed(10_00)))
    assert signup.invoice is not None
    await a_payment(tx, signup.invoice)
    cancelled = await cancel_subscription(tx, signup.subscription.id, NewCancellation(credit=Credit.FULL))

    assert [note.net for note in cancelled.credit_notes] == [euros(19_00)]


async def test_unused_days_are_credited_of_the_discounted_price(tx: Tx) -> None:
    signup = await signed_up(tx, offer=a_new_offer(fixed(10_00)))
    request = NewCancellation(credit=Credit.PRORATED)
    cancelled = await cancel_subscription(at(tx, TENTH_DAY), signup.subscription.id, request)

    assert [note.net for note in cancelled.credit_notes] == [euros(12_87)]  # 19.00 × 21 / 31


async def test_what_was_free_is_served_by_the_offer_all_the_same(tx: Tx) -> None:
    signup = await signed_up(tx, price="0.00", offer=a_new_offer(percent("50")))
    (held,) = (await promotions.held(tx, signup.subscription.redemption_ids)).values()

    assert (held.redemption.status, held.redemption.served_at) == (Status.EXHAUSTED, NOON)
    assert is_over(held, at=NOON)


# ── The same one twice ──────────────────────────────────────────────────────────────────────────────────


async def test_who_holds_an_offer_twice_uses_up_one_and_then_the_other(tx: Tx) -> None:
    twice = a_new_offer(
        percent("50"), duration=Periods(count=2), max_per_customer=2, budget=euros(1000_00), max_redemptions=2
    )
    signup = await signed_up(tx, offer=twice)
    await create_coupon(tx, "WELCOME", NewCoupon(code=Code("AGAIN")))
    await grant_offer(tx, signup.subscription.id, NewGrant(coupon="AGAIN"))

    assert await nets(tx, signup, 4) == [14_50, 14_50, 14_50, 14_50, 29_00]

    each = await redemptions_of(tx, signup.customer.id)
    assert [(one.periods_used, one.given, one.status) for one in each] == [
        (2, euros(29_00), Status.EXHAUSTED)
    ] * 2
    assert (await promotions.offer(tx, "WELCOME")).spent == euros(58_00)


async def test_a_change_goes_on_with_the_one_of_two_that_served_the_period(tx: Tx) -> None:
    signup = await signed_up(tx, offer=a_new_offer(percent("50"), max_per_customer=2, budget=euros(1000_00)))
    await a_plan(tx, "team", a_price("58.00"))
    await create_coupon(tx, "WELCOME", NewCoupon(code=Code("AGAIN")))
    await grant_offer(tx, signup.subscription.id, NewGrant(coupon="AGAIN"))
    renewal = await renewed(tx, signup.subscription)
    middle = at(tx, renewal.subscription.current_period.start + timedelta(days=14))

    change = await change_subscription(middle, signup.subscription.id, NewChange(plan="team"))

    assert change.invoice is not None
    assert (change.invoice.lines[0].amount, change.invoice.net) == (euros(29_00), euros(14_50))
    first, second = await redemptions_of(tx, signup.customer.id)
    assert (first.periods_used, first.given) == (1, euros(14_50))
    assert (second.periods_used, second.given) == (1, euros(29_00))
    assert (await promotions.offer(tx, "WELCOME")).spent == euros(43_50)
    assert net_of(await renewed(tx, change.subscription)) == 58_00
