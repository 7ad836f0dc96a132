"""The same history, in one jump of the test clock or day by day, gives the same documents."""

import re
from datetime import timedelta
from typing import Any

import hypothesis.strategies as st
from hypothesis import HealthCheck, example, given, settings

from api.house import House
from kernel.structs import Value
from tests.flows.backend import Backend, Json, customer, legal_entity, plan, tax_rate, welcome
from tests.flows.conftest import OpenTenant, Time
from tests.flows.test_clock import FREE_FOR_30_DAYS, advance, listed
from tests.makers import NOON

DAYS = 45
CUSTOMERS = ("ada", "bob", "cleo")
DUNNING: Json = {
    "dunning_automatic": {
        "steps": [{"after_days": 1, "retry": True}, {"after_days": 5, "retry": True}],
        "final": {"after_days": 10, "credit": "prorated"},
    },
    "dunning_send_invoice": {"steps": [{"after_days": 2}], "final": {"after_days": 20}},
}


class Act(Value, frozen=True, kw_only=True):
    """What somebody does on a day of the history; what is refused, is refused in each telling."""

    day: int
    hour: int
    who: str
    what: str
    terms: Json


# ── histories ────────────────────────────────────────────────────────────────────────────────────

TERMS: dict[str, st.SearchStrategy[Json]] = {
    "sign_up": st.fixed_dictionaries(
        {
            "plan": st.sampled_from(["weekly", "monthly", "seats"]),
            "offer": st.sampled_from([None, "half", "free"]),
            "collection": st.sampled_from(["automatic", "send_invoice"]),
            "card": st.sampled_from(["pm_sandbox_ok", "pm_sandbox_declined", None]),
            "billing_anchor": st.sampled_from([None, {"day": 1}]),
        }
    ),
    "cancel": st.fixed_dictionaries(
        {
            "when": st.sampled_from(["now", "period_end", "at"]),
            "credit": st.sampled_from(["none", "prorated", "full"]),
            "refund": st.sampled_from(["none", "automatic", "manual", "deferred"]),
        }
    ),
    "undo": st.just({}),
    "change": st.fixed_dictionaries(
        {
            "plan": st.sampled_from(["weekly", "monthly", "seats"]),
            "when": st.sampled_from(["now", "period_end"]),
        }
    ),
    "pause": st.fixed_dictionaries(
        {"when": st.sampled_from(["now", "period_end"]), "credit": st.sampled_from(["none", "prorated"])}
    ),
    "phases": st.fixed_dictionaries({"plan": st.sampled_from(["weekly", "monthly"])}),
    "resume": st.just({}),
    "charge": st.fixed_dictionaries({"when": st.sampled_from(["now", "next_invoice"])}),
    "pay": st.just({}),
    "credit": st.fixed_dictionaries({"refund": st.sampled_from(["none", "automatic", "deferred"])}),
    "new_card": st.sampled_from([{"card": "pm_sandbox_ok"}, {"card": "pm_sandbox_declined"}]),
}


@st.composite
def histories(draw: st.DrawFn) -> list[Act]:
    """Everybody signs up in the first days; then they do what comes to their minds."""

    def act(what: str, who: str, last_day: int) -> Act:
        return Act(
            day=draw(st.integers(0, last_day)),
            hour=draw(st.integers(0, 23)),
            who=who,
            what=what,
            terms=draw(TERMS[what]),
        )

    more = draw(st.lists(st.tuples(st.sampled_from(sorted(TERMS)), st.sampled_from(CUSTOMERS)), max_size=8))
    acts = [*(act("sign_up", who, 5) for who in CUSTOMERS), *(act(*each, DAYS) for each in more)]
    return sorted(acts, key=lambda each: (each.day, each.hour))


# One in which a bit of everything happens, whatever is drawn.
EVENTFUL = [
    Act(day=0, hour=9, who="ada", what="sign_up", terms={"plan": "weekly", "card": "pm_sandbox_ok"}),
    Act(day=0, hour=9, who="bob", what="sign_up", terms={"plan": "weekly", "card": "pm_sandbox_declined"}),
    Act(day=0, hour=9, who="cleo", what="sign_up", terms={"plan": "monthly", "card": None, "offer": "free"}),
    Act(day=9, hour=3, who="ada", what="charge", terms={"when": "next_invoice"}),
    Act(day=12, hour=3, who="ada", what="change", terms={"plan": "monthly", "when": "period_end"}),
    Act(day=17, hour=3, who="ada", what="credit", terms={"refund": "deferred"}),
    Act(day=20, hour=5, who="ada", what="pause", terms={"when": "now"}),
    Act(
        day=30,
        hour=3,
        who="ada",
        what="cancel",
        terms={"when": "at", "credit": "full", "refund": "automatic"},
    ),
]


@settings(
    max_examples=3,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(history=histories())
@example(history=EVENTFUL)
async def test_one_jump_or_day_by_day_gives_the_same_documents(
    open_tenant: OpenTenant, house: House, time: Time, history: list[Act]
) -> None:
    jumped = await told(await open_tenant(), house, history, stops=[DAYS])
    walked = await told(await open_tenant(), house, history, stops=list(range(1, DAYS + 1)))

    assert jumped == walked


async def test_there_is_something_to_compare(open_tenant: OpenTenant, house: House, time: Time) -> None:
    there = await told(await open_tenant(), house, EVENTFUL, stops=[DAYS])

    assert {each["status"] for each in there["subscriptions"]} == {"cancelled", "past_due"}
    assert {each["status"] for each in there["refunds"]} == {"succeeded"}
    assert {each["type"] for each in there["events"]} >= {
        "invoice.dunning_exhausted",
        "invoice.reminder_due",
        "subscription.changed",
        "subscription.resumed",
        "payment.failed",
        "refund.scheduled",
        "subscription.renewed",
    }
    assert len(there["invoices"]) > 5
    assert len(there["credit_notes"]) > 1


# ── telling them ─────────────────────────────────────────────────────────────────────────────────


async def told(backend: Backend, house: House, history: list[Act], *, stops: list[int]) -> Json:
    """Every document there is at the end, and what each act was answered."""
    await open_shop(backend)
    answers = []
    for day in sorted({act.day for act in history} | set(stops)):
        for act in history:
            if act.day == day:
                await advance(backend, house, at(day, act.hour))
                answers.append(await _done(backend, act))
        await advance(backend, house, at(day, 23))
    return {"answers": answers, **await documents(backend)}


def at(day: int, hour: int) -> str:
    return (NOON.replace(hour=hour) + timedelta(days=1 + day)).isoformat()


async def open_shop(backend: Backend) -> None:
    await backend.post("/v1/tax_rates", tax_rate("20"))
    await backend.post("/v1/legal_entities", legal_entity(payment_terms_days=5))
    await backend.patch("/v1/settings", {**DUNNING, "refund_after_days": 9})
    await backend.post("/v1/plans", plan("monthly"))
    await backend.post("/v1/plans", plan("weekly", "7.77", interval={"unit": "week", "count": 1}))
    seats = [{"currency": "EUR", "model": "per_unit", "unit_price": "3.33"}]
    await backend.post("/v1/plans", plan("seats", prices=seats))
    await backend.post("/v1/offers", welcome("half"))
    await backend.post("/v1/offers", {**FREE_FOR_30_DAYS, "reference": "free"})


async def _done(backend: Backend, act: Act) -> tuple[int, str | None]:
    method, path, body = await _call(backend, act)
    answer = await backend.send(method, path, body)
    return answer.status_code, answer.json().get("code")


async def _call(backend: Backend, act: Act) -> tuple[str, str, Json | None]:
    """Of several subscriptions or invoices of theirs it is the newest."""
    terms = {name: value for name, value in act.terms.items() if value}
    subscription = f"/v1/subscriptions/{await _newest(backend, 'subscriptions', act.who)}"
    invoice = f"/v1/invoices/{await _newest(backend, 'invoices', act.who)}"
    buyer = customer(act.who, payment_method=terms.pop("card", None))
    if act.what == "new_card":
        return "PATCH", f"/v1/customers/{act.who}", {"payment_method": buyer["payment_method"]}
    if terms.get("when") == "at":
        terms["at"] = at(act.day + 12, act.hour)
    calls: dict[str, tuple[str, Json | None]] = {
        "sign_up": ("/v1/signups", {"customer": buyer, **terms}),
        "cancel": (f"{subscription}/cancel", terms),
        "undo": (f"{subscription}/undo_cancellation", None),
        "change": (f"{subscription}/change", terms),
        "pause": (f"{subscription}/pause", {**terms, "resume_at": at(act.day + 9, 4)}),
        "resume": (f"{subscription}/resume", None),
        "phases": (
            f"{subscription}/schedule_phases",
            {"phases": [{**terms, "begins_at": at(act.day + 3, 0)}]},
        ),
        "charge": (f"{subscription}/charges", {"description": "Workshop", "unit_price": "90.00", **terms}),
        "pay": (f"{invoice}/payments", {"means": "transfer"}),
        "credit": (f"{invoice}/credit_notes", {"reason": "commercial_gesture", **terms}),
    }
    return "POST", *calls[act.what]


async def _newest(backend: Backend, what: str, who: str) -> str:
    answer = await backend.http.get(f"/v1/{what}", params={"customer_id": who, "limit": "1"})
    found = answer.json().get("data")
    return found[0]["id"] if found else "none"


# ── what there is at the end ─────────────────────────────────────────────────────────────────────

KINDS = ("subscriptions", "invoices", "credit_notes", "payments", "refunds", "ledger_entries")
ID = re.compile(r"\b([a-z]+)_[0-7][0-9a-z]{25}\b")


async def documents(backend: Backend) -> Json:
    """All but ids and what the provider calls them: numbers, dates, amounts, states, events."""
    events = [
        each["data"] | {"created_at": each["created_at"]}
        for each in await listed(backend, "events")
        if not each["type"].startswith(("test_clock.", "api_key."))
    ]
    return {kind: _without_ids(await listed(backend, kind)) for kind in KINDS} | {
        "events": _without_ids(events)
    }


def _without_ids(value: Any) -> Any:
    match value:
        case str():
            return ID.sub(r"\1", value)
        case list():
            return [_without_ids(item) for item in value]
        case dict():
            return {name: _without_ids(item) for name, item in value.items() if name != "gateway_reference"}
    return value
