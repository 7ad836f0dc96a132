"""Rebate programmes over HTTP: the amounts of the design, settled by hand and by the worker."""

from typing import Any

import pytest

from api.house import House
from api.work import drain
from tests.flows.backend import Backend, Json, euros, line, rebate
from tests.flows.conftest import Time
from tests.flows.test_clock import advance
from tests.notifications.inbox import Inbox

TODAY = {"on": "2026-01-15"}


async def a_programme(backend: Backend, *prices: str, **terms: Any) -> Json:
    await backend.open_shop()
    for price in prices:
        await backend.issue(line(price))
    return await backend.post("/v1/rebates", rebate("rfa", "user-42", **terms))


async def credit_notes(backend: Backend) -> list[Json]:
    return list((await backend.get("/v1/credit_notes"))["data"])


@pytest.mark.parametrize(("mode", "due"), [("marginal", 1100_00), ("whole_volume", 1140_00)])
async def test_the_oracle_of_the_design(backend: Backend, time: Time, mode: str, due: int) -> None:
    await a_programme(backend, "1500.00", "2300.00", mode=mode)

    preview = await backend.post("/v1/rebates/rfa/settle?dry_run=true", TODAY)
    assert await credit_notes(backend) == []
    settled = await backend.post("/v1/rebates/rfa/settle", TODAY)
    for answer in (preview, settled):
        (given,) = answer["settlements"]
        assert given["settlement"]["net"] == euros(due)
        assert (given["tax"], given["total"]) == (euros(due // 5), euros(due + due // 5))
    assert (await backend.post("/v1/rebates/rfa/settle", TODAY))["settlements"] == []

    (note,) = await credit_notes(backend)
    assert (note["reason"], note["invoice_id"], note["net"]) == ("rebate", None, euros(due))
    first = (2 * due * 15 + 38) // (2 * 38)  # in proportion to what is left of them, 1500.00 and 2300.00
    assert [source["net"]["minor"] for source in note["sources"]] == [first, due - first]
    assert note["rebate"]["reference"] == "rfa"
    (listed,) = (await backend.get("/v1/rebate_settlements", rebate_id="rfa"))["data"]
    assert listed["credit_note_id"] == note["id"]
    invoice = note["sources"][0]["invoice_id"]
    assert [each["id"] for each in (await backend.get("/v1/credit_notes", invoice_id=invoice))["data"]] == [
        note["id"]
    ]


@pytest.mark.parametrize(("mode", "due"), [("marginal", 50_00), ("whole_volume", 90_00)])
async def test_at_300_exactly_the_tier_from_300_is_reached(
    backend: Backend, time: Time, mode: str, due: int
) -> None:
    await a_programme(backend, "300.00", mode=mode)

    (given,) = (await backend.post("/v1/rebates/rfa/settle", TODAY))["settlements"]
    assert given["settlement"]["net"] == euros(due)


async def test_it_is_told_at_any_time_what_is_due_and_what_the_next_tier_brings(
    backend: Backend, time: Time
) -> None:
    await a_programme(backend, "250.00", mode="whole_volume")

    (period,) = (await backend.get("/v1/rebates/rfa/accruals"))["periods"]
    assert (period["earned"], period["issued"], period["due"]) == (euros(50_00), euros(0), euros(50_00))
    assert period["next_tier"]["more_amount"] == euros(50_00)
    assert period["next_tier"]["brings"] == euros(40_00)
    assert period["says"] == "So far 50.00 EUR; 50.00 EUR more brings the next tier: +40.00 EUR."


async def test_the_worker_settles_what_is_over_and_the_customer_is_sent_the_note(
    backend: Backend, time: Time, house: House, inbox: Inbox
) -> None:
    """Month by month on the test clock."""
    await a_programme(backend, period="month", refund="none", mode="whole_volume")
    await advance(backend, house, "2026-01-20T10:00:00Z")
    await backend.issue(line("300.00"))
    await advance(backend, house, "2026-02-10T10:00:00Z")
    (january,) = await credit_notes(backend)
    assert (january["net"], january["issued_on"]) == (euros(90_00), "2026-02-01")
    await backend.issue(line("200.00"))
    await advance(backend, house, "2026-04-02T10:00:00Z")

    assert [note["net"]["minor"] for note in await credit_notes(backend)] == [40_00, 90_00]
    await drain(house)
    assert any(january["number"] in str(mail["Subject"]) for mail in inbox.messages)


async def test_a_contract_that_ends_early_is_settled_when_it_ends_and_not_again(
    backend: Backend, time: Time, house: House
) -> None:
    await a_programme(backend, refund="none", mode="whole_volume")
    await advance(backend, house, "2026-01-20T10:00:00Z")
    await backend.issue(line("300.00"))
    await backend.patch("/v1/rebates/rfa", {"ends_on": "2026-03-01"})
    await advance(backend, house, "2026-03-02T10:00:00Z")
    (note,) = await credit_notes(backend)
    assert (note["net"], note["rebate"]["ends_on"]) == (euros(90_00), "2026-03-01")
    await backend.issue(line("300.00"))

    await advance(backend, house, "2027-02-01T10:00:00Z")
    assert len(await credit_notes(backend)) == 1
    assert (await backend.get("/v1/test_clock"))["unfinished"] == []


async def test_later_credits_are_of_what_the_rebate_left(backend: Backend, time: Time) -> None:
    await backend.open_shop()
    invoice = await backend.issue(line("30.00", quantity="10"))
    await backend.post("/v1/rebates", rebate("rfa", "user-42", mode="whole_volume"))
    await backend.post("/v1/rebates/rfa/settle", TODAY)

    half = await backend.credit(invoice, {"line": invoice["lines"][0]["id"], "quantity": "5"})
    assert (half["net"], half["lines"][0]["rebate_ended"]) == (euros(105_00), euros(45_00))
    rest = await backend.credit(invoice)
    assert rest["net"] == euros(105_00)
    (period,) = (await backend.get("/v1/rebates/rfa/accruals"))["periods"]
    assert (period["volume"], period["issued"], period["due"]) == (euros(0), euros(0), euros(0))


async def test_the_page_of_a_rebate_is_there(backend: Backend, time: Time) -> None:
    await a_programme(backend, "100.00", "260.00")
    await backend.post("/v1/rebates/rfa/settle", TODAY)
    (note,) = await credit_notes(backend)

    page = await backend.send("GET", f"/v1/credit_notes/{note['id']}/pdf")
    assert page.content.startswith(b"%PDF")


async def test_a_closing_is_accrued_and_a_contract_changed(backend: Backend, time: Time) -> None:
    await a_programme(backend, "3800.00")

    accrued = await backend.post("/v1/rebates/rfa/accrue", TODAY)
    assert (accrued["net"], accrued["tax"]) == (euros(1100_00), euros(220_00))
    entries = (await backend.get("/v1/ledger_entries", document_id=accrued["id"]))["data"]
    assert sorted({entry["account"] for entry in entries}) == ["4198", "44587", "709"]
    assert sum(entry["amount"]["minor"] for entry in entries) == 0
    changed = await backend.patch("/v1/rebates/rfa", {"ends_on": "2026-07-01", "when_negative": "claw_back"})
    assert (changed["ends_on"], changed["when_negative"]) == ("2026-07-01", "claw_back")
    path = "/v1/rebates/rfa"
    over = await backend.send("PATCH", path, {"ends_on": "2026-01-15"})
    assert (over.status_code, over.json()["code"]) == (409, "rebate_over")
    early = await backend.refused(f"{path}/settle", {"on": "2025-01-01"})
    assert early == (422, "rebate_on_early")
    assert await backend.refused(f"{path}/settle", {}) == (409, "rebate_running")
