"""Parts of periods by days, as others count them: Kill Bill's figures for plans billed in advance.

From its tests of proration, github.com/killbill/killbill, in the folder
invoice/src/test/java/org/killbill/billing/invoice/proRations/inAdvance (`monthly`, `quarterly`, `annual`).
They say for how many billing cycles a subscription is charged between two dates, with periods that begin on
a billing cycle day: a leading stub, whole periods, a trailing stub, each stub over the days of its period.

One of theirs is left out, `testSinglePlan_ChangeBCDTo31`: a stub that ends on the 31st of a month of 28 days
is 14/31 there, counted back from the 28th, and 14/28 here, where its period is [31 January, 28 February).
"""

from datetime import date, datetime
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest

from billing.parties.model import Proration
from kernel.periods import Interval, Period, Unit, nth_period, plus_months
from subscriptions.proration import Share, prorated, share_of
from tests.makers import a_line, euros

PARIS = ZoneInfo("Europe/Paris")
MONTHLY, QUARTERLY, ANNUAL = Interval(Unit.MONTH), Interval(Unit.MONTH, 3), Interval(Unit.YEAR)

MONTHLY_CASES = [
    # TestLeadingProRation, TestTrailingProRation
    ("2011-02-01", "2011-04-13", 13, ["12/31", "1", "1"]),
    ("2010-06-17", "2010-07-25", 17, ["1", "8/31"]),
    # TestDoubleProRation
    ("2011-01-01", "2011-02-27", 15, ["14/31", "1", "12/28"]),
    # TestProRation: phases and plans that change inside a period
    ("2011-02-10", "2011-02-24", 10, ["1/2"]),
    ("2011-02-24", "2011-03-10", 10, ["1/2"]),
    ("2011-02-03", "2011-02-17", 3, ["1/2"]),
    ("2011-02-17", "2011-04-03", 3, ["1/2", "1"]),
    ("2011-02-01", "2011-02-15", 1, ["1/2"]),
    ("2011-02-20", "2011-03-06", 20, ["1/2"]),
    ("2011-02-01", "2011-02-14", 1, ["13/28"]),
    ("2011-02-14", "2011-03-27", 27, ["13/31", "1"]),
    ("2011-02-07", "2011-02-15", 7, ["8/28"]),
    ("2011-03-07", "2011-05-15", 15, ["8/28", "1", "1"]),
    ("2011-02-07", "2011-03-10", 7, ["1", "3/31"]),
    ("2011-03-10", "2011-05-15", 15, ["5/28", "1", "1"]),
    ("2011-01-31", "2011-03-10", 7, ["7/31", "1", "3/31"]),
    ("2010-12-15", "2011-03-17", 15, ["1", "1", "1", "2/31"]),
    # TestProRation: over the end of a year, and in leap years
    ("2010-12-15", "2011-02-15", 15, ["1", "1"]),
    ("2012-02-15", "2012-04-15", 15, ["1", "1"]),
    ("2012-01-30", "2012-03-30", 30, ["1", "1"]),
    ("2012-02-01", "2012-02-15", 1, ["14/29"]),
]
QUARTERLY_CASES = [("2011-01-01", "2011-04-27", 15, ["14/92", "1", "12/91"])]
ANNUAL_CASES = [
    ("2011-01-01", "2012-01-27", 15, ["14/365", "1", "12/366"]),
    ("2010-06-17", "2011-06-25", 17, ["1", "8/366"]),
]


@pytest.mark.parametrize(
    ("interval", "start", "end", "day", "cycles"),
    [
        *((MONTHLY, *case) for case in MONTHLY_CASES),
        *((QUARTERLY, *case) for case in QUARTERLY_CASES),
        *((ANNUAL, *case) for case in ANNUAL_CASES),
    ],
)
def test_cycles_are_counted_as_kill_bill_counts_them(
    interval: Interval, start: str, end: str, day: int, cycles: list[str]
) -> None:
    parts = parts_of(Period(midnight(start), midnight(end)), interval, day)

    assert [Fraction(part.part, part.whole) for part in parts] == [Fraction(cycle) for cycle in cycles]


def test_what_they_cost_is_rounded_part_by_part() -> None:
    """29.00 a month from 1 January to 27 February: 13.10 (13.0968), 29.00 and 12.43 (12.4286)."""
    run = Period(midnight("2011-01-01"), midnight("2011-02-27"))

    lines = [prorated([a_line(price="29.00")], part, run) for part in parts_of(run, MONTHLY, 15)]

    assert [line.amount for [line] in lines] == [euros(13_10), euros(29_00), euros(12_43)]


def parts_of(run: Period, interval: Interval, day: int) -> list[Share]:
    """The share of each period that a run from one date to another falls into; periods begin on a day."""
    anchor = first_billing_day(run.start, day)
    periods = [nth_period(anchor, interval, n, PARIS) for n in range(-1, 12)]
    return [
        share_of(Period(max(run.start, period.start), min(run.end, period.end)), period, PARIS, Proration.DAY)
        for period in periods
        if period.start < run.end and run.start < period.end
    ]


def first_billing_day(start: datetime, day: int) -> datetime:
    here = start.replace(day=day)
    return here if here >= start else datetime.combine(plus_months(here.date(), 1), here.timetz())


def midnight(day: str) -> datetime:
    return datetime.combine(date.fromisoformat(day), datetime.min.time(), tzinfo=PARIS)
