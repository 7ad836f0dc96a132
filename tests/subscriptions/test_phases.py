"""Phases: the terms that were agreed ahead begin with a period, one by one and in a run alike."""

from datetime import UTC, datetime, timedelta

import pytest

from kernel.database import Pool, Tx
from kernel.decimals import Quantity
from kernel.errors import Conflict, Invalid
from kernel.money import Currency
from kernel.periods import Interval, Unit
from promotions.create_offer import create_offer
from promotions.model import AtEnd, Forever, MoveTo, NewOffer, Periods
from refunds.cancel_subscription import cancel_subscription
from refunds.change_subscription import change_subscription
from refunds.model import ChangeWhen, NewCancellation, NewChange, NewSubscriptionPause, PauseWhen
from refunds.pause_subscription import pause_subscription
from subscriptions import store
from subscriptions.billing_run import bill_chunk
from subscriptions.create_plan import add_version
from subscriptions.events import SubscriptionChanged
from subscriptions.model import (
    NewPhase,
    NewSubscription,
    NewVersion,
    PhaseSchedule,
    PriceModel,
    Subscription,
)
from subscriptions.resume import resume_subscription
from subscriptions.schedule_phases import schedule_phases
from subscriptions.sign_up import subscribe
from tests.books import assert_sound
from tests.makers import NOON
from tests.promotions.offers import a_new_offer, days, percent
from tests.shop import a_transaction, at
from tests.subscriptions.plans import MONTHLY, a_plan, a_price, a_shop_with_a_plan, renewed

TWO_SEATS = NewPhase(plan="seats", quantity=Quantity(2), after_periods=2)
YEARLY = NewPhase(plan="yearly", after_periods=1)


async def agreed(
    tx: Tx, *phases: NewPhase, offer: str | None = None, starts_at: datetime | None = None
) -> Subscription:
    """Pro at 29.00 a month first; there are seats at 10.00 a month and a plan at 290.00 a year."""
    await a_plan(tx, "seats", a_price("10.00", model=PriceModel.PER_UNIT), entitlements={})
    await a_plan(tx, "yearly", a_price("290.00"), interval=Interval(Unit.YEAR))
    request = NewSubscription(customer="user-42", plan="pro", phases=phases, offer=offer, starts_at=starts_at)
    return (await subscribe(tx, request)).subscription


async def nets(tx: Tx, subscription: Subscription, count: int) -> list[int]:
    """What the next periods are billed."""
    found = []
    for _ in range(count):
        renewal = await renewed(tx, subscription)
        subscription = renewal.subscription
        assert await store.get(tx, subscription.id) == subscription
        assert renewal.invoice is not None
        found.append(renewal.invoice.net.minor)
    return found


async def test_each_phase_begins_after_so_many_periods(tx: Tx) -> None:
    await a_shop_with_a_plan(tx)
    more = NewPhase(plan="seats", quantity=Quantity(7), after_periods=1)
    subscription = await agreed(tx, TWO_SEATS, more, YEARLY)

    assert await nets(tx, subscription, 5) == [29_00, 20_00, 70_00, 290_00, 290_00]
    done = await store.get(tx, subscription.id)
    assert done.phases == ()
    assert done.current_period.start == datetime(2027, 5, 15, 10, tzinfo=UTC)
    changed = [event for event in tx.events if isinstance(event, SubscriptionChanged)]
    assert changed[-1].plan_id == done.plan_id
    await assert_sound(tx)


async def test_a_phase_begins_with_the_first_period_from_a_time_on(tx: Tx) -> None:
    await a_shop_with_a_plan(tx)
    from_march = NewPhase(plan="seats", quantity=Quantity(3), begins_at=datetime(2026, 3, 1, tzinfo=UTC))
    assert await nets(tx, await agreed(tx, from_march), 3) == [29_00, 30_00, 30_00]


async def test_a_trial_is_no_period_of_a_phase(tx: Tx) -> None:
    offer = a_new_offer(days(30))
    await a_shop_with_a_plan(tx, offer)
    subscription = await agreed(tx, TWO_SEATS, offer=offer.reference)
    assert await nets(tx, subscription, 3) == [29_00, 29_00, 20_00]


async def test_the_time_before_a_start_is_none_either(tx: Tx) -> None:
    await a_shop_with_a_plan(tx)
    subscription = await agreed(tx, TWO_SEATS, starts_at=NOON + timedelta(days=10))
    assert await nets(tx, subscription, 3) == [29_00, 29_00, 20_00]


async def test_a_start_in_the_past_passes_through_its_phases(tx: Tx) -> None:
    await a_shop_with_a_plan(tx)
    subscription = await agreed(tx, TWO_SEATS, starts_at=NOON - timedelta(days=70))
    assert (subscription.quantity, subscription.phases) == (Quantity(2), ())


@pytest.mark.parametrize("when", PauseWhen)
async def test_a_pause_does_not_make_a_phase_longer(tx: Tx, when: PauseWhen) -> None:
    await a_shop_with_a_plan(tx)
    subscription = await agreed(tx, NewPhase(plan="seats", quantity=Quantity(2), after_periods=1))
    await pause_subscription(tx, subscription.id, NewSubscriptionPause(when=when))
    if when is PauseWhen.PERIOD_END:
        await bill_chunk(at(tx, subscription.current_period.end))
    renewal = await resume_subscription(at(tx, NOON + timedelta(days=50)), subscription.id)
    assert renewal.invoice is not None
    assert renewal.invoice.net.minor == 20_00
    assert await store.get(tx, subscription.id) == renewal.subscription


async def test_a_run_enters_phases_as_one_by_one(pool: Pool) -> None:
    seen = []
    for in_chunks in (True, False):
        async with a_transaction(pool) as tx:
            await a_shop_with_a_plan(tx)
            subscription = await agreed(tx, TWO_SEATS, YEARLY)
            for _ in range(3):
                assert subscription.next_billing_at is not None
                if in_chunks:
                    await bill_chunk(at(tx, subscription.next_billing_at))
                    subscription = await store.get(tx, subscription.id)
                else:
                    subscription = (await renewed(tx, subscription)).subscription
            rows = await tx.conn.fetch("SELECT net_minor FROM invoices ORDER BY number")
            seen.append(
                ([row["net_minor"] for row in rows], subscription.current_period, subscription.phases)
            )
    assert seen[0] == seen[1]
    assert seen[0][0] == [29_00, 29_00, 20_00, 290_00]


async def test_the_version_is_that_of_the_agreement(tx: Tx) -> None:
    await a_shop_with_a_plan(tx)
    subscription = await agreed(tx, TWO_SEATS)
    price = a_price("99.00", model=PriceModel.PER_UNIT)
    await add_version(tx, "seats", NewVersion(interval=MONTHLY, prices=[price]))
    assert await nets(tx, subscription, 2) == [29_00, 20_00]


async def test_what_is_scheduled_anew_takes_the_place_of_what_was(tx: Tx) -> None:
    await a_shop_with_a_plan(tx)
    subscription = await agreed(tx, TWO_SEATS)
    await schedule_phases(tx, subscription.id, PhaseSchedule(phases=(YEARLY,)))
    assert await nets(tx, subscription, 1) == [290_00]


async def test_of_nothing_nothing_comes(tx: Tx) -> None:
    await a_shop_with_a_plan(tx)
    subscription = await agreed(tx, YEARLY)
    cleared = await schedule_phases(tx, subscription.id, PhaseSchedule(phases=()))
    assert await nets(tx, cleared, 2) == [29_00, 29_00]


async def test_what_ends_with_its_offer_enters_no_phase(tx: Tx) -> None:
    offer = a_new_offer(percent("50"), at_end=AtEnd.END)
    await a_shop_with_a_plan(tx, offer)
    subscription = await agreed(tx, YEARLY, offer=offer.reference)
    over = (await renewed(tx, subscription)).subscription
    assert (over.is_over, over.phases) == (True, ())
    assert await store.get(tx, over.id) == over


@pytest.mark.parametrize(
    ("offer", "billed"),
    [
        (a_new_offer(days(30), at_end=MoveTo(plan="yearly")), [290_00]),
        (a_new_offer(percent("50"), at_end=MoveTo(plan="yearly")), [290_00]),
        (
            a_new_offer(percent("50"), duration=Periods(count=2), at_end=MoveTo(plan="yearly")),
            [14_50, 290_00],
        ),
    ],
)
async def test_an_offer_is_followed_by_the_plan_it_names(tx: Tx, offer: NewOffer, billed: list[int]) -> None:
    await a_shop_with_a_plan(tx, offer)
    subscription = await agreed(tx, offer=offer.reference)
    assert await nets(tx, subscription, len(billed)) == billed


async def test_an_offer_that_never_ends_is_followed_by_nothing(tx: Tx) -> None:
    with pytest.raises(Invalid) as refused:
        await create_offer(tx, a_new_offer(percent("5"), duration=Forever(), at_end=MoveTo(plan="pro")))
    assert refused.value.code == "at_end_of_forever"


async def test_the_plan_that_phases_follow_is_not_changed_but_its_quantity_is(tx: Tx) -> None:
    await a_shop_with_a_plan(tx)
    subscription = await agreed(tx, TWO_SEATS, NewPhase(plan="yearly", after_periods=5))
    with pytest.raises(Conflict) as refused:
        await change_subscription(tx, subscription.id, NewChange(plan="yearly"))
    assert refused.value.code == "phases_scheduled"

    assert await nets(tx, subscription, 2) == [29_00, 20_00]
    now = at(tx, NOON + timedelta(days=60))
    changed = await change_subscription(now, subscription.id, NewChange(quantity=Quantity(3)))
    assert (changed.subscription.quantity, len(changed.subscription.phases)) == (Quantity(3), 1)


async def test_what_does_not_fit_is_refused(tx: Tx) -> None:
    await a_shop_with_a_plan(tx)
    subscription = await agreed(tx)
    await a_plan(tx, "dollars", a_price(currency=Currency("USD")))
    for phase, code in (
        (NewPhase(plan="seats", quantity=Quantity(2)), "phase_form"),
        (NewPhase(plan="seats", after_periods=1, begins_at=NOON), "phase_form"),
        (NewPhase(plan="dollars", after_periods=1), "price_missing"),
        (NewPhase(plan="seats", quantity=Quantity(0), after_periods=1), "quantity_zero"),
    ):
        with pytest.raises(Invalid) as refused:
            await schedule_phases(tx, subscription.id, PhaseSchedule(phases=(phase,)))
        assert refused.value.code == code


async def test_not_beside_a_change_to_come_nor_after_the_end(tx: Tx) -> None:
    await a_shop_with_a_plan(tx)
    subscription = await agreed(tx)
    request = PhaseSchedule(phases=(YEARLY,))
    await change_subscription(tx, subscription.id, NewChange(plan="yearly", when=ChangeWhen.PERIOD_END))
    with pytest.raises(Conflict) as scheduled:
        await schedule_phases(tx, subscription.id, request)
    assert scheduled.value.code == "change_scheduled"

    await cancel_subscription(tx, subscription.id, NewCancellation())
    with pytest.raises(Conflict) as over:
        await schedule_phases(tx, subscription.id, request)
    assert over.value.code == "subscription_over"
