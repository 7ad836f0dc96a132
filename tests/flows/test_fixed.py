"""Over the API: a wrong invoice is put right, and who acts on a draft is told to issue it."""

import httpx

from api.house import House
from api.work import drain
from tests.flows.backend import Backend, Json, euros, line
from tests.flows.conftest import Time
from tests.flows.world import a_world, operations_of
from tests.notifications.inbox import Inbox


async def test_a_paid_invoice_is_put_right_in_one_call_and_one_mail(
    backend: Backend, house: House, inbox: Inbox
) -> None:
    await backend.open_shop(payment_method="pm_sandbox_ok")
    invoice = await backend.issue(line("100.00"))
    await backend.post(f"/v1/invoices/{invoice['id']}/pay")
    await drain(house)
    before = len(inbox.messages)

    fixed = await backend.post(
        f"/v1/invoices/{invoice['id']}/fix",
        {
            "reason": "billing_error",
            "lines": [{"line": invoice["lines"][0]["id"], "unit_price": "80.00"}],
            "refund": "automatic",
        },
    )
    await drain(house)

    first = await backend.get(f"/v1/invoices/{invoice['id']}")
    second = await backend.get(f"/v1/invoices/{fixed['invoice']['id']}")
    note = await backend.get(f"/v1/credit_notes/{fixed['credit_note']['id']}")
    assert first["corrected_by"] == note["corrected_by"] == second["id"]
    assert [each["id"] for each in second["references"]] == [first["id"], note["id"]]
    assert (second["kind"], second["settlement"]["due"]) == ("corrected", euros(0))
    assert note["settlement"]["refunded"] == euros(24_00)
    subjects = [str(mail["subject"]) for mail in inbox.messages[before:]]
    assert subjects == [
        f"Votre facture rectificative {second['number']}",
        "Votre remboursement de 24,00 €",
    ]
    assert [part.get_filename() for part in inbox.messages[before].iter_attachments()] == [
        f"{second['number']}.pdf",
        f"{note['number']}.pdf",
    ]
    for document in (
        f"/v1/invoices/{first['id']}",
        f"/v1/invoices/{second['id']}",
        f"/v1/credit_notes/{note['id']}",
    ):
        happened = [each["type"] for each in (await backend.get(f"{document}/activity"))["data"]]
        assert "invoice.corrected" in happened, document


async def test_whatever_is_done_to_a_draft_as_to_an_invoice_says_that_it_is_one(
    backend: Backend, time: Time, anonymous: httpx.AsyncClient
) -> None:
    document: Json = (await anonymous.get("/openapi.json")).json()
    world = await a_world(backend, time)
    draft = world["draft_invoice"]

    tried = []
    for operation in operations_of(document):
        if ("invoice_id", "path", "invoice") in operation.ids:
            path = operation.path_in({**world, f"{operation.id}.invoice": draft, "invoice": draft})
            answer = await backend.send(operation.method, path, operation.body(world))
            assert (answer.status_code, answer.json()["code"]) == (409, "invoice_is_draft"), operation.id
            tried.append(operation.id)

    assert {"get_invoice", "create_credit_note", "fix_invoice", "pay_invoice", "get_invoice_pdf"} <= set(
        tried
    )
