"""May this process serve? The same questions for /readyz, for `ristourne doctor` and for a person.

Ready does not need Redis: without it nothing is lost, only later. It does need a database that is
migrated, durable, and in which row security cannot be bypassed by the role we are.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import TypeAlias
from urllib.parse import urlsplit

import asyncpg
import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from api import migrate
from api.settings import Settings
from api.tenancy import BEFORE_A_TENANT

Connection: TypeAlias = migrate.Connection

PATIENCE_SECONDS = 5


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One question, its answer, and what to do when the answer is bad."""

    name: str
    ok: bool
    found: str
    advice: str = ""
    needed: bool = True  # False: we serve without it, and say so


def is_ready(checks: list[Check]) -> bool:
    return all(check.ok for check in checks if check.needed)


async def of_database(conn: Connection) -> list[Check]:
    """What /readyz asks, as the role of the application."""
    return [
        await _migrations(conn),
        await _role(conn),
        await _row_security(conn),
        await _durability(conn),
    ]


async def of_everything(settings: Settings) -> list[Check]:
    """What the doctor asks: every server, reached as the application reaches it."""
    return [
        *await _database(settings),
        await _reach("redis", lambda: _ping_redis(settings.redis_url), "Check REDIS_URL."),
        await _reach("smtp", lambda: _greet_smtp(settings.smtp_url), "Check SMTP_URL."),
    ]


async def _database(settings: Settings) -> list[Check]:
    try:
        conn = await asyncpg.connect(settings.app_database_url, timeout=PATIENCE_SECONDS)
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        advice = "Check DATABASE_URL, then run `ristourne migrate`: it makes the role."
        return [Check(name="database", ok=False, found=_sentence(error), advice=advice)]
    try:
        version = await conn.fetchval("SHOW server_version")
        reached = Check(name="database", ok=True, found=f"PostgreSQL {version}")
        return [reached, *await of_database(conn)]
    finally:
        await conn.close()


async def _migrations(conn: Connection) -> Check:
    try:
        missing = await migrate.pending(conn)
    except (migrate.MigrationError, asyncpg.InsufficientPrivilegeError) as error:
        return Check(name="migrations", ok=False, found=_sentence(error), advice="Run `ristourne migrate`.")
    return Check(
        name="migrations",
        ok=not missing,
        found=f"pending: {', '.join(missing)}" if missing else "all applied",
        advice="Run `ristourne migrate`.",
    )


async def _role(conn: Connection) -> Check:
    """The policies hold for this role: it is no superuser, bypasses nothing, owns nothing."""
    row = await conn.fetchrow(
        """
        SELECT current_user                       AS name,
               rolsuper                           AS "is a superuser",
               rolbypassrls                       AS "bypasses row security",
               EXISTS (
                   SELECT 1
                   FROM pg_class
                   WHERE relnamespace = 'public'::regnamespace
                     AND relkind IN ('r', 'p')
                     AND pg_has_role(current_user, relowner, 'MEMBER')
               )                                  AS "owns tables"
        FROM pg_roles
        WHERE rolname = current_user
        """
    )
    assert row is not None, "whoever is connected has a role"
    powers = [column for column, has in row.items() if has is True]
    return Check(
        name="role",
        ok=not powers,
        found=f"{row['name']} {' and '.join(powers) or 'is restricted'}",
        advice="APP_DATABASE_URL must name a role that owns nothing; unset, one is made.",
    )


async def _row_security(conn: Connection) -> Check:
    if await _other_nodes_are_not_told(conn):
        return Check(
            name="row security",
            ok=False,
            found="the other nodes of the cluster are not told the tenant",
            advice="Run `ristourne distribute --apply`, then start again.",
        )
    rows = await conn.fetch(
        """
        SELECT relname
        FROM pg_class
        JOIN pg_attribute ON attrelid = pg_class.oid AND attname = 'tenant_id'
        WHERE relnamespace = 'public'::regnamespace
          AND relkind IN ('r', 'p')
          AND NOT (relrowsecurity AND relforcerowsecurity)
          AND relname <> ALL ($1::text[])
        ORDER BY relname
        """,
        sorted(BEFORE_A_TENANT),
    )
    bare = [row["relname"] for row in rows]
    return Check(
        name="row security",
        ok=not bare,
        found=f"off on {', '.join(bare)}" if bare else "on",
        advice="ALTER TABLE … ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY.",
    )


async def _other_nodes_are_not_told(conn: Connection) -> bool:
    return bool(
        await conn.fetchval(
            """
            SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'citus')
               AND current_setting('citus.propagate_set_commands', true) IS DISTINCT FROM 'local'
            """
        )
    )


async def _durability(conn: Connection) -> Check:
    rows = await conn.fetch(
        """
        SELECT name
        FROM pg_settings
        WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit')
          AND setting = 'off'
        ORDER BY name
        """
    )
    off = [row["name"] for row in rows]
    return Check(
        name="durability",
        ok=not off,
        found=f"off: {', '.join(off)}" if off else "on",
        advice="A document that was answered must survive a power cut: set them on.",
    )


async def _reach(name: str, reach: Callable[[], Awaitable[str]], advice: str) -> Check:
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            found = await reach()
    except (OSError, TimeoutError, RedisError, ValueError) as error:
        return Check(name=name, ok=False, found=_sentence(error), advice=advice, needed=False)
    return Check(name=name, ok=True, found=found, needed=False)


async def _ping_redis(url: str) -> str:
    redis = Redis.from_url(url)
    try:
        await redis.ping()
    finally:
        await redis.aclose()
    return "answers"


async def _greet_smtp(url: str) -> str:
    parts = urlsplit(url)
    port = parts.port or (465 if parts.scheme == "smtps" else 25)
    _, writer = await asyncio.open_connection(parts.hostname, port, family=socket.AF_UNSPEC)
    writer.close()
    await writer.wait_closed()
    return f"{parts.hostname}:{port} accepts connections"


def _sentence(error: BaseException) -> str:
    return str(error).strip() or type(error).__name__
