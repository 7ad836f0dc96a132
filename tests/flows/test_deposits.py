"""Deposits, and documents issued elsewhere, over the API and through the worker."""

import pytest

from api.house import House
from api.work import drain
from tests.flows.backend import Backend, Json, euros, line, rebate
from tests.flows.conftest import OpenTenant, Time
from tests.flows.test_story import check_ledger
from tests.notifications.inbox import Inbox


@pytest.fixture
async def shop(open_tenant: OpenTenant) -> Backend:
    backend = await open_tenant()
    await backend.open_shop(payment_method="pm_sandbox_ok")
    return backend


async def a_deposit(shop: Backend) -> Json:
    body = {"customer": "user-42", "currency": "EUR", "lines": [line("300.00")], "kind": "deposit"}
    draft = await shop.post("/v1/draft_invoices", body)
    return await shop.post(f"/v1/draft_invoices/{draft['id']}/issue")


def final_of(deposit: Json) -> Json:
    return {
        "customer": "user-42",
        "currency": "EUR",
        "lines": [line("1000.00")],
        "deposits": [deposit["id"]],
    }


async def paid_by_card(shop: Backend, house: House, invoice: Json) -> None:
    await shop.post(f"/v1/invoices/{invoice['id']}/pay")
    await drain(house)


def an_import(number: str, **more: object) -> Json:
    return {
        "customer": "user-42",
        "number": number,
        "issued_on": "2025-12-01",
        "due_on": "2025-12-31",
        "currency": "EUR",
        "lines": [{"description": "x", "amount": euros(100_00), "tax": {"rate": "20"}}],
        **more,
    }


async def test_a_deposit_is_paid_deducted_and_given_back_with_the_rest(
    shop: Backend, house: House, inbox: Inbox
) -> None:
    deposit = await a_deposit(shop)
    draft = await shop.post("/v1/draft_invoices", final_of(deposit))
    assert await shop.refused(f"/v1/draft_invoices/{draft['id']}/issue") == (409, "deposit_unsettled")
    await paid_by_card(shop, house, deposit)

    final = await shop.post(f"/v1/draft_invoices/{draft['id']}/issue")
    assert (final["kind"], final["total"], final["settlement"]["due"]) == (
        "final",
        euros(1200_00),
        euros(840_00),
    )
    (deducted,) = final["deductions"]
    assert (deducted["number"], deducted["total"]) == (deposit["number"], euros(360_00))
    log = await shop.get(f"/v1/invoices/{deposit['id']}/activity")
    assert "deposit.deducted" in [event["type"] for event in log["data"]]
    await paid_by_card(shop, house, final)
    assert await check_ledger(shop) == {"512": 1200_00, "706": -1000_00, "44571": -200_00}

    given = await shop.post(f"/v1/invoices/{final['id']}/credit_notes", {"reason": "cancellation"})
    await drain(house)

    assert sorted(refund["amount"]["minor"] for refund in given["refunds"]) == [360_00, 840_00]
    assert await check_ledger(shop) == {}


async def test_a_deposit_is_no_purchase_and_its_final_invoice_is(shop: Backend, time: Time) -> None:
    deposit = await shop.issue(line("200.00"), kind="deposit")
    await shop.post(f"/v1/invoices/{deposit['id']}/payments", {"means": "transfer"})
    final = await shop.issue(line("250.00"), deposits=[deposit["id"]])
    await shop.post("/v1/rebates", rebate("rfa", "user-42", mode="whole_volume"))

    (given,) = (await shop.post("/v1/rebates/rfa/settle", {"on": "2026-01-15"}))["settlements"]

    assert given["settlement"]["net"] == euros(50_00)  # 20 % of 250.00, and not 30 % of 450.00
    (note,) = (await shop.get("/v1/credit_notes"))["data"]
    assert [source["invoice_id"] for source in note["sources"]] == [final["id"]]
    assert note["destination"]["to_invoice"] == euros(60_00)  # that much was still due


async def test_an_import_is_dunned_when_it_falls_due_here_or_when_that_is_asked_for(
    shop: Backend, house: House, inbox: Inbox, time: Time
) -> None:
    late = an_import("2025-1")
    asked = an_import("2025-2", dunning=True)
    to_come = an_import("2025-3", due_on="2026-01-31")

    answer = await shop.post("/v1/imported_invoices", {"invoices": [late, asked, to_come]})
    await drain(house)
    (reminder,) = inbox.messages
    assert reminder["Subject"] == "Rappel : votre facture 2025-2 reste à payer"
    assert not any(part.get_filename() for part in reminder.walk())  # its page is not ours
    status = [await dunning_of(shop, each) for each in answer["invoices"]]
    assert status == ["none", "running", "none"]

    time.forward(days=20)
    await drain(house)
    status = [await dunning_of(shop, each) for each in answer["invoices"]]
    assert status == ["none", "running", "running"]
    assert not any("2025-1" in str(letter["Subject"]) for letter in inbox.messages)


async def dunning_of(shop: Backend, invoice: Json) -> str:
    answer = await shop.send("GET", f"/v1/invoices/{invoice['id']}/dunning")
    return str(answer.json()["status"]) if answer.status_code == 200 else "none"
