"""Back-tests over HTTP, carried out by workers, one of which is killed."""

import pytest

from api.house import House
from api.work import drain
from subscriptions.backtests import advance as advancing
from tests.flows.backend import Backend, Json, customer, euros, plan, welcome
from tests.flows.conftest import Time

YEAR: Json = {"starts_at": "2026-01-01T00:00:00Z", "ends_at": "2027-01-01T00:00:00Z"}
TENTH: Json = {
    "reference": "LOYALTY",
    "name": "Loyalty",
    "benefit": {"type": "percent", "percent": "10"},
    "duration": {"type": "forever"},
    "lane": 1,
}


@pytest.fixture
async def shop(backend: Backend, house: House, time: Time) -> Backend:
    """Four customers with half a price for three months, billed for four."""
    await backend.open_shop()
    await backend.post("/v1/plans", plan())
    await backend.post("/v1/offers", welcome())
    for n in range(4):
        who = customer(f"user-{n}")
        await backend.post("/v1/signups", {"customer": who, "plan": "pro", "offer": "welcome"})
    for _ in range(3):
        time.forward(days=31)
        await drain(house)
    return backend


async def test_a_worker_tries_an_offer_on_the_past(shop: Backend, house: House) -> None:
    queued = await shop.post("/v1/promotions/backtests", {**YEAR, "offer": TENTH})
    assert (queued["status"], queued["done"], queued["total"]) == ("queued", 0, 16)

    await drain(house)

    done = await shop.get(f"/v1/promotions/backtests/{queued['id']}")
    assert (done["status"], done["done"], done["error"]) == ("done", 16, None)
    [euro] = done["findings"]["currencies"]
    assert euro["given"] == euros(4 * 3 * 14_50)
    assert euro["cost"] == euros(4 * (3 * 1_45 + 2_90))
    assert done["findings"]["winner_count"] == 4
    assert (await shop.get("/v1/promotions/backtests"))["data"] == [done]
    again = await shop.send("POST", f"/v1/promotions/backtests/{queued['id']}/cancel")
    assert (again.status_code, again.json()["code"]) == (409, "back_test_over")


async def test_the_rules_in_force_give_the_invoices_of_the_year(shop: Backend, house: House) -> None:
    subscription = (await shop.get("/v1/subscriptions", customer_id="user-1"))["data"][0]
    await shop.post("/v1/plans", plan("max", "49.00"))
    await shop.post(f"/v1/subscriptions/{subscription['id']}/change", {"plan": "max"})
    queued = await shop.post("/v1/promotions/backtests", {**YEAR, "rules": "in_force"})
    await drain(house)
    done = await shop.get(f"/v1/promotions/backtests/{queued['id']}")
    assert (done["status"], done["findings"]["difference_count"]) == ("done", 0)
    assert done["findings"]["applied"] == 12


async def test_a_worker_that_dies_leaves_the_rest_to_the_next(
    shop: Backend, house: House, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    queued = await shop.post("/v1/promotions/backtests", {**YEAR, "offer": TENTH})
    monkeypatch.setattr(advancing, "CUSTOMERS", 1)
    tried, in_order = 0, advancing._some_customers

    async def dying(*args: object) -> object:
        nonlocal tried
        tried += 1
        if tried == 3:
            raise ConnectionResetError("the worker is gone")
        return await in_order(*args)  # type: ignore[arg-type]  # as it was called

    monkeypatch.setattr(advancing, "_some_customers", dying)
    await drain(house)
    halfway = await shop.get(f"/v1/promotions/backtests/{queued['id']}")
    assert (halfway["status"], halfway["done"]) == ("running", 8)

    time.forward(seconds=5)
    await drain(house)
    done = await shop.get(f"/v1/promotions/backtests/{queued['id']}")
    assert (done["status"], done["done"], done["findings"]["invoices"]) == ("done", 16, 16)


async def test_an_invoice_says_what_came_off_it(shop: Backend) -> None:
    invoice = (await shop.get("/v1/invoices", customer_id="user-1"))["data"][-1]
    discounts = await shop.get(f"/v1/invoices/{invoice['id']}/discounts")
    assert [(each["source"], each["amount"]) for each in discounts["applied"]] == [("welcome", euros(14_50))]
