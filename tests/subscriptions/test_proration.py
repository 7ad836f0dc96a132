"""Parts of periods: counted in days or seconds, half-open, and part and rest are the whole."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from billing.invoices.model import Line, PricedLine
from billing.parties.model import Proration
from kernel.money import Currency, Money, total, zero
from kernel.periods import Interval, Period, Unit, nth_period
from promotions.model import FixedAmount, FixedPrice, Per, Percent
from subscriptions.proration import Share, counted, offer_for, prorated, share_of, unused
from tests.makers import EUR, NOON, a_line, an_invoice, euros, with_discount
from tests.promotions.offers import an_offer, fixed, percent

PARIS = ZoneInfo("Europe/Paris")
MONTH = nth_period(NOON, Interval(Unit.MONTH), 0, PARIS)  # 15 January to 15 February, at noon in Paris
TENTH_DAY = datetime(2026, 1, 25, 11, tzinfo=UTC)

ways = st.sampled_from([Proration.DAY, Proration.SECOND])
instants = st.timedeltas(timedelta(0), MONTH.end - MONTH.start).map(lambda after: MONTH.start + after)
lines = st.builds(
    lambda price, quantity: a_line(price=f"{price // 1000}.{price % 1000:03}", quantity=str(quantity)),
    price=st.integers(0, 10**8),
    quantity=st.integers(0, 10**4),
)


def billed(line: PricedLine, *, period: Period = MONTH) -> Line:
    return an_invoice([replace(line, period=period)]).lines[0]


def part_of(start: datetime, end: datetime, by: Proration = Proration.DAY) -> Share:
    return share_of(Period(start, end), MONTH, PARIS, by)


# ── Counting ────────────────────────────────────────────────────────────────────────────────────────────


def test_the_day_of_a_change_is_on_the_new_plan_whatever_the_hour() -> None:
    for hour in (0, 11, 22):
        at = datetime(2026, 1, 24, 23, 30, tzinfo=UTC) + timedelta(hours=hour)
        assert part_of(at, MONTH.end) == Share(part=21, whole=31)


def test_midnight_is_where_the_seller_is() -> None:
    at = datetime(2026, 1, 24, 23, 30, tzinfo=UTC)
    assert counted(at, MONTH.end, PARIS, Proration.DAY) == 21
    assert counted(at, MONTH.end, ZoneInfo("UTC"), Proration.DAY) == 22


def test_seconds_are_counted_from_the_one_that_has_begun() -> None:
    at = TENTH_DAY + timedelta(microseconds=999_999)
    assert part_of(at, MONTH.end, Proration.SECOND) == Share(part=21 * 86_400, whole=31 * 86_400)
    assert part_of(at + timedelta(microseconds=1), MONTH.end, Proration.SECOND).part == 21 * 86_400 - 1


def test_a_period_over_the_end_of_summer_time_has_its_hour_more_in_seconds_and_not_in_days() -> None:
    october = Period(datetime(2026, 10, 15, 10, tzinfo=UTC), datetime(2026, 11, 15, 11, tzinfo=UTC))
    assert counted(october.start, october.end, PARIS, Proration.DAY) == 31
    assert counted(october.start, october.end, PARIS, Proration.SECOND) == 31 * 86_400 + 3600


# ── Charging a part ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("price", "quantity", "days", "amount", "unit_price"),
    [
        ("29.00", "1", 21, 19_65, "19.65"),  # 29.00 × 21 / 31 = 19.645
        ("10.00", "5", 20, 32_26, "6.452"),  # 50.00 × 20 / 31 = 32.258; 6.45 × 5 would be 32.25
        ("0.333", "3", 20, 64, "0.213"),  # 0.999 × 20 / 31 = 0.6445: not 1.00 × 20 / 31, rounded twice
        ("9.90", "0", 20, 0, "0.00"),
        ("29.00", "1", 31, 29_00, "29.00"),
    ],
)
def test_a_part_is_rounded_once_and_its_unit_price_comes_to_it(
    price: str, quantity: str, days: int, amount: int, unit_price: str
) -> None:
    rest = Period(MONTH.end - timedelta(days=days), MONTH.end)
    (line,) = prorated([a_line(price=price, quantity=quantity)], Share(part=days, whole=31), rest)

    assert (line.amount, str(line.unit_price), line.period) == (euros(amount), unit_price, rest)
    assert str(line.quantity) == quantity
    assert line.unit_price.times(line.quantity, line.amount.currency) == line.amount


def test_zero_days_bill_nothing() -> None:
    assert prorated([a_line()], Share(part=0, whole=31), MONTH) == []


@given(line=lines, part=st.integers(1, 2678400), whole=st.integers(1, 2678400))
def test_every_part_adds_up_as_every_line_does(line: PricedLine, part: int, whole: int) -> None:
    (charged,) = prorated([line], Share(part=min(part, whole), whole=whole), MONTH)

    assert charged.unit_price.times(charged.quantity, charged.amount.currency) == charged.amount
    assert zero(line.amount.currency) <= charged.amount <= line.amount
    assert prorated([line], Share(part=whole, whole=whole), MONTH)[0].amount == line.amount


def test_in_yen_there_are_no_cents() -> None:
    (line,) = prorated([a_line(price="1000", currency=Currency("JPY"))], Share(part=1, whole=3), MONTH)
    assert (line.amount, str(line.unit_price)) == (Money(333, Currency("JPY")), "333.00")


def test_a_held_percentage_stays_and_a_held_amount_or_price_is_shared() -> None:
    share = Share(part=20, whole=31)
    half = an_offer(percent("50"))
    assert offer_for(half, share) == half
    assert offer_for(an_offer(fixed(10_00)), share).benefit == FixedAmount(amount=euros(6_45))
    assert isinstance(half.benefit, Percent)
    per_unit = FixedPrice(amount=euros(10_00), per=Per.UNIT)
    assert offer_for(an_offer(per_unit), share).benefit == replace(per_unit, amount=euros(6_45))


# ── Crediting a part ────────────────────────────────────────────────────────────────────────────────────


def test_a_credit_is_of_the_line_as_billed_less_its_discounts() -> None:
    (discounted,) = with_discount([replace(a_line(price="29.00"), period=MONTH)], 14_50)
    line = an_invoice([discounted]).lines[0]
    assert unused(line, at=TENTH_DAY, zone=PARIS, by=Proration.DAY) == euros(9_82)  # 14.50 × 21 / 31


def test_a_stub_is_credited_by_its_own_days() -> None:
    """17 days of 31 were billed; 7 of these 17 are not used, so 15.90 × 7 / 17, and not × 7 / 31."""
    stub = Period(NOON, datetime(2026, 1, 31, 23, tzinfo=UTC))
    january = Period(datetime(2025, 12, 31, 23, tzinfo=UTC), stub.end)
    (part,) = prorated([a_line(price="29.00")], share_of(stub, january, PARIS, Proration.DAY), stub)
    assert part.amount == euros(15_90)

    left = unused(billed(part, period=stub), at=TENTH_DAY, zone=PARIS, by=Proration.DAY)
    assert left == euros(6_55)


def test_what_does_not_recur_or_has_no_period_is_not_left_unused() -> None:
    for line in (a_line(period=None), replace(a_line(), recurring=False)):
        issued = an_invoice([line]).lines[0]
        assert unused(issued, at=NOON, zone=PARIS, by=Proration.DAY) == euros(0)


@given(line=lines, at=instants, by=ways)
def test_part_and_rest_are_the_whole(line: PricedLine, at: datetime, by: Proration) -> None:
    issued = billed(line)
    rest = unused(issued, at=at, zone=PARIS, by=by)
    used = issued.billed - rest

    assert euros(0) <= rest <= issued.billed
    assert used + rest == issued.billed
    assert unused(issued, at=MONTH.start, zone=PARIS, by=by) == issued.billed
    assert unused(issued, at=MONTH.end, zone=PARIS, by=by) == euros(0)


@given(line=lines, moments=st.lists(instants, min_size=2, max_size=6), by=ways)
def test_later_there_is_never_more_left(line: PricedLine, moments: list[datetime], by: Proration) -> None:
    left = [unused(billed(line), at=at, zone=PARIS, by=by) for at in sorted(moments)]
    assert left == sorted(left, reverse=True)


@given(prices=st.lists(lines, min_size=1, max_size=6), at=instants, by=ways)
def test_changing_to_the_same_terms_costs_what_it_credits(
    prices: list[PricedLine], at: datetime, by: Proration
) -> None:
    """But for a cent a line: the line as billed was rounded before it was parted."""
    rest = Period(at, MONTH.end)
    share = share_of(rest, MONTH, PARIS, by)
    credited = total((unused(billed(line), at=at, zone=PARIS, by=by) for line in prices), EUR)
    charged = total((line.amount for line in prorated(prices, share, rest)), EUR)

    assert abs((charged - credited).minor) <= len(prices)
