"""The examples in the documentation are true: every one of them is sent, in an order that makes sense."""

import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, TypeAlias

import httpx
import msgspec
import pytest

from api import clock
from api.access.create_tenant import Opened
from api.app import OPERATIONS
from api.demo.seller import furnish
from api.examples import EXAMPLES
from billing.invoices import store as invoices
from billing.invoices.model import InvoiceId
from billing.payments import store as payments
from kernel.database import Pool, transaction
from refunds.made_elsewhere import refund_made_elsewhere
from refunds.model import RefundId
from refunds.send_refund import finish_refund
from tests.makers import NOON
from tests.refunds.cases import declined, made, paid_by_provider

Send: TypeAlias = Callable[..., Awaitable[dict[str, Any]]]

TAKE_A_BODY = {handler.operation_id for handler in OPERATIONS if handler.parsed_data_field is not None}


def test_every_operation_that_takes_a_body_shows_one() -> None:
    assert set(EXAMPLES) == TAKE_A_BODY


@pytest.fixture
async def furnished(pool: Pool, opened: Opened) -> None:
    async with transaction(pool, opened.test.id, now=NOON) as tx:
        await furnish(tx)


@pytest.mark.usefixtures("furnished")
async def test_every_example_is_accepted(
    client: httpx.AsyncClient, pool: Pool, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "now", lambda: datetime(2026, 11, 23, 12, tzinfo=UTC))

    async def send(operation: str, path: str, method: str = "POST", **ids: str) -> dict[str, Any]:
        """With `ids` in the place of those that the example names, by what these begin with."""
        body = msgspec.json.encode(EXAMPLES[operation]).decode()
        for example, ours in ids.items():
            body = re.sub(rf"{example}_[0-9a-z]{{26}}", ours, body, count=1)
        response = await client.request(method, f"/v1/{path}", json=msgspec.json.decode(body))
        assert response.is_success, f"{operation}: {response.text}"
        sent.add(operation)
        answer: dict[str, Any] = response.json()
        return answer

    sent: set[str] = set()
    await client.patch("/v1/settings", json={"refund_mode": "automatic"})
    for operation, path in (
        ("create_meter", "meters"),
        ("create_plan", "plans"),
        ("create_offer", "offers"),
        ("create_customer", "customers"),
        ("create_legal_entity", "legal_entities"),
        ("create_plan_version", "plans/pro/versions"),
    ):
        await send(operation, path)
    await send("patch_offer", "offers/WELCOME", "PATCH")
    await send("patch_stacking_policy", "promotions/policy", "PATCH")
    for operation, path in (
        ("create_referral_code", "customers/user-43/referral_code"),
        ("create_redemption", "redemptions"),
        ("create_coupon", "offers/WELCOME/coupons"),
        ("create_coupon_batch", "offers/WELCOME/coupon_batches"),
        ("evaluate_promotions", "promotions/evaluate"),
    ):
        await send(operation, path)
    signup = await send("create_signup", "signups")
    await send("grant_subscription_offer", f"subscriptions/{signup['subscription']['id']}/offers")
    await send("create_back_test", "promotions/backtests")
    await send("patch_customer", "customers/user-42", "PATCH")
    await send("record_usage", "usage")

    subscribed = await send("create_subscription", "subscriptions")
    await send("create_charge", f"subscriptions/{subscribed['subscription']['id']}/charges")
    await send("create_rebate", "rebates")
    await send("patch_rebate", "rebates/rfa-2026", "PATCH")
    await send("accrue_rebate", "rebates/rfa-2026/accrue")
    await send("settle_rebate", "rebates/rfa-2026/settle")
    await send("create_payment", f"invoices/{subscribed['invoice']['id']}/payments")
    await send("pause_invoice_dunning", f"invoices/{signup['invoice']['id']}/pause_dunning")
    note = await send("create_credit_note", f"invoices/{subscribed['invoice']['id']}/credit_notes")
    await send_notes(send, subscribed["invoice"]["id"])
    await send("create_manual_refund", f"credit_notes/{note['credit_note']['id']}/refunds")
    await send("change_subscription", f"subscriptions/{signup['subscription']['id']}/change")
    await send("schedule_phases", f"subscriptions/{subscribed['subscription']['id']}/schedule_phases")
    await send("migrate_plan", "plans/pro/migrate")
    await send("pause_subscription", f"subscriptions/{subscribed['subscription']['id']}/pause")
    await send("cancel_subscription", f"subscriptions/{signup['subscription']['id']}/cancel")

    await send_settlements(client, send)
    for imported in ("imported_invoices", "imported_credit_notes"):
        await send(f"create_{imported}", imported)
    draft = await send("create_draft_invoice", "draft_invoices")
    await send("patch_draft_invoice", f"draft_invoices/{draft['id']}", "PATCH")
    await client.post(f"/v1/draft_invoices/{draft['id']}/issue")
    fixed = await send("fix_invoice", f"invoices/{draft['id']}/fix")
    await send("reject_invoice", f"invoices/{fixed['invoice']['id']}/reject")
    await send_keys(send)
    await send_refunds(send, client, pool, opened)
    await send("patch_settings", "settings", "PATCH")
    await send("advance_test_clock", "test_clock/advance")
    # The demo's seller brought this rate along, so here it has another name.
    response = await client.post(
        "/v1/tax_rates", json={**EXAMPLES["create_tax_rate"], "reference": "fr-5.5-again"}
    )
    assert response.status_code == 201
    assert sent | {"create_tax_rate"} == set(EXAMPLES)


async def send_notes(send: Send, invoice_id: str) -> None:
    alone = (await send("create_global_credit_note", "credit_notes"))["credit_note"]["id"]
    await send("attach_credit_note", f"credit_notes/{alone}/attach", inv=invoice_id)
    await send("detach_credit_note", f"credit_notes/{alone}/detach", inv=invoice_id)
    await send("reverse_credit_note", f"credit_notes/{alone}/reverse")
    draft = await send("create_draft_credit_note", "draft_credit_notes")
    await send("patch_draft_credit_note", f"draft_credit_notes/{draft['id']}", "PATCH", inv=invoice_id)


async def send_settlements(client: httpx.AsyncClient, send: Callable[..., Awaitable[Any]]) -> None:
    await client.patch("/v1/settings", json={"settle_credit_notes": "never"})
    money = (await send("create_customer_payment", "customers/user-42/payments"))["id"]
    await send("refund_payment", f"payments/{money}/refund")
    await send("apply_payment", f"payments/{money}/apply", inv=(await spendable(client))["inv"])
    left = await spendable(client)
    await send("mark_credit_note_used", f"credit_notes/{left['cn']}/mark_used")
    await send("create_settlement_batch", "settlement_batches")
    matched = await send("create_settlements", "settlements", **await spendable(client))
    await send("dissociate_settlement", f"settlements/{matched['settlements'][0]['id']}/dissociate")


async def spendable(client: httpx.AsyncClient) -> dict[str, str]:
    """A credit note of which something is left, and an invoice that is due."""

    async def issued() -> str:
        draft = (await client.post("/v1/draft_invoices", json=EXAMPLES["create_draft_invoice"])).json()
        invoice = (await client.post(f"/v1/draft_invoices/{draft['id']}/issue")).json()
        return str(invoice["id"])

    paid, due = await issued(), await issued()
    await client.post(f"/v1/invoices/{paid}/payments", json={"means": "transfer"})
    credit = {"reason": "duplicate", "refund": "none"}
    note = (await client.post(f"/v1/invoices/{paid}/credit_notes", json=credit)).json()
    return {"cn": note["credit_note"]["id"], "inv": due}


async def send_keys(send: Send) -> None:
    """To our API, and to a payment provider's."""
    key = await send("create_api_key", "api_keys")
    await send("rotate_api_key", f"api_keys/{key['id']}/rotate")
    made = await send("create_payment_connection", "payment_connections")
    connection = f"payment_connections/{made['id']}"
    await send("patch_payment_connection", connection, "PATCH")
    await send("create_webhook_secret", f"{connection}/webhook_secrets")
    await send("create_checkout_session", "customers/user-42/checkout_sessions")
    await send("create_reconciliation", "reconciliations", pcx=made["id"])


async def send_refunds(send: Send, client: httpx.AsyncClient, pool: Pool, opened: Opened) -> None:
    refunds = {mode: await a_refund(client, pool, opened, mode) for mode in ("deferred", "automatic")}
    await send("reschedule_refund", f"refunds/{refunds['deferred']}/reschedule")
    retried = await send("retry_refund", f"refunds/{refunds['automatic']}/retry")
    again = retried["refunds"][0]["id"]
    await decline(pool, opened, again)
    cancelled = (await client.post(f"/v1/refunds/{refunds['deferred']}/cancel")).json()
    await send("refund_credit_note", f"credit_notes/{cancelled['credit_note_id']}/refund")
    await send(
        "link_refund", f"refunds/{await unlinked(client, pool, opened)}/link", **await spendable(client)
    )
    payment = (await client.get("/v1/payments")).json()["data"][0]
    dispute = await send("create_dispute", f"payments/{payment['id']}/disputes")
    await send("close_dispute", f"disputes/{dispute['id']}/close")
    await send("record_external_refund", f"refunds/{again}/record_external")


async def a_refund(client: httpx.AsyncClient, pool: Pool, opened: Opened, mode: str) -> str:
    """Of an invoice that a provider was paid; an automatic one is declined."""
    draft = (await client.post("/v1/draft_invoices", json=EXAMPLES["create_draft_invoice"])).json()
    invoice = (await client.post(f"/v1/draft_invoices/{draft['id']}/issue")).json()
    async with transaction(pool, opened.test.id, now=NOON) as tx:
        await paid_by_provider(tx, await invoices.get(tx, InvoiceId.parse(invoice["id"])))
    body = {"reason": "duplicate", "refund": mode}
    answer = await client.post(f"/v1/invoices/{invoice['id']}/credit_notes", json=body)
    (refund,) = answer.json()["refunds"]
    if mode == "automatic":
        await decline(pool, opened, refund["id"])
    return str(refund["id"])


async def unlinked(client: httpx.AsyncClient, pool: Pool, opened: Opened) -> str:
    """Made at the provider, of an invoice of which most is due."""
    draft = (await client.post("/v1/draft_invoices", json=EXAMPLES["create_draft_invoice"])).json()
    invoice = (await client.post(f"/v1/draft_invoices/{draft['id']}/issue")).json()
    async with transaction(pool, opened.test.id, now=NOON) as tx:
        found = await invoices.get(tx, InvoiceId.parse(invoice["id"]))
        payment = await payments.get(tx, (await paid_by_provider(tx, found, 2)).id)
        return str((await refund_made_elsewhere(tx, payment, made(payment, 1))).id)


async def decline(pool: Pool, opened: Opened, refund_id: str) -> None:
    async with transaction(pool, opened.test.id, now=NOON) as tx:
        await finish_refund(tx, RefundId.parse(refund_id), declined())
