"""Every VAT category of EN 16931 over HTTP: in the catalogue, on the invoice, on its page, and credited."""

from typing import Any

import pytest

from kernel.database import Pool, transaction
from tests.billing.test_documents import pages_of
from tests.books import accounts_of, assert_sound
from tests.flows.backend import Backend, Json, customer, line, plan
from tests.flows.test_oracles import cents
from tests.makers import NOON

# What a tax rate is made of, and what the page has to say.
WITHOUT_VAT: list[tuple[str, str | None, str]] = [
    ("AE", "Art. 283-2 du CGI", "Autoliquidation – Art. 283-2 du CGI"),
    ("E", "TVA non applicable, art. 293 B du CGI", "TVA non applicable, art. 293 B du CGI"),  # franchise
    ("E", "Exonération, art. 261-4-4° du CGI", "Exonération, art. 261-4-4° du CGI"),  # teaching
    ("G", "Art. 262 I du CGI", "Exportation exonérée – Art. 262 I du CGI"),
    ("K", "Art. 262 ter I du CGI", "Opération intracommunautaire exonérée – Art. 262 ter I du CGI"),
    ("O", "Art. 259-1 du CGI", "Hors champ de la TVA – Art. 259-1 du CGI"),
    ("Z", None, "Taux zéro"),
]


def zero_rate(category: str, reason: str | None) -> Json:
    rate: Json = {"reference": "zero", "name": "Sans TVA", "category": category, "rate": "0"}
    return rate if reason is None else {**rate, "reason": reason}


async def a_shop(backend: Backend, category: str, reason: str | None, **settings: Any) -> None:
    await backend.open_shop()
    await backend.post("/v1/tax_rates", zero_rate(category, reason))
    await backend.post("/v1/plans", plan(price="120.00", **settings))
    await backend.post("/v1/plans", plan("zero", price="120.00", tax_rate="zero", **settings))


async def page_of(backend: Backend, path: str) -> str:
    answer = await backend.http.get(f"{path}/pdf")
    return " ".join(pages_of(answer.content))


@pytest.mark.parametrize(("category", "reason", "mention"), WITHOUT_VAT)
async def test_a_category_goes_from_the_catalogue_to_the_page(
    backend: Backend, pool: Pool, category: str, reason: str | None, mention: str
) -> None:
    """On the plan's own rate, and on the customer's over the plan's."""
    await a_shop(backend, category, reason)
    buyers = [
        customer("a", vat_number="BE0403170701"),
        customer("b", tax_rate="zero", vat_number="BE0403170701"),
    ]
    for buyer, taken in zip(buyers, ("zero", "pro"), strict=True):
        invoice = (await backend.post("/v1/signups", {"customer": buyer, "plan": taken}))["invoice"]

        (tax,) = invoice["taxes"]
        assert tax["group"] == {"category": category, "rate": "0", "reason": reason or ""}
        assert cents(invoice) == (120_00, 0, 120_00)
        assert mention in await page_of(backend, f"/v1/invoices/{invoice['id']}")

        note = await backend.credit(invoice)
        assert (cents(note), note["taxes"]) == ((120_00, 0, 120_00), invoice["taxes"])
        assert mention in await page_of(backend, f"/v1/credit_notes/{note['id']}")
    async with transaction(pool, backend.tenant, now=NOON) as tx:
        await assert_sound(tx)
        assert await accounts_of(tx) == {}


@pytest.mark.parametrize("category", ["AE", "E", "G", "K", "O", "Z"])
async def test_a_gross_price_made_with_vat_loses_it_in_every_category(
    backend: Backend, category: str
) -> None:
    """One that was made without VAT has none to lose."""
    await a_shop(backend, category, "A reason", tax_behavior="inclusive")
    buyer = customer("b", tax_rate="zero", vat_number="BE0403170701")

    made_with = (await backend.post("/v1/signups", {"customer": buyer, "plan": "pro"}))["invoice"]
    made_without = await backend.post("/v1/subscriptions", {"customer": "b", "plan": "zero"})

    assert cents(made_with) == (100_00, 0, 100_00)
    assert cents(made_without["invoice"]) == (120_00, 0, 120_00)


async def test_categories_meet_on_one_invoice_and_each_is_a_group(backend: Backend) -> None:
    await a_shop(backend, "E", "Exonération, art. 261-4-4° du CGI", tax_behavior="inclusive")
    teaching = {"description": "Formation", "unit_price": "50.00", "tax_rate": "zero"}

    invoice = await backend.issue(
        line("120.00"), teaching, line("105.50", vat="5.5"), tax_behavior="inclusive"
    )

    assert [
        (tax["group"]["category"], tax["base"]["minor"], tax["tax"]["minor"]) for tax in invoice["taxes"]
    ] == [
        ("E", 50_00, 0),
        ("S", 100_00, 5_50),
        ("S", 100_00, 20_00),
    ]
    assert cents(invoice) == (250_00, 25_50, 275_50)


@pytest.mark.parametrize(
    ("rate", "code"),
    [
        (zero_rate("AE", None), "tax_reason_required"),
        (zero_rate("E", None), "tax_reason_required"),
        (zero_rate("S", None), "tax_rate_category"),
        ({**zero_rate("G", "Art. 262 I du CGI"), "rate": "20"}, "tax_rate_category"),
        (zero_rate("X", "No such category"), "body_invalid"),
    ],
)
async def test_what_is_no_category_is_refused(backend: Backend, rate: Json, code: str) -> None:
    assert await backend.refused("/v1/tax_rates", rate) == (422, code)
