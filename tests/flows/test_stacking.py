"""How offers add up, over HTTP: the amounts of the design, and what others get wrong."""

from typing import Any

import pytest

from tests.flows.backend import Backend, Json, customer, euros, plan
from tests.flows.conftest import Time

COMPOUND: Json = {"percentages": "compound"}
FULL_AMOUNT: Json = {"percentages": "full_amount"}


async def a_shop(backend: Backend, policy: Json, *, lanes: tuple[int, int] = (0, 0)) -> None:
    """A plan for 100.00, an offer of 10 % with a code, and one of 50 %."""
    await backend.open_shop()
    await backend.post("/v1/plans", plan(price="100.00"))
    await backend.post("/v1/offers", percent("TEN", "10", lane=lanes[0], duration={"type": "forever"}))
    await backend.post("/v1/offers", percent("HALF", "50", lane=lanes[1], duration={"type": "forever"}))
    await backend.post("/v1/offers/TEN/coupons", {"code": "TENNER"})
    await backend.patch("/v1/promotions/policy", policy)


def percent(reference: str, rate: str, **more: Any) -> Json:
    benefit = {"type": "percent", "percent": rate}
    return {"reference": reference, "name": f"{rate} % off", "benefit": benefit, **more}


async def sign_up(backend: Backend, **more: Any) -> Json:
    signup = {"customer": customer("new", tax_rate="vat-20"), "plan": "pro", **more}
    return await backend.post("/v1/signups", signup)


def off(invoice: Json) -> list[tuple[str, int]]:
    """What each offer takes off, by name."""
    return [
        (each["source"], each["amount"]["minor"]) for line in invoice["lines"] for each in line["allowances"]
    ]


@pytest.mark.parametrize(
    ("policy", "lanes", "taken"),
    [
        (COMPOUND, (1, 2), [("TEN", 10_00), ("HALF", 45_00)]),
        (COMPOUND, (2, 1), [("HALF", 50_00), ("TEN", 5_00)]),
        (FULL_AMOUNT, (1, 2), [("TEN", 10_00), ("HALF", 50_00)]),
        ({**COMPOUND, "cumulative_lanes": [0]}, (0, 0), [("TEN", 10_00), ("HALF", 45_00)]),
        ({**FULL_AMOUNT, "cumulative_lanes": [0]}, (0, 0), [("TEN", 10_00), ("HALF", 50_00)]),
        (COMPOUND, (0, 0), [("HALF", 50_00)]),
    ],
)
async def test_ten_and_fifty_percent_of_100_are_55_or_60_or_the_best_of_them(
    backend: Backend, policy: Json, lanes: tuple[int, int], taken: list[tuple[str, int]]
) -> None:
    await a_shop(backend, policy, lanes=lanes)
    signup = await sign_up(backend, offer="HALF", coupons=["tenner"])

    assert off(signup["invoice"]) == taken
    net = 100_00 - sum(minor for _, minor in taken)
    assert (signup["invoice"]["net"], signup["invoice"]["total"]) == (euros(net), euros(net * 120 // 100))


async def test_what_is_given_later_stacks_from_the_next_period_on(backend: Backend, time: Time) -> None:
    await a_shop(backend, COMPOUND, lanes=(1, 2))
    signup = await sign_up(backend, offer="HALF")
    assert off(signup["invoice"]) == [("HALF", 50_00)]

    subscription = signup["subscription"]
    await backend.post(f"/v1/subscriptions/{subscription['id']}/offers", {"offer": "TEN"})
    time.forward(days=31)
    renewal = await backend.post(f"/v1/subscriptions/{subscription['id']}/renew")

    assert off(renewal["invoice"]) == [("TEN", 10_00), ("HALF", 45_00)]


async def test_a_policy_holds_for_what_is_billed_after_it(backend: Backend, time: Time) -> None:
    await a_shop(backend, COMPOUND, lanes=(1, 2))
    signup = await sign_up(backend, offer="HALF", coupons=["TENNER"])
    await backend.patch("/v1/promotions/policy", FULL_AMOUNT)

    time.forward(days=31)
    renewal = await backend.post(f"/v1/subscriptions/{signup['subscription']['id']}/renew")

    assert sum(minor for _, minor in off(signup["invoice"])) == 55_00
    assert sum(minor for _, minor in off(renewal["invoice"])) == 60_00


# ── What others get wrong ───────────────────────────────────────────────────────────────────────────────


async def test_four_months_off_a_year_are_four_months(backend: Backend) -> None:
    await backend.open_shop()
    await backend.post("/v1/plans", plan(price="120.00", interval={"unit": "year"}))
    await backend.post("/v1/offers", percent("FOUR", "50", duration={"type": "months", "count": 4}))

    signup = await sign_up(backend, offer="FOUR")

    assert off(signup["invoice"]) == [("FOUR", 20_00)]  # half of four twelfths


async def test_seats_added_to_what_is_free_are_free_for_the_rest_of_the_period(
    backend: Backend, time: Time
) -> None:
    """And what is credited of nothing is nothing."""
    await backend.open_shop()
    seats = [{"currency": "EUR", "model": "per_unit", "unit_price": "10.00"}]
    await backend.post("/v1/plans", plan(prices=seats))
    await backend.post("/v1/offers", percent("FREE", "100", duration={"type": "periods", "count": 2}))
    signup = await sign_up(backend, offer="FREE", quantity="2")
    assert (signup["invoice"]["total"], signup["invoice"]["settlement"]["status"]) == (euros(0), "settled")

    time.forward(days=5)
    changed = await backend.post(
        f"/v1/subscriptions/{signup['subscription']['id']}/change", {"quantity": "5"}
    )
    assert changed["invoice"]["total"] == euros(0)
    assert [line["discount"] for line in changed["invoice"]["lines"]] == [
        line["amount"] for line in changed["invoice"]["lines"]
    ]

    totals = []
    for _ in range(2):
        time.forward(days=31)
        renewal = await backend.post(f"/v1/subscriptions/{signup['subscription']['id']}/renew")
        totals.append(renewal["invoice"]["net"]["minor"])
    assert totals == [0, 50_00]  # two periods, not three: more seats did not use one up
