"""Plain-SQL migrations, forward only: migrations/NNNN_what.sql, each applied once, in order.

A file runs in one transaction, together with the row that says so. A file whose first line is
`-- migrate: no-transaction` runs statement by statement (a statement ends with `;` at the end of a
line) and is marked dirty until its last one is through: after a failure a person decides.

A file that was applied never changes: its SHA-256 is kept and compared. Two migrators take turns.
Before the files run, the roles they grant to are there.
"""

import asyncio
import base64
import hashlib
import hmac
import os
import re
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import TypeAlias

import asyncpg
import msgspec

from api.settings import app_role, database_of, password_of, role_of

Connection: TypeAlias = (
    "asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"
)

FOLDER = Path(__file__).resolve().parent.parent / "migrations"
NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")
NO_TRANSACTION = "-- migrate: no-transaction"
APP_ROLE = "ristourne_app"
LOCK = int.from_bytes(b"ristourn")
LOCK_TIMEOUT = "5s"  # a migration that queues behind a long transaction blocks everybody behind it


class MigrationError(Exception):
    """The database and the files do not agree, or the owner may not do what is needed."""


class Migration(msgspec.Struct, frozen=True, kw_only=True):
    """A file."""

    version: int
    name: str
    sql: str
    sha256: str

    @property
    def in_transaction(self) -> bool:
        return not self.sql.startswith(NO_TRANSACTION)


class MigrationStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A file, and whether the database has it."""

    name: str
    applied_at: datetime | None
    duration_ms: int | None


async def migrate(owner_url: str, *, app_url: str, wait: float = 60.0, folder: Path = FOLDER) -> list[str]:
    """Bring the database up to date; the names of what was applied now.

    `wait` is how many seconds another migrator may take before we give up.
    """
    async with connected(owner_url) as conn, our_turn(conn, wait=wait):
        await _ensure_table(conn)
        await _ensure_roles(conn, owner_url, app_url)
        todo = await _todo(conn, load(folder))
        for migration in todo:
            await _apply(conn, migration)
        return [migration.name for migration in todo]


async def status(owner_url: str, *, folder: Path = FOLDER) -> list[MigrationStatus]:
    async with connected(owner_url) as conn:
        done = await _applied(conn)
    return [
        MigrationStatus(
            name=migration.name,
            applied_at=done[migration.version]["applied_at"] if migration.version in done else None,
            duration_ms=done[migration.version]["duration_ms"] if migration.version in done else None,
        )
        for migration in load(folder)
    ]


async def pending(conn: Connection, *, folder: Path = FOLDER) -> list[str]:
    """What the database still lacks, half-applied files included. Any role may ask."""
    done = await _applied(conn)
    return [
        migration.name
        for migration in load(folder)
        if migration.version not in done or done[migration.version]["dirty"]
    ]


def load(folder: Path) -> list[Migration]:
    migrations = [_read(path) for path in sorted(folder.glob("*.sql"))]
    for expected, migration in enumerate(migrations, start=1):
        if migration.version != expected:
            raise MigrationError(
                f"{migration.name} stands where {expected:04} is expected: "
                "versions go 0001, 0002, … without a gap and without a double."
            )
    return migrations


def _read(path: Path) -> Migration:
    match = NAME.fullmatch(path.name)
    if match is None:
        raise MigrationError(f"{path.name} is not named like 0001_what_it_does.sql.")
    sql = path.read_text("utf-8")  # which reads every end of line as \n
    digest = hashlib.sha256(sql.encode()).hexdigest()
    return Migration(version=int(match[1]), name=path.stem, sql=sql, sha256=digest)


async def _todo(conn: Connection, files: Sequence[Migration]) -> list[Migration]:
    done = await _applied(conn)
    by_version = {migration.version: migration for migration in files}
    for version, row in done.items():
        _check_applied(row, by_version.get(version))
    todo = [migration for migration in files if migration.version not in done]
    if todo and done and todo[0].version < max(done):
        raise MigrationError(
            f"{todo[0].name} was never applied, and a later one was. Give it the next number."
        )
    return todo


def _check_applied(row: asyncpg.Record, migration: Migration | None) -> None:
    if row["dirty"]:
        raise MigrationError(
            f"{row['name']} failed half-way and runs outside a transaction. Finish or undo it by "
            "hand, then update its row in schema_migrations: dirty = false, or delete the row."
        )
    if migration is None:
        raise MigrationError(
            f"{row['name']} was applied and its file is gone: is the database newer than this code?"
        )
    if migration.sha256 != row["sha256"] or migration.name != row["name"]:
        raise MigrationError(
            f"{migration.name} was edited after it was applied. Restore it, and write a new file."
        )


async def _apply(conn: Connection, migration: Migration) -> None:
    try:
        if migration.in_transaction:
            await _apply_whole(conn, migration)
        else:
            await _apply_by_statement(conn, migration)
    except asyncpg.PostgresError as error:
        raise MigrationError(f"{migration.name} failed: {error}") from error


async def _apply_whole(conn: Connection, migration: Migration) -> None:
    started = time.monotonic()
    async with conn.transaction():
        await conn.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
        await conn.execute(migration.sql)
        await _record(conn, migration, dirty=False)
        await _record_duration(conn, migration, started)


async def _apply_by_statement(conn: Connection, migration: Migration) -> None:
    started = time.monotonic()
    await _record(conn, migration, dirty=True)
    for statement in re.split(r";[ \t]*(?:\n|\Z)", migration.sql):
        if statement.strip():
            await conn.execute(statement)
    await _record_duration(conn, migration, started)


# ── the table ────────────────────────────────────────────────────────────────────────────────────


async def _ensure_table(conn: Connection) -> None:
    await conn.execute(
        """
        CREATE TABLE IF NOT EXISTS public.schema_migrations (
            version     integer     CONSTRAINT schema_migrations_pkey PRIMARY KEY,
            name        text        NOT NULL,
            sha256      text        NOT NULL,
            applied_at  timestamptz NOT NULL DEFAULT now(),
            duration_ms integer     NOT NULL DEFAULT 0,
            dirty       boolean     NOT NULL
        )
        """
    )


async def _applied(conn: Connection) -> dict[int, asyncpg.Record]:
    if await conn.fetchval("SELECT to_regclass('public.schema_migrations')") is None:
        return {}
    rows = await conn.fetch(
        """
        SELECT version, name, sha256, applied_at, duration_ms, dirty
        FROM public.schema_migrations
        ORDER BY version
        """
    )
    return {row["version"]: row for row in rows}


async def _record(conn: Connection, migration: Migration, *, dirty: bool) -> None:
    await conn.execute(
        """
        INSERT INTO public.schema_migrations (version, name, sha256, dirty)
        VALUES ($1, $2, $3, $4)
        """,
        migration.version,
        migration.name,
        migration.sha256,
        dirty,
    )


async def _record_duration(conn: Connection, migration: Migration, started: float) -> None:
    await conn.execute(
        """
        UPDATE public.schema_migrations
        SET duration_ms = $2,
            dirty = false
        WHERE version = $1
        """,
        migration.version,
        round((time.monotonic() - started) * 1000),
    )


# ── the roles ────────────────────────────────────────────────────────────────────────────────────


async def _ensure_roles(conn: Connection, owner_url: str, app_url: str) -> None:
    """The group the files grant to, and the login role that belongs to it."""
    database, login = database_of(owner_url), role_of(app_url)
    try:
        await _ensure_group(conn)
        if login == app_role(database):
            await _ensure_login(conn, login, app_url)
        await _ensure_member(conn, login)
        await _run(conn, "GRANT CONNECT ON DATABASE %I TO %I", database, APP_ROLE)
        await _run(conn, "GRANT SELECT ON public.schema_migrations TO %I", APP_ROLE)
    except asyncpg.InsufficientPrivilegeError as error:
        owner = role_of(owner_url)
        raise MigrationError(
            f"The role {owner!r} may not prepare the role {login!r} ({error}). Run, as an "
            f'administrator: ALTER ROLE "{owner}" CREATEROLE; and, if {APP_ROLE} is there already: '
            f'GRANT {APP_ROLE} TO "{owner}" WITH ADMIN OPTION;'
        ) from error


async def _ensure_group(conn: Connection) -> None:
    if await _role_exists(conn, APP_ROLE):
        return
    try:
        await _run(conn, "CREATE ROLE %I NOLOGIN NOSUPERUSER NOBYPASSRLS", APP_ROLE)
    except (asyncpg.DuplicateObjectError, asyncpg.UniqueViolationError):
        return  # the migrator of another database of this cluster was first


async def _ensure_login(conn: Connection, login: str, app_url: str) -> None:
    verifier = scram_verifier(password_of(app_url), salt=os.urandom(16))
    if not await _role_exists(conn, login):
        await _run(conn, "CREATE ROLE %I LOGIN PASSWORD %L NOSUPERUSER NOBYPASSRLS", login, verifier)
    elif not await _can_connect(app_url):
        await _run(conn, "ALTER ROLE %I LOGIN PASSWORD %L", login, verifier)


async def _ensure_member(conn: Connection, login: str) -> None:
    if not await _role_exists(conn, login):
        raise MigrationError(f"The role {login!r} of APP_DATABASE_URL does not exist. Create it.")
    if not await conn.fetchval("SELECT pg_has_role($1::name, $2::name, 'USAGE')", login, APP_ROLE):
        await _run(conn, "GRANT %I TO %I", APP_ROLE, login)


async def _role_exists(conn: Connection, role: str) -> bool:
    return bool(await conn.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", role))


async def _can_connect(url: str) -> bool:
    try:
        conn = await asyncpg.connect(url)
    except (asyncpg.PostgresError, OSError):
        return False
    await conn.close()
    return True


async def _run(conn: Connection, statement: str, *values: str) -> None:
    """Names and literals are quoted by PostgreSQL: such statements take no parameters."""
    await conn.execute(await conn.fetchval("SELECT format($1, VARIADIC $2::text[])", statement, values))


def scram_verifier(password: str, *, salt: bytes, iterations: int = 4096) -> str:
    """What PostgreSQL stores for a password. Sent instead of it, it keeps it out of server logs."""
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    stored_key = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    text = [base64.b64encode(part).decode() for part in (salt, stored_key, server_key)]
    return f"SCRAM-SHA-256${iterations}:{text[0]}${text[1]}:{text[2]}"


# ── taking turns ─────────────────────────────────────────────────────────────────────────────────


@asynccontextmanager
async def connected(url: str) -> "AsyncIterator[asyncpg.Connection[asyncpg.Record]]":
    try:
        conn = await asyncpg.connect(url, timeout=30)
    except (OSError, asyncpg.PostgresError) as error:
        raise MigrationError(f"The database of DATABASE_URL cannot be reached: {error}") from error
    try:
        yield conn
    finally:
        await conn.close()


@asynccontextmanager
async def our_turn(conn: Connection, *, wait: float) -> AsyncIterator[None]:
    """The lock is polled: a session blocked in pg_advisory_lock() would deadlock with another's
    CREATE INDEX CONCURRENTLY. It ends with the session, whatever happens."""
    deadline = time.monotonic() + wait
    while not await conn.fetchval("SELECT pg_try_advisory_lock($1)", LOCK):
        if time.monotonic() > deadline:
            raise MigrationError("Another migration is running on this database. Try again later.")
        await asyncio.sleep(0.1)
    yield
