"""A subscription through its whole life by the test clock, over HTTP: every change of mind, at its time."""

import pytest

from api.house import House
from tests.flows.backend import Backend, Json, customer, euros, legal_entity, plan, tax_rate
from tests.flows.test_clock import advance, listed

pytestmark = pytest.mark.usefixtures("time")


async def opened(backend: Backend) -> None:
    await backend.post("/v1/tax_rates", tax_rate("20"))
    await backend.post("/v1/legal_entities", legal_entity())
    await backend.post("/v1/customers", customer(payment_method="pm_sandbox_ok"))
    await backend.post("/v1/plans", plan(entitlements={"seats": 5}))
    await backend.post("/v1/plans", plan("team", "62.00", entitlements={"seats": 50}))


async def features(backend: Backend) -> Json:
    found: Json = (await backend.get("/v1/customers/user-42/entitlements"))["features"]
    return found


async def test_from_a_start_to_come_to_the_end_of_its_term(backend: Backend, house: House) -> None:
    await opened(backend)
    created = await backend.post(
        "/v1/subscriptions",
        {
            "customer": "user-42",
            "plan": "pro",
            "starts_at": "2026-02-10T09:00:00Z",
            "billing_anchor": {"day": 1},
            "minimum_term": {"unit": "month", "count": 6},
            "phases": [{"plan": "team", "after_periods": 3}],
        },
    )
    subscription = f"/v1/subscriptions/{created['subscription']['id']}"
    assert (created["subscription"]["status"], created["invoice"]) == ("incomplete", None)
    assert await features(backend) == {}

    await advance(backend, house, "2026-02-12T09:00:00Z")
    assert (await backend.get(subscription))["status"] == "active"
    assert await features(backend) == {"seats": 5}
    assert await backend.refused(f"{subscription}/cancel", {}) == (409, "minimum_term")

    await advance(backend, house, "2026-03-10T09:00:00Z")
    await backend.post(f"{subscription}/pause", {"resume_at": "2026-03-20T09:00:00Z"})
    assert await features(backend) == {}
    await advance(backend, house, "2026-03-21T09:00:00Z")
    assert (await backend.get(subscription))["status"] == "active"

    await advance(backend, house, "2026-05-02T09:00:00Z")
    assert await features(backend) == {"seats": 50}
    dearer = {"interval": {"unit": "month"}, "prices": [{"currency": "EUR", "unit_price": "93.00"}]}
    await backend.post("/v1/plans/team/versions", dearer)
    moved = await backend.post("/v1/plans/team/migrate", {"when": "renewal"})
    assert moved["subscriptions"] == [created["subscription"]["id"]]

    scheduled = await backend.post(f"{subscription}/cancel", {"when": "term_end"})
    assert scheduled["subscription"]["cancel_at"] == "2026-08-10T08:00:00Z"  # summer time
    clock = await advance(backend, house, "2026-09-15T09:00:00Z")

    assert clock["unfinished"] == []
    assert [(each["issued_on"], each["net"]) for each in await listed(backend, "invoices")] == [
        ("2026-02-10", euros(19_68)),  # 19 of February's 28 days
        ("2026-03-01", euros(29_00)),
        ("2026-04-01", euros(29_00)),
        ("2026-05-01", euros(62_00)),
        ("2026-06-01", euros(93_00)),
        ("2026-07-01", euros(93_00)),
        ("2026-08-01", euros(93_00)),
    ]
    (note,) = await listed(backend, "credit_notes")
    assert (note["issued_on"], note["net"]) == ("2026-08-10", euros(66_00))  # 22 of August's 31 days
    over = await backend.get(subscription)
    assert (over["status"], over["cancelled_at"]) == ("cancelled", "2026-08-10T08:00:00Z")
    assert await features(backend) == {}
    assert {each["settlement"]["status"] for each in await listed(backend, "invoices")} == {"settled"}


async def test_migrated_now_each_is_changed_by_a_job_of_its_own(backend: Backend, house: House) -> None:
    await opened(backend)
    await backend.post("/v1/customers", customer("user-43", payment_method="pm_sandbox_ok"))
    for reference in ("user-42", "user-43"):
        await backend.post("/v1/subscriptions", {"customer": reference, "plan": "pro"})
    dearer = {"interval": {"unit": "month"}, "prices": [{"currency": "EUR", "unit_price": "60.00"}]}
    await backend.post("/v1/plans/pro/versions", dearer)

    await advance(backend, house, "2026-01-31T11:00:00Z")
    moved = await backend.post("/v1/plans/pro/migrate", {"when": "now"})
    assert (len(moved["subscriptions"]), moved["version"]) == (2, 2)
    await advance(backend, house, "2026-02-01T11:00:00Z")

    assert {each["version"] for each in await listed(backend, "subscriptions")} == {2}
    # From 31 January to 15 February are 15 of the period's 31 days.
    assert [each["net"] for each in await listed(backend, "credit_notes")] == [euros(14_03)] * 2
    assert [each["net"] for each in await listed(backend, "invoices")][2:] == [euros(29_03)] * 2


async def test_at_its_time_a_pause_begins_and_ends(backend: Backend, house: House) -> None:
    await opened(backend)
    created = await backend.post("/v1/subscriptions", {"customer": "user-42", "plan": "pro"})
    subscription = f"/v1/subscriptions/{created['subscription']['id']}"
    await backend.post(f"{subscription}/pause", {"when": "period_end", "resume_at": "2026-04-03T07:00:00Z"})

    await advance(backend, house, "2026-04-01T11:00:00Z")
    paused = await backend.get(subscription)
    assert (paused["status"], paused["paused_at"]) == ("paused", paused["current_period"]["end"])
    await advance(backend, house, "2026-05-01T11:00:00Z")

    resumed = await backend.get(subscription)
    assert (resumed["status"], resumed["anchor_at"]) == ("active", "2026-04-03T07:00:00Z")
    assert [each["issued_on"] for each in await listed(backend, "invoices")] == ["2026-01-15", "2026-04-03"]
    events = [each["type"] for each in await listed(backend, "events")]
    assert [each for each in events if "pause" in each or "resume" in each] == [
        "subscription.pause_scheduled",
        "subscription.paused",
        "subscription.resumed",
    ]
