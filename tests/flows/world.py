"""One of every resource in a tenant, and for every command a body that is valid there.

`test_isolation` and `test_dry_run` go through the API's own description with it: what is new in the API and
not here fails them.
"""

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import msgspec

from billing.gateways.connections.model import PaymentConnectionId
from billing.invoices import store as invoices
from billing.invoices.model import InvoiceId
from billing.payments import store as payments
from kernel.database import transaction
from kernel.money import Money
from refunds.made_elsewhere import refund_made_elsewhere
from refunds.model import RefundId
from refunds.send_refund import finish_refund
from tests.flows.backend import (
    Backend,
    Json,
    customer,
    euros,
    legal_entity,
    line,
    plan,
    rebate,
    tax_rate,
    welcome,
)
from tests.flows.conftest import Time
from tests.makers import EUR, NOON
from tests.refunds.cases import declined, made, paid_by_provider
from webhooks.drift import store as drift
from webhooks.drift.model import Done, Finding, Kind, NewReconciliation
from webhooks.drift.request import request_reconciliation
from webhooks.model import ObjectKind, Told
from webhooks.receive import FOLLOWING, receive

# Resource → id, plus the line of the invoice; `operation.resource` where one operation needs another.
World: TypeAlias = "dict[str, str]"

A_YEAR: Json = {"starts_at": "2026-01-01T00:00:00Z", "ends_at": "2027-01-01T00:00:00Z"}

BODIES: dict[str, Callable[[World], Json | None]] = {
    "attach_credit_note": lambda w: {"invoices": [w["invoice"]]},
    "detach_credit_note": lambda w: {"invoices": [w["detach_credit_note.invoice"]]},
    "accrue_rebate": lambda _: {"on": "2026-01-15"},
    "advance_test_clock": lambda _: {"to": "2026-01-20T00:00:00Z"},
    "archive_offer": lambda _: None,
    "cancel_back_test": lambda _: None,
    "cancel_refund": lambda _: None,
    "cancel_subscription": lambda _: {"credit": "full", "refund": "manual"},
    "change_subscription": lambda w: {"plan": w["plan"], "refund": "manual"},
    "close_dispute": lambda _: {"outcome": "lost"},
    "convert_refund": lambda _: None,
    "create_dispute": lambda _: {"reason": "fraudulent", "amount": euros(20_00)},
    "create_api_key": lambda _: {"name": "New", "scopes": ["events:read"]},
    "create_back_test": lambda w: {**A_YEAR, "offer": welcome("new"), "customers": [w["customer"]]},
    "create_charge": lambda w: {
        "description": "Workshop",
        "unit_price": "90.00",
        "tax_rate": w["tax_rate"],
        "when": "now",
    },
    "create_checkout_session": lambda _: {
        "success_url": "https://app.example/thanks",
        "cancel_url": "https://app.example/back",
    },
    "apply_payment": lambda w: {"invoice": w["invoice"], "amount": euros(5_00)},
    "create_customer_payment": lambda _: {"means": "transfer", "amount": euros(10_00)},
    "create_coupon": lambda w: {"customer": w["customer"], "prefix": "NEW"},
    "create_coupon_batch": lambda _: {"count": 3, "prefix": "SPRING"},
    "create_credit_note": lambda w: {
        "reason": "duplicate",
        "lines": [{"line": w["invoice_line"], "net": euros(33_33)}],
    },
    "create_customer": lambda w: customer("new", legal_entity=w["legal_entity"], tax_rate=w["tax_rate"]),
    "create_draft_credit_note": lambda w: {"on_invoice": _a_part(w)},
    "create_draft_invoice": lambda w: {
        "customer": w["customer"],
        "currency": "EUR",
        "lines": [{"description": "x", "unit_price": "9.99", "tax_rate": w["tax_rate"]}],
        "deposits": [w["deposit"]],
        "released_lines": [w["released_line"]],
    },
    "create_imported_credit_notes": lambda w: {
        "credit_notes": [
            {
                "customer": w["customer"],
                "number": "A-2025/0007",
                "issued_on": "2025-12-10",
                "reason": "duplicate",
                "currency": "EUR",
                "lines": [{"description": "x", "amount": euros(10_00), "tax": {"rate": "20"}}],
                "used": euros(2_00),
            },
            {
                "invoice": w["invoice"],
                "number": "A-2026/0001",
                "issued_on": "2026-01-15",
                "reason": "duplicate",
                "lines": [{"description": "x", "amount": euros(10_00), "line": w["invoice_line"]}],
            },
        ]
    },
    "create_imported_invoices": lambda w: {
        "invoices": [
            {
                "customer": w["customer"],
                "number": "2025/0042",
                "issued_on": "2025-12-01",
                "due_on": "2025-12-31",
                "currency": "EUR",
                "lines": [{"description": "x", "amount": euros(50_00), "tax": {"rate": "20"}}],
                "payments": [{"amount": euros(20_00), "received_on": "2025-12-20"}],
            }
        ]
    },
    "create_global_credit_note": lambda w: {
        "customer": w["customer"],
        "currency": "EUR",
        "lines": [{"description": "x", "unit_price": "9.99", "tax_rate": w["tax_rate"]}],
        "reason": "commercial_gesture",
    },
    "create_legal_entity": lambda w: legal_entity("new", tax_rate=w["tax_rate"], is_default=True),
    "create_manual_refund": lambda _: {"means": "cash", "amount": euros(1_00)},
    "create_meter": lambda _: {"reference": "new", "name": "New"},
    "create_offer": lambda _: welcome("new"),
    "create_payment": lambda _: {"means": "transfer", "amount": euros(10_00)},
    "create_payment_connection": lambda _: {"secret_key": "sk_test_another1"},
    "create_plan": lambda w: plan("new", tax_rate=w["tax_rate"], meters=_metered(w)),
    "create_plan_version": lambda w: {
        **_terms("39.00"),
        "tax_rate": w["tax_rate"],
        "entitlements": {"calls": {"quota": 10, "meter": w["meter"]}},
    },
    "create_reconciliation": lambda w: {"payment_connection": w["payment_connection"]},
    "create_rebate": lambda w: rebate("new", w["customer"]),
    "create_redemption": lambda w: {"customer": w["customer"], "offer": w["offer"]},
    "create_referral_code": lambda w: {"offer": w["offer"], "referrer_offer": w["offer"]},
    "cancel_settlement_batch": lambda _: None,
    "create_settlement_batch": lambda _: {"currency": "EUR", "simulate": True},
    "create_settlements": lambda w: {
        "credit_notes": [{"credit_note": w["create_settlements.credit_note"], "amount": euros(10_00)}],
        "invoices": [{"invoice": w["invoice"]}],
    },
    "create_signup": lambda w: {
        "customer": customer("new", legal_entity=w["legal_entity"], tax_rate=w["tax_rate"]),
        "plan": w["plan"],
        "offer": w["offer"],
    },
    "create_subscription": lambda w: {
        "customer": w["customer"],
        "plan": w["plan"],
        "addons": [{"plan": w["addon"], "quantity": "2"}],
        "offer": w["offer"],
    },
    "create_webhook_secret": lambda _: {"secret": "whsec_another1"},
    "create_tax_rate": lambda _: {"reference": "new", "name": "TVA 10 %", "rate": "10"},
    "delete_charge": lambda _: None,
    "delete_draft_credit_note": lambda _: None,
    "delete_draft_invoice": lambda _: None,
    "delete_webhook_secret": lambda _: None,
    "disconnect_payment_connection": lambda _: None,
    "dissociate_settlement": lambda _: {"amount": euros(5_00)},
    "fix_invoice": lambda w: {
        "reason": "billing_error",
        "lines": [
            {"line": w["invoice_line"], "quantity": "2"},
            {"description": "y", "unit_price": "9.99", "tax_rate": w["tax_rate"]},
        ],
    },
    "grant_subscription_offer": lambda w: {"offer": w["offer"]},
    "issue_draft_credit_note": lambda _: None,
    "issue_draft_invoice": lambda _: None,
    "link_refund": lambda w: {"credit_note": w["refund_credit_note.credit_note"]},
    "mark_credit_note_used": lambda _: {"reason": "Settled by hand in 2024", "amount": euros(1_00)},
    "migrate_plan": lambda _: {"when": "renewal"},
    "patch_payment_connection": lambda _: {"secret_key": "sk_test_changed1"},
    "patch_customer": lambda w: {"name": "New name", "tax_rate": w["tax_rate"]},
    "patch_draft_credit_note": lambda w: {"on_invoice": {**_a_part(w), "reason": "billing_error"}},
    "patch_draft_invoice": lambda w: {
        "customer": w["customer"],
        "lines": [{"description": "y", "unit_price": "0.01", "tax_rate": w["tax_rate"]}],
    },
    "patch_offer": lambda _: {"name": "New name", "max_per_customer": 2, "remind_days_before": 5},
    "patch_rebate": lambda _: {"name": "New name", "ends_on": "2027-01-01"},
    "patch_settings": lambda _: {"refund_mode": "manual"},
    "patch_stacking_policy": lambda _: {"percentages": "full_amount", "cumulative_lanes": [2]},
    "pause_invoice_dunning": lambda _: {"until": "2026-02-20"},
    "pause_offer": lambda _: None,
    "pause_subscription": lambda _: {"credit": "prorated", "refund": "manual"},
    "pay_invoice": lambda _: None,
    "record_external_refund": lambda _: {"means": "transfer", "reference": "VIR 9"},
    "record_usage": lambda w: {
        "records": [
            {"event_id": "new-1", "subscription": w["subscription"], "meter": w["meter"], "quantity": "2"},
            {"event_id": "new-2", "customer": w["customer"], "meter": w["meter"]},
        ]
    },
    "renew_subscription": lambda _: None,
    "refund_payment": lambda _: {"means": "cash", "amount": euros(1_00)},
    "refund_credit_note": lambda _: {"mode": "manual", "amount": euros(3_00)},
    "reschedule_refund": lambda _: {"due_on": "2026-01-20"},
    "resume_invoice_dunning": lambda _: None,
    "resume_offer": lambda _: None,
    "resume_subscription": lambda _: None,
    "retry_provider_event": lambda _: None,
    "retry_refund": lambda _: {},
    "reverse_credit_note": lambda _: {"note": "By mistake"},
    "revoke_api_key": lambda _: None,
    "reject_invoice": lambda w: {
        "reason_text": "The buyer's SIREN is unknown",
        "reason_code": "DEST_INC",
        "correct": {"lines": [{"line": w["invoice_line"], "quantity": "2"}]},
    },
    "release_redemption": lambda _: None,
    "revoke_redemption": lambda _: None,
    "revoke_coupon": lambda _: None,
    "revoke_coupon_batch": lambda _: None,
    "schedule_phases": lambda w: {"phases": [{"plan": w["plan"], "after_periods": 2}]},
    "rotate_api_key": lambda _: {"overlap_seconds": 60},
    "send_refund_now": lambda _: None,
    "settle_rebate": lambda _: {"on": "2026-01-15"},
    "undo_cancellation": lambda _: None,
    "undo_change": lambda _: None,
}

# What is asked by POST and changes nothing.
QUESTIONS: dict[str, Callable[[World], Json]] = {
    "evaluate_promotions": lambda w: {
        "customer": w["customer"],
        "plan": w["plan"],
        "addons": [{"plan": w["addon"], "quantity": "2"}],
        "offers": [w["offer"]],
    },
}
# Fields of bodies that name a resource, and which.
NAMED_IN_BODIES = {
    "credit_note": "credit_note",
    "invoice": "invoice",
    "customer": "customer",
    "deposit": "deposit",
    "released_line": "released_line",
    "plan": "plan",
    "offer": "offer",
    "tax_rate": "tax_rate",
    "legal_entity": "legal_entity",
    "payment_connection": "payment_connection",
    "line": "invoice_line",
    "meter": "meter",
    "subscription": "subscription",
}
# Resources that the caller's own reference names as well as our id.
REFERENCES = {
    "coupon": "SUMMER26",
    "customer": "user-42",
    "plan": "pro",
    "offer": "welcome",
    "tax_rate": "vat-5.5",
    "legal_entity": "main",
    "meter": "api_calls",
    "rebate": "rfa",
}


async def a_world(backend: Backend, time: Time, *, prefix: str = "") -> World:
    """It is NOON; the subscription's period has been over for nine days, and its end is years away.

    With the period that is due it changes to another plan.

    `prefix` goes before references.
    """

    def named(reference: str) -> str:
        return prefix + reference

    standard = await backend.post("/v1/tax_rates", {**tax_rate("20"), "reference": named("vat-20")})
    reduced = await _at_reduced_rate(backend, named("vat-5.5"))
    entity = await backend.post("/v1/legal_entities", legal_entity(named("main"), tax_rate=standard["id"]))
    buyer = await backend.post("/v1/customers", customer(named("user-42"), payment_method="pm_sandbox_ok"))
    pro = await backend.post("/v1/plans", plan(named("pro")))
    seats = [{"currency": "EUR", "unit_price": "5.00", "model": "per_unit"}]
    addon = await backend.post("/v1/plans", plan(named("seats"), kind="addon", prices=seats))
    offer = await backend.post("/v1/offers", welcome(named("welcome")))
    coupon = await backend.post(f"/v1/offers/{offer['id']}/coupons", {"code": named("SUMMER26")})
    batch = await backend.post(f"/v1/offers/{offer['id']}/coupon_batches", {"count": 2})
    pausing = await backend.post("/v1/offers", welcome(named("pausing")))
    await backend.post(f"/v1/offers/{pausing['id']}/pause")
    meter = await backend.post("/v1/meters", {"reference": named("api_calls"), "name": "API calls"})
    key = await backend.post("/v1/api_keys", {"name": "Another", "scopes": ["events:read"]})
    time.at = NOON
    time.forward(days=-40)
    signup = await backend.post(
        "/v1/signups",
        {"customer": customer(named("user-1")), "plan": pro["id"], "collection": "send_invoice"},
    )
    plus = await backend.post("/v1/plans", plan(named("plus"), price="49.00"))
    subscription = f"/v1/subscriptions/{signup['subscription']['id']}"
    await backend.post(f"{subscription}/change", {"plan": plus["id"], "when": "period_end"})
    time.at = NOON
    await backend.post(f"{subscription}/cancel", {"when": "at", "at": "2030-01-01T00:00:00Z"})

    kept = await backend.post("/v1/offers", welcome(named("kept")))
    held = {"customer": customer(named("user-3")), "plan": pro["id"], "offer": kept["id"]}
    await backend.post("/v1/signups", {**held, "collection": "send_invoice"})
    (redemption,) = (await backend.get("/v1/redemptions"))["data"]
    paused = await backend.post("/v1/subscriptions", {"customer": named("user-1"), "plan": pro["id"]})
    await backend.post(f"/v1/subscriptions/{paused['subscription']['id']}/pause", {"credit": "prorated"})
    await backend.post(f"/v1/plans/{pro['id']}/versions", _terms("29.00"))
    charged = await backend.post(f"{subscription}/charges", {"description": "Support", "unit_price": "12.00"})
    used = {"event_id": "call-1", "subscription": signup["subscription"]["id"], "meter": meter["id"]}
    await backend.post("/v1/usage", {"records": [used]})

    body: Json = {
        "customer": buyer["id"],
        "currency": "EUR",
        "lines": [{**line("100.00", quantity="2"), "tax_rate": standard["id"]}],
    }
    rebated = await backend.post("/v1/customers", customer(named("user-2")))
    await _issued(backend, {**body, "customer": rebated["id"]})
    past = await backend.post("/v1/rebates", rebate(named("past"), rebated["id"]))
    await backend.post(f"/v1/rebates/{past['id']}/settle", {"on": "2026-01-15"})
    draft = await backend.post("/v1/draft_invoices", body)
    invoice, paid = [await _issued(backend, body) for _ in range(2)]
    await backend.post(f"/v1/invoices/{invoice['id']}/pause_dunning", {})
    payment = await backend.post(f"/v1/invoices/{paid['id']}/payments", {"means": "transfer"})
    note = await backend.credit(paid, refund="manual")
    refund = await backend.post(
        f"/v1/credit_notes/{note['id']}/refunds", {"means": "check", "amount": euros(5_00)}
    )
    more = {
        **await _matched(backend, body),
        **await _refunds(backend, body),
        **await _connected(backend, buyer["id"]),
    }
    contract = await backend.post("/v1/rebates", rebate(named("rfa"), buyer["id"]))
    (event,) = (await backend.get("/v1/events", limit="1"))["data"]
    back_test = await backend.post("/v1/promotions/backtests", {**A_YEAR, "rules": "in_force"})
    settling = await backend.post("/v1/settlement_batches", {"currency": "USD"})
    return {
        "addon": addon["id"],
        "api_key": key["id"],
        "charge": charged["charge"]["id"],
        "coupon": coupon["id"],
        "coupon_batch": batch["id"],
        **more,
        "credit_note": note["id"],
        "customer": buyer["id"],
        "document": invoice["id"],
        "back_test": back_test["id"],
        **await _notes(backend, invoice, paid),
        "deposit": await _deposited(backend, body),
        "released_line": await _released(backend, body),
        "draft_invoice": draft["id"],
        "event": event["id"],
        "get_invoice_receipt.invoice": paid["id"],
        "invoice": invoice["id"],
        "invoice_line": invoice["lines"][0]["id"],
        "legal_entity": entity["id"],
        "meter": meter["id"],
        "offer": offer["id"],
        "payment": payment["id"],
        "plan": pro["id"],
        "rebate": contract["id"],
        "redemption": redemption["id"],
        "refund": refund["id"],
        "resume_offer.offer": pausing["id"],
        "resume_subscription.subscription": paused["subscription"]["id"],
        "settlement_batch": settling["id"],
        "subscription": signup["subscription"]["id"],
        "tax_rate": reduced["id"],
    }


def _a_part(world: World) -> Json:
    """Of the invoice's line."""
    lines = [{"line": world["invoice_line"], "net": euros(33_33)}]
    return {"invoice": world["invoice"], "reason": "duplicate", "lines": lines}


async def _notes(backend: Backend, invoice: Json, other: Json) -> World:
    """A draft, and a note on no invoice that is attached to another."""
    part = _a_part({"invoice": invoice["id"], "invoice_line": invoice["lines"][0]["id"]})
    draft = await backend.post("/v1/draft_credit_notes", {"on_invoice": part})
    body = {
        "customer": invoice["customer_id"],
        "currency": "EUR",
        "lines": [{"description": "x", "unit_price": "1.00"}],
        "reason": "commercial_gesture",
    }
    alone = (await backend.post("/v1/credit_notes", body))["credit_note"]["id"]
    await backend.post(f"/v1/credit_notes/{alone}/attach", {"invoices": [other["id"]]})
    return {
        "draft_credit_note": draft["id"],
        "attach_credit_note.credit_note": alone,
        "detach_credit_note.credit_note": alone,
        "reverse_credit_note.credit_note": alone,
        "detach_credit_note.invoice": other["id"],
    }


async def _deposited(backend: Backend, body: Json) -> str:
    """One that is paid, and no more to settle."""
    deposit = await _issued(backend, {**body, "kind": "deposit"})
    await backend.post(f"/v1/invoices/{deposit['id']}/payments", {"means": "transfer"})
    return str(deposit["id"])


async def _released(backend: Backend, body: Json) -> str:
    note = await backend.credit(await _issued(backend, body), release_lines=True)
    (line,) = (await backend.get("/v1/released_lines", credit_note_id=note["id"]))["data"]
    return str(line["id"])


async def _issued(backend: Backend, body: Json) -> Json:
    draft = await backend.post("/v1/draft_invoices", body)
    return await backend.post(f"/v1/draft_invoices/{draft['id']}/issue")


async def _at_reduced_rate(backend: Backend, reference: str) -> Json:
    """In a tenant where nothing is settled by itself: every document here is for one operation."""
    await backend.patch("/v1/settings", {"settle_credit_notes": "never"})
    return await backend.post("/v1/tax_rates", {**tax_rate("5.5"), "reference": reference})


async def _matched(backend: Backend, body: Json) -> World:
    """A credit note of which something is left, and something that it has settled."""
    # What is left of a note stays there, for the operations that need one.
    await backend.patch("/v1/settings", {"settle_credit_notes": "never"})
    paid, due = [await _issued(backend, body) for _ in range(2)]
    await backend.post(f"/v1/invoices/{paid['id']}/payments", {"means": "transfer"})
    note = await backend.credit(paid, refund="none")
    money = {"means": "transfer", "amount": euros(30_00)}
    put_by = await backend.post(f"/v1/customers/{body['customer']}/payments", money)
    applied = {"credit_note": note["id"], "amount": euros(20_00)}
    made = await backend.post(
        "/v1/settlements", {"credit_notes": [applied], "invoices": [{"invoice": due["id"]}]}
    )
    return {
        "create_settlements.credit_note": note["id"],
        "mark_credit_note_used.credit_note": note["id"],
        "refund_credit_note.credit_note": note["id"],
        "get_applicable_invoices.credit_note": note["id"],
        "settlement": made["settlements"][0]["id"],
        "apply_payment.payment": put_by["id"],
        "refund_payment.payment": put_by["id"],
    }


async def _connected(backend: Backend, customer_id: str) -> World:
    """An account at a payment provider, and a link to a page of theirs."""
    connection = await backend.post(
        "/v1/payment_connections", {"secret_key": "sk_test_12345678", "webhook_secret": "whsec_12345678"}
    )
    urls = {"success_url": "https://app.example/thanks", "cancel_url": "https://app.example/back"}
    checkout = await backend.post(f"/v1/customers/{customer_id}/checkout_sessions", urls)
    return {
        "checkout_session": checkout["id"],
        "payment_connection": connection["id"],
        "webhook_secret": connection["webhook_secrets"][0]["id"],
        **await _from_a_provider(backend, connection["id"]),
    }


async def _from_a_provider(backend: Backend, connection: str) -> World:
    """An event whose object nobody could look up, and a comparison that has not begun."""
    told = Told(
        reference="evt_1",
        type="refund.updated",
        kind=ObjectKind.REFUND,
        object_reference="re_1",
        happened_at=NOON,
    )
    there = PaymentConnectionId.parse(connection)
    async with transaction(backend.pool, backend.tenant, now=NOON) as tx:
        await receive(tx, there, "stripe", told)
        await tx.conn.execute(
            """
            UPDATE jobs
            SET state = 'parked', attempt = 30, last_error = 'GatewayTimeout'
            WHERE tenant_id = $1 AND kind = $2
            """,
            tx.tenant,
            FOLLOWING,
        )
        report = await request_reconciliation(tx, NewReconciliation(payment_connection=there))
        lost = Finding(kind=Kind.CHARGE_OF_NOBODY, done=Done.LEFT, reference="pi_1", theirs=Money(1, EUR))
        await drift.insert_item(tx, report.id, lost)
    (event,) = (await backend.get("/v1/provider_events"))["data"]
    return {"provider_event": event["id"], "drift_report": str(report.id)}


async def _refunds(backend: Backend, body: Json) -> World:
    """One that is scheduled and one that has failed, and the operations that need them."""
    deferred, failing, charged_back = [await _issued(backend, body) for _ in range(3)]
    payment = await backend.post(f"/v1/invoices/{charged_back['id']}/payments", {"means": "direct_debit"})
    dispute = await backend.post(f"/v1/payments/{payment['id']}/disputes", {"amount": euros(10_00)})
    scheduled = await _refunded(backend, deferred, mode="deferred")
    failed = await _refunded(backend, failing, mode="automatic", fails=True)
    return {
        "link_refund.refund": await _made_elsewhere(backend, await _issued(backend, body)),
        "dispute": dispute["id"],
        "create_dispute.payment": payment["id"],
        **dict.fromkeys((f"{each}.refund" for each in _OF_SCHEDULED), scheduled),
        **dict.fromkeys((f"{each}.refund" for each in _OF_FAILED), failed),
    }


_OF_SCHEDULED = ("cancel_refund", "reschedule_refund", "send_refund_now")
_OF_FAILED = ("convert_refund", "record_external_refund", "retry_refund")


async def _made_elsewhere(backend: Backend, invoice: Json) -> str:
    """A refund made at the provider, of an invoice of which most is due still: no note is issued for it."""
    async with transaction(backend.pool, backend.tenant, now=NOON) as tx:
        found = await invoices.get(tx, InvoiceId.parse(invoice["id"]))
        payment = await payments.get(tx, (await paid_by_provider(tx, found, 50_00)).id)
        return str((await refund_made_elsewhere(tx, payment, made(payment, 1_00, "re_elsewhere"))).id)


async def _refunded(backend: Backend, invoice: Json, *, mode: str, fails: bool = False) -> str:
    """A refund of an invoice that a provider was paid: on its way, or declined."""
    async with transaction(backend.pool, backend.tenant, now=NOON) as tx:
        await paid_by_provider(tx, await invoices.get(tx, InvoiceId.parse(invoice["id"])))
    body = {"reason": "cancellation", "refund": mode}
    (refund,) = (await backend.post(f"/v1/invoices/{invoice['id']}/credit_notes", body))["refunds"]
    if fails:
        async with transaction(backend.pool, backend.tenant, now=NOON) as tx:
            await finish_refund(tx, RefundId.parse(refund["id"]), declined(refund["id"]))
    return str(refund["id"])


def _metered(world: World) -> list[Json]:
    return [{"meter": world["meter"], "prices": [{"currency": "EUR", "unit_price": "0.01"}]}]


def _terms(price: str) -> Json:
    return {name: value for name, value in plan(price=price).items() if name not in ("reference", "name")}


# ── the API's own description ────────────────────────────────────────────────────────────────────


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """`ids` are its parameters that name a resource: (name, in, resource)."""

    id: str
    method: str
    path: str
    ids: tuple[tuple[str, str, str], ...]
    is_command: bool

    def body(self, world: World) -> Json | None:
        if self.method == "GET":
            return None
        bodies = BODIES if self.is_command else QUESTIONS
        assert self.id in bodies, f"{self.id} is new: give it a valid body in tests/flows/world.py"
        return bodies[self.id](world)

    def path_in(self, world: World) -> str:
        path = self.path
        for name, place, resource in self.ids:
            if place == "path":
                subject = world.get(f"{self.id}.{resource}", world[resource])
                path = path.replace(f"{{{name}}}", subject)
        return path


def operations_of(document: Json) -> Iterator[Operation]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            parameters: list[Json] = [p for p in operation["parameters"] if "name" in p]
            yield Operation(
                id=operation["operationId"],
                method=method.upper(),
                path=path,
                ids=tuple((p["name"], p["in"], p["x-resource"]) for p in parameters if "x-resource" in p),
                is_command=operation["x-idempotent"],
            )


def places_of(body: Any, names: dict[str, str] = NAMED_IN_BODIES) -> Iterator[tuple[list[Any], str]]:
    """Where a body names a resource: the way to the field, and the resource."""
    items = body.items() if isinstance(body, dict) else enumerate(body) if isinstance(body, list) else ()
    for key, value in items:
        if isinstance(value, str) and key in names:
            yield [key], names[key]
        if isinstance(value, list) and str(key).removesuffix("s") in names:
            resource = names[str(key).removesuffix("s")]
            yield from (([key, index], resource) for index, each in enumerate(value) if isinstance(each, str))
        for way, resource in places_of(value, names):
            yield [key, *way], resource


def put(body: Json, way: list[Any], value: str) -> Json:
    """A copy of the body with another value at that place."""
    copy: Any = msgspec.json.decode(msgspec.json.encode(body))
    place = copy
    for step in way[:-1]:
        place = place[step]
    place[way[-1]] = value
    changed: Json = copy
    return changed
