"""What happened to a document can be read on it: what, when, and which key called for it."""

from api.house import House
from api.work import drain
from tests.flows.backend import Backend
from tests.flows.test_story import a_customer_who_has_paid


async def test_an_invoice_and_its_note_tell_what_happened_and_who_called_for_it(
    backend: Backend, house: House
) -> None:
    invoice = (await a_customer_who_has_paid(backend, house))["invoice"]
    given = await backend.post(f"/v1/invoices/{invoice['id']}/credit_notes", {"reason": "duplicate"})
    note, (refund,) = given["credit_note"], given["refunds"]
    await drain(house)

    of_invoice = (await backend.get(f"/v1/invoices/{invoice['id']}/activity"))["data"]
    of_note = (await backend.get(f"/v1/credit_notes/{note['id']}/activity"))["data"]

    assert [each["type"] for each in of_invoice] == [
        "refund.succeeded",
        "refund.requested",
        "credit_note.issued",
        "redemption.converted",
        "payment.succeeded",
        "invoice.settled",
        "invoice.issued",
    ]
    assert [each["type"] for each in of_note] == [
        "refund.succeeded",
        "refund.requested",
        "credit_note.issued",
    ]
    assert {each["data"]["refund_id"] for each in of_note[:2]} == {refund["id"]}
    (key,) = [each["id"] for each in (await backend.get("/v1/api_keys"))["data"]]
    assert [each["actor"] for each in of_invoice] == [None, key, key, None, None, None, key]
    assert [each["actor"] for each in of_note] == [None, key, key]


async def test_an_activity_log_is_read_page_by_page(backend: Backend, house: House) -> None:
    invoice = (await a_customer_who_has_paid(backend, house))["invoice"]
    path = f"/v1/invoices/{invoice['id']}/activity"

    first = await backend.get(path, limit="2")
    rest = await backend.get(path, cursor=first["next_cursor"])

    assert [*first["data"], *rest["data"]] == (await backend.get(path))["data"]
    assert (len(first["data"]), len(rest["data"])) == (2, 2)
