"""Welcome offers, from the signup to what became of them."""

from email.message import EmailMessage
from typing import Any

import pytest

from api.house import House
from api.work import drain
from tests.flows.backend import Backend, Json, customer, euros, legal_entity, plan, tax_rate, welcome
from tests.flows.conftest import OpenTenant, Time
from tests.notifications.inbox import Inbox

# It is noon on 15 January; months end on the 15th.


@pytest.fixture
async def backend(open_tenant: OpenTenant) -> Backend:
    backend = await open_tenant()
    await backend.post("/v1/tax_rates", tax_rate("20"))
    await backend.post("/v1/legal_entities", legal_entity())
    await backend.post("/v1/plans", plan())
    return backend


def free_days(days: int = 30, **more: Any) -> Json:
    return welcome(benefit={"type": "free_period", "days": days}, duration={"type": "once"}, **more)


async def sign_up(backend: Backend, reference: str = "user-42", **more: Any) -> Json:
    who = customer(reference, payment_method="pm_sandbox_ok", language="en", **more)
    return await backend.post("/v1/signups", {"customer": who, "plan": "pro", "offer": "welcome"})


async def pass_days(days: int, house: House, time: Time) -> None:
    await drain(house)
    for _ in range(days):
        time.forward(days=1)
        await drain(house)


async def events(backend: Backend, event_type: str) -> list[Json]:
    return [each["data"] for each in (await backend.get("/v1/events", type=event_type))["data"]]


async def figures(backend: Backend) -> Json:
    return await backend.get("/v1/offers/welcome/figures")


def counts(said: Json) -> tuple[int, ...]:
    return tuple(said[name] for name in ("offered", "started", "converted", "ended", "running", "released"))


def about_the_offer(inbox: Inbox) -> list[EmailMessage]:
    return [mail for mail in inbox.messages if "offer" in mail["Subject"] or "offre" in mail["Subject"]]


def text_of(mail: EmailMessage) -> str:
    body = mail.get_body(("plain",))
    assert body is not None
    return " ".join(body.get_content().split())


async def cancelled_with_all_back(backend: Backend, signup: Json) -> None:
    path = f"/v1/subscriptions/{signup['subscription']['id']}/cancel"
    await backend.post(path, {"credit": "full", "refund": "automatic"})


# ── Free days ────────────────────────────────────────────────────────────────────────────────────


async def test_free_days_a_reminder_the_first_paid_invoice_and_the_figures(
    backend: Backend, house: House, inbox: Inbox, time: Time
) -> None:
    await backend.post("/v1/offers", free_days(30, remind_days_before=3))
    signup = await sign_up(backend)
    assert (signup["subscription"]["status"], signup["invoice"]) == ("trialing", None)
    assert signup["entitlements"]["features"]["exports"] is True
    assert counts(await figures(backend)) == (1, 1, 0, 0, 1, 0)

    await pass_days(26, house, time)
    assert about_the_offer(inbox) == []
    await pass_days(1, house, time)  # 11 February
    (mail,) = about_the_offer(inbox)
    assert mail["Subject"] == "Your offer on Pro ends on 14 February 2026"
    assert "at €29.00 a month, VAT excluded" in text_of(mail)
    (reminded,) = await events(backend, "offer.ends_soon")
    assert reminded["ends_at"].startswith("2026-02-14T")
    assert reminded["subscription_id"] == signup["subscription"]["id"]

    await pass_days(10, house, time)
    assert len(about_the_offer(inbox)) == 1
    (converted,) = await events(backend, "redemption.converted")
    (invoice,) = (await backend.get("/v1/invoices"))["data"]
    assert converted["invoice_id"] == invoice["id"]
    assert len(await events(backend, "redemption.ended")) == 1
    said = await figures(backend)
    assert counts(said) == (1, 1, 1, 1, 0, 0)
    assert (said["conversion_rate"], said["revenue"], said["given"]) == ("100", [euros(29_00)], [])


async def test_nobody_who_is_leaving_is_reminded(
    backend: Backend, house: House, inbox: Inbox, time: Time
) -> None:
    await backend.post("/v1/offers", free_days(30, remind_days_before=3))
    gone, going = [(await sign_up(backend, f"user-{n}"))["subscription"]["id"] for n in range(2)]
    await backend.post(f"/v1/subscriptions/{gone}/cancel", {})
    await backend.post(f"/v1/subscriptions/{going}/cancel", {"when": "period_end"})

    await pass_days(40, house, time)

    assert about_the_offer(inbox) == []
    assert await events(backend, "offer.ends_soon") == []
    assert counts(await figures(backend)) == (2, 2, 0, 1, 0, 0)  # one stayed to the end of the free days


# ── Money off ────────────────────────────────────────────────────────────────────────────────────


async def test_the_first_month_for_nothing_is_an_invoice_of_nothing_that_converts_nobody(
    backend: Backend, house: House, inbox: Inbox, time: Time
) -> None:
    all_off = welcome(benefit={"type": "percent", "percent": "100"}, duration={"type": "once"})
    await backend.post("/v1/offers", {**all_off, "remind_days_before": 7})
    signup = await sign_up(backend)
    assert (signup["invoice"]["total"], signup["invoice"]["settlement"]["status"]) == (euros(0), "settled")

    await pass_days(23, house, time)
    assert about_the_offer(inbox) == []
    assert counts(await figures(backend)) == (1, 1, 0, 0, 1, 0)
    await pass_days(1, house, time)  # 8 February
    (mail,) = about_the_offer(inbox)
    assert "ends on 15 February 2026" in text_of(mail)

    await pass_days(8, house, time)
    said = await figures(backend)
    assert counts(said) == (1, 1, 1, 1, 0, 0)
    assert (said["given"], said["revenue"]) == ([euros(29_00)], [euros(29_00)])


async def test_the_last_of_several_months_is_told_before_it_ends(
    backend: Backend, house: House, inbox: Inbox, time: Time
) -> None:
    await backend.post("/v1/offers", welcome(remind_days_before=10))
    await sign_up(backend)

    await pass_days(31 + 28 + 20, house, time)
    assert about_the_offer(inbox) == []
    (ended,) = await events(backend, "redemption.ended")
    assert ended["ended_at"].startswith("2026-04-15T")
    await pass_days(1, house, time)  # 5 April
    (mail,) = about_the_offer(inbox)
    assert "ends on 15 April 2026" in text_of(mail)

    said = await figures(backend)
    assert counts(said) == (1, 1, 1, 0, 1, 0)
    assert (said["given"], said["revenue"]) == ([euros(43_50)], [euros(43_50)])


async def test_an_offer_until_a_day_is_told_from_the_start(
    backend: Backend, house: House, inbox: Inbox, time: Time
) -> None:
    until = welcome(duration={"type": "until", "at": "2026-03-01T00:00:00Z"}, remind_days_before=5)
    await backend.post("/v1/offers", until)
    await sign_up(backend)

    await pass_days(40, house, time)  # 24 February, at noon
    (mail,) = about_the_offer(inbox)
    assert "ends on 1 March 2026" in text_of(mail)


async def test_a_reminder_that_is_due_at_once_is_sent_at_once(
    backend: Backend, house: House, inbox: Inbox, time: Time
) -> None:
    await backend.post("/v1/offers", free_days(2, remind_days_before=30))
    await sign_up(backend)
    await drain(house)

    (mail,) = about_the_offer(inbox)
    assert "ends on 17 January 2026" in text_of(mail)


# ── What comes after ─────────────────────────────────────────────────────────────────────────────


async def test_an_offer_that_moves_to_another_plan_says_which_and_moves(
    backend: Backend, house: House, inbox: Inbox, time: Time
) -> None:
    await backend.post("/v1/plans", {**plan("team", price="490.00"), "name": "Team", "interval": YEAR})
    moving = welcome(at_end={"plan": "team"}, duration={"type": "once"}, remind_days_before=1)
    await backend.post("/v1/offers", moving)
    await sign_up(backend)

    await pass_days(31, house, time)
    (mail,) = about_the_offer(inbox)
    assert "then goes on with Team, at €490.00 a year, VAT excluded" in text_of(mail)
    newest, first = (await backend.get("/v1/invoices"))["data"]
    assert (first["net"], newest["net"]) == (euros(14_50), euros(490_00))


YEAR: Json = {"unit": "year"}


async def test_an_offer_that_ends_the_subscription_says_so(
    backend: Backend, house: House, inbox: Inbox, time: Time
) -> None:
    await backend.post("/v1/offers", free_days(30, at_end="end", remind_days_before=3))
    signup = await sign_up(backend)

    await pass_days(31, house, time)
    (mail,) = about_the_offer(inbox)
    assert "Your subscription ends with it." in text_of(mail)
    subscription = await backend.get(f"/v1/subscriptions/{signup['subscription']['id']}")
    assert subscription["status"] == "ended"
    assert len(await events(backend, "redemption.ended")) == 1
    assert counts(await figures(backend)) == (1, 1, 0, 1, 0, 0)


async def test_a_french_customer_is_told_in_french(backend: Backend, house: House, inbox: Inbox) -> None:
    await backend.post("/v1/offers", free_days(2, remind_days_before=3))
    who = customer("user-42", language="fr")
    await backend.post("/v1/signups", {"customer": who, "plan": "pro", "offer": "welcome"})
    await drain(house)

    (mail,) = about_the_offer(inbox)
    assert mail["Subject"].startswith("Votre offre sur Pro prend fin le ")
    assert "se poursuit ensuite à 29,00 € par mois, hors TVA" in text_of(mail)


# ── Given later ──────────────────────────────────────────────────────────────────────────────────


async def test_an_offer_given_later_counts_from_the_next_period_and_once(
    backend: Backend, house: House, time: Time
) -> None:
    await backend.post("/v1/offers", welcome())
    who = customer("user-42", payment_method="pm_sandbox_ok")
    signup = await backend.post("/v1/signups", {"customer": who, "plan": "pro"})
    await pass_days(10, house, time)
    path = f"/v1/subscriptions/{signup['subscription']['id']}/offers"

    first = await backend.post(path, {"offer": "welcome"})
    again = await backend.post(path, {"offer": "welcome"})
    assert (first["is_new"], again["is_new"]) == (True, False)
    assert first["redemption"]["id"] == again["redemption"]["id"]
    assert counts(await figures(backend)) == (1, 1, 0, 0, 1, 0)

    await pass_days(25, house, time)
    said = await figures(backend)
    assert counts(said) == (1, 1, 1, 0, 1, 0)
    assert said["revenue"] == [euros(14_50)]  # the month before it is none of its doing


# ── Who comes back ───────────────────────────────────────────────────────────────────────────────


async def test_who_comes_back_under_another_name_is_refused(backend: Backend) -> None:
    await backend.post("/v1/offers", free_days())
    await sign_up(backend, email="jo.hartley@gmail.com")

    back = customer("user-43", email="JoHartley+new@googlemail.com")
    body = {"customer": back, "plan": "pro", "offer": "welcome"}
    assert await backend.refused("/v1/signups", body) == (409, "offer_identity_used")
    assert counts(await figures(backend)) == (1, 1, 0, 0, 1, 0)


async def test_what_was_taken_back_whole_leaves_its_place_to_others(backend: Backend, house: House) -> None:
    capped = welcome(max_redemptions=1, budget=euros(100_00))
    await backend.post("/v1/offers", capped)
    signup = await sign_up(backend, email="jo@hartley.example")
    await drain(house)
    assert (await backend.get("/v1/offers/welcome"))["redeemed"] == 1

    await cancelled_with_all_back(backend, signup)
    await drain(house)

    offer = await backend.get("/v1/offers/welcome")
    assert (offer["redeemed"], offer["spent"]) == (0, euros(0))
    assert len(await events(backend, "redemption.released")) == 1
    assert counts(await figures(backend)) == (1, 1, 1, 0, 0, 1)
    await sign_up(backend, "user-43", email="jo+2@hartley.example")


async def test_what_was_taken_back_for_fraud_does_not(backend: Backend, house: House) -> None:
    await backend.post("/v1/offers", welcome(max_redemptions=2))
    signup = await sign_up(backend, email="jo@hartley.example")
    await drain(house)

    await backend.credit(signup["invoice"], reason="fraud")
    await drain(house)

    assert (await backend.get("/v1/offers/welcome"))["redeemed"] == 1
    assert len(await events(backend, "redemption.revoked")) == 1
    back = customer("user-43", email="jo+2@hartley.example")
    body = {"customer": back, "plan": "pro", "offer": "welcome"}
    assert await backend.refused("/v1/signups", body) == (409, "offer_identity_used")


@pytest.mark.parametrize("reason", ["commercial_gesture", "partly", "cancellation"])
async def test_a_place_is_released_only_when_nothing_stands(
    backend: Backend, house: House, reason: str
) -> None:
    await backend.post("/v1/offers", welcome(max_redemptions=1))
    invoice = (await sign_up(backend))["invoice"]
    await drain(house)

    if reason == "partly":
        await backend.credit(invoice, {"line": invoice["lines"][0]["id"], "net": euros(14_49)})
    else:
        await backend.credit(invoice, reason=reason)
    await drain(house)

    released = reason == "cancellation"
    assert (await backend.get("/v1/offers/welcome"))["redeemed"] == (0 if released else 1)
    assert len(await events(backend, "redemption.released")) == released


async def test_an_invoice_in_place_of_one_that_was_credited_keeps_the_offer(
    backend: Backend, house: House, time: Time
) -> None:
    """Changed on the day it began, the first invoice is credited whole, and another one stands."""
    await backend.post("/v1/plans", plan("plus", price="49.00"))
    await backend.post("/v1/offers", welcome())
    signup = await sign_up(backend)
    await drain(house)
    path = f"/v1/subscriptions/{signup['subscription']['id']}/change"
    await backend.post(path, {"plan": "plus"})
    await drain(house)

    first = await backend.get(f"/v1/invoices/{signup['invoice']['id']}")
    assert first["settlement"]["credited"] == first["total"]
    assert await events(backend, "redemption.released") == []
    assert counts(await figures(backend)) == (1, 1, 1, 0, 1, 0)
