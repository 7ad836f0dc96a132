"""Every table belongs to a tenant, and every statement names one: read from the catalogue and the source."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeAlias

import asyncpg
import pytest

from api import tenancy
from api.serve import ROOT
from api.tenancy import BEFORE_A_TENANT
from kernel.database import Pool
from tests.flows.statements import Statement, objections, statements_in, statements_of, tables_in
from tests.shop import a_transaction

Owner: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

OUR_SCHEMAS = {"public"}
OTHER_SCHEMAS = {"sandbox": "a payment provider's own books: somebody else's house"}

# Statements that are put together at run time.
NOT_LITERAL = {
    "kernel/database.py: begin": "SET LOCAL takes no parameters: a mode and a uuid of our own type",
    "api/stack/embedded.py: _postgres_answers": "CREATE DATABASE takes no parameters: a constant",
    "api/migrate.py: _apply_whole": "the owner runs the files of migrations/",
    "api/migrate.py: _apply_by_statement": "the owner runs the files of migrations/",
    "api/migrate.py: _run": "the owner makes roles; names are quoted by PostgreSQL's own format()",
}
# Statements on tenant tables that name no tenant.
NAMES_NO_TENANT: dict[str, str] = {}

# A row that is locked FOR UPDATE cannot be referred to meanwhile: a foreign key check waits for it, and if
# who waits holds the number series, for ever. Everything else is locked FOR NO KEY UPDATE.
LOCKED_WHOLE = {
    "kernel/directory.py: take": "a hint is nobody's parent; it may be deleted next",
    "kernel/directory.py: clear": "hints are deleted",
    "kernel/directory.py: lock": "one of the hints is deleted or moved",
    "kernel/outbox.py: _claim": "an event's jobs come with its claim, and nothing waits: SKIP LOCKED",
    "kernel/jobs.py: claim": "a job is nobody's parent, and nothing waits: SKIP LOCKED",
    "refunds/drafts/store.py: lock": "a draft is nobody's parent; it is deleted when it is issued",
    "billing/invoices/store.py: lock_draft": "a draft is nobody's parent; it is deleted when it is issued",
    "api/access/store.py: lock": "a key is nobody's parent",
    "api/console/access/store.py: lock_counts": "a count is nobody's parent",
    "promotions/coupons/store.py: count_failures": "counts are nobody's parents; nothing waits: SKIP LOCKED",
    "api/console/access/store.py: forget_old_counts": "counts are deleted, and nothing waits: SKIP LOCKED",
}

# The columns the application may change; in a table that is not named here, none.
MAY_CHANGE = {
    "pending_work": "due_at",
    "api_keys": "expires_at revoked_at last_used_at successor_id",
    "events": "state",
    "jobs": "state attempt due_at last_error",
    "test_clocks": "now_at previous_at advanced_from advancing_to waits_since held_by held_until",
    "idempotency_answers": "fingerprint status headers body created_at",
    "back_tests": "status done total mark findings error ended_at",
    "settings": (
        "refund_mode refund_after_days proration tax_behavior dunning_automatic dunning_send_invoice "
        "provider_refunds settle_credit_notes"
    ),
    "legal_entities": "is_default",
    "customers": (
        "name email language address vat_number siren tax_rate_id payment_method metadata card_fingerprint"
    ),
    "draft_credit_notes": "customer_id invoice_id on_invoice on_customer",
    "draft_invoices": (
        "customer_id currency lines discounts tax_behavior note metadata kind deposits released_lines"
    ),
    "released_lines": "billed_by",
    "number_series": "last_number last_issued_on",
    "invoice_settlements": (
        "paid_minor offset_minor pending_minor credited_minor status settled_at corrected_by deducted_by "
        "rejection"
    ),
    "credit_note_settlements": (
        "applied_minor refunded_minor held_minor promised_minor marked_minor status reversed_by"
    ),
    "payment_connections": "status account key_hint secret_key next_secret_key problem checked_at",
    "payment_webhook_secrets": "secret",
    "checkout_sessions": "status reference payment_method completed_at",
    "payments": (
        "refunded_minor disputed_minor charged_back_minor status received_on gateway_reference failure_code "
        "unallocated_minor"
    ),
    "disputes": "status closed_at",
    "dunnings": "status schedule overdue_at counted_from steps_taken next_at",
    "settlements": "undone_at",
    "settlement_batches": "status examined applications applied refused mark ended_at",
    "coupon_attempts": "failures counted_from",
    "coupons": "redeemed status",
    "offers": (
        "name conditions max_redemptions redeemed max_per_customer budget_minor budget_currency spent_minor "
        "status metadata remind_days_before"
    ),
    "stacking_policies": "percentages comes_first cumulative_lanes",
    "rebate_contracts": "name ends_on refund when_negative metadata",
    "renewal_failures": "code detail attempts failed_at retry_at",
    "redemptions": (
        "status periods_used served_at given_minor converted_at ended_at reminded_at applies_from ends_at "
        "currency redeemed_at"
    ),
    "redemption_identities": "customer_id",
    "plans": "version archived_at",
    "subscriptions": (
        "status plan_id version quantity addons anchor_at period_number current_period_start "
        "current_period_end next_billing_at pending_change phases pause_at paused_at resume_at cancel_at "
        "cancellation cancelled_at ended_at redemption_ids"
    ),
    "subscription_invoices": "stopped_at",
    "subscription_usage": "billed_until",
    "signups": "subscription_id created_at",
    "charges": "invoice_id",
    "refunds": (
        "status due_on blocked gateway_reference failure_code succeeded_on credit_note_id invoice_id"
    ),
    "mails": "status refusal sent_at",
    "provider_events": "handled_at",
    "drift_reports": "ended_at compared",
}

A_GOOD_TABLE = """
    CREATE TABLE t (
        tenant_id uuid NOT NULL,
        id uuid NOT NULL,
        customer_id uuid,
        reference text,
        PRIMARY KEY (tenant_id, id),
        UNIQUE (tenant_id, reference),
        FOREIGN KEY (tenant_id, customer_id) REFERENCES customers
    );
    CALL tenant_table('t', 'SELECT, INSERT')
"""
BAD_TABLES = {
    "t does not begin with tenant_id": (
        "CREATE TABLE t (id uuid, tenant_id uuid, PRIMARY KEY (tenant_id, id))"
    ),
    "t has no primary key that begins with tenant_id": (
        "CREATE TABLE t (tenant_id uuid, id uuid, PRIMARY KEY (id, tenant_id))"
    ),
    "t_reference_key of t does not begin with tenant_id": (
        "CREATE TABLE t (tenant_id uuid, reference text UNIQUE, PRIMARY KEY (tenant_id))"
    ),
    "t_at of t does not begin with tenant_id": (
        "CREATE TABLE t (tenant_id uuid PRIMARY KEY, at date); CREATE INDEX t_at ON t (at)"
    ),
    "t_lower of t does not begin with tenant_id": (
        "CREATE TABLE t (tenant_id uuid PRIMARY KEY, r text); CREATE INDEX t_lower ON t (lower(r), tenant_id)"
    ),
    "t_tax of t goes past tenant_id": (
        "CREATE TABLE t (tenant_id uuid PRIMARY KEY, tax uuid);"
        "ALTER TABLE t ADD CONSTRAINT t_tax FOREIGN KEY (tax, tenant_id) REFERENCES tax_rates (id, tenant_id)"
    ),
    "t_invoice of admins leads into invoices, a tenant's table": (
        "ALTER TABLE admins ADD t uuid, ADD i uuid,"
        " ADD CONSTRAINT t_invoice FOREIGN KEY (t, i) REFERENCES invoices"
    ),
    "t has a trigger (t_touch)": (
        "CREATE TABLE t (tenant_id uuid PRIMARY KEY);"
        "CREATE TRIGGER t_touch BEFORE UPDATE ON t"
        " FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()"
    ),
    "t has no forced row security": (
        "CREATE TABLE t (tenant_id uuid PRIMARY KEY); ALTER TABLE t ENABLE ROW LEVEL SECURITY"
    ),
    "t has not the one policy": (
        "CREATE TABLE t (tenant_id uuid PRIMARY KEY); CALL tenant_table('t', 'SELECT');"
        "CREATE POLICY more ON t USING (true)"
    ),
    "t may be read past its tenant: the view v runs with its owner's rights": (
        "CREATE TABLE t (tenant_id uuid PRIMARY KEY); CREATE VIEW v AS SELECT * FROM t"
    ),
}

BAD_STATEMENTS = {
    "no tenant at all": "SELECT id FROM invoices WHERE id = $1",
    "the tenant is not the first value": "SELECT id FROM invoices WHERE tenant_id = $2 AND id = $1",
    "an OR beside it": "SELECT id FROM invoices WHERE tenant_id = $1 OR id = $2",
    "a join past the tenant": (
        "SELECT i.id FROM invoices i JOIN customers c ON c.id = i.customer_id WHERE i.tenant_id = $1"
    ),
    "a comma past the tenant": (
        "SELECT i.id FROM invoices i, customers c WHERE i.tenant_id = $1 AND c.id = i.customer_id"
    ),
    "a subquery past the tenant": (
        "SELECT id FROM invoices WHERE tenant_id = $1 AND id IN (SELECT invoice_id FROM payments)"
    ),
    "a CTE past the tenant": (
        "WITH due AS (SELECT id FROM jobs WHERE due_at < $2) "
        "UPDATE jobs SET state = 'done' FROM due WHERE jobs.tenant_id = $1 AND jobs.id = due.id"
    ),
    "an update past the tenant": (
        "WITH due AS (SELECT id FROM jobs WHERE tenant_id = $1) "
        "UPDATE jobs SET state = 'done' FROM due WHERE jobs.id = due.id"
    ),
    "the other half of a union": (
        "SELECT id FROM invoices WHERE tenant_id = $1 UNION ALL SELECT id FROM credit_notes"
    ),
    "a delete": "DELETE FROM draft_invoices WHERE id = $2",
    "an insert of another's": "INSERT INTO customers (tenant_id, id) VALUES ($2, $1)",
    "an insert without": "INSERT INTO customers (id, tenant_id) SELECT $1, x FROM unnest($2::uuid[]) AS x",
    "an insert from past the tenant": (
        "INSERT INTO customers (tenant_id, id) SELECT $1, d.id FROM draft_invoices d WHERE d.id = $2"
    ),
    "only in a comment": "SELECT id FROM invoices WHERE id = $1 -- AND tenant_id = $1",
}


async def test_every_table_belongs_to_a_tenant(owner: Owner) -> None:
    assert await tenancy.objections(owner) == []


async def test_the_tables_before_a_tenant_are_listed_and_there(owner: Owner) -> None:
    assert await tables(owner) >= BEFORE_A_TENANT.keys()
    assert await schemas(owner) == OUR_SCHEMAS | OTHER_SCHEMAS.keys()


async def test_a_good_table_is_good(owner: Owner) -> None:
    async with undone(owner):
        await owner.execute(A_GOOD_TABLE)
        assert await tenancy.objections(owner) == []


@pytest.mark.parametrize("objection", BAD_TABLES)
async def test_a_table_that_is_not_a_tenants_is_found(owner: Owner, objection: str) -> None:
    async with undone(owner):
        await owner.execute(BAD_TABLES[objection])
        assert objection in await tenancy.objections(owner)


async def test_every_statement_names_one_tenant(owner: Owner) -> None:
    tenant_tables = await tables(owner) - BEFORE_A_TENANT.keys()
    wrong = [
        sentence
        for statement in statements_of(ROOT)
        for sentence in wrong_with(statement, frozenset(tenant_tables))
    ]
    assert wrong == []


async def test_every_tenant_table_is_read_by_some_statement(owner: Owner) -> None:
    """Or the reading of statements has gone blind."""
    tenant_tables = frozenset(await tables(owner) - BEFORE_A_TENANT.keys())
    seen = {
        table
        for statement in statements_of(ROOT)
        if statement.sql is not None
        for table in tables_in(statement.sql, tenant_tables)
    }
    assert seen == tenant_tables


def test_what_is_excepted_is_still_there() -> None:
    there = {statement.where for statement in statements_of(ROOT)}
    assert there >= NOT_LITERAL.keys() | NAMES_NO_TENANT.keys()


@pytest.mark.parametrize("name", BAD_STATEMENTS)
async def test_a_statement_that_names_no_tenant_is_found(owner: Owner, name: str) -> None:
    tenant_tables = frozenset(await tables(owner) - BEFORE_A_TENANT.keys())
    assert objections(BAD_STATEMENTS[name], tenant_tables) != []


def test_a_statement_in_the_source_is_found() -> None:
    source = "async def f(tx):\n    await tx.conn.fetch('DELETE FROM jobs WHERE tenant_id = $1', job.id)"
    (statement,) = statements_in(source, "x.py")
    assert wrong_with(statement, frozenset({"jobs"})) == [
        "x.py: f: $1 is job.id, not the transaction's tenant"
    ]
    (put_together,) = statements_in("def f(c, t):\n    c.execute(f'DELETE FROM {t}')", "x.py")
    assert wrong_with(put_together, frozenset({"jobs"})) == ["x.py: f: put together at run time"]


async def test_only_the_columns_that_may_change_can_be_changed(pool: Pool) -> None:
    theirs = BEFORE_A_TENANT.keys() - {"pending_work"}
    named = {(table, column) for table, columns in MAY_CHANGE.items() for column in columns.split()}
    assert {each for each in await changeable(pool) if each[0] not in theirs} == named


async def test_no_row_is_given_to_another_tenant(pool: Pool) -> None:
    assert [table for table, column in await changeable(pool) if column == "tenant_id"] == []


@pytest.mark.parametrize(
    "column",
    [
        "invoice_settlements.total_minor",
        "invoice_settlements.invoice_id",
        "credit_note_settlements.total_minor",
        "credit_notes.to_provider_minor",
        "invoices.total_minor",
        "payments.amount_minor",
        "payments.invoice_id",
        "payments.means",
        "refunds.amount_minor",
        "refunds.payment_id",
        "settlements.amount_minor",
        "events.data",
        "events.type",
        "jobs.data",
        "jobs.scheduled_for",
        "api_keys.scopes",
        "api_keys.public_id",
        "number_series.legal_entity_id",
        "number_series.kind",
        "number_series.year",
        "redemptions.offer_id",
        "subscriptions.customer_id",
        "subscription_invoices.invoice_id",
        "subscription_invoices.period_start",
        "legal_entities.seller",
        "customers.reference",
        "mails.body",
        "idempotency_answers.key",
        "prices.unit_price",
        "charges.unit_price",
    ],
)
async def test_what_was_agreed_or_happened_is_not_rewritten(pool: Pool, column: str) -> None:
    table, name = column.split(".")
    async with a_transaction(pool) as tx:
        with pytest.raises(asyncpg.InsufficientPrivilegeError) as refusal:
            await tx.conn.execute(f"UPDATE {table} SET {name} = {name}")
    assert refusal.value.sqlstate == "42501"


async def changeable(pool: Pool) -> set[tuple[str, str]]:
    """Table and column, for each that the application may update."""
    rows = await pool.fetch(
        """
        SELECT c.relname, a.attname
        FROM pg_class c
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
          AND has_column_privilege(c.oid, a.attnum, 'UPDATE')
        """
    )
    return {(row["relname"], row["attname"]) for row in rows}


def test_rows_are_locked_for_no_more_than_a_change() -> None:
    found = {statement.where for statement in statements_of(ROOT) if locks_whole(statement.sql or "")}
    assert found == LOCKED_WHOLE.keys()


async def test_what_is_locked_whole_is_nobodys_parent(owner: Owner) -> None:
    """But an event: the jobs that refer to it are written by whoever has claimed it."""
    tables = {
        table
        for statement in statements_of(ROOT)
        if locks_whole(statement.sql or "")
        for table in re.findall(r"FROM (\w+)", statement.sql or "")
    }
    rows = await owner.fetch(
        """
        SELECT DISTINCT confrelid::regclass::text AS parent, conrelid::regclass::text AS child
        FROM pg_constraint
        WHERE contype = 'f' AND confrelid::regclass::text = ANY($1)
        """,
        sorted(tables),
    )
    assert [(row["parent"], row["child"]) for row in rows] == [("events", "jobs")]


def locks_whole(sql: str) -> bool:
    return re.search(r"\bFOR\s+UPDATE\b", sql) is not None


# ── Statements ───────────────────────────────────────────────────────────────────────────────────


def wrong_with(statement: Statement, tenant_tables: frozenset[str]) -> list[str]:
    if statement.sql is None:
        return [] if statement.where in NOT_LITERAL else [f"{statement.where}: put together at run time"]
    if statement.where in NAMES_NO_TENANT or not tables_in(statement.sql, tenant_tables):
        return []
    found = [f"{statement.where}: {objection}" for objection in objections(statement.sql, tenant_tables)]
    if statement.first != "tx.tenant":
        found.append(f"{statement.where}: $1 is {statement.first}, not the transaction's tenant")
    return found


# ── Tables ───────────────────────────────────────────────────────────────────────────────────────


async def tables(owner: Owner) -> set[str]:
    rows = await owner.fetch(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')"
    )
    return {row["relname"] for row in rows}


async def schemas(owner: Owner) -> set[str]:
    """Those that hold tables; `audit` may hold views of them."""
    rows = await owner.fetch(
        """
        SELECT DISTINCT n.nspname
        FROM pg_class c
        JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
        """
    )
    return {row["nspname"] for row in rows}


@asynccontextmanager
async def undone(owner: Owner) -> AsyncIterator[None]:
    """What is done to the schema here is rolled back."""
    transaction = owner.transaction()
    await transaction.start()
    try:
        yield
    finally:
        await transaction.rollback()
