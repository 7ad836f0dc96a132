"""Whose a table is, read from the database: a tenant's, or one of the few before a tenant is known.

Row security keeps a tenant's rows apart, and `tenant_id` is what they can be distributed by. What stands
against either is told in sentences.
"""

from typing import TypeAlias

import asyncpg

from api import migrate

Connection: TypeAlias = migrate.Connection
Told: TypeAlias = "list[asyncpg.Record]"  # a sentence a row

# The tables that come before a tenant is known; every other is a tenant's.
BEFORE_A_TENANT = {
    "accounts": "a company; it owns tenants",
    "tenants": "what every tenant_id names",
    "key_directory": "leads from a key to its tenant",
    "payment_connection_directory": "leads from what a payment provider posts to its tenant",
    "pending_work": "tells workers which tenant to look into",
    "admins": "people who sign in to the console; they belong to accounts",
    "admin_accounts": "which accounts an admin opens",
    "admin_invitations": "how an admin gets in for the first time",
    "admin_sessions": "who is signed in",
    "sign_in_attempts": "counts guesses, before it is known whose they are",
    "schema_migrations": "what the owner has done to the schema",
}

POLICY = "(tenant_id = (NULLIF(current_setting('ristourne.tenant'::text, true), ''::text))::uuid)"


async def tenant_tables(conn: Connection) -> dict[str, int]:
    """By name, with their oids."""
    rows = await conn.fetch(
        """
        SELECT relname, oid
        FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND relname <> ALL ($1::text[])
        ORDER BY relname
        """,
        list(BEFORE_A_TENANT),
    )
    return {row["relname"]: row["oid"] for row in rows}


async def objections(conn: Connection) -> list[str]:
    """Nothing, when every table of a tenant is in order."""
    tables = list((await tenant_tables(conn)).values())
    looked_for = [
        _columns_out_of_place(conn, tables),
        _keys_out_of_place(conn, tables),
        _indexes_out_of_place(conn, tables),
        _foreign_keys_out_of_place(conn, tables),
        _foreign_keys_into(conn, tables),
        _triggers(conn, tables),
        _row_security_off(conn, tables),
        _policies_amiss(conn, tables),
        _views_past_row_security(conn, tables),
    ]
    return sorted([row[0] for found in looked_for for row in await found])


async def _columns_out_of_place(conn: Connection, tables: list[int]) -> Told:
    return await conn.fetch(
        """
        SELECT c.relname || ' does not begin with tenant_id'
        FROM pg_class c
        LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = 1
        WHERE c.oid = ANY ($1::oid[])
          AND (a.attname IS DISTINCT FROM 'tenant_id' OR NOT a.attnotnull OR a.atttypid <> 'uuid'::regtype)
        """,
        tables,
    )


async def _keys_out_of_place(conn: Connection, tables: list[int]) -> Told:
    return await conn.fetch(
        """
        SELECT c.relname || ' has no primary key that begins with tenant_id'
        FROM pg_class c
        WHERE c.oid = ANY ($1::oid[])
          AND NOT EXISTS (
              SELECT FROM pg_index i
              JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
              WHERE i.indrelid = c.oid AND i.indisprimary AND a.attname = 'tenant_id'
          )
        """,
        tables,
    )


async def _indexes_out_of_place(conn: Connection, tables: list[int]) -> Told:
    """Unique constraints are indexes too. An expression has no attribute."""
    return await conn.fetch(
        """
        SELECT i.indexrelid::regclass || ' of ' || c.relname || ' does not begin with tenant_id'
        FROM pg_class c
        JOIN pg_index i ON i.indrelid = c.oid
        LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]
        WHERE c.oid = ANY ($1::oid[]) AND NOT i.indisprimary AND a.attname IS DISTINCT FROM 'tenant_id'
        """,
        tables,
    )


async def _foreign_keys_out_of_place(conn: Connection, tables: list[int]) -> Told:
    """Both sides begin with the tenant, or the key is the tenant's own."""
    return await conn.fetch(
        """
        SELECT k.conname || ' of ' || c.relname || ' goes past tenant_id'
        FROM pg_class c
        JOIN pg_constraint k ON k.conrelid = c.oid AND k.contype = 'f'
        JOIN pg_attribute mine ON mine.attrelid = k.conrelid AND mine.attnum = k.conkey[1]
        JOIN pg_attribute theirs ON theirs.attrelid = k.confrelid AND theirs.attnum = k.confkey[1]
        WHERE c.oid = ANY ($1::oid[])
          AND (mine.attname <> 'tenant_id'
               OR theirs.attname <> CASE k.confrelid WHEN 'tenants'::regclass THEN 'id' ELSE 'tenant_id' END)
        """,
        tables,
    )


async def _foreign_keys_into(conn: Connection, tables: list[int]) -> Told:
    """What comes before a tenant stays on one node, where a tenant's rows may not be."""
    return await conn.fetch(
        """
        SELECT k.conname || ' of ' || k.conrelid::regclass || ' leads into ' || c.relname
               || ', a tenant''s table'
        FROM pg_class c
        JOIN pg_constraint k ON k.confrelid = c.oid AND k.contype = 'f'
        WHERE c.oid = ANY ($1::oid[]) AND k.conrelid <> ALL ($1::oid[])
        """,
        tables,
    )


async def _triggers(conn: Connection, tables: list[int]) -> Told:
    """Citus refuses them. Foreign keys have theirs inside."""
    return await conn.fetch(
        """
        SELECT c.relname || ' has a trigger (' || t.tgname || ')'
        FROM pg_class c
        JOIN pg_trigger t ON t.tgrelid = c.oid AND NOT t.tgisinternal
        WHERE c.oid = ANY ($1::oid[])
        """,
        tables,
    )


async def _row_security_off(conn: Connection, tables: list[int]) -> Told:
    return await conn.fetch(
        """
        SELECT c.relname || ' has no forced row security'
        FROM pg_class c
        WHERE c.oid = ANY ($1::oid[]) AND NOT (c.relrowsecurity AND c.relforcerowsecurity)
        """,
        tables,
    )


async def _policies_amiss(conn: Connection, tables: list[int]) -> Told:
    return await conn.fetch(
        """
        SELECT c.relname || ' has not the one policy'
        FROM pg_class c
        LEFT JOIN pg_policies p ON p.schemaname = 'public' AND p.tablename = c.relname
        WHERE c.oid = ANY ($1::oid[])
        GROUP BY c.relname
        HAVING count(*) <> 1
            OR bool_or((p.policyname, p.permissive, p.roles::text, p.cmd, p.qual, p.with_check)
                       IS DISTINCT FROM ('tenant', 'PERMISSIVE', '{public}', 'ALL', $2::text, $2::text))
        """,
        tables,
        POLICY,
    )


async def _views_past_row_security(conn: Connection, tables: list[int]) -> Told:
    return await conn.fetch(
        """
        SELECT c.relname || ' may be read past its tenant: the view ' || v.relname
               || ' runs with its owner''s rights'
        FROM pg_class v
        JOIN pg_rewrite r ON r.ev_class = v.oid
        JOIN pg_depend d ON d.objid = r.oid AND d.classid = 'pg_rewrite'::regclass
        JOIN pg_class c ON c.oid = d.refobjid
        WHERE v.relkind IN ('v', 'm')
          AND c.oid = ANY ($1::oid[])
          AND NOT COALESCE(v.reloptions @> '{security_invoker=true}', false)
        GROUP BY c.relname, v.relname
        """,
        tables,
    )
