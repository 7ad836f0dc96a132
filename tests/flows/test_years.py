"""Years on a test clock: through the end of February, both changes of the hour, and months without a 31st."""

from datetime import UTC, date, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

from api.house import House
from tests.flows.backend import Backend, Json, customer, plan
from tests.flows.conftest import Time
from tests.flows.test_clock import advance, listed, open_shop

PARIS = ZoneInfo("Europe/Paris")

# Half past two on a Sunday, in Paris: an hour that is left out on one Sunday, and comes twice on another.
HOUR_LEFT_OUT = (date(2027, 3, 28), date(2028, 3, 26))
START = datetime(2027, 1, 31, 1, 30, tzinfo=UTC)
END = datetime(2029, 1, 31, 1, 30, tzinfo=UTC)

INTERVALS: dict[str, tuple[Json, int]] = {
    "weekly": ({"unit": "week", "count": 1}, 105),
    "monthly": ({"unit": "month", "count": 1}, 25),
    "quarterly": ({"unit": "month", "count": 3}, 9),
    "yearly": ({"unit": "year", "count": 1}, 3),
    "thirty-days": ({"unit": "day", "count": 30}, 25),
}


async def test_in_two_years_each_period_is_billed_once_with_no_hole_and_no_overlap(
    backend: Backend, house: House, time: Time
) -> None:
    await open_shop(backend)
    await advance(backend, house, START.isoformat())
    for name, (interval, _) in INTERVALS.items():
        await backend.post("/v1/plans", plan(name, interval=interval))
        buyer = customer(name, payment_method="pm_sandbox_ok")
        await backend.post("/v1/signups", {"customer": buyer, "plan": name})

    clock = await advance(backend, house, END.isoformat())

    assert clock["unfinished"] == []
    invoices = await listed(backend, "invoices")
    for name, (_, billed) in INTERVALS.items():
        theirs = [each for each in invoices if each["buyer"]["email"].startswith(f"{name}@")]
        assert len(theirs) == billed, name
        check_periods(theirs)
    assert [number(each) for each in invoices] == gapless(invoices)
    assert {each["settlement"]["status"] for each in invoices} == {"settled"}
    payments = await listed(backend, "payments")
    assert {(each["invoice_id"], each["received_on"]) for each in payments} == {
        (each["id"], each["issued_on"]) for each in invoices
    }


async def test_months_that_have_no_31st_end_on_their_last_day(
    backend: Backend, house: House, time: Time
) -> None:
    await open_shop(backend)
    await advance(backend, house, START.isoformat())
    await backend.post("/v1/signups", {"customer": customer(), "plan": "pro"})
    await advance(backend, house, "2028-03-31T12:00:00Z")

    assert [each["issued_on"] for each in await listed(backend, "invoices")] == [
        "2027-01-31", "2027-02-28", "2027-03-31", "2027-04-30", "2027-05-31", "2027-06-30", "2027-07-31",
        "2027-08-31", "2027-09-30", "2027-10-31", "2027-11-30", "2027-12-31", "2028-01-31", "2028-02-29",
        "2028-03-31",
    ]  # fmt: skip


def check_periods(invoices: list[Json]) -> None:
    """One after the other from START, each begun at half past two, and billed on the day it began."""
    periods = [each["lines"][0]["period"] for each in invoices]
    begun = [datetime.fromisoformat(each["start"]) for each in periods]
    assert begun[0] == START
    assert all(one["end"] == next_one["start"] for one, next_one in pairwise(periods))
    days = [each.astimezone(PARIS).date().isoformat() for each in begun]
    assert [each["issued_on"] for each in invoices] == days
    for each in begun:
        local = each.astimezone(PARIS)
        assert (local.hour, local.minute) == (3 if local.date() in HOUR_LEFT_OUT else 2, 30)


def number(document: Json) -> str:
    found: str = document["number"]
    return found


def gapless(documents: list[Json]) -> list[str]:
    """The numbers that a series without a gap gives them, in their order."""
    counts: dict[str, int] = {}
    numbers = []
    for each in documents:
        prefix = number(each)[:-6]
        counts[prefix] = counts.get(prefix, 0) + 1
        numbers.append(f"{prefix}{counts[prefix]:06}")
    return numbers
