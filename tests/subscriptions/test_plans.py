"""Plans: versions that never change, prices in several currencies, lines for one period."""

import pytest

from billing.tax.model import TaxTreatment
from kernel.database import Pool, Tx, transaction
from kernel.decimals import Quantity
from kernel.errors import Conflict, DomainError, Invalid, NotFound
from kernel.ids import TenantId
from kernel.money import Currency
from kernel.periods import Interval, Unit
from promotions.create_offer import create_offer
from subscriptions import plan_store, pricing
from subscriptions.create_plan import add_version
from subscriptions.model import NewVersion, Plan, PriceModel
from subscriptions.sign_up import sign_up
from tests.makers import EUR, JANUARY, NOON, euros, vat
from tests.promotions.offers import a_new_offer, days
from tests.shop import a_shop, while_open
from tests.subscriptions.plans import (
    MONTHLY,
    a_plan,
    a_price,
    a_shop_with_a_plan,
    a_signup,
    net_of,
    renewed,
    signed_up,
)

USD = Currency("USD")


def a_version(price: str = "39.00", *, seats: int = 10) -> NewVersion:
    return NewVersion(interval=MONTHLY, prices=[a_price(price)], entitlements={"seats": seats})


async def test_a_plan_is_read_back_as_it_was_made(tx: Tx) -> None:
    plan = await a_plan(tx, "pro", a_price("29.00"), a_price("31.5", currency=USD))

    assert await plan_store.plan(tx, "pro") == plan == await plan_store.plan(tx, str(plan.id))
    assert [str(price.unit_price) for price in plan.prices] == ["29.00", "31.50"]
    with pytest.raises(NotFound):
        await plan_store.plan(tx, "nowhere")


async def test_a_plan_is_named_once_and_priced_once_per_currency(tx: Tx) -> None:
    await a_plan(tx)
    with pytest.raises(Conflict) as taken:
        await a_plan(tx)
    assert taken.value.code == "reference_taken"
    with pytest.raises(Invalid) as twice:
        await a_plan(tx, "other", a_price("1"), a_price("2"))
    assert twice.value.code == "price_twice"


async def test_new_subscriptions_take_the_newest_version_and_the_others_keep_theirs(tx: Tx) -> None:
    old = await signed_up(tx)
    await add_version(tx, "pro", a_version("39.00"))
    new = await sign_up(tx, a_signup(customer="user-78"))

    assert new.invoice is not None
    assert (new.subscription.version, new.invoice.net) == (2, euros(39_00))
    assert new.entitlements.features == {"seats": 10}
    renewal = await renewed(tx, old.subscription)
    assert (renewal.subscription.version, net_of(renewal)) == (1, 29_00)


async def test_every_version_can_still_be_read(tx: Tx) -> None:
    first = await a_plan(tx)
    second = await add_version(tx, "pro", a_version())

    versions = await plan_store.versions_of(tx, [(first.id, 1), (first.id, 2)])
    assert versions == {(first.id, 1): first, (first.id, 2): second}
    assert await plan_store.plan(tx, "pro") == second


async def test_two_new_versions_take_turns(pool: Pool, tenant: TenantId) -> None:
    async with transaction(pool, tenant, now=NOON) as tx:
        await a_plan(tx)

    async def add(tx: Tx) -> Plan:
        return await add_version(tx, "pro", a_version())

    assert (await while_open(pool, tenant, add, add)).version == 3


async def test_a_plan_in_one_currency_needs_none_named(tx: Tx) -> None:
    plan = await a_plan(tx, "pro", a_price())

    assert pricing.price_in(plan, None).currency == EUR


async def test_a_currency_that_a_plan_does_not_have_is_refused(tx: Tx) -> None:
    plan = await a_plan(tx, "pro", a_price(), a_price(currency=USD))

    assert pricing.price_in(plan, USD).currency == USD
    for currency in (None, Currency("GBP")):
        with pytest.raises(Invalid, match="EUR, USD") as refused:
            pricing.price_in(plan, currency)
        assert refused.value.code == "price_missing"


@pytest.mark.parametrize(
    ("model", "quantity", "amount"),
    [
        (PriceModel.FLAT, "1", 29_00),
        (PriceModel.PER_UNIT, "3", 87_00),
        (PriceModel.PER_UNIT, "0.5", 14_50),
        (PriceModel.PER_UNIT, "0.000001", 0),
    ],
)
async def test_a_flat_price_is_for_the_plan_and_a_unit_price_for_each(
    tx: Tx, model: PriceModel, quantity: str, amount: int
) -> None:
    plan = await a_plan(tx, "pro", a_price("29.00", model=model))
    tax = TaxTreatment(group=vat("20"))
    (line,) = pricing.lines_of(plan, plan.prices[0], Quantity.parse(quantity), JANUARY, tax)

    assert line.amount == euros(amount)
    assert (line.recurring, line.period) == (True, JANUARY)


@pytest.mark.parametrize(
    ("price", "quantity", "code"),
    [("29.00", "0", "quantity_zero"), ("9999999999999", "1000000", "amount_too_large")],
)
@pytest.mark.parametrize("offer", [None, "WELCOME"])
async def test_a_period_that_cannot_be_billed_is_refused_at_signup_also_before_a_trial(
    tx: Tx, price: str, quantity: str, code: str, offer: str | None
) -> None:
    await a_shop(tx)
    await create_offer(tx, a_new_offer(days(14)))
    await a_plan(tx, "pro", a_price(price, model=PriceModel.PER_UNIT))

    with pytest.raises(DomainError) as refused:
        await sign_up(tx, a_signup(quantity=quantity, offer=offer))
    assert refused.value.code == code


async def test_a_plan_may_be_by_the_week_or_the_year(tx: Tx) -> None:
    await a_shop_with_a_plan(tx)
    await a_plan(tx, "yearly", interval=Interval(Unit.YEAR))
    signup = await sign_up(tx, a_signup(plan="yearly"))

    assert signup.subscription.current_period.end == NOON.replace(year=2027)
