"""Whatever is sent as issued elsewhere, it is taken to the cent or refused clearly: nothing makes a 5xx."""

from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.flows.backend import Backend, Json
from tests.flows.conftest import OpenTenant, Time

NUMBERS = count(1)

# Mostly what is right, so that it is not always the same thing that is refused first.
MINORS = st.sampled_from([1, 33, 100_00, 99_99, 20_00] * 4 + [0, 10**13, 10**13 - 1, -1, -(10**13)])
CURRENCIES = st.sampled_from(["EUR"] * 30 + ["JPY"])
MONEY = st.builds(lambda minor, currency: {"minor": minor, "currency": currency}, MINORS, CURRENCIES)
DAYS = st.sampled_from(["2025-12-01"] * 10 + ["2025-12-31", "2026-01-16", "0001-01-01", "9999-12-31"])
GROUPS = st.sampled_from(
    [{"rate": "20"}, {"rate": "5.5"}, {"rate": "100"}, {"rate": "0.0001"}] * 3
) | st.builds(
    lambda rate, category, reason: {
        "rate": rate,
        "category": category,
        **({"reason": reason} if reason else {}),
    },
    st.sampled_from(["20", "0"]),
    st.sampled_from(["S", "E", "O", "AE", "Z"]),
    st.sampled_from([None, "Art. 293 B"]),
)
QUANTITIES = st.sampled_from(["1", "1", "3", "0", "0.000001", "1000000"])
BEHAVIORS = st.sampled_from(["exclusive", "inclusive"])


def lines(**more: st.SearchStrategy[object]) -> st.SearchStrategy[list[Json]]:
    return st.lists(
        st.fixed_dictionaries({"description": st.just("x"), "amount": MONEY, "quantity": QUANTITIES, **more}),
        min_size=1,
        max_size=4,
    )


TAXES = (
    st.none()
    | st.none()
    | st.none()
    | st.lists(st.fixed_dictionaries({"group": GROUPS, "base": MONEY, "tax": MONEY}), max_size=3)
)
INVOICES = st.fixed_dictionaries(
    {
        "customer": st.just("user-42"),
        "issued_on": DAYS,
        "due_on": DAYS,
        "currency": CURRENCIES,
        "lines": lines(tax=GROUPS),
        "taxes": TAXES,
        "tax_behavior": BEHAVIORS,
        "payments": st.lists(st.fixed_dictionaries({"amount": MONEY, "received_on": DAYS}), max_size=2),
        "dunning": st.booleans(),
    }
)
NOTES = st.fixed_dictionaries(
    {
        "customer": st.just("user-42"),
        "issued_on": DAYS,
        "currency": CURRENCIES | st.none(),
        "reason": st.sampled_from(["billing_error", "rebate", "other"]),
        "lines": lines(tax=GROUPS),
        "taxes": TAXES,
        "tax_behavior": BEHAVIORS,
        "used": st.none() | MONEY,
    }
)
FEW = settings(max_examples=60, suppress_health_check=list(HealthCheck), deadline=None)


@pytest.fixture
async def shop_of_imports(open_tenant: OpenTenant, time: Time) -> Backend:
    backend = await open_tenant()
    await backend.open_shop()
    return backend


@FEW
@given(body=INVOICES)
async def test_an_invoice_is_imported_or_refused(shop_of_imports: Backend, body: Json) -> None:
    sent = {**body, "number": f"no. {next(NUMBERS)} ✓"}

    answer = await shop_of_imports.send("POST", "/v1/imported_invoices", {"invoices": [sent]})

    assert answer.status_code in (201, 400, 404, 409, 422), answer.text
    if answer.status_code == 201:
        (invoice,) = answer.json()["invoices"]
        assert invoice["number"] == sent["number"]
        paid = sum(each["amount"]["minor"] for each in body["payments"])
        assert invoice["settlement"]["due"]["minor"] == invoice["total"]["minor"] - paid


@FEW
@given(body=NOTES)
async def test_a_credit_note_is_imported_or_refused(shop_of_imports: Backend, body: Json) -> None:
    sent = {**body, "number": f"no. {next(NUMBERS)} ✓"}

    answer = await shop_of_imports.send("POST", "/v1/imported_credit_notes", {"credit_notes": [sent]})

    assert answer.status_code in (201, 400, 404, 409, 422), answer.text
    if answer.status_code == 201:
        (note,) = answer.json()["credit_notes"]
        settlement = note["settlement"]
        assert settlement["left"]["minor"] + settlement["marked"]["minor"] == note["total"]["minor"]
