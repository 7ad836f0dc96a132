"""Settlement batches over HTTP, carried out by workers, one of which dies."""

from functools import partial

import pytest

from api import consequences
from api.house import House
from api.settling import settle_batch
from api.work import drain
from billing.settlement.batches import store
from billing.settlement.batches.model import Mark, SettlementBatch
from kernel.database import Tx
from tests.flows.backend import Backend, Json, customer, euros, line
from tests.flows.conftest import Time


@pytest.fixture
async def shop(backend: Backend) -> Backend:
    """Three customers, each with 60.00 on a note and two invoices of 36.00 to pay."""
    await backend.open_shop()
    await backend.patch("/v1/settings", {"settle_credit_notes": "never"})  # but by a batch
    for n in range(3):
        who = (await backend.post("/v1/customers", customer(f"user-{n}")))["id"]
        paid = await backend.issue(line("50.00"), customer=who)
        await backend.post(f"/v1/invoices/{paid['id']}/payments", {"means": "transfer"})
        await backend.credit(paid)
        for _ in range(2):
            await backend.issue(line("30.00"), customer=who)
    return backend


async def dues(shop: Backend) -> list[int]:
    found = (await shop.get("/v1/invoices", limit="100"))["data"]
    return [each["settlement"]["due"]["minor"] for each in reversed(found)]


async def asked(shop: Backend, **fields: object) -> Json:
    return await shop.post("/v1/settlement_batches", fields)


async def test_a_worker_settles_all_customers_and_reports(shop: Backend, house: House) -> None:
    queued = await asked(shop)
    assert (queued["status"], queued["examined"], queued["total"]) == ("queued", 0, 3)

    await drain(house)

    done = await shop.get(f"/v1/settlement_batches/{queued['id']}")
    assert (done["status"], done["examined"], done["applications"]) == ("done", 3, 6)
    assert done["applied"] == [{"currency": "EUR", "applications": 6, "amount": euros(180_00)}]
    assert done["refused"] == []
    assert await dues(shop) == [0, 0, 12_00] * 3
    assert (await shop.get("/v1/settlement_batches"))["data"] == [done]
    again = await shop.send("POST", f"/v1/settlement_batches/{queued['id']}/cancel")
    assert (again.status_code, again.json()["code"]) == (409, "settlement_batch_over")


async def test_simulated_it_reports_the_same_and_settles_nothing(shop: Backend, house: House) -> None:
    before = await dues(shop)
    events = await shop.get("/v1/events", type="credit_note.applied")
    simulated = await asked(shop, simulate=True)
    await drain(house)
    assert (await dues(shop), await shop.get("/v1/events", type="credit_note.applied")) == (before, events)

    real = await asked(shop)
    await drain(house)
    said, did = [await shop.get(f"/v1/settlement_batches/{batch['id']}") for batch in (simulated, real)]
    for name in ("status", "examined", "applications", "applied", "refused"):
        assert said[name] == did[name]


async def test_what_it_applied_stands_in_the_log_of_both_documents(shop: Backend, house: House) -> None:
    await asked(shop)
    await drain(house)

    [edge] = (await shop.get("/v1/settlements", limit="1"))["data"]
    for of in (f"credit_notes/{edge['credit_note_id']}", f"invoices/{edge['invoice_id']}"):
        types = [event["type"] for event in (await shop.get(f"/v1/{of}/activity"))["data"]]
        assert "credit_note.applied" in types


async def test_a_worker_that_dies_leaves_the_rest_to_the_next(
    shop: Backend, house: House, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    queued = await asked(shop)
    chunks, go_on = 0, store.go_on

    async def dying(tx: Tx, batch: SettlementBatch, mark: Mark | None, *, was: Mark | None) -> bool:
        nonlocal chunks
        chunks += 1
        if chunks == 2:
            raise ConnectionResetError("the worker is gone")
        return await go_on(tx, batch, mark, was=was)

    monkeypatch.setattr(store, "go_on", dying)
    monkeypatch.setattr(consequences, "settle_batch", partial(settle_batch, limit=1))
    await drain(house)
    halfway = await shop.get(f"/v1/settlement_batches/{queued['id']}")
    assert halfway["status"] == "running"
    assert 0 < halfway["applications"] < 6

    time.forward(seconds=5)
    await drain(house)
    done = await shop.get(f"/v1/settlement_batches/{queued['id']}")
    assert (done["status"], done["examined"], done["applications"]) == ("done", 3, 6)
    assert await dues(shop) == [0, 0, 12_00] * 3
