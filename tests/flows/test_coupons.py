"""Coupons over HTTP: a hundred thousand codes in a call, and what a stranger learns from trying one."""

import csv
import io
from typing import Any

import httpx
import pytest
from litestar import Litestar

from kernel.database import Pool, transaction
from tests.flows.backend import Backend, Json, customer, plan, welcome
from tests.flows.conftest import OpenTenant, Time
from tests.makers import NOON

MANY = 20_000


async def test_codes_by_the_thousand_are_made_in_one_call_and_read_as_csv(open_tenant: OpenTenant) -> None:
    backend = await open_tenant()
    await backend.post("/v1/offers", welcome())
    batch = await backend.post("/v1/offers/welcome/coupon_batches", {"count": MANY, "prefix": "SPRING"})

    answer = await backend.http.get(f"/v1/coupon_batches/{batch['id']}/codes.csv")

    assert answer.headers["content-type"].startswith("text/csv")
    header, *rows = csv.reader(io.StringIO(answer.text))
    assert header == ["code", "status", "max_redemptions", "redeemed", "expires_at"]
    assert len({row[0] for row in rows}) == len(rows) == MANY
    assert {tuple(row[1:]) for row in rows} == {("active", "1", "0", "")}
    found = await backend.get(f"/v1/coupons/{rows[0][0].lower()}")
    assert (found["coupon"]["coupon_batch_id"], found["unusable"]) == (batch["id"], None)


async def test_a_list_of_codes_leaves_in_parts(open_tenant: OpenTenant, app: Litestar) -> None:
    backend = await open_tenant()
    await backend.post("/v1/offers", welcome())
    batch = await backend.post("/v1/offers/welcome/coupon_batches", {"count": MANY})
    parts: list[int] = []

    async def watched(scope: Any, receive: Any, send: Any) -> None:
        async def count(message: Any) -> None:
            parts.append(len(message.get("body", b"")))
            await send(message)

        await app(scope, receive, count)

    transport = httpx.ASGITransport(app=watched)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        path = f"/v1/coupon_batches/{batch['id']}/codes.csv"
        answer = await client.get(path, headers=backend.http.headers)

    assert sum(parts) == len(answer.content)
    assert max(parts) < len(answer.content) / 3


@pytest.mark.parametrize("at", ["9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00"])
async def test_a_time_that_no_calendar_has_is_refused(open_tenant: OpenTenant, at: str) -> None:
    backend = await open_tenant()
    await backend.post("/v1/offers", welcome())
    refused = await backend.refused("/v1/offers/welcome/coupons", {"code": "NEVER", "expires_at": at})
    assert refused == (422, "time_out_of_range")


# ── Guessing ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
async def shop(open_tenant: OpenTenant, time: Time) -> Backend:
    """With a code GOOD, and user-7 who has a subscription."""
    backend = await open_tenant()
    time.at = NOON
    await backend.open_shop()
    await backend.post("/v1/plans", plan())
    await backend.post("/v1/offers", welcome(conditions={}, max_per_customer=100))
    await backend.post("/v1/offers/welcome/coupons", {"code": "GOOD"})
    await backend.post("/v1/signups", signup("user-7"))
    return backend


def signup(reference: str, *codes: str) -> Json:
    return {
        "customer": customer(reference),
        "plan": "pro",
        "coupons": list(codes),
        "collection": "send_invoice",
    }


async def tried(shop: Backend, reference: str, *codes: str, dry_run: bool = False) -> httpx.Response:
    query = "?dry_run=true" if dry_run else ""
    return await shop.send("POST", f"/v1/signups{query}", signup(reference, *codes))


def said(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


INVALID, STOPPED = (409, "coupon_invalid"), (429, "coupon_attempts")


async def test_who_guesses_codes_has_to_stop_after_ten(shop: Backend, time: Time) -> None:
    for n in range(10):
        assert said(await tried(shop, "user-8", f"GUESS-{n}", dry_run=n % 2 == 0)) == INVALID

    time.forward(seconds=60)
    refused = await tried(shop, "user-8", "GOOD")
    assert said(refused) == STOPPED
    assert refused.headers["retry-after"] == str(refused.json()["retry_after"]) == "540"
    assert (await tried(shop, "user-8")).status_code == 201  # without a code nobody is stopped
    assert (await tried(shop, "user-9", "GOOD")).status_code == 201  # nor is anybody else

    time.forward(seconds=540)
    again = await shop.send("POST", "/v1/subscriptions", {**signup("user-8", "GOOD"), "customer": "user-8"})
    assert again.status_code == 201, again.text


async def test_codes_that_are_tried_together_are_counted_each(shop: Backend) -> None:
    assert said(await tried(shop, "user-8", *(f"GUESS-{n}" for n in range(10)))) == INVALID
    assert said(await tried(shop, "user-8", "GOOD")) == STOPPED


async def test_wherever_a_code_is_tried_it_is_counted(shop: Backend) -> None:
    (subscription,) = (await shop.get("/v1/subscriptions"))["data"]
    further = {"customer": "user-7", "plan": "pro", "coupons": ["GUESS"]}
    for _ in range(5):
        assert await shop.refused("/v1/subscriptions", further) == INVALID
        path = f"/v1/subscriptions/{subscription['id']}/offers"
        assert await shop.refused(path, {"coupon": "GUESS"}) == INVALID

    assert await shop.refused(path, {"coupon": "GOOD"}) == STOPPED
    assert (await shop.post(path, {"offer": "welcome"}))["is_new"]


async def test_a_code_that_was_right_is_not_counted(shop: Backend) -> None:
    for n in range(12):
        answer = await shop.send(
            "POST", "/v1/subscriptions", {"customer": "user-7", "plan": "pro", "coupons": ["GOOD"]}
        )
        assert answer.status_code == 201, f"{n}: {answer.text}"


async def test_a_count_that_is_over_is_forgotten(shop: Backend, time: Time, pool: Pool) -> None:
    for n in range(3):
        await tried(shop, f"user-{n}", "GUESS")
    time.forward(seconds=601)
    await tried(shop, "user-8", "GUESS")

    async with transaction(pool, shop.tenant, now=NOON) as tx:
        rows = await tx.conn.fetch("SELECT who, failures FROM coupon_attempts")
    assert [tuple(row) for row in rows] == [("user-8", 1)]
