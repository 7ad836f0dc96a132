"""The story of the README, from the first tax rate to the last mail, through the API and the workers."""

from email.message import EmailMessage
from typing import Any, TypeAlias

import asyncpg
import pypdfium2  # type: ignore[import-untyped]
import pytest

from api.house import House
from api.work import drain
from tests.flows.backend import Backend, Json, customer, euros, legal_entity, plan, tax_rate, welcome
from tests.flows.conftest import Time
from tests.notifications.inbox import Inbox

Owner: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

HALF_A_MONTH = 16  # days after NOON, 15 January: 15 of the 31 days to 15 February are left


async def test_from_the_first_call_to_the_mail_with_the_invoice(
    backend: Backend, house: House, inbox: Inbox, time: Time
) -> None:
    await backend.post("/v1/tax_rates", tax_rate("20"))
    await backend.post("/v1/legal_entities", legal_entity())
    await backend.post("/v1/plans", plan())
    await backend.post("/v1/offers", welcome())

    signup = await backend.post("/v1/signups", a_signup())

    assert signup["is_new"]
    assert signup["subscription"]["status"] == "active"
    assert signup["entitlements"]["features"] == {"exports": True, "projects": 10}
    invoice = signup["invoice"]
    assert (invoice["number"], invoice["issued_on"]) == ("F2026-000001", "2026-01-15")
    assert (invoice["net"], invoice["tax"], invoice["total"]) == (euros(14_50), euros(2_90), euros(17_40))
    assert invoice["settlement"]["status"] == "open"

    await drain(house)

    after = await backend.get(f"/v1/invoices/{invoice['id']}")
    assert after["settlement"]["status"] == "settled"
    assert after["settlement"]["paid"] == euros(17_40)
    (payment,) = (await backend.get("/v1/payments", invoice_id=invoice["id"]))["data"]
    assert (payment["status"], payment["means"], payment["amount"]) == ("succeeded", "provider", euros(17_40))

    (mail,) = inbox.messages
    assert inbox.recipients == ["user-42@atelier.example"]
    assert "F2026-000001" in mail["Subject"]
    assert words_of(mail, "F2026-000001", "14,50", "2,90", "17,40")
    assert attached(mail) == (await backend.http.get(f"/v1/invoices/{invoice['id']}/pdf")).content

    for mine in ("invoices", "payments", "subscriptions"):
        for key in ("user-42", signup["customer"]["id"]):
            assert len((await backend.get(f"/v1/{mine}", customer_id=key))["data"]) == 1

    again = await backend.post("/v1/signups", a_signup())
    assert (again["is_new"], again["invoice"]["id"]) == (False, invoice["id"])
    await drain(house)
    assert len(inbox.messages) == 1


async def test_the_welcome_offer_ends_and_the_plan_goes_on(
    backend: Backend, house: House, inbox: Inbox, time: Time
) -> None:
    """Three months at half the price, then at the plan's, one invoice and one payment each."""
    await a_customer_who_has_paid(backend, house)
    for days in (31, 28, 31, 30):  # to 15 May
        time.forward(days=days)
        await drain(house)

    invoices = (await backend.get("/v1/invoices"))["data"]
    assert [each["total"]["minor"] for each in reversed(invoices)] == [17_40, 17_40, 17_40, 34_80, 34_80]
    assert [each["issued_on"] for each in reversed(invoices)] == [
        "2026-01-15", "2026-02-15", "2026-03-15", "2026-04-15", "2026-05-15",
    ]  # fmt: skip
    assert {each["settlement"]["status"] for each in invoices} == {"settled"}
    assert len(inbox.messages) == 5
    await check_ledger(backend)


async def test_a_period_is_billed_once_however_often_workers_look(
    backend: Backend, house: House, inbox: Inbox, time: Time
) -> None:
    signup = await a_customer_who_has_paid(backend, house)
    time.forward(days=31)
    await drain(house)
    await drain(house)
    subscription = signup["subscription"]["id"]
    assert await backend.refused(f"/v1/subscriptions/{subscription}/renew") == (409, "renewal_not_due")
    assert len((await backend.get("/v1/invoices"))["data"]) == 2
    assert len(inbox.messages) == 2


# ── cancelling, in each of the four modes ────────────────────────────────────────────────────────

# 14.50 net for 31 days, 15 of them unused: 7.016 → 7.02, and VAT 1.404 → 1.40.
CREDITED = 8_42


async def test_cancelled_with_an_automatic_refund(
    backend: Backend, house: House, inbox: Inbox, time: Time
) -> None:
    signup = await a_customer_who_has_paid(backend, house)
    time.forward(days=HALF_A_MONTH)
    cancelled = await cancel(backend, signup, refund="automatic")
    note = cancelled["credit_notes"][0]
    assert cancelled["subscription"]["status"] == "cancelled"
    assert (note["net"], note["tax"], note["total"]) == (euros(7_02), euros(1_40), euros(CREDITED))
    (refund,) = cancelled["refunds"]
    assert (refund["status"], refund["amount"]) == ("pending", euros(CREDITED))
    assert note["settlement"]["held"] == euros(CREDITED)

    await drain(house)

    assert (await refund_of(backend, refund))["status"] == "succeeded"
    assert (await backend.get(f"/v1/credit_notes/{note['id']}"))["settlement"]["status"] == "used"
    listed = (await backend.get("/v1/credit_notes", invoice_id=signup["invoice"]["id"]))["data"]
    assert [each["number"] for each in listed] == ["A2026-000001"]

    subjects = [mail["Subject"] for mail in inbox.messages]
    assert len(subjects) == 4, subjects  # invoice, credit note, cancellation, refund
    mail = next(mail for mail in inbox.messages if "A2026-000001" in mail["Subject"])
    assert words_of(mail, "A2026-000001", "F2026-000001", "7,02", "1,40", "8,42")
    assert attached(mail) == (await backend.http.get(f"/v1/credit_notes/{note['id']}/pdf")).content

    booked = (await backend.get("/v1/ledger_entries", document_id=note["id"]))["data"]
    assert {(each["account"], each["amount"]["minor"]) for each in booked} >= {
        ("706", 7_02), ("4458", 1_40), ("411", -CREDITED),
    }  # fmt: skip
    balances = await check_ledger(backend)
    assert balances == {"512": 17_40 - CREDITED, "706": -7_48, "44571": -1_50}


async def test_cancelled_with_a_manual_refund_recorded_in_two_parts(
    backend: Backend, house: House, inbox: Inbox, time: Time
) -> None:
    signup = await a_customer_who_has_paid(backend, house)
    time.forward(days=HALF_A_MONTH)
    cancelled = await cancel(backend, signup, refund="manual")
    note = cancelled["credit_notes"][0]
    assert (cancelled["refunds"], cancelled["to_refund_by_hand"]) == ([], euros(CREDITED))
    assert note["settlement"]["promised"] == euros(CREDITED)

    path = f"/v1/credit_notes/{note['id']}/refunds"
    first = await backend.post(
        path, {"means": "transfer", "amount": euros(5_00), "reference": "VIR-1", "refunded_on": "2026-01-30"}
    )
    assert (first["status"], first["succeeded_on"]) == ("succeeded", "2026-01-30")
    assert await backend.refused(path, {"means": "cash", "amount": euros(3_43)}) == (
        409,
        "refund_exceeds_note",
    )
    rest = await backend.post(path, {"means": "cash"})
    assert rest["amount"] == euros(3_42)

    assert (await backend.get(f"/v1/credit_notes/{note['id']}"))["settlement"] == {
        "status": "used",
        "applied": euros(0),
        "refunded": euros(CREDITED),
        "held": euros(0),
        "promised": euros(0),
        "marked": euros(0),
        "left": euros(0),
    }
    await drain(house)
    assert sum("remboursement" in mail["Subject"] for mail in inbox.messages) == 2
    assert await check_ledger(backend) == {"512": 17_40 - CREDITED, "706": -7_48, "44571": -1_50}


async def test_cancelled_with_a_deferred_refund_that_runs_on_its_day(
    backend: Backend, house: House, time: Time
) -> None:
    signup = await a_customer_who_has_paid(backend, house)
    time.forward(days=HALF_A_MONTH)
    cancelled = await cancel(backend, signup, refund="deferred", refund_on="2026-02-20")
    (refund,) = cancelled["refunds"]
    assert (refund["status"], refund["due_on"]) == ("scheduled", "2026-02-20")

    time.at = time.at.replace(month=2, day=19, hour=22, minute=59)  # 23:59 in Paris
    await drain(house)
    assert (await refund_of(backend, refund))["status"] == "scheduled"

    time.forward(seconds=60)
    await drain(house)
    after = await refund_of(backend, refund)
    assert (after["status"], after["succeeded_on"]) == ("succeeded", "2026-02-20")
    await check_ledger(backend)


async def test_cancelled_without_a_refund_leaves_a_balance(
    backend: Backend, house: House, time: Time
) -> None:
    signup = await a_customer_who_has_paid(backend, house)
    time.forward(days=HALF_A_MONTH)
    cancelled = await cancel(backend, signup, refund="none")
    assert (cancelled["refunds"], cancelled["to_refund_by_hand"]) == ([], euros(0))
    await drain(house)
    assert cancelled["credit_notes"][0]["settlement"]["left"] == euros(CREDITED)
    assert (await backend.get("/v1/customers/user-42/balance"))["amounts"] == [euros(CREDITED)]
    assert await check_ledger(backend) == {"411": -CREDITED, "512": 17_40, "706": -7_48, "44571": -1_50}


async def test_an_unpaid_invoice_is_settled_by_its_credit_note(
    backend: Backend, house: House, inbox: Inbox, time: Time
) -> None:
    """Nobody gets money back that never came."""
    await open_shop(backend)
    signup = await backend.post("/v1/signups", a_signup(collection="send_invoice"))
    cancelled = await cancel(backend, signup, credit="full", refund="automatic")
    await drain(house)
    assert cancelled["refunds"] == []
    assert cancelled["credit_notes"][0]["settlement"]["applied"] == euros(17_40)
    assert (await backend.get(f"/v1/invoices/{signup['invoice']['id']}"))["settlement"]["status"] == "settled"
    assert (await backend.get("/v1/customers/user-42/balance"))["amounts"] in ([], [euros(0)])
    assert await check_ledger(backend) == {}


async def test_the_settings_say_how_money_goes_back_where_the_call_does_not(
    backend: Backend, house: House, time: Time
) -> None:
    await backend.patch("/v1/settings", {"refund_mode": "deferred", "refund_after_days": 10})
    signup = await a_customer_who_has_paid(backend, house)
    (refund,) = (await cancel(backend, signup))["refunds"]
    assert (refund["mode"], refund["due_on"]) == ("deferred", "2026-01-25")


# ── changing ─────────────────────────────────────────────────────────────────────────────────────


async def test_upgraded_after_a_look_and_back_with_the_next_period(
    backend: Backend, house: House, inbox: Inbox, time: Time
) -> None:
    """99.00 × 15 / 31 is 47.90, half of it 23.95, VAT 4.79: 28.74, of which the note pays 8.42."""
    signup = await a_customer_who_has_paid(backend, house)
    await backend.post("/v1/plans", plan("business", price="99.00", entitlements={"projects": 500}))
    time.forward(days=HALF_A_MONTH)
    path = f"/v1/subscriptions/{signup['subscription']['id']}"

    look = await backend.send("POST", f"{path}/change?dry_run=true", {"plan": "business"})
    assert look.json()["invoice"]["settlement"]["due"] == euros(20_32)
    upgrade = await backend.post(f"{path}/change", {"plan": "business"}, if_quote=look.headers["quote"])

    (note,) = upgrade["credit_notes"]
    assert (note["total"], note["settlement"]["status"]) == (euros(CREDITED), "used")
    assert upgrade["invoice"]["total"] == euros(28_74)
    entitled = await backend.get("/v1/customers/user-42/entitlements")
    assert entitled["features"] == {"projects": 500}
    await drain(house)
    invoice = await backend.get(f"/v1/invoices/{upgrade['invoice']['id']}")
    assert (invoice["settlement"]["paid"], invoice["settlement"]["status"]) == (euros(20_32), "settled")
    mail = next(mail for mail in inbox.messages if invoice["number"] in mail["Subject"])
    assert words_of(mail, "Avoir A2026-000001 déduit", "−8,42", "20,32", "28,74")

    await backend.post(f"{path}/change", {"plan": "pro", "when": "period_end"})
    time.forward(days=31 - HALF_A_MONTH)
    await drain(house)
    renewed = (await backend.get("/v1/invoices"))["data"][0]
    assert renewed["total"] == euros(17_40)  # the second of three at half the price
    assert (await backend.get(path))["pending_change"] is None
    await check_ledger(backend)


# ── payments that do not go through ──────────────────────────────────────────────────────────────


async def test_a_declined_card_is_told_and_paid_with_another(
    backend: Backend, house: House, inbox: Inbox, time: Time
) -> None:
    await open_shop(backend)
    signup = await backend.post("/v1/signups", a_signup(payment_method="pm_sandbox_declined"))
    invoice = f"/v1/invoices/{signup['invoice']['id']}"
    await drain(house)

    (failed,) = (await backend.get("/v1/payments"))["data"]
    assert (failed["status"], failed["failure_code"]) == ("failed", "card_declined")
    assert (await backend.get(invoice))["settlement"]["status"] == "open"
    assert any("n’a pas abouti" in mail["Subject"] for mail in inbox.messages)

    await backend.patch("/v1/customers/user-42", {"payment_method": "pm_sandbox_ok"})
    await backend.post(f"{invoice}/pay")
    await drain(house)
    assert (await backend.get(invoice))["settlement"]["status"] == "settled"
    assert await backend.refused(f"{invoice}/pay") == (409, "nothing_due")
    assert await check_ledger(backend) == {"512": 17_40, "706": -14_50, "44571": -2_90}


async def test_a_late_charge_is_waited_for(backend: Backend, house: House, owner: Owner, time: Time) -> None:
    await open_shop(backend)
    signup = await backend.post("/v1/signups", a_signup(payment_method="pm_sandbox_late"))
    invoice = f"/v1/invoices/{signup['invoice']['id']}"
    await drain(house)

    assert (await backend.get(invoice))["settlement"]["pending"] == euros(17_40)
    assert await backend.refused(f"{invoice}/pay") == (409, "payment_in_flight")
    note = {"reason": "duplicate"}
    assert await backend.refused(f"{invoice}/credit_notes", note) == (409, "payment_in_flight")

    await owner.execute("UPDATE sandbox.charges SET settles_at = now() WHERE status = 'pending'")
    time.forward(seconds=2)
    await drain(house)
    assert (await backend.get(invoice))["settlement"]["status"] == "settled"


async def test_a_charge_whose_answer_was_lost_is_made_once(
    backend: Backend, house: House, owner: Owner, time: Time
) -> None:
    await open_shop(backend)
    signup = await backend.post("/v1/signups", a_signup(payment_method="pm_sandbox_timeout"))
    invoice = f"/v1/invoices/{signup['invoice']['id']}"
    await drain(house)
    assert (await backend.get(invoice))["settlement"]["pending"] == euros(17_40)

    time.forward(seconds=1)
    await drain(house)
    assert (await backend.get(invoice))["settlement"]["paid"] == euros(17_40)
    assert (
        await owner.fetchval("SELECT count(*) FROM sandbox.charges WHERE token = 'pm_sandbox_timeout'") == 1
    )


@pytest.mark.parametrize(
    ("token", "status"),
    [
        ("pm_sandbox_refund_timeout", "succeeded"),
        ("pm_sandbox_refund_late", "succeeded"),
        ("pm_sandbox_refund_declined", "failed"),
    ],
)
async def test_a_refund_that_is_late_lost_or_declined(
    backend: Backend, house: House, owner: Owner, time: Time, token: str, status: str
) -> None:
    await open_shop(backend)
    signup = await backend.post("/v1/signups", a_signup(payment_method=token))
    await drain(house)
    (refund,) = (await cancel(backend, signup, credit="full", refund="automatic"))["refunds"]
    await drain(house)
    await owner.execute("UPDATE sandbox.refunds SET settles_at = now() WHERE status = 'pending'")
    time.forward(seconds=2)
    await drain(house)

    assert (await refund_of(backend, refund))["status"] == status
    made = await owner.fetch(
        "SELECT r.amount_minor FROM sandbox.refunds r JOIN sandbox.charges c ON c.id = r.charge_id"
        " WHERE c.token = $1",
        token,
    )
    assert [row["amount_minor"] for row in made] == [17_40]
    await check_ledger(backend)


# ── what the stories share ───────────────────────────────────────────────────────────────────────


def a_signup(payment_method: str = "pm_sandbox_ok", **more: Any) -> Json:
    return {
        "customer": customer(payment_method=payment_method),
        "plan": "pro",
        "offer": "welcome",
        **more,
    }


async def open_shop(backend: Backend) -> None:
    await backend.post("/v1/tax_rates", tax_rate("20"))
    await backend.post("/v1/legal_entities", legal_entity())
    await backend.post("/v1/plans", plan())
    await backend.post("/v1/offers", welcome())


async def a_customer_who_has_paid(backend: Backend, house: House) -> Json:
    await open_shop(backend)
    signup = await backend.post("/v1/signups", a_signup())
    await drain(house)
    return signup


async def cancel(backend: Backend, signup: Json, **terms: Any) -> Json:
    return await backend.post(f"/v1/subscriptions/{signup['subscription']['id']}/cancel", terms)


async def refund_of(backend: Backend, refund: Json) -> Json:
    return await backend.get(f"/v1/refunds/{refund['id']}")


async def check_ledger(backend: Backend) -> dict[str, int]:
    """Every transaction and document sums to zero. What each account holds, those at zero left out."""
    entries: list[Json] = []
    page: Json = {"next_cursor": ""}
    while page["next_cursor"] is not None:
        cursor = {"cursor": page["next_cursor"]} if page["next_cursor"] else {}
        page = await backend.get("/v1/ledger_entries", limit="100", **cursor)
        entries += page["data"]

    assert entries
    for key in ("transaction_id", "document_id"):
        assert set(held_by(entries, key).values()) == {0}
    return {account: minor for account, minor in held_by(entries, "account").items() if minor}


def held_by(entries: list[Json], key: str) -> dict[str, int]:
    sums: dict[str, int] = {}
    for entry in entries:
        sums[entry[key]] = sums.get(entry[key], 0) + entry["amount"]["minor"]
    return sums


def attached(mail: EmailMessage) -> bytes:
    (pdf,) = mail.iter_attachments()
    content: bytes = pdf.get_content()
    return content


def words_of(mail: EmailMessage, *words: str) -> bool:
    """All of them stand on the page that came with the mail."""
    pages = pypdfium2.PdfDocument(attached(mail))
    text = " ".join(page.get_textpage().get_text_range() for page in pages)
    assert all(word in text for word in words), text
    return True
