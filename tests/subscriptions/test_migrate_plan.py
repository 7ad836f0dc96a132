"""Migration: subscriptions of older versions take the newest, with their next period or now."""

from datetime import UTC, datetime

import pytest

from kernel.database import Tx
from kernel.decimals import Quantity
from kernel.errors import NotFound
from kernel.money import Currency
from kernel.periods import Interval, Unit
from kernel.text import Name, Reference
from refunds.cancel_subscription import cancel_subscription
from refunds.change_subscription import change_subscription
from refunds.migrate_subscription import migrate_due
from refunds.model import ChangeWhen, NewCancellation, NewChange, NewSubscriptionPause
from refunds.pause_subscription import pause_subscription
from subscriptions import store
from subscriptions.billing_run import bill_chunk
from subscriptions.create_plan import add_version, create_plan
from subscriptions.events import MigrationFailed, SubscriptionChangeScheduled
from subscriptions.migrate_plan import migrate_plan
from subscriptions.model import (
    Migration,
    MigrationWhen,
    NewAddon,
    NewMigration,
    NewPhase,
    NewPlan,
    NewSubscription,
    NewVersion,
    PhaseSchedule,
    PlanKind,
    PriceModel,
    Subscription,
    SubscriptionId,
)
from subscriptions.schedule_phases import schedule_phases
from subscriptions.sign_up import sign_up, subscribe
from tests.books import assert_sound
from tests.makers import NOON
from tests.shop import a_shop, at
from tests.subscriptions.plans import MONTHLY, a_plan, a_price, a_signup, renewed

PER_SEAT = PriceModel.PER_UNIT
MID_JANUARY = datetime(2026, 1, 25, 11, tzinfo=UTC)


async def three_of_the_first_version(tx: Tx) -> list[Subscription]:
    """Of 1, 2 and 3.5 seats at 10.00 a month. In the second version they are 12.00."""
    await a_shop(tx)
    await a_plan(tx, "pro", a_price("10.00", model=PER_SEAT))
    subscriptions = [
        (await sign_up(tx, a_signup(customer=f"user-{seats}", quantity=seats))).subscription
        for seats in ("1", "2", "3.5")
    ]
    await add_version(tx, "pro", NewVersion(interval=MONTHLY, prices=[a_price("12.00", model=PER_SEAT)]))
    return subscriptions


async def migrate(
    tx: Tx,
    *chosen: Subscription,
    when: MigrationWhen = MigrationWhen.RENEWAL,
    most: int = 100,
) -> Migration:
    ids = tuple(each.id for each in chosen) or None
    return await migrate_plan(tx, "pro", NewMigration(subscriptions=ids, when=when), most=most)


async def jobs(tx: Tx) -> list[str]:
    rows = await tx.conn.fetch(
        """
        SELECT data ->> 'subscription_id' AS id
        FROM jobs WHERE tenant_id = $1 AND kind = 'migrate_subscription' ORDER BY id
        """,
        tx.tenant,
    )
    return [row["id"] for row in rows]


async def test_all_take_the_version_with_their_next_period(tx: Tx) -> None:
    subscriptions = await three_of_the_first_version(tx)
    migration = await migrate(tx)

    assert migration.subscriptions == tuple(sorted(each.id for each in subscriptions))
    assert (migration.version, migration.has_more) == (2, False)
    scheduled = [event for event in tx.events if isinstance(event, SubscriptionChangeScheduled)]
    assert [event.change_at for event in scheduled] == [subscriptions[0].current_period.end] * 3

    await bill_chunk(at(tx, subscriptions[0].current_period.end))

    after = [await store.get(tx, each.id) for each in subscriptions]
    assert [each.version for each in after] == [2, 2, 2]
    assert [each.quantity for each in after] == [each.quantity for each in subscriptions]
    rows = await tx.conn.fetch("SELECT net_minor FROM invoices ORDER BY issued_on, net_minor")
    assert [row["net_minor"] for row in rows] == [10_00, 20_00, 35_00, 12_00, 24_00, 42_00]
    await assert_sound(tx)


async def test_only_those_that_are_named(tx: Tx) -> None:
    first, second, _ = await three_of_the_first_version(tx)
    assert (await migrate(tx, second)).subscriptions == (second.id,)
    assert (await store.get(tx, first.id)).pending_change is None


async def test_what_could_not_be_changed_stays(tx: Tx) -> None:
    changing, cancelled, phased = await three_of_the_first_version(tx)
    await change_subscription(tx, changing.id, NewChange(quantity=Quantity(9), when=ChangeWhen.PERIOD_END))
    await cancel_subscription(tx, cancelled.id, NewCancellation())
    phase = NewPhase(plan="pro", quantity=Quantity(2), after_periods=1)
    await schedule_phases(tx, phased.id, PhaseSchedule(phases=(phase,)))

    for when in MigrationWhen:
        assert (await migrate(tx, when=when)).subscriptions == ()
    assert await jobs(tx) == []


async def test_so_many_in_a_call_and_then_the_others(tx: Tx) -> None:
    await three_of_the_first_version(tx)
    first, second, third = [await migrate(tx, most=2) for _ in range(3)]
    assert [len(each.subscriptions) for each in (first, second, third)] == [2, 1, 0]
    assert [each.has_more for each in (first, second, third)] == [True, False, False]


async def test_a_version_with_another_interval_counts_its_periods_anew(tx: Tx) -> None:
    subscription, *_ = await three_of_the_first_version(tx)
    yearly = NewVersion(interval=Interval(Unit.YEAR), prices=[a_price("99.00")])
    await add_version(tx, "pro", yearly)
    await migrate(tx)

    renewal = await renewed(tx, subscription)

    assert renewal.invoice is not None
    assert renewal.invoice.net.minor == 99_00
    assert renewal.subscription.quantity == 1  # the price is flat
    assert renewal.subscription.current_period.end == datetime(2027, 2, 15, 11, tzinfo=UTC)


async def test_a_currency_the_version_has_no_price_in_is_left_alone(tx: Tx) -> None:
    await three_of_the_first_version(tx)
    await add_version(tx, "pro", NewVersion(interval=MONTHLY, prices=[a_price(currency=Currency("USD"))]))
    assert (await migrate(tx)).subscriptions == ()


async def test_add_ons_that_cannot_be_beside_the_version_keep_theirs_on_the_old_one(tx: Tx) -> None:
    _, with_addon, _ = await three_of_the_first_version(tx)
    await create_plan(
        tx,
        NewPlan(
            reference=Reference("support"),
            name=Name("Support"),
            kind=PlanKind.ADDON,
            interval=MONTHLY,
            prices=[a_price("5.00")],
        ),
    )
    await change_subscription(tx, with_addon.id, NewChange(addons=[NewAddon(plan="support")]))
    for interval, moved in ((Interval(Unit.YEAR), 0), (MONTHLY, 1)):
        await add_version(tx, "pro", NewVersion(interval=interval, prices=[a_price("99.00")]))
        for when in (MigrationWhen.NOW, MigrationWhen.RENEWAL):
            assert len((await migrate(tx, with_addon, when=when)).subscriptions) == moved

    renewal = await renewed(tx, with_addon)
    assert renewal.invoice is not None
    assert [line.net.minor for line in renewal.invoice.lines] == [99_00, 5_00]


async def test_what_is_paused_or_not_started_takes_it_when_it_goes_on(tx: Tx) -> None:
    paused, *_ = await three_of_the_first_version(tx)
    await pause_subscription(tx, paused.id, NewSubscriptionPause())
    assert (await migrate(tx, paused)).subscriptions == (paused.id,)
    assert (await migrate(tx, paused, when=MigrationWhen.NOW)).subscriptions == ()


async def test_new_subscriptions_have_the_newest_and_are_not_migrated(tx: Tx) -> None:
    await three_of_the_first_version(tx)
    new = await subscribe(tx, NewSubscription(customer="user-42", plan="pro", quantity=Quantity(2)))
    assert new.subscription.id not in (await migrate(tx)).subscriptions


async def test_a_subscription_that_is_not_there_is_not_found(tx: Tx) -> None:
    first, *_ = await three_of_the_first_version(tx)
    nobody = SubscriptionId.new()
    with pytest.raises(NotFound) as missing:
        await migrate_plan(tx, "pro", NewMigration(subscriptions=(first.id, nobody)))
    assert missing.value.code == "subscription_not_found"


async def test_now_each_is_changed_by_a_job_of_its_own_and_once(tx: Tx) -> None:
    subscriptions = await three_of_the_first_version(tx)
    await migrate(tx, when=MigrationWhen.NOW)
    assert await jobs(tx) == sorted(str(each.id) for each in subscriptions)
    assert {(await store.get(tx, each.id)).version for each in subscriptions} == {1}

    for _ in range(2):
        await migrate_due(at(tx, MID_JANUARY), subscriptions[1].id)

    assert (await store.get(tx, subscriptions[1].id)).version == 2
    # 21 of 31 days: 20.00 and 24.00 are 13.55 and 16.26.
    assert await tx.conn.fetchval("SELECT net_minor FROM credit_notes") == 13_55
    assert await tx.conn.fetchval("SELECT net_minor FROM invoices ORDER BY issued_on DESC LIMIT 1") == 16_26
    await assert_sound(tx)


async def test_what_cannot_be_changed_in_the_end_says_why_and_nothing_happens(tx: Tx) -> None:
    _, subscription, _ = await three_of_the_first_version(tx)
    await migrate(tx, when=MigrationWhen.NOW)
    await pause_subscription(tx, subscription.id, NewSubscriptionPause())

    await migrate_due(tx, subscription.id)

    assert (await store.get(tx, subscription.id)).version == 1
    assert isinstance(tx.events[-1], MigrationFailed)
    assert tx.events[-1].code == "subscription_state"


async def test_one_subscription_alone_takes_the_newest_version_by_a_change(tx: Tx) -> None:
    _, subscription, _ = await three_of_the_first_version(tx)
    changed = await change_subscription(tx, subscription.id, NewChange(newest_version=True))
    assert changed.subscription.version == 2
    assert changed.invoice is not None
    assert (changed.invoice.net.minor, changed.invoice.issued_on) == (24_00, NOON.date())
