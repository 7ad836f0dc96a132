"""A credit note on no invoice is attached to those it is about: named there, and no money moves."""

import pytest

from tests.flows.backend import Backend, Json, customer, euros, line
from tests.flows.conftest import OpenTenant


@pytest.fixture
async def shop(open_tenant: OpenTenant) -> Backend:
    backend = await open_tenant()
    await backend.open_shop()
    return backend


async def a_note(shop: Backend, *, to: str = "user-42", currency: str = "EUR", **more: object) -> Json:
    lines = [{"description": "Goodwill", "unit_price": "10.00"}]
    body = {"customer": to, "currency": currency, "lines": lines, "reason": "commercial_gesture", **more}
    note: Json = (await shop.post("/v1/credit_notes", body))["credit_note"]
    return note


async def test_it_names_the_invoices_it_is_about_and_is_listed_with_them(shop: Backend) -> None:
    first, second = [await shop.issue(line("100.00")) for _ in range(2)]
    note = await a_note(shop)
    path = f"/v1/credit_notes/{note['id']}"

    attached = await shop.post(f"{path}/attach", {"invoices": [second["id"], first["id"]]})
    again = await shop.post(f"{path}/attach", {"invoices": [first["id"]]})

    assert attached == again == await shop.get(path)
    assert [each["number"] for each in attached["references"]] == ["F2026-000001", "F2026-000002"]
    assert (attached["settlement"], attached["invoice_id"], attached["sources"]) == (
        note["settlement"],
        None,
        [],
    )
    listed = await shop.get("/v1/credit_notes", invoice_id=first["id"])
    assert [each["id"] for each in listed["data"]] == [note["id"]]
    said = [event["type"] for event in (await shop.get(f"/v1/invoices/{first['id']}/activity"))["data"]]
    assert said.count("credit_note.attached") == 1

    detached = await shop.post(f"{path}/detach", {"invoices": [first["id"]]})
    assert [each["id"] for each in detached["references"]] == [second["id"]]
    assert (await shop.get("/v1/credit_notes", invoice_id=first["id"]))["data"] == []
    refused = await shop.refused(f"{path}/detach", {"invoices": [first["id"]]})
    assert refused == (409, "credit_note_not_attached")


async def test_what_is_attached_may_still_be_credited_whole(shop: Backend) -> None:
    invoice = await shop.issue(line("100.00"))
    note = await a_note(shop)
    await shop.post(f"/v1/credit_notes/{note['id']}/attach", {"invoices": [invoice["id"]]})

    assert (await shop.credit(invoice))["total"] == euros(120_00)


async def test_only_documents_that_are_alike_are_attached(shop: Backend) -> None:
    invoice = await shop.issue(line("100.00"))
    other = await shop.post("/v1/customers", customer("user-7"))
    on_invoice = await shop.credit(invoice, {"line": invoice["lines"][0]["id"], "amount": euros(1_00)})
    of_another = await a_note(shop, to=other["id"])
    dollars = await a_note(shop, currency="USD", net_of_tax=True)
    for note, refusal in (
        (on_invoice, (409, "credit_note_on_invoice")),
        (of_another, (422, "customer_mismatch")),
        (dollars, (422, "currency_mismatch")),
    ):
        path = f"/v1/credit_notes/{note['id']}/attach"
        assert await shop.refused(path, {"invoices": [invoice["id"]]}) == refusal
