"""Of every command the API describes: a dry run tells the truth and leaves nothing, its quote binds us."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import asyncpg
import httpx
import msgspec
import pytest
from litestar import Litestar

from api import quotes
from api.app import OPERATIONS
from kernel.ids import KINDS, TenantId
from kernel.structs import Value, encode
from tests.flows.backend import Backend, Json, customer, euros, legal_entity, plan, tax_rate, welcome
from tests.flows.conftest import OpenTenant, Time
from tests.flows.world import BODIES, Operation, World, a_world, operations_of

Owner: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Meanwhile: TypeAlias = Callable[[Backend, World], Awaitable[object]]

COMMANDS = sorted(o.id for o in (h.opt["operation"] for h in OPERATIONS) if not o.reads)

# What others do between quote and call, so that it would no longer come out as quoted.
MEANWHILE: dict[str, Meanwhile] = {
    "attach_credit_note": lambda b, w: b.post(
        f"/v1/credit_notes/{w['attach_credit_note.credit_note']}/mark_used", {"reason": "x"}
    ),
    "reverse_credit_note": lambda b, w: b.post(
        f"/v1/credit_notes/{w['reverse_credit_note.credit_note']}/mark_used", {"reason": "x"}
    ),
    "detach_credit_note": lambda b, w: b.post(
        f"/v1/credit_notes/{w['detach_credit_note.credit_note']}/detach", BODIES["detach_credit_note"](w)
    ),
    "accrue_rebate": lambda b, w: b.post(f"/v1/rebates/{w['rebate']}/settle", {"on": "2026-01-15"}),
    "advance_test_clock": lambda b, _: b.post("/v1/test_clock/advance", {"to": "2026-01-18T00:00:00Z"}),
    "archive_offer": lambda b, w: b.patch(f"/v1/offers/{w['offer']}", {"name": "Another"}),
    "cancel_refund": lambda b, w: b.post(f"/v1/refunds/{w['cancel_refund.refund']}/send_now"),
    "cancel_subscription": lambda b, w: b.post(f"/v1/subscriptions/{w['subscription']}/cancel", {}),
    "change_subscription": lambda b, w: b.post(f"/v1/subscriptions/{w['subscription']}/cancel", {}),
    "close_dispute": lambda b, w: b.post(f"/v1/disputes/{w['dispute']}/close", {"outcome": "won"}),
    "create_dispute": lambda b, w: b.post(f"/v1/payments/{w['create_dispute.payment']}/disputes", {}),
    "convert_refund": lambda b, w: b.post(f"/v1/refunds/{w['convert_refund.refund']}/cancel"),
    "create_back_test": lambda b, w: b.post(
        "/v1/subscriptions", {"customer": w["customer"], "plan": w["plan"]}
    ),
    "create_charge": lambda b, _: b.patch("/v1/customers/user-1", {"language": "en"}),
    "create_checkout_session": lambda b, w: b.post(
        f"/v1/payment_connections/{w['payment_connection']}/disconnect"
    ),
    "create_coupon": lambda b, w: b.post(f"/v1/offers/{w['offer']}/archive"),
    "create_coupon_batch": lambda b, w: b.post(f"/v1/offers/{w['offer']}/archive"),
    "create_credit_note": lambda b, w: b.post(
        f"/v1/invoices/{w['invoice']}/credit_notes",
        {"reason": "duplicate", "lines": [{"line": w["invoice_line"], "net": euros(166_68)}]},
    ),
    "create_customer": lambda b, _: b.post("/v1/customers", customer("new")),
    "create_imported_credit_notes": lambda b, w: b.post(
        "/v1/imported_credit_notes", BODIES["create_imported_credit_notes"](w)
    ),
    "create_imported_invoices": lambda b, w: b.post(
        "/v1/imported_invoices", BODIES["create_imported_invoices"](w)
    ),
    **{
        f"{verb}_draft_credit_note": lambda b, w: b.post(
            f"/v1/invoices/{w['invoice']}/credit_notes",
            {"reason": "duplicate", "lines": [{"line": w["invoice_line"], "net": euros(166_68)}]},
        )
        for verb in ("create", "issue", "patch")
    },
    "delete_draft_credit_note": lambda b, w: b.post(f"/v1/draft_credit_notes/{w['draft_credit_note']}/issue"),
    "create_global_credit_note": lambda b, w: b.patch(f"/v1/customers/{w['customer']}", {"language": "en"}),
    "create_legal_entity": lambda b, _: b.post("/v1/legal_entities", legal_entity("new")),
    "create_manual_refund": lambda b, w: b.post(
        f"/v1/credit_notes/{w['credit_note']}/refunds", {"means": "cash"}
    ),
    "create_meter": lambda b, _: b.post("/v1/meters", {"reference": "new", "name": "Taken"}),
    "create_offer": lambda b, _: b.post("/v1/offers", welcome("new")),
    "create_payment": lambda b, w: b.post(
        f"/v1/invoices/{w['invoice']}/payments", {"means": "cash", "amount": euros(235_00)}
    ),
    "create_plan": lambda b, _: b.post("/v1/plans", plan("new")),
    "create_plan_version": lambda b, w: b.post(f"/v1/plans/{w['plan']}/versions", _terms("49.00")),
    "create_rebate": lambda b, w: b.post("/v1/rebates", BODIES["create_rebate"](w)),
    "apply_payment": lambda b, w: b.post(
        f"/v1/payments/{w['apply_payment.payment']}/apply", {"invoice": w["invoice"], "amount": euros(1_00)}
    ),
    "create_reconciliation": lambda b, w: b.post(
        f"/v1/payment_connections/{w['payment_connection']}/disconnect"
    ),
    "create_redemption": lambda b, w: b.post(f"/v1/offers/{w['offer']}/archive"),
    "create_referral_code": lambda b, w: b.post(f"/v1/offers/{w['offer']}/archive"),
    "create_settlement_batch": lambda b, w: b.post(
        "/v1/credit_notes", BODIES["create_global_credit_note"](w)
    ),
    "create_settlements": lambda b, w: b.post(
        f"/v1/invoices/{w['invoice']}/payments", {"means": "cash", "amount": euros(235_00)}
    ),
    "create_signup": lambda b, w: b.post(f"/v1/plans/{w['plan']}/versions", _terms("29.01")),
    "create_subscription": lambda b, w: b.post(f"/v1/plans/{w['plan']}/versions", _terms("29.01")),
    "create_tax_rate": lambda b, _: b.post("/v1/tax_rates", {**tax_rate("10"), "reference": "new"}),
    "delete_charge": lambda b, w: b.post(f"/v1/subscriptions/{w['subscription']}/renew"),
    "create_webhook_secret": lambda b, w: b.post(
        f"/v1/payment_connections/{w['payment_connection']}/disconnect"
    ),
    "delete_webhook_secret": lambda b, w: b.post(
        f"/v1/payment_connections/{w['payment_connection']}/disconnect"
    ),
    "disconnect_payment_connection": lambda b, w: b.post(
        f"/v1/payment_connections/{w['payment_connection']}/disconnect"
    ),
    "patch_payment_connection": lambda b, w: b.post(
        f"/v1/payment_connections/{w['payment_connection']}/disconnect"
    ),
    "delete_draft_invoice": lambda b, w: b.post(f"/v1/draft_invoices/{w['draft_invoice']}/issue"),
    "dissociate_settlement": lambda b, w: b.post(f"/v1/settlements/{w['settlement']}/dissociate", {}),
    "fix_invoice": lambda b, w: b.post(
        f"/v1/invoices/{w['invoice']}/payments", {"means": "cash", "amount": euros(235_00)}
    ),
    "grant_subscription_offer": lambda b, w: b.post(f"/v1/subscriptions/{w['subscription']}/cancel", {}),
    "issue_draft_invoice": lambda b, w: b.patch(
        f"/v1/draft_invoices/{w['draft_invoice']}",
        {"lines": [{"description": "x", "unit_price": "200.01"}]},
    ),
    "reject_invoice": lambda b, w: b.post(
        f"/v1/invoices/{w['invoice']}/payments", {"means": "cash", "amount": euros(235_00)}
    ),
    "link_refund": lambda b, w: b.post(
        f"/v1/refunds/{w['link_refund.refund']}/link", {"credit_note": w["refund_credit_note.credit_note"]}
    ),
    "mark_credit_note_used": lambda b, w: b.post(
        f"/v1/credit_notes/{w['mark_credit_note_used.credit_note']}/mark_used", {"reason": "Settled"}
    ),
    "migrate_plan": lambda b, w: b.post(
        f"/v1/subscriptions/{w['resume_subscription.subscription']}/cancel", {}
    ),
    "patch_customer": lambda b, w: b.patch(f"/v1/customers/{w['customer']}", {"language": "en"}),
    "patch_draft_invoice": lambda b, w: b.patch(
        f"/v1/draft_invoices/{w['draft_invoice']}", {"note": "Something else"}
    ),
    "patch_offer": lambda b, w: b.patch(f"/v1/offers/{w['offer']}", {"metadata": {"a": "b"}}),
    "patch_rebate": lambda b, w: b.patch(f"/v1/rebates/{w['rebate']}", {"metadata": {"a": "b"}}),
    "patch_settings": lambda b, _: b.patch("/v1/settings", {"refund_after_days": 3}),
    "patch_stacking_policy": lambda b, _: b.patch("/v1/promotions/policy", {"order": "fixed_first"}),
    "pause_invoice_dunning": lambda b, w: b.post(f"/v1/invoices/{w['invoice']}/payments", {"means": "cash"}),
    "pause_offer": lambda b, w: b.post(f"/v1/offers/{w['offer']}/archive"),
    "pause_subscription": lambda b, w: b.post(f"/v1/subscriptions/{w['subscription']}/cancel", {}),
    "pay_invoice": lambda b, w: b.post(
        f"/v1/invoices/{w['invoice']}/payments", {"means": "cash", "amount": euros(1)}
    ),
    "record_external_refund": lambda b, w: b.post(f"/v1/refunds/{w['retry_refund.refund']}/cancel"),
    "record_usage": lambda b, w: b.post("/v1/usage", BODIES["record_usage"](w)),
    "renew_subscription": lambda b, w: b.post(f"/v1/subscriptions/{w['subscription']}/cancel", {}),
    "refund_payment": lambda b, w: b.post(
        f"/v1/payments/{w['apply_payment.payment']}/refund", {"means": "cash"}
    ),
    "refund_credit_note": lambda b, w: b.post(
        f"/v1/credit_notes/{w['refund_credit_note.credit_note']}/refund", {"mode": "manual"}
    ),
    "reschedule_refund": lambda b, w: b.post(f"/v1/refunds/{w['cancel_refund.refund']}/send_now"),
    "resume_invoice_dunning": lambda b, w: b.post(f"/v1/invoices/{w['invoice']}/resume_dunning"),
    "resume_offer": lambda b, w: b.post(f"/v1/offers/{w['resume_offer.offer']}/archive"),
    "resume_subscription": lambda b, w: b.post(
        f"/v1/subscriptions/{w['resume_subscription.subscription']}/cancel", {}
    ),
    "retry_provider_event": lambda b, w: b.post(f"/v1/provider_events/{w['provider_event']}/retry"),
    "retry_refund": lambda b, w: b.post(f"/v1/refunds/{w['retry_refund.refund']}/cancel"),
    "revoke_api_key": lambda b, w: b.post(f"/v1/api_keys/{w['api_key']}/rotate", {"overlap_seconds": 60}),
    "release_redemption": lambda b, w: b.post(f"/v1/redemptions/{w['redemption']}/revoke"),
    "revoke_redemption": lambda b, w: b.post(f"/v1/redemptions/{w['redemption']}/release"),
    "rotate_api_key": lambda b, w: b.post(f"/v1/api_keys/{w['api_key']}/revoke"),
    "schedule_phases": lambda b, w: b.post(f"/v1/subscriptions/{w['subscription']}/cancel", {}),
    "send_refund_now": lambda b, w: b.post(f"/v1/refunds/{w['cancel_refund.refund']}/cancel"),
    "settle_rebate": lambda b, w: b.post(
        f"/v1/invoices/{w['invoice']}/credit_notes",
        {"reason": "duplicate", "lines": [{"line": w["invoice_line"], "net": euros(50_00)}]},
    ),
    "undo_cancellation": lambda b, w: b.post(f"/v1/subscriptions/{w['subscription']}/cancel", {}),
    "undo_change": lambda b, w: b.post(f"/v1/subscriptions/{w['subscription']}/cancel", {}),
}
NOTHING_CHANGES = {
    "cancel_back_test": "what is called off already answers the same",
    "cancel_settlement_batch": "what is called off already answers the same",
    "create_customer_payment": "money that comes in twice came in twice",
    "create_api_key": "it answers what was asked for, whatever others do",
    "create_payment_connection": "a connection is one of many",
    "create_draft_invoice": "a draft has no number and no amounts of its own",
    "revoke_coupon": "what is revoked already answers the same",
    "revoke_coupon_batch": "what is revoked already answers the same",
}


class Table(Value, frozen=True):
    name: str
    rows: int
    content: str | None


class Command:
    """One command in a tenant of its own."""

    def __init__(self, backend: Backend, world: World, operation: Operation) -> None:
        self.backend = backend
        self.world = world
        self.method = operation.method
        self.path = operation.path_in(world)
        self.body = operation.body(world)

    async def dry(self) -> httpx.Response:
        answer = await self.backend.send(self.method, f"{self.path}?dry_run=true", self.body)
        assert answer.status_code < 400, answer.text
        return answer

    async def real(self, quote: str) -> httpx.Response:
        return await self.backend.send(self.method, self.path, self.body, if_quote=quote)


async def test_every_command_is_tried(document: Json) -> None:
    described = sorted(operation.id for operation in operations_of(document) if operation.is_command)
    assert described == COMMANDS
    assert described == sorted(BODIES), "give the new command a valid body in tests/flows/world.py"
    assert described == sorted({**MEANWHILE, **NOTHING_CHANGES}), "say what makes its quote stale"


@pytest.mark.parametrize("command_id", COMMANDS)
async def test_the_real_call_does_what_the_dry_run_said(
    command: Command, owner: Owner, time: Time, command_id: str
) -> None:
    before = await snapshot(owner, command.backend.tenant)
    dry = await command.dry()
    assert await snapshot(owner, command.backend.tenant) == before, "a dry run leaves no row, number or event"

    time.forward(seconds=14 * 60)  # it is decided at the time of the quote
    real = await command.real(dry.headers["quote"])

    assert real.status_code == dry.status_code, real.text
    assert cents(real) == cents(dry)
    assert settled(real) == settled(dry)
    assert await snapshot(owner, command.backend.tenant) != before
    assert "quote" not in real.headers


@pytest.mark.parametrize("command_id", sorted(MEANWHILE))
async def test_a_quote_that_no_longer_holds_does_nothing(
    command: Command, owner: Owner, command_id: str
) -> None:
    dry = await command.dry()
    await MEANWHILE[command_id](command.backend, command.world)
    before = await snapshot(owner, command.backend.tenant)

    refused = await command.real(dry.headers["quote"])

    assert (refused.status_code, refused.json()["code"]) == (412, "quote_stale"), refused.text
    assert await snapshot(owner, command.backend.tenant) == before


@pytest.mark.parametrize("command_id", COMMANDS)
async def test_a_quote_holds_for_a_quarter_of_an_hour(
    command: Command, owner: Owner, time: Time, command_id: str
) -> None:
    dry = await command.dry()
    before = await snapshot(owner, command.backend.tenant)
    time.forward(seconds=15 * 60)

    refused = await command.real(dry.headers["quote"])

    assert (refused.status_code, refused.json()["code"]) == (412, "quote_stale"), refused.text
    assert await snapshot(owner, command.backend.tenant) == before


@pytest.mark.parametrize("prefix", sorted(KINDS))
def test_an_id_of_any_kind_is_no_difference(prefix: str) -> None:
    one, other = ({"is": str(KINDS[prefix].new()), "a": "b"} for _ in range(2))
    assert quotes.digest(encode(one)) == quotes.digest(encode(other)) != quotes.digest(b"{}")


async def test_a_snapshot_sees_a_row_and_a_changed_row(backend: Backend, owner: Owner, time: Time) -> None:
    before = await snapshot(owner, backend.tenant)
    created = await backend.post("/v1/api_keys", {"name": "x", "scopes": ["events:read"]})
    after = await snapshot(owner, backend.tenant)
    assert {table.name for table in set(after) - set(before)} >= {"public.api_keys", "public.events"}

    await owner.execute("UPDATE api_keys SET name = 'y' WHERE public_id = $1", created["public_id"])
    assert {table.name for table in set(await snapshot(owner, backend.tenant)) - set(after)} == {
        "public.api_keys"
    }


# ── what the tests share ─────────────────────────────────────────────────────────────────────────


@pytest.fixture
async def command(open_tenant: OpenTenant, time: Time, document: Json, command_id: str) -> Command:
    operation = next(each for each in operations_of(document) if each.id == command_id)
    backend = await open_tenant()
    return Command(backend, await a_world(backend, time), operation)


async def snapshot(owner: Owner, tenant: TenantId) -> list[Table]:
    """Every row of the tenant, of what is of none, and of the provider.

    Row security keeps a request from those of others. When a key was last used is noted outside of requests.
    """
    names = await owner.fetch(
        """
        SELECT t.table_schema || '.' || t.table_name AS name,
               EXISTS (
                   SELECT
                   FROM information_schema.columns c
                   WHERE (c.table_schema, c.table_name, c.column_name)
                       = (t.table_schema, t.table_name, 'tenant_id')
               ) AS is_of_a_tenant
        FROM information_schema.tables t
        WHERE t.table_schema IN ('public', 'sandbox') AND t.table_type = 'BASE TABLE'
        """
    )
    each = [
        f"""
        SELECT '{row["name"]}' AS name, count(*) AS rows,
               md5(string_agg((to_jsonb(t) - 'last_used_at')::text, ' ' ORDER BY to_jsonb(t)::text))
                   AS content
        FROM {row["name"]} t
        WHERE {"tenant_id = $1" if row["is_of_a_tenant"] else "$1::uuid IS NOT NULL"}
        """
        for row in names
    ]
    rows = await owner.fetch(" UNION ALL ".join(each), tenant)
    found = [Table(row["name"], row["rows"], row["content"]) for row in rows]
    return sorted(found, key=lambda table: table.name)


def settled(answer: httpx.Response) -> bytes:
    """What the two answers have in common: all but ids, numbers, timestamps, and the secret shown once."""
    said = answer.json() if answer.content else None
    if isinstance(said, dict) and "secret" in said:
        said["secret"] = None
    return quotes.digest(msgspec.json.encode(said))


def cents(answer: httpx.Response) -> list[int]:
    """Every amount in the answer, in the order it stands there."""
    return list(_minors(answer.json() if answer.content else None))


def _minors(value: Any) -> list[int]:
    if isinstance(value, dict):
        own = [value["minor"]] if "minor" in value else []
        return own + [minor for item in value.values() for minor in _minors(item)]
    if isinstance(value, list):
        return [minor for item in value for minor in _minors(item)]
    return []


def _terms(price: str) -> Json:
    return {name: value for name, value in plan(price=price).items() if name not in ("reference", "name")}


@pytest.fixture
async def document(anonymous: httpx.AsyncClient, app: Litestar) -> Json:
    said: Json = (await anonymous.get("/openapi.json")).json()
    return said
