"""An invoice that is not paid in time, from the first failure to the money or to the end of it."""

from collections.abc import Iterator
from datetime import date, timedelta
from email.message import EmailMessage
from typing import Any, TypeAlias

import asyncpg

from api.house import House
from api.work import drain
from tests.flows.backend import Backend, Json, customer, euros, legal_entity, plan, tax_rate
from tests.flows.conftest import OpenTenant, Time
from tests.flows.test_clock import advance, listed
from tests.flows.test_story import check_ledger
from tests.makers import NOON
from tests.notifications.inbox import Inbox

Owner: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

OVERDUE_ON = 31  # days after NOON: what was sent on 15 January was to be paid by 14 February


# ── a card that fails ────────────────────────────────────────────────────────────────────────────


async def test_a_card_that_fails_is_charged_again_until_it_goes_through(
    backend: Backend, house: House, inbox: Inbox, time: Time
) -> None:
    signup = await a_card_that_fails(backend, house)

    assert await status_of(backend, signup) == "past_due"
    assert (await backend.get("/v1/customers/user-42/entitlements"))["features"] == {
        "exports": True,
        "projects": 10,
    }
    assert await dunning_of(backend, signup) == ("running", 0, "2026-01-18T11:00:00Z")
    assert "Nous essaierons de nouveau le 18 janvier 2026." in told(inbox, "n’a pas abouti")[0]

    await days_pass(3, house, time)
    assert await payments_of(backend, signup) == ["failed", "failed"]
    assert await dunning_of(backend, signup) == ("running", 1, "2026-01-20T11:00:00Z")

    await backend.patch("/v1/customers/user-42", {"payment_method": "pm_sandbox_ok"})
    await days_pass(2, house, time)
    assert await payments_of(backend, signup) == ["failed", "failed", "succeeded"]
    assert await status_of(backend, signup) == "active"
    assert await dunning_of(backend, signup) == ("recovered", 2, None)

    await days_pass(20, house, time)
    assert len(await payments_of(backend, signup)) == 3
    assert len(inbox.messages) == 3  # the invoice, and two charges that failed
    assert [each for each in await happened(backend) if "overdue" in each or "recovered" in each] == [
        "invoice.overdue", "invoice.recovered", "subscription.recovered",
    ]  # fmt: skip
    assert await check_ledger(backend) == {"512": 34_80, "706": -29_00, "44571": -5_80}


async def test_a_card_that_goes_on_failing_ends_in_a_cancellation(
    backend: Backend, house: House, inbox: Inbox, time: Time
) -> None:
    signup = await a_card_that_fails(backend, house)
    await days_pass(13, house, time)

    assert await payments_of(backend, signup) == ["failed"] * 4  # at once, and after 3, 5 and 7 days
    assert await status_of(backend, signup) == "past_due"
    assert await dunning_of(backend, signup) == ("running", 3, "2026-01-29T11:00:00Z")

    await days_pass(1, house, time)
    assert await status_of(backend, signup) == "cancelled"
    assert await dunning_of(backend, signup) == ("exhausted", 4, None)
    assert (await invoice_of(backend, signup))["settlement"]["due"] == euros(34_80)
    assert (await backend.get("/v1/credit_notes"))["data"] == []

    await days_pass(30, house, time)
    assert len((await backend.get("/v1/invoices"))["data"]) == 1
    assert await payments_of(backend, signup) == ["failed"] * 4
    assert len(told(inbox, "n’a pas abouti")) == 4
    assert len(told(inbox, "résilié")) == 1
    assert await check_ledger(backend) == {"411": 34_80, "706": -29_00, "4458": -5_80}


async def test_the_final_action_credits_what_it_is_told_to(
    backend: Backend, house: House, time: Time
) -> None:
    """16 of 31 days are left of 29.00: 14.97, and 2.99 of VAT."""
    final = {"after_days": 15, "credit": "prorated"}
    signup = await a_card_that_fails(backend, house, dunning_automatic={"final": final})
    await days_pass(15, house, time)

    (note,) = (await backend.get("/v1/credit_notes"))["data"]
    assert note["total"] == euros(17_96)
    assert await status_of(backend, signup) == "cancelled"
    assert (await invoice_of(backend, signup))["settlement"]["due"] == euros(34_80 - 17_96)


async def test_paid_after_the_last_step_nothing_is_cancelled(
    backend: Backend, house: House, time: Time
) -> None:
    steps = [{"after_days": 1, "retry": True}]
    signup = await a_card_that_fails(backend, house, dunning_automatic={"steps": steps})
    await days_pass(2, house, time)
    assert await dunning_of(backend, signup) == ("exhausted", 1, None)
    assert await status_of(backend, signup) == "past_due"

    await backend.post(f"/v1/invoices/{signup['invoice']['id']}/payments", {"means": "transfer"})
    await drain(house)
    assert await dunning_of(backend, signup) == ("recovered", 1, None)
    assert await status_of(backend, signup) == "active"


async def test_a_step_waits_for_a_payment_that_is_under_way(
    backend: Backend, house: House, owner: Owner, time: Time
) -> None:
    signup = await a_card_that_fails(backend, house)
    await backend.patch("/v1/customers/user-42", {"payment_method": "pm_sandbox_late"})
    await days_pass(3, house, time)
    await owner.execute("UPDATE sandbox.charges SET settles_at = 'infinity' WHERE status = 'pending'")

    await days_pass(3, house, time)  # a day more than the second step
    assert await payments_of(backend, signup) == ["failed", "pending"]
    assert await dunning_of(backend, signup) == ("running", 1, "2026-01-20T11:00:00Z")

    await owner.execute(
        "UPDATE sandbox.charges SET status = 'failed', failure_code = 'late' WHERE status = 'pending'"
    )
    await backend.patch("/v1/customers/user-42", {"payment_method": "pm_sandbox_declined"})
    time.forward(seconds=2)
    await drain(house)
    assert await payments_of(backend, signup) == ["failed", "failed", "failed"]
    assert await dunning_of(backend, signup) == ("running", 2, "2026-01-23T11:00:00Z")


async def test_a_customer_without_a_payment_method_is_reminded_instead(
    backend: Backend, house: House, inbox: Inbox, time: Time
) -> None:
    signup = await a_card_that_fails(backend, house)
    await backend.patch("/v1/customers/user-42", {"payment_method": None})
    await days_pass(3, house, time)

    assert await payments_of(backend, signup) == ["failed"]
    (reminder,) = told(inbox, "Rappel")
    assert "Merci de vérifier votre moyen de paiement" in reminder
    assert "IBAN" not in reminder
    assert await dunning_of(backend, signup) == ("running", 1, "2026-01-20T11:00:00Z")


async def test_a_payment_method_that_is_gone_when_it_is_charged_is_a_failure(
    backend: Backend, house: House, time: Time
) -> None:
    await open_shop(backend)
    signup = await backend.post("/v1/signups", a_signup("pm_sandbox_ok"))
    await backend.patch("/v1/customers/user-42", {"payment_method": None})
    await drain(house)
    assert await payments_of(backend, signup) == []
    assert await status_of(backend, signup) == "past_due"


# ── an invoice that was sent ─────────────────────────────────────────────────────────────────────


async def test_a_sent_invoice_is_reminded_of_with_what_is_left_of_it(
    backend: Backend, house: House, inbox: Inbox, time: Time
) -> None:
    signup = await an_invoice_that_was_sent(backend, house)
    payments = f"/v1/invoices/{signup['invoice']['id']}/payments"

    time.at = time.at.replace(month=2, day=14, hour=22, minute=59)  # 23:59 in Paris
    await drain(house)
    assert await status_of(backend, signup) == "active"
    time.forward(seconds=60)
    await drain(house)
    assert await status_of(backend, signup) == "past_due"
    assert await dunning_of(backend, signup) == ("running", 0, "2026-02-17T08:00:00Z")

    await backend.post(payments, {"means": "transfer", "amount": euros(10_00)})
    time.at = time.at.replace(day=17, hour=8, minute=0)  # nine in the morning
    await drain(house)
    (reminder,) = told(inbox, "Rappel : votre facture F2026-000001 reste à payer")
    assert reminder == (
        "Bonjour,\n\n"
        "Sauf erreur de notre part, votre facture F2026-000001, à régler au plus tard le 14 février 2026, "
        "n’est pas encore soldée : il reste 24,80 € à payer.\n\n"
        "Pour la régler par virement : IBAN FR76 3000 6000 0112 3456 7890 189, référence F2026-000001.\n\n"
        "Si votre paiement est déjà en route, merci de ne pas tenir compte de ce message. La facture est en "
        "pièce jointe.\n\n"
        "Une question ? Répondez simplement à ce message.\n\n"
        "Nuage Clair\n"
    )

    await days_pass(18, house, time)
    assert len(told(inbox, "F2026-000001 reste à payer")) == 3
    assert await dunning_of(backend, signup) == ("exhausted", 3, None)
    assert await status_of(backend, signup) == "past_due"
    assert await payments_of(backend, signup) == ["succeeded"]

    await backend.post(payments, {"means": "transfer"})
    await drain(house)
    assert await status_of(backend, signup) == "active"


async def test_a_reminder_in_english(backend: Backend, house: House, inbox: Inbox, time: Time) -> None:
    await an_invoice_that_was_sent(backend, house, language="en")
    await days_pass(OVERDUE_ON + 3, house, time)
    (reminder,) = told(inbox, "Reminder: your invoice F2026-000001 is still to be paid")
    assert (
        "your invoice F2026-000001, which was to be paid by 14 February 2026, is not settled yet: "
        "€34.80 is still due.\n\n"
        "To pay it by bank transfer: IBAN FR76 3000 6000 0112 3456 7890 189, reference F2026-000001."
    ) in reminder


async def test_a_past_due_subscription_is_renewed_and_each_invoice_counts(
    backend: Backend, house: House, time: Time
) -> None:
    signup = await an_invoice_that_was_sent(backend, house)
    await days_pass(OVERDUE_ON + 31, house, time)  # 18 March: the one of 15 February is overdue, too
    second, first = [each["id"] for each in (await backend.get("/v1/invoices"))["data"]][1:]
    assert await status_of(backend, signup) == "past_due"

    await backend.post(f"/v1/invoices/{first}/payments", {"means": "transfer"})
    await drain(house)
    assert await status_of(backend, signup) == "past_due"

    await backend.post(f"/v1/invoices/{second}/payments", {"means": "transfer"})
    await drain(house)
    assert await status_of(backend, signup) == "active"


async def test_credited_in_full_it_is_over(backend: Backend, house: House, inbox: Inbox, time: Time) -> None:
    signup = await an_invoice_that_was_sent(backend, house)
    await days_pass(OVERDUE_ON + 4, house, time)
    assert len(told(inbox, "Rappel")) == 1

    await backend.credit(signup["invoice"])
    await drain(house)
    assert await dunning_of(backend, signup) == ("recovered", 1, None)
    assert await status_of(backend, signup) == "active"
    await days_pass(20, house, time)
    assert len(told(inbox, "Rappel")) == 1


async def test_settled_before_the_reminder_is_written_it_is_not_written(
    backend: Backend, house: House, inbox: Inbox, owner: Owner, time: Time
) -> None:
    signup = await an_invoice_that_was_sent(backend, house)
    await days_pass(OVERDUE_ON, house, time)
    time.forward(days=2)
    await owner.execute("UPDATE jobs SET kind = 'mail_reminder' WHERE kind = 'take_dunning_step'")
    await backend.post(f"/v1/invoices/{signup['invoice']['id']}/payments", {"means": "transfer"})
    await drain(house)
    assert told(inbox, "Rappel") == []


# ── what the tenant decides ──────────────────────────────────────────────────────────────────────


async def test_a_new_schedule_is_for_what_is_overdue_later(
    backend: Backend, house: House, time: Time
) -> None:
    signup = await a_card_that_fails(backend, house)
    steps = [{"after_days": 1, "retry": True}, {"after_days": 2, "retry": True}]
    await backend.patch("/v1/settings", {"dunning_automatic": {"steps": steps}})
    await days_pass(2, house, time)
    assert await payments_of(backend, signup) == ["failed"]

    other = await backend.post(
        "/v1/signups",
        {"customer": customer("user-43", payment_method="pm_sandbox_declined"), "plan": "pro"},
    )
    await drain(house)
    assert await dunning_of(backend, other) == ("running", 0, "2026-01-18T11:00:00Z")
    assert await dunning_of(backend, signup) == ("running", 0, "2026-01-18T11:00:00Z")
    await days_pass(1, house, time)
    assert await dunning_of(backend, other) == ("running", 1, "2026-01-19T11:00:00Z")
    assert await dunning_of(backend, signup) == ("running", 1, "2026-01-20T11:00:00Z")


async def test_switched_off_the_subscription_is_past_due_and_that_is_all(
    backend: Backend, house: House, inbox: Inbox, time: Time
) -> None:
    signup = await a_card_that_fails(backend, house, dunning_automatic={})
    await days_pass(20, house, time)
    assert await dunning_of(backend, signup) == ("exhausted", 0, None)
    assert await status_of(backend, signup) == "past_due"
    assert await payments_of(backend, signup) == ["failed"]
    assert len(inbox.messages) == 2  # the invoice, and the charge that failed


async def test_a_pause_moves_what_is_to_come(backend: Backend, house: House, time: Time) -> None:
    signup = await a_card_that_fails(backend, house)
    path = f"/v1/invoices/{signup['invoice']['id']}"
    await backend.post(f"{path}/pause_dunning", {"until": "2026-01-25"})
    await days_pass(9, house, time)
    assert await payments_of(backend, signup) == ["failed"]
    assert await dunning_of(backend, signup) == ("paused", 0, "2026-01-25T08:00:00Z")

    await days_pass(1, house, time)  # noon of 25 January
    assert await payments_of(backend, signup) == ["failed", "failed"]
    assert await dunning_of(backend, signup) == ("running", 1, "2026-01-27T11:00:00Z")

    await backend.post(f"{path}/pause_dunning", {})
    await days_pass(30, house, time)
    assert await dunning_of(backend, signup) == ("paused", 1, None)
    await backend.post(f"{path}/resume_dunning")
    await drain(house)
    assert await payments_of(backend, signup) == ["failed"] * 3
    assert await dunning_of(backend, signup) == ("running", 2, "2026-02-26T11:00:00Z")
    assert await backend.refused(f"{path}/resume_dunning") == (409, "dunning_state")


async def test_a_promise_before_the_day_is_kept_after_it(
    backend: Backend, house: House, inbox: Inbox, time: Time
) -> None:
    signup = await an_invoice_that_was_sent(backend, house)
    path = f"/v1/invoices/{signup['invoice']['id']}"
    await backend.post(f"{path}/pause_dunning", {"until": "2026-03-01"})
    await days_pass(44, house, time)
    assert await status_of(backend, signup) == "past_due"
    assert told(inbox, "Rappel") == []
    assert await dunning_of(backend, signup) == ("paused", 0, "2026-03-01T08:00:00Z")

    await days_pass(1, house, time)
    assert len(told(inbox, "Rappel")) == 1
    assert await dunning_of(backend, signup) == ("running", 1, "2026-03-08T08:00:00Z")


async def test_who_is_overdue_is_listed(backend: Backend, house: House, time: Time) -> None:
    signup = await a_card_that_fails(backend, house)
    other = {"customer": customer("user-43", payment_method="pm_sandbox_declined"), "plan": "pro"}
    second = await backend.post("/v1/signups", other)
    await drain(house)
    await backend.post(f"/v1/invoices/{signup['invoice']['id']}/pause_dunning", {})

    async def found(**filters: str) -> list[str]:
        page = await backend.get("/v1/dunnings", **filters)
        return [each["invoice_id"] for each in page["data"]]

    both = [second["invoice"]["id"], signup["invoice"]["id"]]
    assert await found() == both
    assert await found(status="paused") == both[1:]
    assert await found(status="exhausted") == []
    assert await found(customer_id="user-43") == both[:1]
    assert (await backend.http.get("/v1/dunnings?status=late")).json()["code"] == "parameter_invalid"
    first = await backend.get("/v1/dunnings", limit="1")
    assert await found(cursor=first["next_cursor"]) == both[1:]


async def test_what_cannot_be_paused(backend: Backend, house: House, time: Time) -> None:
    signup = await a_card_that_fails(backend, house)
    path = f"/v1/invoices/{signup['invoice']['id']}"
    for until in ("2026-01-15", "2027-01-17"):
        assert await backend.refused(f"{path}/pause_dunning", {"until": until}) == (
            422,
            "dunning_pause_until",
        )
    await days_pass(14, house, time)
    assert await backend.refused(f"{path}/pause_dunning", {}) == (409, "dunning_state")
    await backend.post(f"{path}/payments", {"means": "cash"})
    assert await backend.refused(f"{path}/pause_dunning", {}) == (409, "nothing_due")


async def test_a_schedule_that_makes_no_sense_is_refused(backend: Backend) -> None:
    async def refused(**schedules: Any) -> tuple[str, str]:
        answer = await backend.send("PATCH", "/v1/settings", schedules)
        assert answer.status_code == 422
        return answer.json()["code"], answer.json()["param"]

    unordered = {"steps": [{"after_days": 3}, {"after_days": 3}]}
    early = {"steps": [{"after_days": 3}], "final": {"after_days": 3}}
    idle = {"steps": [{"after_days": 3, "remind": False}]}
    assert await refused(dunning_automatic=unordered) == (
        "dunning_days_unordered",
        "dunning_automatic.steps[1].after_days",
    )
    assert await refused(dunning_send_invoice=early) == (
        "dunning_days_unordered",
        "dunning_send_invoice.final.after_days",
    )
    assert await refused(dunning_automatic=idle) == ("dunning_step_idle", "dunning_automatic.steps[0]")
    assert await refused(dunning_send_invoice={"steps": [{"after_days": 3, "retry": True}]}) == (
        "dunning_retry_of_sent",
        "dunning_send_invoice.steps[0].retry",
    )
    pause = {"final": {"after_days": 3, "action": "pause", "credit": "full"}}
    assert await refused(dunning_automatic=pause) == (
        "dunning_pause_credit",
        "dunning_automatic.final.credit",
    )
    for days in (0, 366):
        assert (await refused(dunning_automatic={"steps": [{"after_days": days}]}))[0] == "body_invalid"


async def test_one_jump_of_a_clock_does_what_a_day_after_the_other_does(
    open_tenant: OpenTenant, house: House, inbox: Inbox, time: Time
) -> None:
    """A card that fails to the end, and an invoice that is sent, is reminded of, and paid by nobody."""
    histories = []
    for stops in (["2026-03-01"], [f"2026-{month:02}-{day:02}" for month, day in days_until_march()]):
        backend = await open_tenant()
        await open_shop(backend)
        await backend.post("/v1/signups", a_signup("pm_sandbox_declined"))
        sent = {"customer": customer("user-43"), "plan": "pro", "collection": "send_invoice"}
        await backend.post("/v1/signups", sent)
        for stop in stops:
            await advance(backend, house, f"{stop}T23:30:00Z")
        histories.append([each for each in await told_of(backend) if "test_clock" not in each])
        histories[-1].append(" ".join(mail["Subject"] for mail in inbox.messages))
        inbox.messages.clear()

    assert histories[0] == histories[1]
    assert "2026-01-29T11:00:00Z subscription.cancelled" in histories[0]
    assert "2026-02-14T23:00:00Z subscription.past_due" in histories[0]
    assert "2026-02-24T08:00:00Z invoice.reminder_due" in histories[0]


# ── what the tests share ─────────────────────────────────────────────────────────────────────────


def a_signup(payment_method: str | None = None, **more: Any) -> Json:
    return {"customer": customer(payment_method=payment_method, **more), "plan": "pro"}


async def open_shop(backend: Backend, **settings: Json) -> None:
    await backend.post("/v1/tax_rates", tax_rate("20"))
    await backend.post("/v1/legal_entities", legal_entity())
    await backend.post("/v1/plans", plan())
    if settings:
        await backend.patch("/v1/settings", settings)


async def a_card_that_fails(backend: Backend, house: House, **settings: Json) -> Json:
    """34.80 at NOON, and the first charge has failed."""
    await open_shop(backend, **settings)
    signup = await backend.post("/v1/signups", a_signup("pm_sandbox_declined"))
    await drain(house)
    return signup


async def an_invoice_that_was_sent(backend: Backend, house: House, **of_customer: Any) -> Json:
    """34.80 at NOON, to be paid within 30 days."""
    await open_shop(backend)
    body = {**a_signup(**of_customer), "collection": "send_invoice"}
    signup = await backend.post("/v1/signups", body)
    await drain(house)
    return signup


async def days_pass(days: int, house: House, time: Time) -> None:
    for _ in range(days):
        time.forward(days=1)
        await drain(house)


async def status_of(backend: Backend, signup: Json) -> str:
    found = await backend.get(f"/v1/subscriptions/{signup['subscription']['id']}")
    return str(found["status"])


async def invoice_of(backend: Backend, signup: Json) -> Json:
    return await backend.get(f"/v1/invoices/{signup['invoice']['id']}")


async def dunning_of(backend: Backend, signup: Json) -> tuple[str, int, str | None]:
    found = await backend.get(f"/v1/invoices/{signup['invoice']['id']}/dunning")
    return found["status"], found["steps_taken"], found["next_at"]


async def payments_of(backend: Backend, signup: Json) -> list[str]:
    """The status of each on the first invoice, oldest first."""
    found = await backend.get("/v1/payments", invoice_id=signup["invoice"]["id"])
    return [each["status"] for each in reversed(found["data"])]


async def happened(backend: Backend) -> list[str]:
    """The types of all events, oldest first."""
    return [each["type"] for each in reversed((await backend.get("/v1/events", limit="100"))["data"])]


async def told_of(backend: Backend) -> list[str]:
    """When each event happened, and its type."""
    return sorted(f"{each['created_at']} {each['type']}" for each in await listed(backend, "events"))


def days_until_march() -> Iterator[tuple[int, int]]:
    day = NOON.date()
    while day < date(2026, 3, 1):
        day += timedelta(days=1)
        yield day.month, day.day


def told(inbox: Inbox, subject: str) -> list[str]:
    """The words of each mail whose subject holds these."""
    return [words(mail) for mail in inbox.messages if subject in mail["Subject"].replace("\u00a0", " ")]


def words(mail: EmailMessage) -> str:
    body = mail.get_body(("plain",))
    assert body is not None
    return str(body.get_content()).replace("\r\n", "\n").replace("\u00a0", " ").replace("\u202f", " ")
