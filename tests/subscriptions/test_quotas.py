"""Quotas: what is allowed in a period, what is used of it, and what is left; in one statement."""

import asyncio
from datetime import timedelta

import pytest

from kernel.database import Tx
from kernel.decimals import Measure
from kernel.errors import NotFound
from kernel.text import Reference
from subscriptions.entitlements import grants_of
from subscriptions.meters.model import Aggregation
from subscriptions.model import Grant, NewSubscription, Quota, QuotaLeft, Subscription
from subscriptions.sign_up import sign_up, subscribe
from tests.makers import NOON
from tests.shop import a_shop, at
from tests.subscriptions.metering import a_meter, a_record, used
from tests.subscriptions.plans import a_plan, a_signup, an_addon, beside, renewed

DAY = timedelta(days=1)
DUE = NOON + 31 * DAY


async def with_quota(tx: Tx, quota: int = 1000, **more: Grant) -> Subscription:
    await a_shop(tx)
    await a_meter(tx)
    await a_plan(tx, entitlements={"calls": Quota(quota=quota, meter="calls"), **more})
    return (await sign_up(tx, a_signup())).subscription


async def calls(tx: Tx) -> tuple[str, str, str]:
    """Allowed, used, left."""
    quota = (await grants_of(tx, "user-77")).quotas["calls"]
    return str(quota.allowed), str(quota.used), str(quota.left)


async def test_a_signup_is_told_its_quotas_and_a_feature_with_one_reads_as_a_limit(tx: Tx) -> None:
    await a_shop(tx)
    await a_meter(tx)
    await a_plan(tx, entitlements={"calls": Quota(quota=1000, meter="calls"), "export": True})
    signup = await sign_up(tx, a_signup())

    assert signup.entitlements.features == {"calls": 1000, "export": True}
    assert signup.entitlements.quotas == {
        "calls": QuotaLeft(
            meter=Reference("calls"),
            allowed=Measure(1000),
            used=Measure(0),
            left=Measure(1000),
            resets_at=signup.subscription.current_period.end,
        )
    }
    assert await calls(tx) == ("1000", "0", "1000")
    assert await grants_of(tx, "user-77") == signup.entitlements


async def test_what_is_used_is_not_left(tx: Tx) -> None:
    await with_quota(tx)
    await used(tx, a_record("1", units=420), a_record("2", units="0.5"))
    assert await calls(tx) == ("1000", "420.5", "579.5")
    await used(tx, a_record("3", units=2000))
    assert await calls(tx) == ("1000", "2420.5", "0")


async def test_a_quota_begins_anew_with_each_period(tx: Tx) -> None:
    subscription = await with_quota(tx)
    await used(tx, a_record("1", units=420))
    await renewed(tx, subscription)
    assert await calls(tx) == ("1000", "0", "1000")


async def test_what_comes_late_counts_against_the_quota_of_its_own_time(tx: Tx) -> None:
    subscription = await with_quota(tx)
    await renewed(tx, subscription)
    await used(tx, a_record("late", units=7, used_at=NOON + DAY), a_record("now", units=1), now=DUE + DAY)
    assert await calls(tx) == ("1000", "1", "999")


async def test_a_quota_counts_as_its_meter_does(tx: Tx) -> None:
    await a_shop(tx)
    await a_meter(tx, "people", Aggregation.UNIQUE)
    await a_meter(tx, "peak", Aggregation.MAX)
    await a_plan(
        tx,
        entitlements={"seats": Quota(quota=5, meter="people"), "peak": Quota(quota=9, meter="peak")},
    )
    await sign_up(tx, a_signup())
    await used(tx, *(a_record(f"p{n}", "people", value=name) for n, name in enumerate(("ada", "li", "ada"))))
    await used(tx, a_record("4", "peak", units=4), a_record("7", "peak", units=7))

    quotas = (await grants_of(tx, "user-77")).quotas
    assert {name: str(quota.left) for name, quota in quotas.items()} == {"seats": "3", "peak": "2"}


async def test_quotas_of_several_subscriptions_add_up_and_each_counts_its_own(tx: Tx) -> None:
    first = await with_quota(tx)
    await a_plan(tx, "more", entitlements={"calls": Quota(quota=500, meter="calls")})
    second = (
        await subscribe(at(tx, NOON + DAY), NewSubscription(customer="user-77", plan="more"))
    ).subscription
    later = NOON + 2 * DAY
    await used(tx, a_record("1", of=first, units=100), a_record("2", of=second, units=600), now=later)

    grants = await grants_of(tx, "user-77")
    assert await calls(tx) == ("1500", "700", "900")
    assert grants.features["calls"] == 1500
    assert grants.quotas["calls"].resets_at == first.current_period.end


@pytest.mark.parametrize(
    ("beside", "feature", "is_a_quota"), [(True, True, False), (5000, 5000, False), (10, 1000, True)]
)
async def test_what_is_more_than_a_quota_beats_it(
    tx: Tx, beside: bool | int, feature: bool | int, is_a_quota: bool
) -> None:
    await with_quota(tx)
    await a_plan(tx, "other", entitlements={"calls": beside})
    await subscribe(tx, NewSubscription(customer="user-77", plan="other"))
    grants = await grants_of(tx, "user-77")
    assert grants.features == {"calls": feature}
    assert ("calls" in grants.quotas) is is_a_quota


async def test_a_quota_names_a_meter_that_is_there(tx: Tx) -> None:
    await a_shop(tx)
    with pytest.raises(NotFound) as missing:
        await a_plan(tx, entitlements={"calls": Quota(quota=1, meter="nothing")})
    assert missing.value.code == "meter_not_found"


async def test_entitlements_with_quotas_are_one_statement(tx: Tx) -> None:
    await with_quota(tx, export=True)
    await used(tx, a_record("1", units=3))
    statements: list[str] = []
    with tx.conn.query_logger(lambda query: statements.append(query.query)):
        await grants_of(tx, "user-77")
        await asyncio.sleep(0)  # the last one is logged a moment later
    assert len(statements) == 1


async def test_an_addon_raises_a_quota_by_its_quantity(tx: Tx) -> None:
    await with_quota(tx)
    await an_addon(tx, entitlements={"calls": Quota(quota=500, meter="calls")})
    signup = await sign_up(tx, a_signup(customer="user-78", addons=[beside(quantity="3")]))
    assert signup.entitlements.features["calls"] == 2500
    assert await grants_of(tx, "user-78") == signup.entitlements
