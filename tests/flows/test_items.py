"""Several items on one subscription, through the API: add-ons, a setup fee, and charges."""

from tests.flows.backend import Backend, Json, euros, plan
from tests.flows.conftest import Time


async def test_a_plan_with_addons_a_setup_fee_and_charges(backend: Backend, time: Time) -> None:
    subscription = await with_two_seats(backend)

    first = (await backend.get("/v1/invoices"))["data"][0]
    assert billed(first) == [("Pro", 29_00), ("Seats", 20_00), ("Pro – frais de mise en service", 49_00)]
    features = (await backend.get("/v1/customers/user-42/entitlements"))["features"]
    assert features == {"exports": True, "projects": 10, "seats": 2}

    path = f"/v1/subscriptions/{subscription['id']}"
    workshop = {"description": "Workshop", "unit_price": "90.00", "quantity": "1.5", "tax_rate": "vat-5.5"}
    kept = (await backend.post(f"{path}/charges", workshop))["charge"]
    gone = (await backend.post(f"{path}/charges", {"description": "Error", "unit_price": "1.00"}))["charge"]
    deleted = await backend.send("DELETE", f"/v1/charges/{gone['id']}")
    assert deleted.status_code == 204
    at_once = await backend.post(f"{path}/charges", {**workshop, "when": "now"})
    assert (at_once["invoice"]["net"], at_once["invoice"]["tax"]) == (euros(135_00), euros(7_43))

    time.forward(days=31)
    renewed = (await backend.post(f"{path}/renew"))["invoice"]
    assert billed(renewed) == [("Pro", 29_00), ("Seats", 20_00), ("Workshop", 135_00)]
    assert (await backend.get(f"/v1/charges/{kept['id']}"))["invoice_id"] == renewed["id"]
    listed = (await backend.get("/v1/charges", subscription_id=subscription["id"]))["data"]
    assert [each["description"] for each in listed] == [
        "Workshop",
        "Workshop",
        "Pro – frais de mise en service",
    ]
    assert await backend.refused(f"{path}/charges", {**workshop, "quantity": "0"}) == (422, "quantity_zero")
    again = await backend.send("DELETE", f"/v1/charges/{kept['id']}")
    assert (again.status_code, again.json()["code"]) == (409, "charge_billed")


async def test_addons_are_previewed_and_changed(backend: Backend, time: Time) -> None:
    subscription = await with_two_seats(backend)
    path = f"/v1/subscriptions/{subscription['id']}/change"
    three = {"addons": [{"plan": "seats", "quantity": "3"}]}

    preview = await backend.post(f"{path}?dry_run=true", three)
    change = await backend.post(path, three)
    assert billed(change["invoice"]) == billed(preview["invoice"]) == [("Pro", 29_00), ("Seats", 30_00)]
    assert [each["quantity"] for each in change["subscription"]["addons"]] == ["3"]

    assert await backend.refused(path, {"addons": [{"plan": "pro"}]}) == (422, "addon_is_plan")
    assert await backend.refused(path, {"plan": "seats"}) == (422, "plan_is_addon")
    assert await backend.refused(path, three) == (409, "nothing_to_change")


async def with_two_seats(backend: Backend) -> Json:
    await backend.open_shop()
    await backend.post("/v1/plans", plan(prices=[a_price("29.00", setup_fee="49.00")]))
    seats = [a_price("10.00", model="per_unit")]
    await backend.post(
        "/v1/plans", plan("seats", name="Seats", kind="addon", prices=seats, entitlements={"seats": 1})
    )
    body = {"customer": "user-42", "plan": "pro", "addons": [{"plan": "seats", "quantity": "2"}]}
    subscribed: Json = (await backend.post("/v1/subscriptions", body))["subscription"]
    return subscribed


def a_price(unit_price: str, **more: str) -> Json:
    return {"currency": "EUR", "unit_price": unit_price, **more}


def billed(invoice: Json) -> list[tuple[str, int]]:
    return [(line["description"], line["net"]["minor"]) for line in invoice["lines"]]
