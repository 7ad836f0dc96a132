"""Usage over HTTP: a year of it on the test clock, and what is refused."""

from typing import Any

import pytest

from api.house import House
from tests.flows.backend import Backend, Json, customer, euros, legal_entity, plan, tax_rate
from tests.flows.conftest import Time
from tests.flows.test_clock import advance, listed

CALLS: Json = {
    "meter": "calls",
    "prices": [
        {
            "currency": "EUR",
            "model": "graduated",
            "tiers": [{"up_to": "1000"}, {"unit_price": "0.01"}],
        }
    ],
}
PEOPLE: Json = {"meter": "people", "prices": [{"currency": "EUR", "unit_price": "3.00"}]}


async def open_shop(backend: Backend) -> Json:
    """Ten euros a month, a thousand calls in it, and three euros for each person."""
    await backend.post("/v1/tax_rates", tax_rate("20"))
    await backend.post("/v1/legal_entities", legal_entity())
    await backend.post("/v1/meters", {"reference": "calls", "name": "API calls"})
    await backend.post("/v1/meters", {"reference": "people", "name": "People", "aggregation": "unique"})
    calls = {"quota": 1000, "meter": "calls"}
    await backend.post(
        "/v1/plans",
        plan(price="10.00", meters=[CALLS, PEOPLE], entitlements={"calls": calls, "export": True}),
    )
    signup: Json = await backend.post(
        "/v1/signups", {"customer": customer(payment_method="pm_sandbox_ok"), "plan": "pro"}
    )
    return signup


def a_record(event_id: str, **more: Any) -> Json:
    return {"event_id": event_id, "customer": "user-42", "meter": "calls", **more}


async def reported(backend: Backend, *records: Json) -> Json:
    return await backend.post("/v1/usage", {"records": list(records)})


async def test_usage_is_reported_read_and_billed(backend: Backend, house: House, time: Time) -> None:
    signup = await open_shop(backend)
    assert signup["entitlements"]["features"] == {"calls": 1000, "export": True}

    answer = await reported(
        backend,
        a_record("1", quantity="1200.5"),
        a_record("2", meter="people", value="ada"),
        a_record("2", meter="people", value="ada"),
    )
    assert (answer["recorded"], answer["duplicates"], answer["refused"]) == (2, 1, 0)
    assert answer["records"][0] | {"id": None} == {
        "event_id": "1",
        "outcome": "recorded",
        "id": None,
        "code": None,
        "detail": None,
    }

    [of_one] = (await backend.get("/v1/customers/user-42/usage"))["subscriptions"]
    assert [(each["meter"], each["quantity"], each["amount"]) for each in of_one["meters"]] == [
        ("calls", "1200.5", euros(2_01)),
        ("people", "1", euros(3_00)),
    ]
    entitlements = await backend.get("/v1/customers/user-42/entitlements")
    assert entitlements["quotas"] == {
        "calls": {
            "meter": "calls",
            "allowed": "1000",
            "used": "1200.5",
            "left": "0",
            "resets_at": signup["subscription"]["current_period"]["end"],
        }
    }
    shown = await backend.get("/v1/usage", customer_id="user-42", meter_id="people")
    assert [each["event_id"] for each in shown["data"]] == ["2"]
    assert (await backend.get("/v1/usage", subscription_id=signup["subscription"]["id"], limit="1"))[
        "next_cursor"
    ]

    await advance(backend, house, "2026-02-16T00:00:00Z")
    invoice = (await listed(backend, "invoices"))[-1]
    assert [(line["description"], line["quantity"], line["net"]) for line in invoice["lines"]] == [
        ("Pro", "1", euros(10_00)),
        ("API calls (> 1000)", "200.5", euros(2_01)),
        ("People", "1", euros(3_00)),
    ]
    assert invoice["settlement"]["status"] == "settled"


async def test_a_year_of_usage(backend: Backend, house: House, time: Time) -> None:
    """A hundred calls more each month, the last of them reported a month late, and then it is cancelled."""
    signup = await open_shop(backend)
    for month in range(2, 13):
        day = f"2026-{month:02}-10T00:00:00Z"
        await advance(backend, house, day)
        before = f"2026-{month - 1:02}-20T00:00:00Z"
        late = a_record(f"late-{month}", quantity="50", at=before)
        answer = await reported(
            backend, a_record(f"{month}", quantity=str(1000 + 100 * month)), *([late] if month > 2 else [])
        )
        assert answer["refused"] == 0
    await advance(backend, house, "2026-12-20T00:00:00Z")
    await reported(backend, a_record("last", quantity="1005"))
    cancelled = await backend.post(f"/v1/subscriptions/{signup['subscription']['id']}/cancel", {})

    billed = [
        line["net"]["minor"]
        for invoice in await listed(backend, "invoices")
        for line in invoice["lines"]
        if line["description"].startswith("API calls")
    ]
    # In each period but the first, fifty calls of its fifth day are told a few weeks late.
    assert billed == [2_00, *(month * 100 + 50 for month in range(3, 13)), 5]
    assert [line["net"] for line in cancelled["invoice"]["lines"]] == [euros(5)]
    used = await listed(backend, "usage")
    assert len({each["event_id"] for each in used}) == len(used) == 22


REFUSED: dict[str, tuple[Any, int, str]] = {
    "no records": ([], 422, "body_invalid"),
    "too many": ([a_record(f"{n}") for n in range(1001)], 422, "body_invalid"),
    "no event": ([{"customer": "user-42", "meter": "calls"}], 422, "body_invalid"),
    "an event with spaces": ([a_record("a b")], 422, "body_invalid"),
    "an event without end": ([a_record("x" * 101)], 422, "body_invalid"),
    "a negative quantity": ([a_record("1", quantity="-1")], 422, "body_invalid"),
    "a number for a quantity": ([a_record("1", quantity=1)], 422, "body_invalid"),
    "a quantity that is none": ([a_record("1", quantity="NaN")], 422, "body_invalid"),
    "a quantity beyond all": ([a_record("1", quantity="1000000000001")], 422, "body_invalid"),
    "a time without a zone": ([a_record("1", at="2026-01-15T12:00:00")], 422, "body_invalid"),
    "a time to come": ([a_record("1", at="2100-01-01T00:00:00Z")], 422, "usage_in_future"),
    "a field we do not know": ([a_record("1", price="1")], 422, "body_invalid"),
    "a meter that is not there": ([a_record("1", meter="nothing")], 404, "meter_not_found"),
    "a customer who is not there": ([a_record("1", customer="nobody")], 404, "customer_not_found"),
    "of two": ([a_record("1", subscription="sub_x")], 422, "usage_of_one"),
    "no subscription's id": (
        [{"event_id": "1", "meter": "calls", "subscription": "sub_x"}],
        404,
        "subscription_not_found",
    ),
    "a value for a sum": ([a_record("1", value="ada")], 422, "usage_form"),
    "a value that cannot be seen": ([a_record("1", meter="people", value="\u200b")], 422, "body_invalid"),
    "a year that never was": ([a_record("1", at="0000-01-01T00:00:00Z")], 422, "body_invalid"),
}


@pytest.mark.parametrize("what", REFUSED)
async def test_what_could_never_be_right_is_refused_and_nothing_of_it_recorded(
    backend: Backend, what: str
) -> None:
    records, status, code = REFUSED[what]
    await open_shop(backend)
    for sent in (records, [a_record("good"), *records] if records else []):
        assert await backend.refused("/v1/usage", {"records": sent}) == (status, code)
    assert (await backend.get("/v1/usage"))["data"] == []


async def test_the_oldest_time_there_is_is_before_the_subscription(backend: Backend) -> None:
    await open_shop(backend)
    answer = await reported(backend, a_record("1", at="0001-01-01T00:00:00Z"), a_record("2"))
    assert [each["code"] for each in answer["records"]] == ["usage_too_early", None]


BAD_METERS: dict[str, tuple[Json, int, str]] = {
    "no name": ({"reference": "x"}, 422, "body_invalid"),
    "another way to count": ({"reference": "x", "name": "X", "aggregation": "median"}, 422, "body_invalid"),
    "taken": ({"reference": "calls", "name": "X"}, 409, "reference_taken"),
}


@pytest.mark.parametrize("what", BAD_METERS)
async def test_a_meter_that_cannot_be(backend: Backend, what: str) -> None:
    body, status, code = BAD_METERS[what]
    await open_shop(backend)
    assert await backend.refused("/v1/meters", body) == (status, code)
    assert len((await backend.get("/v1/meters"))["data"]) == 2


BAD_PLANS: dict[str, tuple[Json, int, str]] = {
    "a meter that is not there": ({"meters": [{**CALLS, "meter": "nothing"}]}, 404, "meter_not_found"),
    "a meter twice": ({"meters": [CALLS, CALLS]}, 422, "meter_twice"),
    "a flat price": (
        {"meters": [{"meter": "calls", "prices": [{"currency": "EUR", "model": "flat", "unit_price": "1"}]}]},
        422,
        "meter_price_flat",
    ),
    "another currency": (
        {"meters": [{"meter": "calls", "prices": [{"currency": "USD", "unit_price": "1"}]}]},
        422,
        "meter_price_currencies",
    ),
    "a setup fee": (
        {
            "meters": [
                {
                    "meter": "calls",
                    "prices": [{"currency": "EUR", "unit_price": "1", "setup_fee": "5.00"}],
                }
            ]
        },
        422,
        "meter_setup_fee",
    ),
    "a quota of nothing": ({"entitlements": {"calls": {"quota": 5}}}, 422, "body_invalid"),
    "a quota below zero": ({"entitlements": {"calls": {"quota": -5, "meter": "calls"}}}, 422, "body_invalid"),
    "a quota of a meter that is not there": (
        {"entitlements": {"calls": {"quota": 5, "meter": "nothing"}}},
        404,
        "meter_not_found",
    ),
}


@pytest.mark.parametrize("what", BAD_PLANS)
async def test_a_plan_that_cannot_be_metered(backend: Backend, what: str) -> None:
    terms, status, code = BAD_PLANS[what]
    await open_shop(backend)
    assert await backend.refused("/v1/plans", plan("other", **terms)) == (status, code)
