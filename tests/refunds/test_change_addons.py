"""Adding add-ons to a running subscription, changing how many, and leaving them.

Pro is 29.00 a month and a seat 10.00. The first period is 15 January to 15 February, 31 days, of which 21
are left on the tenth day: 19.65 of Pro, 20.32 of three seats, 33.87 of five.
"""

import pytest
from msgspec.structs import replace

from billing.invoices import store as invoices
from billing.invoices.model import Invoice
from kernel.database import Tx
from kernel.decimals import Quantity
from kernel.errors import DomainError
from kernel.periods import Interval, Unit
from refunds.change_subscription import change_subscription, undo_change
from refunds.model import Change, ChangeWhen, NewChange
from subscriptions import store
from subscriptions.billing_run import bill_chunk
from subscriptions.create_plan import add_version
from subscriptions.entitlements import grants_of
from subscriptions.events import SubscriptionChanged
from subscriptions.migrate_plan import migrate_plan
from subscriptions.model import (
    MigrationWhen,
    NewAddon,
    NewMigration,
    NewPhase,
    NewVersion,
    PendingChange,
    PhaseSchedule,
    PriceModel,
    Subscription,
)
from subscriptions.schedule_phases import schedule_phases
from subscriptions.sign_up import sign_up
from tests.books import assert_sound
from tests.makers import euros
from tests.refunds.cases import TENTH_DAY
from tests.shop import a_payment, at
from tests.subscriptions.plans import (
    MONTHLY,
    a_plan,
    a_price,
    a_shop_with_a_plan,
    a_signup,
    an_addon,
    beside,
    renewed,
)


async def a_subscription(tx: Tx, *addons: NewAddon) -> Subscription:
    await a_shop_with_a_plan(tx)
    await an_addon(tx)
    await an_addon(tx, "support", a_price("15.00"), entitlements={"phone": True})
    return (await sign_up(tx, a_signup(addons=addons))).subscription


async def changed(tx: Tx, subscription: Subscription, *addons: NewAddon, **more: object) -> Change:
    """On the tenth day."""
    request = NewChange(addons=list(addons), **more)  # type: ignore[arg-type]
    return await change_subscription(at(tx, TENTH_DAY), subscription.id, request)


def after_one_period(plan: str) -> PhaseSchedule:
    return PhaseSchedule(phases=(NewPhase(plan=plan, after_periods=1),))


def nets(invoice: Invoice | None) -> list[int]:
    assert invoice is not None
    return [line.net.minor for line in invoice.lines]


def credited(change: Change) -> list[int]:
    return [line.net.minor for note in change.credit_notes for line in note.lines]


async def test_an_addon_that_is_added_is_billed_for_the_rest_of_the_period(tx: Tx) -> None:
    subscription = await a_subscription(tx)
    change = await changed(tx, subscription, beside("seats", "3"))

    assert (credited(change), nets(change.invoice)) == ([19_65], [19_65, 20_32])
    assert [addon.quantity for addon in change.subscription.addons] == [3]
    assert await store.get(tx, subscription.id) == change.subscription
    assert (await grants_of(tx, "user-77")).features["seats"] == 8
    assert nets((await renewed(tx, change.subscription)).invoice) == [29_00, 30_00]
    await assert_sound(tx)


async def test_more_of_an_addon_is_billed_and_what_was_paid_for_it_credited(tx: Tx) -> None:
    subscription = await a_subscription(tx, beside("seats", "3"))
    [billed] = await store.invoices_of_period(tx, subscription)
    await a_payment(tx, await invoices.get(tx, billed.invoice_id))
    change = await changed(tx, subscription, beside("seats", "5"))

    assert (credited(change), nets(change.invoice)) == ([19_65, 20_32], [19_65, 33_87])
    assert change.invoice is not None
    assert change.invoice.settlement.offset == euros(47_96)  # 39.97 with 20 %
    await assert_sound(tx)


async def test_an_addon_that_is_left_is_credited(tx: Tx) -> None:
    subscription = await a_subscription(tx, beside("seats", "3"), beside("support"))
    change = await changed(tx, subscription, beside("support"))

    assert (credited(change), nets(change.invoice)) == ([19_65, 20_32, 10_16], [19_65, 10_16])
    assert nets((await renewed(tx, change.subscription)).invoice) == [29_00, 15_00]
    assert (await grants_of(tx, "user-77")).features == {"export": True, "seats": 5, "phone": True}
    await assert_sound(tx)


async def test_with_the_next_period_nothing_is_credited(tx: Tx) -> None:
    subscription = await a_subscription(tx, beside("seats", "3"))
    change = await changed(tx, subscription, when=ChangeWhen.PERIOD_END)

    assert (change.invoice, change.credit_notes) == (None, ())
    assert [addon.quantity for addon in change.subscription.addons] == [3]
    renewal = await renewed(tx, change.subscription)
    assert (nets(renewal.invoice), renewal.subscription.addons) == ([29_00], ())
    assert await store.get(tx, subscription.id) == renewal.subscription


async def test_a_run_carries_it_out_as_a_renewal_does(tx: Tx) -> None:
    subscription = await a_subscription(tx)
    change = await changed(
        tx, subscription, beside("seats", "2"), beside("support"), when=ChangeWhen.PERIOD_END
    )
    await bill_chunk(at(tx, subscription.current_period.end))

    after = await store.get(tx, subscription.id)
    assert change.subscription.pending_change is not None
    assert after.addons == change.subscription.pending_change.addons
    assert [addon.quantity for addon in after.addons] == [2, 1]
    [happened] = [event for event in tx.events if isinstance(event, SubscriptionChanged)]
    assert happened.addons == after.addons


async def test_a_change_to_come_is_undone_with_its_addons(tx: Tx) -> None:
    subscription = await a_subscription(tx, beside("seats", "3"))
    await changed(tx, subscription, when=ChangeWhen.PERIOD_END)
    undone = await undo_change(tx, subscription.id)

    assert nets((await renewed(tx, undone)).invoice) == [29_00, 30_00]


async def test_another_plan_keeps_the_addons(tx: Tx) -> None:
    subscription = await a_subscription(tx, beside("seats", "3"))
    await a_plan(tx, "business", a_price("99.00"))
    change = await change_subscription(at(tx, TENTH_DAY), subscription.id, NewChange(plan="business"))

    assert change.subscription.addons == subscription.addons
    assert nets(change.invoice) == [67_06, 20_32]


async def test_an_addon_that_cannot_go_along_has_to_be_left(tx: Tx) -> None:
    subscription = await a_subscription(tx, beside("seats", "3"))
    await a_plan(tx, "yearly", a_price("290.00"), interval=Interval(Unit.YEAR))
    with pytest.raises(DomainError) as refusal:
        await change_subscription(tx, subscription.id, NewChange(plan="yearly"))
    assert refusal.value.code == "addon_differs"

    change = await change_subscription(tx, subscription.id, NewChange(plan="yearly", addons=[]))
    assert (nets(change.invoice), change.subscription.addons) == ([290_00], ())


async def test_an_addon_it_has_stays_in_its_version_and_a_new_one_takes_the_newest(tx: Tx) -> None:
    subscription = await a_subscription(tx, beside("seats", "3"))
    for reference, price in (
        ("seats", a_price("99.00", model=PriceModel.PER_UNIT)),
        ("support", a_price("31.00")),
    ):
        await add_version(tx, reference, NewVersion(interval=MONTHLY, prices=[price]))
    change = await changed(tx, subscription, beside("seats", "5"), beside("support"))

    assert [(addon.version, addon.quantity) for addon in change.subscription.addons] == [
        (1, Quantity(5)),
        (2, Quantity(1)),
    ]
    assert nets(change.invoice) == [19_65, 33_87, 21_00]


async def test_an_addon_moves_to_its_newest_version_where_that_is_asked(tx: Tx) -> None:
    subscription = await a_subscription(tx, beside("seats", "3"))
    dearer = a_price("20.00", model=PriceModel.PER_UNIT)
    await add_version(tx, "seats", NewVersion(interval=MONTHLY, prices=[dearer]))
    change = await changed(tx, subscription, beside("seats", "3"), newest_version=True)

    assert [addon.version for addon in change.subscription.addons] == [2]
    assert nets(change.invoice) == [19_65, 40_65]


async def test_phases_are_plans_that_the_addons_go_with(tx: Tx) -> None:
    subscription = await a_subscription(tx, beside("seats", "3"))
    await a_plan(tx, "business", a_price("99.00"))
    await a_plan(tx, "yearly", a_price("290.00"), interval=Interval(Unit.YEAR))
    for plan, code in (("yearly", "addon_differs"), ("support", "plan_is_addon")):
        with pytest.raises(DomainError) as refusal:
            await schedule_phases(tx, subscription.id, after_one_period(plan))
        assert refusal.value.code == code

    renewal = await renewed(tx, await schedule_phases(tx, subscription.id, after_one_period("business")))
    assert nets(renewal.invoice) == [99_00, 30_00]


async def test_a_new_version_that_the_addons_do_not_go_with_is_not_billed_with_them(tx: Tx) -> None:
    subscription = await a_subscription(tx, beside("seats", "3"))
    yearly = NewVersion(interval=Interval(Unit.YEAR), prices=[a_price("290.00")])
    await add_version(tx, "pro", yearly)
    migration = await migrate_plan(tx, "pro", NewMigration(when=MigrationWhen.RENEWAL))
    assert migration.subscriptions == ()

    newer = PendingChange(plan_id=subscription.plan_id, version=2, quantity=Quantity(1), restarts=True)
    await store.update(tx, replace(subscription, pending_change=newer))
    chunk = await bill_chunk(at(tx, subscription.current_period.end))
    assert [failure.code for failure in chunk.failures] == ["addon_differs"]
    left = await change_subscription(tx, subscription.id, NewChange(addons=[], when=ChangeWhen.PERIOD_END))
    assert nets((await renewed(tx, left.subscription)).invoice) == [29_00]


async def test_an_addon_is_not_migrated_as_a_plan_is(tx: Tx) -> None:
    await a_subscription(tx, beside("seats", "3"))
    with pytest.raises(DomainError) as refusal:
        await migrate_plan(tx, "seats", NewMigration())
    assert refusal.value.code == "plan_is_addon"


async def test_the_same_addons_are_no_change(tx: Tx) -> None:
    subscription = await a_subscription(tx, beside("seats", "3"))
    with pytest.raises(DomainError) as refusal:
        await changed(tx, subscription, beside("seats", "3"))
    assert refusal.value.code == "nothing_to_change"


async def test_a_subscription_is_not_changed_to_an_addon(tx: Tx) -> None:
    subscription = await a_subscription(tx)
    with pytest.raises(DomainError) as refusal:
        await change_subscription(tx, subscription.id, NewChange(plan="seats"))
    assert refusal.value.code == "plan_is_addon"
