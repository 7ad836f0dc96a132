"""Drafts of credit notes: edited, looked at, issued under the same id; nothing happens before that."""

import pytest

from tests.flows.backend import Backend, Json, euros, line
from tests.flows.conftest import OpenTenant


@pytest.fixture
async def shop(open_tenant: OpenTenant) -> Backend:
    backend = await open_tenant()
    await backend.open_shop()
    return backend


def on_invoice(invoice: Json, **more: object) -> Json:
    return {"on_invoice": {"invoice": invoice["id"], "reason": "cancellation", **more}}


def on_customer(**more: object) -> Json:
    lines = [{"description": "Goodwill", "unit_price": "10.00"}]
    return {
        "on_customer": {
            "customer": "user-42",
            "currency": "EUR",
            "reason": "commercial_gesture",
            "lines": lines,
            **more,
        }
    }


async def drafted(shop: Backend, body: Json) -> Json:
    return await shop.post("/v1/draft_credit_notes", body)


async def read(shop: Backend, draft: Json) -> Json:
    return await shop.get(f"/v1/draft_credit_notes/{draft['id']}")


async def issued(shop: Backend, draft: Json) -> Json:
    return await shop.post(f"/v1/draft_credit_notes/{draft['id']}/issue")


async def test_a_draft_says_what_it_would_come_to_and_comes_to_that(shop: Backend) -> None:
    invoice = await shop.issue(line("100.00"))
    await shop.post(f"/v1/invoices/{invoice['id']}/payments", {"means": "transfer", "amount": euros(50_00)})

    draft = await drafted(shop, on_invoice(invoice, percent="75", refund="manual"))
    assert draft == await read(shop, draft)
    assert (draft["customer_id"], draft["invoice_id"]) == (invoice["customer_id"], invoice["id"])
    preview = draft["preview"]
    assert (preview["net"], preview["tax"], preview["total"]) == (euros(75_00), euros(15_00), euros(90_00))
    assert preview["destination"]["to_invoice"] == euros(70_00)
    assert (await shop.get("/v1/credit_notes"))["data"] == []

    listed = await shop.get("/v1/draft_credit_notes", invoice_id=invoice["id"], customer_id="user-42")
    assert [each["id"] for each in listed["data"]] == [draft["id"]]

    note = (await issued(shop, draft))["credit_note"]
    assert note["id"] == draft["id"]
    assert (note["total"], note["destination"]) == (preview["total"], preview["destination"])
    assert note["number"] == "A2026-000001"


async def test_a_draft_on_no_invoice_is_issued_under_its_id(shop: Backend) -> None:
    draft = await drafted(shop, on_customer(refund="manual"))
    assert (draft["invoice_id"], draft["preview"]["total"]) == (None, euros(12_00))

    back = await issued(shop, draft)

    assert (back["credit_note"]["id"], back["to_refund_by_hand"]) == (draft["id"], euros(12_00))
    assert (await shop.get("/v1/draft_credit_notes"))["data"] == []
    answer = await shop.http.get(f"/v1/draft_credit_notes/{draft['id']}")
    assert answer.json()["code"] == "draft_credit_note_not_found"


async def test_a_draft_follows_what_happens_meanwhile(shop: Backend) -> None:
    """First it would take off what is due, then it would be balance, and then there is nothing left."""
    invoice = await shop.issue(line("100.00"))
    draft = await drafted(shop, on_invoice(invoice, refund="none"))
    assert draft["preview"]["destination"]["to_invoice"] == euros(120_00)

    await shop.post(f"/v1/invoices/{invoice['id']}/payments", {"means": "transfer"})
    assert (await read(shop, draft))["preview"]["destination"]["to_balance"] == euros(120_00)

    await shop.credit(invoice)
    seen = await read(shop, draft)
    assert (seen["preview"], seen["obstacle"]["code"]) == (None, "nothing_to_credit")
    assert await shop.refused(f"/v1/draft_credit_notes/{draft['id']}/issue") == (409, "nothing_to_credit")
    assert (await read(shop, draft))["id"] == draft["id"]


async def test_an_edited_draft_is_what_was_sent_last(shop: Backend) -> None:
    invoice = await shop.issue(line("100.00"))
    draft = await drafted(shop, on_invoice(invoice))
    path = f"/v1/draft_credit_notes/{draft['id']}"

    edited = await shop.patch(path, on_invoice(invoice, total=euros(60_00), reason="early_payment"))
    assert edited["preview"]["total"] == euros(60_00)
    moved = await shop.patch(path, on_customer())

    assert (moved["on_invoice"], moved["invoice_id"], moved["preview"]["total"]) == (None, None, euros(12_00))
    assert moved == await read(shop, draft)


async def test_a_deleted_draft_leaves_no_gap(shop: Backend) -> None:
    draft = await drafted(shop, on_customer())
    answer = await shop.send("DELETE", f"/v1/draft_credit_notes/{draft['id']}")
    assert answer.status_code == 204

    note = (await issued(shop, await drafted(shop, on_customer())))["credit_note"]

    assert note["number"] == "A2026-000001"


async def test_what_can_never_be_issued_is_not_kept(shop: Backend) -> None:
    invoice = await shop.issue(line("100.00"))
    both = {**on_invoice(invoice), **on_customer()}
    for body, refusal in (
        ({}, (422, "draft_of_one")),
        (both, (422, "draft_of_one")),
        (on_customer(refund="automatic"), (422, "refund_without_payment")),
        (on_invoice(invoice, percent="1", total=euros(1)), (422, "credit_by_one")),
        (on_customer(customer="nobody"), (404, "customer_not_found")),
    ):
        assert await shop.refused("/v1/draft_credit_notes", body) == refusal
    assert (await shop.get("/v1/draft_credit_notes"))["data"] == []


async def test_what_had_gone_back_before_is_recorded_when_it_is_issued(shop: Backend) -> None:
    invoice = await shop.issue(line("100.00"))
    await shop.post(f"/v1/invoices/{invoice['id']}/payments", {"means": "transfer"})
    gone = [{"means": "cash", "amount": euros(20_00)}]

    draft = await drafted(shop, on_invoice(invoice, refund="manual", already_refunded=gone))
    back = await issued(shop, draft)

    assert (back["to_refund_by_hand"], len(back["refunds"])) == (euros(100_00), 1)
