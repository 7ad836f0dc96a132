"""A SaaS backend that talks to the API: what it sends, and what it makes of the answers."""

from typing import Any, TypeAlias

import httpx
import msgspec

from kernel.database import Pool
from kernel.ids import TenantId
from kernel.structs import encode
from tests import makers

Json: TypeAlias = dict[str, Any]


class Backend:
    """A client of one tenant. Whatever is not answered below 400 fails the test with what was said."""

    def __init__(self, tenant: TenantId, http: httpx.AsyncClient, pool: Pool) -> None:
        self.tenant = tenant
        self.http = http
        self.pool = pool  # for what happens to a tenant without its asking

    async def get(self, path: str, **query: str) -> Json:
        return _told(await self.http.get(path, params=query))

    async def post(self, path: str, body: Json | None = None, **headers: str) -> Json:
        return _told(await self.send("POST", path, body, **headers))

    async def patch(self, path: str, body: Json) -> Json:
        return _told(await self.send("PATCH", path, body))

    async def refused(self, path: str, body: Json | None = None) -> tuple[int, str]:
        """Status and code of a POST that is refused."""
        answer = await self.send("POST", path, body)
        assert answer.status_code >= 400, answer.text
        return answer.status_code, answer.json()["code"]

    async def send(self, method: str, path: str, body: Json | None = None, **headers: str) -> httpx.Response:
        """`idempotency_key=…` and `if_quote=…` become headers."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.http.request(method, path, json=body, headers=named)

    # ── what most stories begin with ─────────────────────────────────────────────────────────────

    async def open_shop(self, *, payment_method: str | None = None) -> Json:
        """Two VAT rates, a seller, and a first customer, which is returned."""
        await self.post("/v1/tax_rates", tax_rate("20"))
        await self.post("/v1/tax_rates", tax_rate("5.5"))
        await self.post("/v1/legal_entities", legal_entity())
        return await self.post("/v1/customers", customer(payment_method=payment_method))

    async def issue(self, *lines: Json, **more: Any) -> Json:
        """An invoice to user-42, drafted and issued."""
        body = {"customer": "user-42", "currency": "EUR", "lines": list(lines), **more}
        draft = await self.post("/v1/draft_invoices", body)
        return await self.post(f"/v1/draft_invoices/{draft['id']}/issue")

    async def credit(self, invoice: Json, *lines: Json, **more: Any) -> Json:
        """A credit note on it, of all that is left when no line is named."""
        body = {"reason": "cancellation", "refund": "none", **more}
        if lines:
            body["lines"] = list(lines)
        given_back = await self.post(f"/v1/invoices/{invoice['id']}/credit_notes", body)
        note: Json = given_back["credit_note"]
        return note


def _told(answer: httpx.Response) -> Json:
    assert answer.status_code < 400, f"{answer.request.method} {answer.request.url}: {answer.text}"
    said: Json = answer.json() if answer.content else {}
    return said


# ── bodies ───────────────────────────────────────────────────────────────────────────────────────


def tax_rate(percent: str) -> Json:
    return {"reference": f"vat-{percent}", "name": f"TVA {percent} %", "rate": percent}


def legal_entity(reference: str = "main", **more: Any) -> Json:
    seller = msgspec.json.decode(encode(makers.a_seller()))
    return {"reference": reference, "seller": seller, "tax_rate": "vat-20", **more}


def customer(reference: str = "user-42", **more: Any) -> Json:
    address = msgspec.json.decode(encode(makers.an_address()))
    return {
        "reference": reference,
        "name": "Atelier Bœuf & Cœur",
        "email": f"{reference}@atelier.example",
        "address": address,
        **{name: value for name, value in more.items() if value is not None},
    }


def line(price: str, *, vat: str = "20", quantity: str = "1", name: str = "Abonnement Pro") -> Json:
    return {"description": name, "unit_price": price, "quantity": quantity, "tax_rate": f"vat-{vat}"}


def euros(minor: int) -> Json:
    return {"minor": minor, "currency": "EUR"}


def plan(reference: str = "pro", price: str = "29.00", **more: Any) -> Json:
    return {
        "reference": reference,
        "name": "Pro",
        "interval": {"unit": "month", "count": 1},
        "prices": [{"currency": "EUR", "unit_price": price}],
        "entitlements": {"exports": True, "projects": 10},
        **more,
    }


def rebate(reference: str, *customers: str, **more: Any) -> Json:
    """10 % up to 100.00, 20 % up to 300.00, 30 % above, of what is bought in 2026."""
    bounds = ((0, "10"), (100_00, "20"), (300_00, "30"))
    return {
        "reference": reference,
        "name": "Ristourne annuelle",
        "currency": "EUR",
        "customers": list(customers),
        "tiers": [{"from_amount": euros(lower), "rate": rate} for lower, rate in bounds],
        "starts_on": "2026-01-01",
        **more,
    }


def welcome(reference: str = "welcome", **more: Any) -> Json:
    """Half off for three months, for new customers."""
    return {
        "reference": reference,
        "name": "Bienvenue",
        "benefit": {"type": "percent", "percent": "50"},
        "conditions": {"new_customers_only": True},
        "duration": {"type": "periods", "count": 3},
        **more,
    }
