"""What is issued stays as it is, whoever asks: the application's role itself may not change it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TypeAlias

import asyncpg
import pytest

from api import clock
from api.house import House
from api.work import drain
from kernel.database import Pool, Tx, begin, rollback
from kernel.ids import TenantId
from tests.flows.backend import Backend, customer, euros, legal_entity, plan, tax_rate, welcome
from tests.flows.conftest import OpenTenant, Time
from tests.makers import NOON

Owner: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

ISSUED = (
    "invoices",
    "invoice_lines",
    "invoice_taxes",
    "credit_notes",
    "credit_note_lines",
    "credit_note_taxes",
    "credit_note_sources",
    "credit_note_source_taxes",
    "ledger_entries",
    "rendered_documents",
)
# A column that is neither a key nor held by a check: only the grant can refuse the change.
CHANGES = {
    "invoices": "note = 'changed'",
    "invoice_lines": "description = 'changed'",
    "invoice_taxes": "base_minor = base_minor + 1",
    "credit_notes": "reason_text = 'changed'",
    "credit_note_lines": "description = 'changed'",
    "credit_note_taxes": "base_minor = base_minor + 1",
    "credit_note_sources": "number = 'changed'",
    "credit_note_source_taxes": "base_minor = base_minor + 1",
    "ledger_entries": "label = 'changed'",
    "rendered_documents": "pdf = 'changed'",
}


@pytest.mark.parametrize("table", ISSUED)
async def test_what_is_issued_cannot_be_changed(pool: Pool, story: TenantId, table: str) -> None:
    async with inside(pool, story) as tx:
        assert await tx.conn.fetchval(f"SELECT count(*) FROM {table}") > 0
    for statement in (
        f"UPDATE {table} SET {CHANGES[table]}",
        f"UPDATE {table} SET {CHANGES[table]} WHERE false",
        f"DELETE FROM {table}",
        f"TRUNCATE {table} CASCADE",
        f"SELECT FROM {table} FOR UPDATE",
        f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY",
        f"DROP TABLE {table} CASCADE",
    ):
        async with inside(pool, story) as tx:
            with pytest.raises(asyncpg.InsufficientPrivilegeError) as refusal:
                await tx.conn.execute(statement)
        assert refusal.value.sqlstate == "42501"


async def test_no_grant_goes_past_what_the_verbs_need(owner: Owner) -> None:
    """Tables change by named columns only, and none is truncated or referred to; what is issued is added."""
    rows = await owner.fetch(
        """
        SELECT table_name, privilege_type
        FROM information_schema.role_table_grants
        WHERE grantee IN ('ristourne_app', 'PUBLIC') AND table_schema = 'public'
        """
    )
    assert {row["privilege_type"] for row in rows} == {"SELECT", "INSERT", "DELETE"}
    deletable = {row["table_name"] for row in rows if row["privilege_type"] == "DELETE"}
    assert deletable.isdisjoint(ISSUED)
    by_column = await owner.fetch(
        """
        SELECT table_name, column_name
        FROM information_schema.column_privileges
        WHERE grantee IN ('ristourne_app', 'PUBLIC') AND privilege_type = 'UPDATE'
          AND table_name = ANY($1)
        """,
        ISSUED,
    )
    assert by_column == []


async def test_the_role_is_nobody(pool: Pool) -> None:
    """No superuser, no way past row security, nothing owned, no role to become."""
    me = await pool.fetchrow(
        """
        SELECT rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication,
               (SELECT count(*) FROM pg_class WHERE relowner = r.oid) AS tables,
               (SELECT count(*) FROM pg_proc WHERE proowner = r.oid) AS functions,
               (SELECT count(*) FROM pg_namespace WHERE nspowner = r.oid) AS schemas,
               (SELECT count(*) FROM pg_database WHERE datdba = r.oid) AS databases,
               has_schema_privilege('public', 'CREATE') AS may_create,
               has_database_privilege(current_database(), 'CREATE') AS may_make_schemas
        FROM pg_roles r
        WHERE rolname = current_user
        """
    )
    assert me is not None
    assert not any(me.values()), dict(me)
    others = await pool.fetch(
        """
        SELECT rolname
        FROM pg_roles
        WHERE pg_has_role(oid, 'MEMBER') AND rolname <> current_user
          AND (rolsuper OR rolbypassrls OR rolname <> 'ristourne_app')
        """
    )
    assert others == []


async def test_without_a_tenant_there_is_nothing_to_see(pool: Pool, story: TenantId) -> None:
    for table in ISSUED:
        assert await pool.fetchval(f"SELECT count(*) FROM {table}") == 0


async def test_another_tenant_sees_nothing_and_writes_nothing(
    pool: Pool, story: TenantId, open_tenant: OpenTenant
) -> None:
    stranger = (await open_tenant()).tenant
    async with inside(pool, stranger) as tx:
        assert await tx.conn.fetchval("SELECT count(*) FROM invoices WHERE tenant_id = $1", story) == 0
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
            await _insert_rate(tx, story)


async def test_the_ledger_sums_to_zero(owner: Owner, story: TenantId) -> None:
    rows = await owner.fetch(
        """
        SELECT document, document_id, currency, sum(amount_minor) AS minor, count(*) AS entries
        FROM ledger_entries
        WHERE tenant_id = $1
        GROUP BY GROUPING SETS ((document, document_id, currency), (transaction_id, currency), (currency))
        """,
        story,
    )
    assert {row["minor"] for row in rows} == {0}
    assert {row["document"] for row in rows} == {"invoice", "credit_note", "payment", "refund", None}
    assert {row["currency"] for row in rows} == {"EUR", "JPY"}


@asynccontextmanager
async def inside(pool: Pool, tenant: TenantId) -> AsyncIterator[Tx]:
    """As the application, in a tenant; undone in the end."""
    async with pool.acquire() as conn:
        tx = await begin(conn, tenant, now=clock.now())
        try:
            yield tx
        finally:
            await rollback(tx)


async def _insert_rate(tx: Tx, tenant: TenantId) -> None:
    await tx.conn.execute(
        """
        INSERT INTO tax_rates (tenant_id, id, reference, name, category, rate_ppm, reason, created_at)
        VALUES ($1, $1, 'x', 'x', 'S', 1, '', $2)
        """,
        tenant,
        tx.now,
    )


@pytest.fixture
async def story(owner: Owner, open_tenant: OpenTenant, house: House, time: Time) -> TenantId:
    """A tenant with some of everything: invoices, credit notes, payments, refunds, in two currencies."""
    known = await owner.fetchval("SELECT id FROM tenants WHERE id IN (SELECT tenant_id FROM refunds)")
    if known is not None:
        return TenantId.of(known)

    backend = await open_tenant()
    time.at = NOON - timedelta(days=30)
    await _two_currencies(backend, house, time)
    await drain(house)
    return backend.tenant


async def _two_currencies(backend: Backend, house: House, time: Time) -> None:
    prices = [{"currency": "EUR", "unit_price": "29.00"}, {"currency": "JPY", "unit_price": "4999"}]
    await backend.post("/v1/tax_rates", tax_rate("20"))
    await backend.post("/v1/legal_entities", legal_entity())
    await backend.post("/v1/plans", plan(prices=prices))
    await backend.post("/v1/offers", welcome())
    export = {"category": "G", "rate": "0", "reason": "Exportation, art. 262 I du CGI"}
    await backend.post("/v1/tax_rates", {"reference": "export", "name": "Export", **export})
    for currency, rate in (("EUR", "vat-20"), ("JPY", "export")):
        who = customer(f"user-{currency}", payment_method="pm_sandbox_ok", tax_rate=rate)
        asked = {"customer": who, "plan": "pro", "offer": "welcome", "currency": currency}
        signup = await backend.post("/v1/signups", asked)
        await drain(house)
        time.forward(days=10)
        await backend.post(
            f"/v1/subscriptions/{signup['subscription']['id']}/cancel", {"refund": "automatic"}
        )
    await backend.post("/v1/customers", customer())
    body = {"customer": "user-42", "currency": "EUR", "lines": [{"description": "x", "unit_price": "99.99"}]}
    draft = await backend.post("/v1/draft_invoices", body)
    invoice = await backend.post(f"/v1/draft_invoices/{draft['id']}/issue")
    payments = f"/v1/invoices/{invoice['id']}/payments"
    await backend.post(payments, {"means": "transfer", "amount": euros(33_33)})
    note = await backend.credit(invoice, reason="commercial_gesture", refund="manual")
    await backend.post(f"/v1/credit_notes/{note['id']}/refunds", {"means": "check"})
