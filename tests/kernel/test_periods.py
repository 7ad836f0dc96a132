"""Periods: half-open, counted from the anchor, at the anchor's time of day."""

from datetime import UTC, date, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.periods import (
    Interval,
    Period,
    Unit,
    days_between,
    local_date,
    nth_boundary,
    nth_period,
    plus_months,
)

PARIS = ZoneInfo("Europe/Paris")
MONTHLY = Interval(Unit.MONTH)


def paris(year: int, month: int, day: int, hour: int = 9, minute: int = 0) -> datetime:
    return datetime(year, month, day, hour, minute, tzinfo=PARIS).astimezone(UTC)


def boundaries(anchor: datetime, interval: Interval, count: int) -> list[datetime]:
    return [nth_boundary(anchor, interval, n, PARIS) for n in range(count)]


def test_months_count_from_the_anchor() -> None:
    assert boundaries(paris(2026, 1, 31), MONTHLY, 5) == [
        paris(2026, 1, 31),
        paris(2026, 2, 28),
        paris(2026, 3, 31),
        paris(2026, 4, 30),
        paris(2026, 5, 31),
    ]


def test_a_year_from_the_29th_of_february_is_the_28th_until_the_next_leap_year() -> None:
    assert boundaries(paris(2024, 2, 29), Interval(Unit.YEAR), 5) == [
        paris(2024, 2, 29),
        paris(2025, 2, 28),
        paris(2026, 2, 28),
        paris(2027, 2, 28),
        paris(2028, 2, 29),
    ]


def test_several_units_are_one_period() -> None:
    assert nth_boundary(paris(2025, 11, 30), Interval(Unit.MONTH, 3), 1, PARIS) == paris(2026, 2, 28)
    assert nth_boundary(paris(2026, 1, 1), Interval(Unit.WEEK, 2), 2, PARIS) == paris(2026, 1, 29)
    assert nth_boundary(paris(2026, 1, 1), Interval(Unit.DAY, 10), 3, PARIS) == paris(2026, 1, 31)


def test_a_boundary_keeps_the_time_of_day_when_summer_time_begins() -> None:
    before, after = boundaries(paris(2026, 3, 15), MONTHLY, 2)

    assert (before.hour, after.hour) == (8, 7)  # in UTC
    assert after == paris(2026, 4, 15)


def test_a_boundary_keeps_the_time_of_day_when_summer_time_ends() -> None:
    before, after = boundaries(paris(2026, 10, 15), MONTHLY, 2)

    assert (before.hour, after.hour) == (7, 8)  # in UTC
    assert after == paris(2026, 11, 15)


def test_a_time_that_summer_time_skips_moves_on_by_an_hour() -> None:
    # 29 March 2026, 02:30 does not exist in Paris.
    assert nth_boundary(paris(2026, 2, 28, 2, 30), Interval(Unit.DAY, 29), 1, PARIS) == paris(
        2026, 3, 29, 3, 30
    )


def test_a_day_is_a_day_of_the_calendar_however_many_hours_it_has() -> None:
    summer = nth_period(paris(2026, 3, 29, 0), Interval(Unit.DAY), 0, PARIS)
    winter = nth_period(paris(2026, 10, 25, 0), Interval(Unit.DAY), 0, PARIS)

    assert (summer.end - summer.start).total_seconds() == 23 * 3600
    assert (winter.end - winter.start).total_seconds() == 25 * 3600
    assert summer.days(PARIS) == winter.days(PARIS) == 1


def test_the_day_is_the_one_where_the_seller_is() -> None:
    late = datetime(2026, 1, 31, 23, 30, tzinfo=UTC)

    assert local_date(late, PARIS) == date(2026, 2, 1)
    assert local_date(late, ZoneInfo("America/New_York")) == date(2026, 1, 31)


def test_days_are_counted_from_midnight_to_midnight() -> None:
    assert days_between(paris(2026, 1, 1, 23), paris(2026, 1, 2, 1), PARIS) == 1
    assert days_between(paris(2026, 1, 1, 1), paris(2026, 1, 1, 23), PARIS) == 0


def test_a_period_holds_its_start_and_not_its_end() -> None:
    january = Period(paris(2026, 1, 1), paris(2026, 2, 1))

    assert january.start in january
    assert january.end not in january


@pytest.mark.parametrize(
    ("day", "months", "later"),
    [
        (date(2026, 12, 31), 2, date(2027, 2, 28)),
        (date(2024, 1, 31), 1, date(2024, 2, 29)),
        (date(2026, 3, 31), -1, date(2026, 2, 28)),
        (date(2026, 1, 15), 0, date(2026, 1, 15)),
    ],
)
def test_a_month_that_is_too_short_ends_on_its_last_day(day: date, months: int, later: date) -> None:
    assert plus_months(day, months) == later


@given(
    st.integers(946_684_800, 4_102_444_800).map(lambda second: datetime.fromtimestamp(second, UTC)),
    st.sampled_from(Unit),
    st.integers(1, 24),
    st.sampled_from(["Europe/Paris", "America/New_York", "Asia/Kathmandu", "UTC", "Australia/Lord_Howe"]),
)
def test_periods_follow_one_another_without_hole_or_overlap(
    anchor: datetime, unit: Unit, count: int, zone: str
) -> None:
    periods = [nth_period(anchor, Interval(unit, count), n, ZoneInfo(zone)) for n in range(6)]

    assert periods[0].start == anchor
    assert all(period.start < period.end for period in periods)
    assert all(before.end == after.start for before, after in pairwise(periods))
