"""Coupons over HTTP: a hundred thousand codes in a call, and what a stranger learns from trying one."""

import csv
import io
from typing import Any

import httpx
from litestar import Litestar

from tests.flows.backend import welcome
from tests.flows.conftest import OpenTenant

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
