"""A test tenant's clock: time passes when it is told to, and everything happens as in real time."""

import asyncio
from datetime import timedelta
from typing import Any, TypeAlias

import asyncpg
import pytest

from api.due import PATIENCE
from api.house import House
from api.work import drain
from tests.flows.backend import Backend, Json, customer, euros, legal_entity, plan, tax_rate, welcome
from tests.flows.conftest import OpenTenant, Time
from tests.makers import NOON
from tests.notifications.inbox import Inbox

Owner: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

FREE_FOR_30_DAYS: Json = {
    "reference": "welcome",
    "name": "Trente jours offerts",
    "benefit": {"type": "free_period", "days": 30},
    "conditions": {"new_customers_only": True},
}


async def advance(backend: Backend, house: House, to: str, *, time: Time | None = None) -> Json:
    """Until the clock is there, and what it says then. With `time`, the world's moves on while it waits."""
    clock = await backend.post("/v1/test_clock/advance", {"to": to})
    while clock["status"] == "advancing":
        before = clock
        await drain(house)
        clock = await backend.get("/v1/test_clock")
        assert time is not None or clock != before, clock
        if time is not None:
            time.forward(seconds=1)
    return clock


async def open_shop(backend: Backend, offer: Json | None = None) -> None:
    await backend.post("/v1/tax_rates", tax_rate("20"))
    await backend.post("/v1/legal_entities", legal_entity())
    await backend.post("/v1/plans", plan())
    await backend.post("/v1/offers", offer or welcome())


def a_signup(reference: str = "user-42", *, payment_method: str = "pm_sandbox_ok", **more: Any) -> Json:
    return {"customer": customer(reference, payment_method=payment_method), "plan": "pro", **more}


async def listed(backend: Backend, what: str) -> list[Json]:
    """Oldest first."""
    found: list[Json] = []
    query: dict[str, str] = {"limit": "100"}
    while True:
        page = await backend.get(f"/v1/{what}", **query)
        found += page["data"]
        if page["next_cursor"] is None:
            return found[::-1]
        query["cursor"] = page["next_cursor"]


async def test_a_year_of_a_subscription_in_one_test(backend: Backend, house: House, time: Time) -> None:
    """Thirty days free, a payment a month, cancelled at the end of a period to come, refunded on a day."""
    await open_shop(backend, FREE_FOR_30_DAYS)
    assert (await backend.get("/v1/test_clock"))["status"] == "real_time"
    signup = await backend.post("/v1/signups", a_signup(offer="welcome"))
    subscription = f"/v1/subscriptions/{signup['subscription']['id']}"
    assert (signup["subscription"]["status"], signup["invoice"]) == ("trialing", None)

    clock = await advance(backend, house, "2026-11-20T11:00:00Z")
    assert (clock["now_at"], clock["unfinished"]) == ("2026-11-20T11:00:00Z", [])
    assert [each["issued_on"] for each in await listed(backend, "invoices")] == [
        "2026-02-14", "2026-03-14", "2026-04-14", "2026-05-14", "2026-06-14", "2026-07-14", "2026-08-14",
        "2026-09-14", "2026-10-14", "2026-11-14",
    ]  # fmt: skip

    terms = {"when": "at", "at": "2026-12-04T11:00:00Z", "refund": "deferred", "refund_on": "2027-01-02"}
    await backend.post(f"{subscription}/cancel", terms)
    await advance(backend, house, "2026-12-31T11:00:00Z")
    (refund,) = await listed(backend, "refunds")
    assert (refund["status"], refund["due_on"]) == ("scheduled", "2027-01-02")
    await advance(backend, house, "2027-01-15T11:00:00Z")

    after = await backend.get(subscription)
    assert (after["status"], after["cancelled_at"]) == ("cancelled", "2026-12-04T11:00:00Z")
    invoices = await listed(backend, "invoices")
    assert [each["number"] for each in invoices] == [f"F2026-{n:06}" for n in range(1, 11)]
    assert {each["settlement"]["status"] for each in invoices} == {"settled"}
    payments = await listed(backend, "payments")
    assert [each["received_on"] for each in payments] == [each["issued_on"] for each in invoices]
    (note,) = await listed(backend, "credit_notes")
    assert (note["issued_on"], note["number"]) == ("2026-12-04", "A2026-000001")
    assert note["net"] == euros(9_67)  # ten of thirty days of 29.00
    (refund,) = await listed(backend, "refunds")
    assert (refund["status"], refund["succeeded_on"]) == ("succeeded", "2027-01-02")
    events = [each["type"] for each in await listed(backend, "events")]
    assert events[-1] == "test_clock.advanced"
    assert events.count("test_clock.advancing") == events.count("test_clock.advanced") == 3
    assert time.at == NOON, "nothing of it took any time"


# ── one clock among others ───────────────────────────────────────────────────────────────────────


async def test_a_tenant_without_a_clock_goes_by_real_time(
    open_tenant: OpenTenant, house: House, time: Time
) -> None:
    """Another one's clock is no business of it."""
    mine, other = await open_tenant(), await open_tenant()
    for backend in (mine, other):
        await open_shop(backend)
        await backend.post("/v1/signups", a_signup())
    await advance(mine, house, "2026-04-01T00:00:00Z")
    assert [len(await listed(backend, "invoices")) for backend in (mine, other)] == [3, 1]
    assert (await other.get("/v1/test_clock"))["now_at"] == "2026-01-15T11:00:00Z"

    time.forward(days=31)
    await drain(house)
    assert [len(await listed(backend, "invoices")) for backend in (mine, other)] == [3, 2]
    assert (await mine.get("/v1/test_clock"))["now_at"] == "2026-04-01T00:00:00Z"


async def test_what_is_done_after_an_advance_bears_its_date(
    backend: Backend, house: House, time: Time
) -> None:
    """And waits for no hour of the world: mail and payment go at once."""
    await open_shop(backend)
    await advance(backend, house, "2027-03-01T00:00:00Z")
    time.forward(days=2)
    signup = await backend.post("/v1/signups", a_signup())
    assert signup["invoice"]["issued_on"] == "2027-03-01"
    assert signup["subscription"]["created_at"] == "2027-03-01T00:00:00Z"

    await drain(house)

    (payment,) = await listed(backend, "payments")
    assert (payment["status"], payment["received_on"]) == ("succeeded", "2027-03-01")
    assert {each["created_at"] for each in await listed(backend, "events")} == {
        "2026-01-15T11:00:00Z",
        "2027-03-01T00:00:00Z",
    }


async def test_a_key_made_on_a_test_clock_lives_in_the_world(
    backend: Backend, house: House, time: Time
) -> None:
    await advance(backend, house, "2028-01-01T00:00:00Z")
    new = {"name": "x", "scopes": ["events:read"]}
    key = await backend.post("/v1/api_keys", {**new, "expires_at": "2026-01-16T00:00:00Z"})
    assert key["created_at"] == "2026-01-15T11:00:00Z"
    bearer = {"authorization": f"Bearer {key['secret']}"}
    assert (await backend.http.get("/v1/events", headers=bearer)).status_code == 200

    time.forward(days=1)
    assert (await backend.http.get("/v1/events", headers=bearer)).json()["code"] == "key_expired"


# ── refused ──────────────────────────────────────────────────────────────────────────────────────

ADVANCE = "/v1/test_clock/advance"


async def test_a_tenant_without_customers_may_begin_in_the_past(
    backend: Backend, house: House, time: Time
) -> None:
    await open_shop(backend)
    began = "2025-01-15T11:00:00Z"
    set_out = {"to": "2025-02-01T00:00:00Z", "starts_at": began}

    clock = await backend.post("/v1/test_clock/advance", set_out)
    assert (clock["status"], clock["now_at"]) == ("advancing", began)
    while clock["status"] == "advancing":
        await drain(house)
        clock = await backend.get("/v1/test_clock")

    signup = await backend.post("/v1/signups", a_signup())
    assert signup["invoice"]["issued_on"] == "2025-02-01"
    assert await backend.refused("/v1/test_clock/advance", set_out) == (409, "clock_has_started")


@pytest.mark.parametrize("starts_at", ["2026-01-15T11:00:01Z", "2020-01-01T00:00:00Z"])
async def test_it_does_not_begin_in_the_future_or_in_another_age(
    backend: Backend, time: Time, starts_at: str
) -> None:
    body = {"to": "2026-02-01T00:00:00Z" if starts_at > "2026" else "2020-02-01T00:00:00Z"}
    refused = await backend.refused("/v1/test_clock/advance", {**body, "starts_at": starts_at})
    assert refused == (422, "clock_start")


async def test_who_has_customers_begins_now(backend: Backend, time: Time) -> None:
    await open_shop(backend)
    await backend.post("/v1/customers", customer())

    body = {"to": "2026-02-01T00:00:00Z", "starts_at": "2025-12-01T00:00:00Z"}
    assert await backend.refused("/v1/test_clock/advance", body) == (409, "clock_has_started")


async def test_a_live_tenant_has_no_clock(open_live: OpenTenant, time: Time) -> None:
    live = await open_live()
    assert await live.refused(ADVANCE, {"to": "2026-02-01T00:00:00Z"}) == (409, "clock_live")
    assert (await live.http.get("/v1/test_clock")).json()["code"] == "clock_live"


@pytest.mark.parametrize(
    ("to", "code"),
    [
        ("2026-01-15T10:59:59Z", "clock_backwards"),
        ("0001-01-01T00:00:00Z", "clock_backwards"),
        ("2031-02-01T00:00:00Z", "clock_too_far"),
        ("9999-12-31T23:59:59Z", "clock_too_far"),
        ("2026-02-01T00:00:00", "body_invalid"),
        ("2026-02-31T00:00:00Z", "body_invalid"),
        ("tomorrow", "body_invalid"),
        (None, "body_invalid"),
    ],
)
async def test_a_time_that_is_none_for_a_clock(
    backend: Backend, time: Time, to: str | None, code: str
) -> None:
    assert await backend.refused(ADVANCE, {"to": to}) == (422, code)
    assert (await backend.get("/v1/test_clock"))["status"] == "real_time"


async def test_a_clock_never_goes_back_and_not_past_the_century(
    backend: Backend, house: House, time: Time
) -> None:
    await advance(backend, house, "2026-02-01T00:00:00Z")
    assert await backend.refused(ADVANCE, {"to": "2026-01-31T23:59:59Z"}) == (422, "clock_backwards")
    assert (await advance(backend, house, "2026-02-01T00:00:00Z"))["now_at"] == "2026-02-01T00:00:00Z"

    for year in range(2030, 2100, 4):
        await advance(backend, house, f"{year}-12-01T00:00:00Z")
    assert await backend.refused(ADVANCE, {"to": "2100-01-01T00:00:01Z"}) == (422, "clock_too_far")


async def test_a_clock_on_its_way_is_not_sent_elsewhere(backend: Backend, house: House, time: Time) -> None:
    first = await backend.post(ADVANCE, {"to": "2026-03-01T00:00:00Z"})
    assert (first["status"], first["advancing_to"]) == ("advancing", "2026-03-01T00:00:00Z")
    assert await backend.refused(ADVANCE, {"to": "2026-04-01T00:00:00Z"}) == (409, "clock_advancing")
    await drain(house)
    assert (await backend.get("/v1/test_clock"))["now_at"] == "2026-03-01T00:00:00Z"


async def test_of_two_advances_at_once_one_is_refused(backend: Backend, time: Time) -> None:
    answers = await asyncio.gather(
        *(backend.send("POST", ADVANCE, {"to": f"2026-0{month}-01T00:00:00Z"}) for month in range(2, 8))
    )
    assert sorted(answer.status_code for answer in answers) == [202, 409, 409, 409, 409, 409]


async def test_a_quote_does_not_outlast_a_quarter_of_an_hour_of_either_time(
    backend: Backend, house: House, time: Time
) -> None:
    await open_shop(backend)
    await advance(backend, house, "2026-02-01T00:00:00Z")
    quote = await quoted(backend)
    await advance(backend, house, "2026-02-01T00:14:59Z")
    kept = await backend.send("POST", "/v1/signups", a_signup(), if_quote=quote)
    assert kept.json()["subscription"]["created_at"] == "2026-02-01T00:00:00Z"

    quote = await quoted(backend, "user-43")
    await advance(backend, house, "2026-02-01T00:30:00Z")
    stale = await backend.send("POST", "/v1/signups", a_signup("user-43"), if_quote=quote)
    assert (stale.status_code, stale.json()["code"]) == (412, "quote_stale")


async def quoted(backend: Backend, reference: str = "user-42") -> str:
    answer = await backend.send("POST", "/v1/signups?dry_run=true", a_signup(reference))
    assert answer.status_code == 201, answer.text
    return answer.headers["quote"]


# ── what does not go through at once ─────────────────────────────────────────────────────────────


async def test_a_charge_that_is_decided_later_is_waited_for(
    backend: Backend, house: House, owner: Owner, time: Time
) -> None:
    """The clock stands meanwhile: what follows from the payment bears the day it was asked for."""
    await open_shop(backend)
    await advance(backend, house, "2026-01-20T00:00:00Z")
    await backend.post("/v1/signups", a_signup(payment_method="pm_sandbox_late"))
    await backend.post(ADVANCE, {"to": "2026-01-25T00:00:00Z"})
    await drain(house)
    clock = await backend.get("/v1/test_clock")
    assert (clock["status"], clock["now_at"]) == ("advancing", "2026-01-20T00:00:00Z")
    assert [(each["kind"], each["attempts"]) for each in clock["unfinished"]] == [("collect_issued", 0)]

    await owner.execute("UPDATE sandbox.charges SET settles_at = now() WHERE status = 'pending'")
    time.forward(seconds=2)
    await drain(house)
    clock = await backend.get("/v1/test_clock")
    assert (clock["status"], clock["now_at"]) == ("ready", "2026-01-25T00:00:00Z")
    (payment,) = await listed(backend, "payments")
    assert (payment["status"], payment["received_on"]) == ("succeeded", "2026-01-20")


async def test_a_charge_that_is_never_decided_holds_nobody_up(
    backend: Backend, house: House, owner: Owner, time: Time
) -> None:
    await open_shop(backend)
    await backend.post("/v1/signups", a_signup(payment_method="pm_sandbox_late"))
    await drain(house)
    await owner.execute("UPDATE sandbox.charges SET settles_at = 'infinity' WHERE status = 'pending'")

    before = time.at
    clock = await advance(backend, house, "2026-02-10T00:00:00Z", time=time)

    assert time.at - before < 2 * PATIENCE
    assert [each["kind"] for each in clock["unfinished"]] == ["collect_issued"]


async def test_a_job_that_fails_again_and_again_holds_nobody_up(
    backend: Backend, house: House, inbox: Inbox, time: Time
) -> None:
    """No mail server for months: three periods are billed and paid, and the mails are there to be sent."""
    await open_shop(backend)
    await backend.post("/v1/signups", a_signup())
    await inbox.close()
    before = time.at

    clock = await advance(backend, house, "2026-04-01T00:00:00Z", time=time)

    assert time.at - before <= timedelta(seconds=6), "a second for each of the three, and a look more"
    assert [each["settlement"]["status"] for each in await listed(backend, "invoices")] == ["settled"] * 3
    assert {(each["kind"], each["attempts"] >= 2) for each in clock["unfinished"]} == {("mail_invoice", True)}
    (told,) = [e["data"] for e in await listed(backend, "events") if e["type"] == "test_clock.advanced"]
    assert told["unfinished_jobs"] == 3

    await inbox.open()
    time.forward(days=1)
    await drain(house)
    assert (await backend.get("/v1/test_clock"))["unfinished"] == []
    assert len(inbox.messages) == 3
