"""A test tenant's clock: time passes when it is told to, and everything happens as in real time."""

from typing import TypeAlias

import asyncpg

from api.house import House
from api.work import drain
from tests.flows.backend import Backend, Json, customer, euros, legal_entity, plan, tax_rate, welcome
from tests.flows.conftest import Time
from tests.makers import NOON

Owner: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

FREE_FOR_30_DAYS: Json = {
    "reference": "welcome",
    "name": "Trente jours offerts",
    "benefit": {"type": "free_period", "days": 30},
    "conditions": {"new_customers_only": True},
}


async def advance(backend: Backend, house: House, to: str, *, time: Time | None = None) -> Json:
    """Until the clock is there, and what it says then. With `time`, the world's moves on while it waits."""
    await backend.post("/v1/test_clock/advance", {"to": to})
    for _ in range(50):
        await drain(house)
        clock = await backend.get("/v1/test_clock")
        if clock["status"] == "ready":
            return clock
        assert time is not None, clock
        time.forward(seconds=1)
    raise AssertionError(clock)


async def open_shop(backend: Backend, offer: Json | None = None) -> None:
    await backend.post("/v1/tax_rates", tax_rate("20"))
    await backend.post("/v1/legal_entities", legal_entity())
    await backend.post("/v1/plans", plan())
    await backend.post("/v1/offers", offer or welcome())


async def listed(backend: Backend, what: str) -> list[Json]:
    """Oldest first."""
    found: list[Json] = []
    query: dict[str, str] = {"limit": "100"}
    while True:
        page = await backend.get(f"/v1/{what}", **query)
        found += page["data"]
        if page["next_cursor"] is None:
            return found[::-1]
        query["cursor"] = page["next_cursor"]


async def test_a_year_of_a_subscription_in_one_test(backend: Backend, house: House, time: Time) -> None:
    """Thirty days free, a payment a month, cancelled at the end of a period to come, refunded on a day."""
    await open_shop(backend, FREE_FOR_30_DAYS)
    assert (await backend.get("/v1/test_clock"))["status"] == "real_time"
    signup = await backend.post(
        "/v1/signups",
        {"customer": customer(payment_method="pm_sandbox_ok"), "plan": "pro", "offer": "welcome"},
    )
    subscription = f"/v1/subscriptions/{signup['subscription']['id']}"
    assert (signup["subscription"]["status"], signup["invoice"]) == ("trialing", None)

    clock = await advance(backend, house, "2026-11-20T11:00:00Z")
    assert (clock["now_at"], clock["unfinished"]) == ("2026-11-20T11:00:00Z", [])
    assert [each["issued_on"] for each in await listed(backend, "invoices")] == [
        "2026-02-14", "2026-03-14", "2026-04-14", "2026-05-14", "2026-06-14", "2026-07-14", "2026-08-14",
        "2026-09-14", "2026-10-14", "2026-11-14",
    ]  # fmt: skip

    terms = {"when": "at", "at": "2026-12-04T11:00:00Z", "refund": "deferred", "refund_on": "2027-01-02"}
    await backend.post(f"{subscription}/cancel", terms)
    await advance(backend, house, "2026-12-31T11:00:00Z")
    (refund,) = await listed(backend, "refunds")
    assert (refund["status"], refund["due_on"]) == ("scheduled", "2027-01-02")
    await advance(backend, house, "2027-01-15T11:00:00Z")

    after = await backend.get(subscription)
    assert (after["status"], after["cancelled_at"]) == ("cancelled", "2026-12-04T11:00:00Z")
    invoices = await listed(backend, "invoices")
    assert [each["number"] for each in invoices] == [f"F2026-{n:06}" for n in range(1, 11)]
    assert {each["settlement"]["status"] for each in invoices} == {"settled"}
    payments = await listed(backend, "payments")
    assert [each["received_on"] for each in payments] == [each["issued_on"] for each in invoices]
    (note,) = await listed(backend, "credit_notes")
    assert (note["issued_on"], note["number"]) == ("2026-12-04", "A2026-000001")
    assert note["net"] == euros(9_67)  # ten of thirty days of 29.00
    (refund,) = await listed(backend, "refunds")
    assert (refund["status"], refund["succeeded_on"]) == ("succeeded", "2027-01-02")
    events = [each["type"] for each in await listed(backend, "events")]
    assert events[-1] == "test_clock.advanced"
    assert events.count("test_clock.advancing") == events.count("test_clock.advanced") == 3
    assert time.at == NOON, "nothing of it took any time"
