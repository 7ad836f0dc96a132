"""How often a request goes to the database and back: what latency is made of."""

from datetime import UTC, datetime, timedelta

import pytest

from billing.invoices import store as invoices
from billing.invoices.model import InvoiceId
from kernel.database import Pool, transaction
from tests.flows.backend import Backend, Json, customer
from tests.flows.conftest import OpenTenant
from tests.refunds.cases import paid_by_provider


@pytest.fixture
async def backend(open_tenant: OpenTenant) -> Backend:
    backend = await open_tenant()
    await backend.open_shop()
    return backend


async def a_plan(backend: Backend) -> None:
    price = {"model": "per_unit", "currency": "EUR", "unit_price": "9.90"}
    await backend.post(
        "/v1/plans",
        {"reference": "pro", "name": "Pro", "interval": {"unit": "month"}, "prices": [price]},
    )
    await backend.post(
        "/v1/offers",
        {
            "reference": "WELCOME",
            "name": "Welcome",
            "benefit": {"type": "percent", "percent": "50"},
            "conditions": {"new_customers_only": True},
        },
    )


def a_signup(reference: str) -> Json:
    who = customer(reference, payment_method="pm_card_visa")
    return {"customer": who, "plan": "pro", "quantity": "3", "offer": "WELCOME"}


async def test_a_signup_with_everything_on_is_at_most_12_round_trips(
    backend: Backend, asked: list[str]
) -> None:
    """A new customer with a welcome offer, their invoice, number, VAT, ledger and events, once only."""
    await a_plan(backend)
    await backend.post("/v1/signups", a_signup("user-1"), idempotency_key="attempt-1")

    asked.clear()
    signup = await backend.post("/v1/signups", a_signup("user-2"), idempotency_key="attempt-2")

    assert signup["invoice"]["number"]
    assert len(asked) <= 12, "\n".join(asked)


@pytest.mark.parametrize(
    ("paid", "refund", "most"),
    [(False, "automatic", 8), (False, "none", 8), (True, "none", 11), (True, "automatic", 13)],
)
async def test_a_full_credit_note_is_so_many_round_trips(
    backend: Backend, pool: Pool, asked: list[str], *, paid: bool, refund: str, most: int
) -> None:
    """Its number, VAT, ledger, what it settles, the refund and the events, once only."""
    await a_plan(backend)
    for user in ("user-1", "user-2"):
        signup = await backend.post("/v1/signups", {**a_signup(user), "offer": None})
        invoice_id = InvoiceId.parse(signup["invoice"]["id"])
        if paid:
            async with transaction(pool, backend.tenant, now=datetime.now(UTC)) as tx:
                await paid_by_provider(tx, await invoices.get(tx, invoice_id))
        asked.clear()
        credited = await backend.post(
            f"/v1/invoices/{invoice_id}/credit_notes",
            {"reason": "cancellation", "refund": refund},
            idempotency_key=f"credit-{user}",
        )

    assert credited["credit_note"]["total"] == signup["invoice"]["total"]
    assert len(credited["refunds"]) == (paid and refund == "automatic")
    assert len(asked) <= most, "\n".join(asked)


async def test_an_evaluation_is_three_round_trips_whatever_the_number_of_offers(
    backend: Backend, asked: list[str]
) -> None:
    """BEGIN, one statement, and the end; also in a tenant with a clock, which is read along."""
    await a_plan(backend)
    for n in range(20):
        more = {"reference": f"OFFER-{n}", "name": f"Offer {n}", "lane": n % 5}
        await backend.post("/v1/offers", {**more, "benefit": {"type": "percent", "percent": "10"}})
    await backend.post("/v1/test_clock/advance", {"to": (datetime.now(UTC) + timedelta(days=9)).isoformat()})
    every = [f"OFFER-{n}" for n in range(20)]
    question = {"newcomer": {"country": "DE"}, "plan": "pro", "quantity": "3"}
    await backend.post("/v1/promotions/evaluate", question)

    for offers in ([], every[:1], every):
        asked.clear()
        answer = await backend.post("/v1/promotions/evaluate", {**question, "offers": offers})
        assert len(answer["applied"]) + len(answer["refused"]) == len(offers)
        assert len(asked) <= 3, "\n".join(asked)


async def test_who_tries_codes_in_vain_has_to_stop_after_a_few(backend: Backend) -> None:
    await a_plan(backend)
    question = {"customer": "user-42", "plan": "pro", "coupons": ["NEVER", "EVER"]}
    for _ in range(20):
        answer = await backend.send("POST", "/v1/promotions/evaluate", question)
        if answer.status_code != 200:
            break
        assert [each["code"] for each in answer.json()["refused"]] == ["coupon_invalid"] * 2
    assert (answer.status_code, answer.json()["code"]) == (429, "coupon_attempts")
    assert (await backend.post("/v1/promotions/evaluate", {**question, "coupons": []}))["refused"] == []


async def test_entitlements_are_one_statement_in_their_transaction(
    backend: Backend, asked: list[str]
) -> None:
    """However many subscriptions the customer has: SaaS products ask this all the time.

    The key was looked up a moment before.
    """
    await a_plan(backend)
    await backend.post("/v1/signups", a_signup("user-1"))
    for _ in range(3):
        await backend.post("/v1/subscriptions", {"customer": "user-1", "plan": "pro", "quantity": "1"})
    await backend.get("/v1/customers/user-1/entitlements")

    asked.clear()
    await backend.get("/v1/customers/user-1/entitlements")

    assert len(asked) == 3, "\n".join(asked)  # beside it: BEGIN and the end
    assert sum("entitlements" in each for each in asked) == 1
