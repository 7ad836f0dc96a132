"""Usage: each event counts once, in one bill, by its meter, whenever and however often it is reported."""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.invoices.model import Invoice
from kernel.database import Pool, Tx, transaction
from kernel.decimals import Quantity, UnitPrice
from kernel.errors import Conflict, DomainError, Invalid, NotFound
from kernel.ids import TenantId
from kernel.money import Currency
from kernel.structs import Value
from kernel.text import Name, Reference
from promotions.create_offer import create_offer
from promotions.model import AtEnd, Forever, Once
from subscriptions.create_plan import create_plan
from subscriptions.meters import store as meter_store
from subscriptions.meters.model import Aggregation
from subscriptions.model import (
    NewMeteredPrice,
    NewMeterPrice,
    NewPlan,
    NewSubscription,
    PriceModel,
    Renewal,
    Subscription,
    Tier,
)
from subscriptions.sign_up import sign_up, subscribe
from subscriptions.usage.current import current_usage
from subscriptions.usage.model import NewRecord, Recorded
from subscriptions.usage.rules import AHEAD
from tests.makers import EUR, NOON, euros
from tests.promotions.offers import a_new_offer, days, fixed, percent
from tests.shop import a_shop, a_transaction, at, while_open
from tests.subscriptions.metering import PEOPLE, a_meter, a_record, per_unit, tiered, used
from tests.subscriptions.plans import MONTHLY, a_plan, a_price, a_signup, renewed

DUE = NOON + timedelta(days=31)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
USD = Currency("USD")


async def metered(
    tx: Tx, *, price: NewMeterPrice | None = None, aggregation: Aggregation = Aggregation.SUM
) -> Subscription:
    """Ten euros a month, and a cent a call unless priced otherwise."""
    await a_shop(tx)
    await a_meter(tx, "calls", aggregation)
    await a_plan(tx, "pro", a_price("10.00"), meters={"calls": price or per_unit("0.01")})
    return (await sign_up(tx, a_signup())).subscription


def used_lines(renewal: Renewal | Invoice) -> list[tuple[str, str, int]]:
    """What stands on the invoice beside the plan: what, how many, and for how much."""
    invoice = renewal.invoice if isinstance(renewal, Renewal) else renewal
    assert invoice is not None
    return [
        (line.description, str(line.quantity), line.net.minor) for line in invoice.lines if not line.recurring
    ]


def outcomes(records: Sequence[Recorded]) -> list[str]:
    return [each.code or each.outcome for each in records]


# ── What a period costs ─────────────────────────────────────────────────────────────────────────────────


async def test_usage_is_billed_when_its_period_is_over_on_a_line_of_its_own(tx: Tx) -> None:
    subscription = await metered(tx)
    await used(tx, a_record("1", units=700), a_record("2", units="50.5"), now=NOON + DAY)

    renewal = await renewed(tx, subscription)

    assert renewal.invoice is not None
    assert [(line.description, line.recurring) for line in renewal.invoice.lines] == [
        ("Pro", True),
        ("Calls", False),
    ]
    assert used_lines(renewal) == [("Calls", "750.5", 7_51)]
    assert renewal.invoice.lines[1].period == subscription.current_period
    assert [line.item for line in renewal.invoice.lines] == ["pro", "pro"]
    assert used_lines(await renewed(tx, renewal.subscription)) == []


@pytest.mark.parametrize(
    ("aggregation", "quantity"),
    [(Aggregation.SUM, "12"), (Aggregation.MAX, "7"), (Aggregation.LAST, "2")],
)
async def test_a_meter_sums_or_takes_the_highest_or_the_last(
    tx: Tx, aggregation: Aggregation, quantity: str
) -> None:
    subscription = await metered(tx, aggregation=aggregation, price=per_unit("1.00"))
    late = NOON + 9 * DAY
    await used(tx, a_record("latest", units=2, used_at=NOON + 8 * DAY), now=late)
    earlier = (a_record("high", units=7, used_at=NOON + 3 * DAY), a_record("low", units=3, used_at=NOON))
    await used(tx, *earlier, now=late)

    assert used_lines(await renewed(tx, subscription)) == [("Calls", quantity, int(quantity) * 1_00)]


async def test_a_meter_counts_different_values(tx: Tx) -> None:
    subscription = await metered(tx, aggregation=Aggregation.UNIQUE, price=per_unit("1.00"))
    await used(tx, *(a_record(f"{n}", value=name) for n, name in enumerate(PEOPLE)))
    assert used_lines(await renewed(tx, subscription)) == [("Calls", "3", 3_00)]


async def test_what_has_no_quantity_is_counted(tx: Tx) -> None:
    subscription = await metered(tx, price=per_unit("1.00"))
    await used(tx, a_record("1"), a_record("2"))
    assert used_lines(await renewed(tx, subscription)) == [("Calls", "2", 2_00)]


FREE_THEN_TIERS = tiered(
    PriceModel.GRADUATED,
    Tier(up_to=Quantity(100)),
    Tier(up_to=Quantity(1000), unit_price=UnitPrice("0.02")),
    Tier(unit_price=UnitPrice("0.01"), flat_price=UnitPrice("5.00")),
)
WITH_A_MINIMUM = (
    Tier(up_to=Quantity(10), flat_price=UnitPrice("4.00")),
    Tier(unit_price=UnitPrice("0.50"), flat_price=UnitPrice("3.00")),
)
BY_PACKAGE = NewMeterPrice(
    currency=EUR,
    model=PriceModel.PACKAGE,
    unit_price=UnitPrice("2.00"),
    package_size=Quantity(1000),
)


@pytest.mark.parametrize(
    ("price", "units", "lines"),
    [
        (FREE_THEN_TIERS, 60, [("Calls", "60", 0)]),
        (FREE_THEN_TIERS, 300, [("Calls (100–1000)", "200", 4_00)]),
        (
            FREE_THEN_TIERS,
            1500,
            [
                ("Calls (100–1000)", "900", 18_00),
                ("Calls (> 1000)", "500", 5_00),
                ("Calls (> 1000)", "1", 5_00),
            ],
        ),
        (BY_PACKAGE, 2001, [("Calls (x 1000)", "3", 6_00)]),
        (BY_PACKAGE, None, []),
        (
            tiered(PriceModel.VOLUME, *WITH_A_MINIMUM),
            12,
            [("Calls (> 10)", "12", 6_00), ("Calls (> 10)", "1", 3_00)],
        ),
        (tiered(PriceModel.VOLUME, *WITH_A_MINIMUM), None, [("Calls (0–10)", "1", 4_00)]),
        (tiered(PriceModel.GRADUATED, *WITH_A_MINIMUM), None, [("Calls (0–10)", "1", 4_00)]),
        (per_unit("0.01"), None, []),
        (per_unit("0.000001"), 50_000_000, [("Calls", "50000000", 50_00)]),
    ],
)  # fmt: skip
async def test_usage_has_the_price_models_of_plans(
    tx: Tx, price: NewMeterPrice, units: int | None, lines: list[tuple[str, str, int]]
) -> None:
    subscription = await metered(tx, price=price)
    if units is not None:
        await used(tx, a_record("1", units=units))
    assert used_lines(await renewed(tx, subscription)) == lines


async def test_more_than_a_line_can_carry_is_told_and_not_billed(tx: Tx) -> None:
    subscription = await metered(tx, price=per_unit("0.000000000001"))
    await used(tx, a_record("1", units=10**12), a_record("2", units=1))
    with pytest.raises(DomainError) as refused:
        await renewed(tx, subscription)
    assert refused.value.code == "usage_too_large"


async def test_a_trial_is_free_however_late_its_usage_is_reported(tx: Tx) -> None:
    await a_shop(tx)
    await a_meter(tx)
    await create_offer(tx, a_new_offer(days(10), reference="TRY"))
    await a_plan(tx, meters={"calls": per_unit("1.00")})
    trial = (await sign_up(tx, a_signup(offer="TRY"))).subscription
    await used(tx, a_record("1", units=5))

    first = await renewed(tx, trial)
    await used(tx, a_record("2", units=7, used_at=NOON + DAY), now=NOON + 11 * DAY)
    await used(tx, a_record("3", units=3, used_at=NOON + 10 * DAY), now=NOON + 11 * DAY)

    assert used_lines(first) == []
    assert used_lines(await renewed(tx, first.subscription)) == [("Calls", "3", 3_00)]


# ── Offers ──────────────────────────────────────────────────────────────────────────────────────────────


async def discounted(tx: Tx, offer: str, *, at_end: AtEnd = AtEnd.CONTINUE) -> Subscription:
    await a_shop(tx)
    await a_meter(tx)
    benefit = percent("50") if offer == "HALF" else fixed(4_00)
    lasts = Once() if at_end is AtEnd.END else Forever()
    await create_offer(tx, a_new_offer(benefit, reference=offer, duration=lasts, at_end=at_end))
    await a_plan(tx, "pro", a_price("10.00"), meters={"calls": per_unit("0.01")})
    return (await sign_up(tx, a_signup(offer=offer))).subscription


@pytest.mark.parametrize(("offer", "net"), [("HALF", 10_00), ("FOUR", 16_00)])
async def test_an_offer_takes_off_usage_what_it_takes_off_the_plan(tx: Tx, offer: str, net: int) -> None:
    subscription = await discounted(tx, offer)
    await used(tx, a_record("1", units=1000))
    renewal = await renewed(tx, subscription)
    assert renewal.invoice is not None
    assert renewal.invoice.net == euros(net)


async def test_who_ends_with_their_offer_is_billed_for_what_they_used(tx: Tx) -> None:
    subscription = await discounted(tx, "HALF", at_end=AtEnd.END)
    await used(tx, a_record("1", units=1000))

    renewal = await renewed(tx, subscription)

    assert renewal.subscription.is_over
    assert used_lines(renewal) == [("Calls", "1000", 10_00)]


# ── Which bill a record counts in ───────────────────────────────────────────────────────────────────────


async def test_what_comes_late_counts_in_the_next_bill(tx: Tx) -> None:
    subscription = await metered(tx, price=per_unit("1.00"))
    renewal = await renewed(tx, subscription)
    report = await used(tx, a_record("late", units=4, used_at=NOON + DAY), now=DUE + HOUR)

    assert report.recorded == 1
    second = await renewed(tx, renewal.subscription)
    assert used_lines(second) == [("Calls", "4", 4_00)]
    assert used_lines(await renewed(tx, second.subscription)) == []


async def test_what_is_used_before_a_late_renewal_is_of_the_period_it_was_used_in(tx: Tx) -> None:
    subscription = await metered(tx, price=per_unit("1.00"))
    await used(
        tx,
        a_record("first", units=1, used_at=DUE - HOUR),
        a_record("second", units=2, used_at=DUE),
        now=DUE + HOUR,
    )

    first = await renewed(tx, subscription, now=DUE + 2 * HOUR)

    assert used_lines(first) == [("Calls", "1", 1_00)]
    assert used_lines(await renewed(tx, first.subscription)) == [("Calls", "2", 2_00)]


class Told(Value, frozen=True, kw_only=True):
    meter: str
    units: int
    used_on: int  # the hour
    late: int  # hours


METERS = {
    "calls": Aggregation.SUM,
    "peak": Aggregation.MAX,
    "stored": Aggregation.LAST,
    "people": Aggregation.UNIQUE,
}
HISTORIES = st.lists(
    st.builds(
        Told,
        meter=st.sampled_from(sorted(METERS)),
        units=st.integers(0, 9),
        used_on=st.integers(0, 80 * 24),
        late=st.sampled_from([0, 0, 1, 30, 24 * 33]),
    ),
    max_size=20,
)


@settings(max_examples=30)
@given(history=HISTORIES, lag=st.sampled_from([0, 1, 30]))
async def test_every_record_is_in_one_bill_and_counts_as_its_meter_says(
    pool: Pool, history: list[Told], lag: int
) -> None:
    """Against lists: what is open is billed, once its period is over, and then it is not open any more."""
    history = sorted(history, key=lambda told: told.used_on + told.late)
    told_of = dict(enumerate(history))
    unheard = dict(told_of)
    opened: dict[int, Told] = {}
    async with a_transaction(pool) as tx:
        await a_shop(tx)
        for meter, aggregation in METERS.items():
            await a_meter(tx, meter, aggregation)
        await a_plan(tx, meters={meter: per_unit("1.00") for meter in METERS})
        subscription = (await sign_up(tx, a_signup())).subscription
        for _ in range(5):
            ends_at = subscription.current_period.end
            for number, told in list(unheard.items()):
                if NOON + (told.used_on + told.late) * HOUR < ends_at + lag * HOUR:
                    await report(tx, number, told)
                    opened[number] = unheard.pop(number)
            renewal = await renewed(tx, subscription, now=ends_at + lag * HOUR)
            billed = {n: told for n, told in opened.items() if NOON + told.used_on * HOUR < ends_at}
            opened = {n: told for n, told in opened.items() if n not in billed}
            assert quantities(renewal) == modelled(list(billed.values()))
            subscription = renewal.subscription
    assert not opened
    assert not unheard


async def report(tx: Tx, number: int, told: Told) -> None:
    record = a_record(f"event-{number}", told.meter, units=told.units, used_at=NOON + told.used_on * HOUR)
    answer = await used(tx, record, record, now=NOON + (told.used_on + told.late) * HOUR)
    assert outcomes(answer.records) == ["recorded", "duplicate"]


def quantities(renewal: Renewal) -> dict[str, Decimal]:
    return {name: Decimal(quantity) for name, quantity, _ in used_lines(renewal)}


def modelled(billed: Sequence[Told]) -> dict[str, Decimal]:
    of = {meter: [told for told in billed if told.meter == meter] for meter in METERS}
    counted = {
        "Calls": sum(told.units for told in of["calls"]),
        "Peak": max((told.units for told in of["peak"]), default=0),
        "Stored": max(reversed(of["stored"]), key=lambda told: told.used_on).units if of["stored"] else 0,
        "People": len({PEOPLE[told.units % len(PEOPLE)] for told in of["people"]}),
    }
    return {name: Decimal(count) for name, count in counted.items() if count}


# ── Once ────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_event_counts_once_however_often_it_is_sent(tx: Tx) -> None:
    subscription = await metered(tx, price=per_unit("1.00"))
    first = await used(tx, a_record("1", units=3), a_record("1", units=3), a_record("2", units=1))
    again = await used(tx, a_record("1", units=3, used_at=NOON), a_record("1", units="3.0"), now=NOON + DAY)

    assert outcomes(first.records) == ["recorded", "duplicate", "recorded"]
    assert outcomes(again.records) == ["duplicate", "duplicate"]
    assert (first.recorded, first.duplicates, first.refused) == (2, 1, 0)
    assert {each.id for each in again.records} == {first.records[0].id}
    assert used_lines(await renewed(tx, subscription)) == [("Calls", "4", 4_00)]


@pytest.mark.parametrize(
    "other",
    [
        a_record("1", units=4),
        a_record("1", units=3, used_at=NOON + HOUR),
        a_record("1", "more", units=3),
        a_record("1", of="user-78", units=3),
    ],
)
async def test_an_event_that_was_another_is_refused_and_the_first_stays(tx: Tx, other: NewRecord) -> None:
    subscription = await metered(tx, price=per_unit("1.00"))
    await a_meter(tx, "more")
    await sign_up(tx, a_signup(customer="user-78"))
    await used(tx, a_record("1", units=3))

    report = await used(tx, other, a_record("2"), now=NOON + DAY)

    assert outcomes(report.records) == ["usage_differs", "recorded"]
    assert used_lines(await renewed(tx, subscription)) == [("Calls", "4", 4_00)]


async def test_the_same_event_sent_twice_at_the_same_moment_counts_once(pool: Pool, tenant: TenantId) -> None:
    async with transaction(pool, tenant, now=NOON) as tx:
        subscription = await metered(tx, price=per_unit("1.00"))

    report = await while_open(
        pool,
        tenant,
        lambda tx: used(tx, a_record("1", units=3), a_record("2", units=3)),
        lambda tx: used(tx, a_record("2", units=3), a_record("1", units=4), a_record("3", units=1)),
    )

    assert outcomes(report.records) == ["duplicate", "usage_differs", "recorded"]
    async with transaction(pool, tenant, now=DUE) as tx:
        assert used_lines(await renewed(tx, subscription)) == [("Calls", "7", 7_00)]


async def test_what_is_reported_while_its_period_is_billed_is_in_the_next_bill(
    pool: Pool, tenant: TenantId
) -> None:
    async with transaction(pool, tenant, now=NOON) as tx:
        subscription = await metered(tx, price=per_unit("1.00"))
        await used(tx, a_record("1", units=3))

    await while_open(
        pool,
        tenant,
        lambda tx: renewed(tx, subscription),
        lambda tx: used(tx, a_record("2", units=4, used_at=NOON + DAY)),
        now=DUE,
    )

    async with transaction(pool, tenant, now=DUE) as tx:
        later = await renewed(tx, subscription, now=DUE + 28 * DAY)
        assert used_lines(later) == [("Calls", "4", 4_00)]


async def test_a_bill_waits_for_what_is_being_reported(pool: Pool, tenant: TenantId) -> None:
    async with transaction(pool, tenant, now=NOON) as tx:
        subscription = await metered(tx, price=per_unit("1.00"))

    renewal = await while_open(
        pool,
        tenant,
        lambda tx: used(tx, a_record("1", units=4, used_at=NOON + DAY)),
        lambda tx: renewed(tx, subscription),
        now=DUE,
    )

    assert used_lines(renewal) == [("Calls", "4", 4_00)]


async def test_reports_of_one_subscription_do_not_wait_for_one_another(pool: Pool, tenant: TenantId) -> None:
    async with transaction(pool, tenant, now=NOON) as tx:
        await metered(tx)
        await used(tx, a_record("0"))

    async with transaction(pool, tenant, now=NOON) as one:
        await used(one, a_record("1"))
        async with transaction(pool, tenant, now=NOON) as other:
            assert (await used(other, a_record("2"))).recorded == 1


# ── Whose it is ─────────────────────────────────────────────────────────────────────────────────────────


async def test_of_several_subscriptions_it_is_the_one_whose_plan_uses_the_meter(tx: Tx) -> None:
    subscription = await metered(tx)
    await a_plan(tx, "plain")
    await subscribe(tx, NewSubscription(customer="user-77", plan="plain"))
    assert (await used(tx, a_record("1"))).recorded == 1
    assert used_lines(await renewed(tx, subscription)) == [("Calls", "1", 1)]

    twin = (await subscribe(tx, NewSubscription(customer="user-77", plan="pro"))).subscription
    report = await used(tx, a_record("2"), a_record("3", of=twin), now=DUE)
    assert outcomes(report.records) == ["usage_ambiguous", "recorded"]


async def test_what_the_state_stands_against_is_told_record_by_record(tx: Tx) -> None:
    await metered(tx)
    report = await used(
        tx,
        a_record("1", of="user-42"),  # who has not subscribed
        a_record("2", used_at=NOON - HOUR),
        a_record("3"),
    )
    assert outcomes(report.records) == ["usage_without_subscription", "usage_too_early", "recorded"]
    assert (report.recorded, report.refused) == (1, 2)


@pytest.mark.parametrize(
    ("record", "code", "param"),
    [
        (a_record("1", "nothing"), "meter_not_found", "records[1].meter"),
        (a_record("1", of="nobody"), "customer_not_found", "records[1].customer"),
        (NewRecord(event_id="1", meter="calls"), "usage_of_one", "records[1]"),
        (
            NewRecord(event_id="1", meter="calls", subscription="sub_01jd4w8m2kfzr9t7x3n5q6v8c1"),
            "subscription_not_found",
            "records[1].subscription",
        ),
        (
            NewRecord(event_id="1", meter="calls", subscription="user-77"),
            "subscription_not_found",
            "records[1].subscription",
        ),
        (a_record("1", value="x"), "usage_form", "records[1].quantity"),
        (a_record("1", "people-too", units=1), "usage_form", "records[1].value"),
        (a_record("1", "peak"), "usage_form", "records[1].quantity"),
        (a_record("1", used_at=NOON + AHEAD + HOUR), "usage_in_future", "records[1].at"),
    ],
)
async def test_what_could_never_be_right_refuses_the_whole_request(
    tx: Tx, record: NewRecord, code: str, param: str
) -> None:
    await metered(tx)
    await a_meter(tx, "people-too", Aggregation.UNIQUE)
    await a_meter(tx, "peak", Aggregation.MAX)
    with pytest.raises((Invalid, NotFound)) as refused:
        await used(tx, a_record("0"), record)
    assert (refused.value.code, refused.value.param) == (code, param)
    assert await tx.conn.fetchval("SELECT count(*) FROM usage_records") == 0


async def test_a_thousand_records_are_a_handful_of_statements(tx: Tx) -> None:
    await metered(tx)
    statements: list[str] = []
    with tx.conn.query_logger(lambda query: statements.append(query.query)):
        report = await used(tx, *(a_record(f"{n}", units=1) for n in range(1000)))
        await tx.conn.fetchval("SELECT 1")
    assert report.recorded == 1000
    assert len(statements) - 1 <= 5


# ── What it will cost ───────────────────────────────────────────────────────────────────────────────────


async def test_what_is_used_so_far_is_told_with_what_it_would_cost(tx: Tx) -> None:
    subscription = await metered(tx, price=FREE_THEN_TIERS)
    await a_meter(tx, "people", Aggregation.UNIQUE)
    await used(tx, a_record("1", units=300), a_record("2", "people", value="ada"))

    usage = await current_usage(at(tx, NOON + DAY), "user-77")

    [of_one] = usage.subscriptions
    assert of_one.period == subscription.current_period
    assert [(each.meter, str(each.quantity), each.amount) for each in of_one.meters] == [
        ("calls", "300", euros(4_00)),
        ("people", "1", None),
    ]
    renewal = await renewed(tx, subscription)
    after = await current_usage(at(tx, DUE), "user-77")
    assert used_lines(renewal) == [("Calls (100–1000)", "200", 4_00)]
    assert [(each.meter, str(each.quantity)) for each in after.subscriptions[0].meters] == [("calls", "0")]


# ── Plans ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("meters", "code"),
    [
        ([("nothing", [per_unit("1")])], "meter_not_found"),
        ([("calls", [per_unit("1")]), ("calls", [per_unit("2")])], "meter_twice"),
        ([("calls", [per_unit("1"), per_unit("2")])], "price_twice"),
        (
            [("calls", [NewMeterPrice(currency=EUR, model=PriceModel.FLAT, unit_price=UnitPrice("1"))])],
            "meter_price_flat",
        ),
        ([("calls", [NewMeterPrice(currency=EUR)])], "price_form"),
        ([("calls", [NewMeterPrice(currency=USD, unit_price=UnitPrice("1"))])], "meter_price_currencies"),
    ],
)
async def test_a_plan_prices_meters_that_are_there_in_its_currencies(
    tx: Tx, meters: list[tuple[str, list[NewMeterPrice]]], code: str
) -> None:
    await a_shop(tx)
    await a_meter(tx)
    request = NewPlan(
        reference=Reference("pro"),
        name=Name("Pro"),
        interval=MONTHLY,
        prices=[a_price()],
        meters=[NewMeteredPrice(meter=meter, prices=prices) for meter, prices in meters],
    )
    with pytest.raises(DomainError) as refused:
        await create_plan(tx, request)
    assert refused.value.code == code


async def test_a_meter_has_a_reference_of_its_own(tx: Tx) -> None:
    meter = await a_meter(tx)
    assert await meter_store.get(tx, "calls") == meter == await meter_store.get(tx, str(meter.id))
    with pytest.raises(Conflict) as taken:
        await a_meter(tx)
    assert taken.value.code == "reference_taken"
    with pytest.raises(NotFound):
        await meter_store.get(tx, "nothing")
