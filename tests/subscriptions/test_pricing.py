"""Every price model, by examples of others and by hand; and what is always true of them."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.tax.model import TaxTreatment
from kernel.database import Tx
from kernel.decimals import Quantity, UnitPrice
from kernel.errors import Invalid
from kernel.money import Currency, Money, total
from kernel.periods import Period
from subscriptions import plan_store, pricing
from subscriptions.model import NewPrice, NewVersion, Price, PriceId, PriceModel, Tier
from tests.makers import EUR, vat
from tests.shop import a_shop
from tests.subscriptions.plans import MONTHLY, a_plan

USD = Currency("USD")
JANUARY = Period(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))


def tier(up_to: str | None, unit_price: str = "0.00", flat_price: str = "0.00") -> Tier:
    return Tier(
        up_to=None if up_to is None else Quantity.parse(up_to),
        unit_price=UnitPrice.parse(unit_price),
        flat_price=UnitPrice.parse(flat_price),
    )


def a_tiered(model: PriceModel, *tiers: Tier, currency: Currency = EUR) -> Price:
    return Price(
        id=PriceId.new(), model=model, currency=currency, unit_price=None, package_size=None, tiers=tiers
    )


def a_package(size: str, unit_price: str) -> Price:
    return Price(
        id=PriceId.new(),
        model=PriceModel.PACKAGE,
        currency=USD,
        unit_price=UnitPrice.parse(unit_price),
        package_size=Quantity.parse(size),
        tiers=(),
    )


def cost(price: Price, quantity: str) -> str:
    parts = pricing.parts_of(price, Quantity.parse(quantity))
    return total((part.amount(price.currency) for part in parts), price.currency).decimal


# ── The worked examples of others ───────────────────────────────────────────────────────────────────────

# getlago.com/docs/guide/plans/charges/charge-models/volume: 65,000 x 0.0006 + 10 = 49.
API_CALLS = (
    tier("10000", "0.0010", "10"),
    tier("50000", "0.0008", "10"),
    tier("100000", "0.0006", "10"),
    tier(None, "0.0004", "10"),
)


def test_volume_as_lago_explains_it() -> None:
    assert cost(a_tiered(PriceModel.VOLUME, *API_CALLS, currency=USD), "65000") == "49.00"


# getlago.com/docs/guide/plans/charges/charge-models/graduated: 1 for the first hundred, then 0.50, then 0.10.
@pytest.mark.parametrize(("calls", "amount"), [("100", "100.00"), ("200", "150.00"), ("300", "160.00")])
def test_graduated_as_lago_explains_it(calls: str, amount: str) -> None:
    tiers = (tier("100", "1.00"), tier("200", "0.50"), tier(None, "0.10"))
    assert cost(a_tiered(PriceModel.GRADUATED, *tiers, currency=USD), calls) == amount


# getlago.com/docs/guide/plans/charges/charge-models/package: 5 per 100 units; the free hundred left out.
def test_packages_as_lago_explains_them() -> None:
    assert cost(a_package("100", "5"), "101") == "10.00"


# docs.stripe.com/subscriptions/pricing-models/tiered-pricing: 1–5 fonts at 7, 6–10 at 6.50, more at 6.
FONTS = (tier("5", "7.00"), tier("10", "6.50"), tier(None, "6.00"))


@pytest.mark.parametrize(
    ("fonts", "amount"),
    [("1", "7.00"), ("5", "35.00"), ("6", "39.00"), ("20", "120.00"), ("25", "150.00")],
)
def test_volume_as_stripe_explains_it(fonts: str, amount: str) -> None:
    assert cost(a_tiered(PriceModel.VOLUME, *FONTS, currency=USD), fonts) == amount


# docs.stripe.com/products-prices/pricing-models: the same tiers, of projects.
@pytest.mark.parametrize(("projects", "amount"), [("5", "35.00"), ("6", "41.50")])
def test_graduated_as_stripe_explains_it(projects: str, amount: str) -> None:
    assert cost(a_tiered(PriceModel.GRADUATED, *FONTS, currency=USD), projects) == amount


# docs.stripe.com/products-prices/pricing-models: 12 x 3 + 30, and 5 x 5 + 10 + 5 x 4 + 20 + 2 x 3 + 30.
@pytest.mark.parametrize(
    ("model", "amount"), [(PriceModel.VOLUME, "66.00"), (PriceModel.GRADUATED, "111.00")]
)
def test_flat_parts_of_tiers_as_stripe_explains_them(model: PriceModel, amount: str) -> None:
    tiers = (tier("5", "5.00", "10.00"), tier("10", "4.00", "20.00"), tier(None, "3.00", "30.00"))
    assert cost(a_tiered(model, *tiers, currency=USD), "12") == amount


# stripe.com/docs/billing/subscriptions/tiers: from 5 down to 1 by fives; 6 graduated is 25 + 4.
@pytest.mark.parametrize(
    ("units", "amount"),
    [("1", "5.00"), ("5", "25.00"), ("6", "24.00"), ("20", "40.00"), ("25", "25.00")],
)
def test_volume_that_costs_less_for_more_as_stripe_explains_it(units: str, amount: str) -> None:
    tiers = (
        tier("5", "5.00"),
        tier("10", "4.00"),
        tier("15", "3.00"),
        tier("20", "2.00"),
        tier(None, "1.00"),
    )
    assert cost(a_tiered(PriceModel.VOLUME, *tiers, currency=USD), units) == amount
    assert cost(a_tiered(PriceModel.GRADUATED, *tiers, currency=USD), "6") == "29.00"


# stripe.com/docs/billing/subscriptions/quantity-transformation: 10 for every 5 users or part of them.
@pytest.mark.parametrize(
    ("users", "amount"), [("1", "10.00"), ("3", "10.00"), ("5", "10.00"), ("6", "20.00"), ("7", "20.00")]
)
def test_packages_as_stripe_explains_them(users: str, amount: str) -> None:
    assert cost(a_package("5", "10.00"), users) == amount


# docs.stripe.com/billing/subscriptions/usage-based/transform-quantities: 10 an hour begun, in minutes.
def test_hours_of_minutes_as_stripe_explains_them() -> None:
    assert cost(a_package("60", "10.00"), "150") == "30.00"


# ── By hand ─────────────────────────────────────────────────────────────────────────────────────────────

SEATS = (tier("5", "7.00"), tier("10", "6.50"), tier(None, "6.00"))


@pytest.mark.parametrize(
    ("seats", "volume", "graduated"),
    [
        ("1", "7.00", "7.00"),
        ("5", "35.00", "35.00"),
        ("5.000001", "32.50", "35.00"),
        ("6", "39.00", "41.50"),
        ("10", "65.00", "67.50"),
        ("11", "66.00", "73.50"),
        ("20", "120.00", "127.50"),
    ],
)
def test_a_tier_includes_its_end(seats: str, volume: str, graduated: str) -> None:
    assert cost(a_tiered(PriceModel.VOLUME, *SEATS), seats) == volume
    assert cost(a_tiered(PriceModel.GRADUATED, *SEATS), seats) == graduated


def test_a_flat_part_is_due_once_its_tier_is_reached() -> None:
    tiers = (tier("5", "5.00", "10.00"), tier("10", "4.00", "20.00"), tier(None, "3.00", "30.00"))
    volume, graduated = a_tiered(PriceModel.VOLUME, *tiers), a_tiered(PriceModel.GRADUATED, *tiers)
    assert [cost(volume, q) for q in ("1", "5", "7", "20")] == ["15.00", "35.00", "48.00", "90.00"]
    # 5 x 5 + 10, then 5 x 4 + 20, then 10 x 3 + 30
    assert [cost(graduated, q) for q in ("5", "10", "20")] == ["35.00", "75.00", "135.00"]


def test_stairs_are_tiers_of_flat_parts() -> None:
    stairs = a_tiered(PriceModel.VOLUME, tier("10", "0", "9.00"), tier(None, "0", "49.00"))
    assert [cost(stairs, q) for q in ("1", "10", "11", "1000")] == ["9.00", "9.00", "49.00", "49.00"]
    assert [len(pricing.parts_of(stairs, Quantity(n))) for n in (1, 11)] == [1, 1]


@pytest.mark.parametrize(
    ("units", "amount"), [("0.000001", "5.00"), ("100", "5.00"), ("100.5", "10.00"), ("1000", "50.00")]
)
def test_a_package_that_is_begun_is_billed_whole(units: str, amount: str) -> None:
    assert cost(a_package("100", "5.00"), units) == amount


def test_a_tier_that_costs_nothing_is_still_a_line() -> None:
    free = a_tiered(PriceModel.GRADUATED, tier("3"), tier(None, "9.00"))
    assert cost(free, "3") == "0.00"
    assert [part.quantity for part in pricing.parts_of(free, Quantity(3))] == [3]
    assert cost(free, "4") == "9.00"


def test_each_part_is_a_line_that_says_what_it_is_for() -> None:
    price = a_tiered(PriceModel.GRADUATED, *SEATS)
    parts = pricing.parts_of(price, Quantity(12))
    assert [(str(part.quantity), str(part.unit_price), part.about) for part in parts] == [
        ("5", "7.00", "0–5"),
        ("5", "6.50", "5–10"),
        ("2", "6.00", "> 10"),
    ]


# ── What is always true ─────────────────────────────────────────────────────────────────────────────────

quantities = st.decimals("0.000001", "5000", places=6).map(lambda number: Quantity.parse(f"{number:f}"))


@given(quantities)
def test_graduated_units_add_up_to_the_quantity(quantity: Quantity) -> None:
    parts = pricing.parts_of(a_tiered(PriceModel.GRADUATED, *SEATS), quantity)
    assert sum((part.quantity for part in parts), Decimal(0)) == quantity


@given(quantities)
def test_one_tier_is_a_price_per_unit(quantity: Quantity) -> None:
    per_unit = Price(
        id=PriceId.new(),
        model=PriceModel.PER_UNIT,
        currency=EUR,
        unit_price=UnitPrice("1.2345"),
        package_size=None,
        tiers=(),
    )
    for model in (PriceModel.VOLUME, PriceModel.GRADUATED):
        assert cost(a_tiered(model, tier(None, "1.2345")), str(quantity)) == cost(per_unit, str(quantity))


@given(quantities, quantities)
def test_with_graduated_prices_more_never_costs_less(one: Quantity, other: Quantity) -> None:
    price = a_tiered(PriceModel.GRADUATED, *API_CALLS)

    def amount(quantity: Quantity) -> Money:
        return total((part.amount(EUR) for part in pricing.parts_of(price, quantity)), EUR)

    # Each line is rounded once, so a cent may go astray at the end of a tier, and no more.
    assert amount(max(one, other)).minor >= amount(min(one, other)).minor - 1


# ── What is refused, and what is kept ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("price", "code"),
    [
        (NewPrice(currency=EUR), "price_form"),
        (NewPrice(currency=EUR, model=PriceModel.VOLUME), "price_form"),
        (NewPrice(currency=EUR, model=PriceModel.VOLUME, unit_price=UnitPrice("1")), "price_form"),
        (NewPrice(currency=EUR, model=PriceModel.PACKAGE, unit_price=UnitPrice("1")), "price_form"),
        (NewPrice(currency=EUR, unit_price=UnitPrice("1"), tiers=SEATS), "price_form"),
        (NewPrice(currency=EUR, unit_price=UnitPrice("1"), package_size=Quantity(5)), "price_form"),
        (
            NewPrice(
                currency=EUR,
                model=PriceModel.PACKAGE,
                unit_price=UnitPrice("1"),
                package_size=Quantity(0),
            ),
            "price_form",
        ),
        (
            NewPrice(currency=EUR, model=PriceModel.GRADUATED, tiers=(tier("5"), tier("5"), tier(None))),
            "tiers",
        ),
        (NewPrice(currency=EUR, model=PriceModel.GRADUATED, tiers=(tier("0"), tier(None))), "tiers"),
        (NewPrice(currency=EUR, model=PriceModel.GRADUATED, tiers=(tier(None), tier(None))), "tiers"),
        (NewPrice(currency=EUR, model=PriceModel.GRADUATED, tiers=(tier("5"),)), "tiers"),
    ],
)
def test_a_price_that_cannot_be_read_in_one_way_is_refused(price: NewPrice, code: str) -> None:
    with pytest.raises(Invalid) as refused:
        pricing.check(NewVersion(interval=MONTHLY, prices=[price]))
    assert refused.value.code.startswith(code)


async def test_every_model_is_kept_and_billed_as_it_was_made(tx: Tx) -> None:
    await a_shop(tx)
    graduated = NewPrice(currency=EUR, model=PriceModel.GRADUATED, tiers=SEATS)
    packages = NewPrice(
        currency=USD, model=PriceModel.PACKAGE, unit_price=UnitPrice("5"), package_size=Quantity(100)
    )
    plan = await a_plan(tx, "seats", graduated, packages)

    kept = await plan_store.plan(tx, "seats")
    assert kept == plan
    assert {price.currency: cost(price, "12") for price in kept.prices} == {EUR: "79.50", USD: "5.00"}
    tax = TaxTreatment(group=vat("20"))
    lines = pricing.lines_of(kept, pricing.price_in(kept, EUR), Quantity(12), JANUARY, tax)
    assert [line.description for line in lines] == ["Pro (0–5)", "Pro (5–10)", "Pro (> 10)"]
