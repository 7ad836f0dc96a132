"""The servers a test run stands on: its own, or those TEST_DATABASE_URL and TEST_REDIS_URL name.

They are started once per run, by the process that starts the test workers, and handed down to these
by the environment. Durability is on: the tests see the PostgreSQL that production sees.
"""

import hashlib
import os
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import msgspec

from api import migrate
from api.settings import app_database_url, app_role
from api.stack import embedded

SECRET_KEY = hashlib.sha256(b"the tests keep no secret").digest()


class Database(msgspec.Struct, frozen=True, kw_only=True):
    """A migrated database of this test worker alone."""

    name: str
    owner_url: str
    app_url: str


def start() -> ExitStack:
    """Start what is not given. Closing what is returned stops it and removes every trace."""
    with ExitStack() as stack:
        missing = {"TEST_DATABASE_URL", "TEST_REDIS_URL"} - os.environ.keys()
        if missing:
            data = _scratch_folder(stack)
        if "TEST_DATABASE_URL" in missing:
            stack.callback(shutil.rmtree, embedded.postgres_home(data))
            server = embedded.postgres(data, data / "postgres.log", sync=False)
            _run(server, "TEST_DATABASE_URL", stack)
        if "TEST_REDIS_URL" in missing:
            _run(embedded.valkey(data, data / "valkey.log"), "TEST_REDIS_URL", stack)
        return stack.pop_all()


def _scratch_folder(stack: ExitStack) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="ristourne-test-"))
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    folder.chmod(0o755)
    return folder


def _run(server: embedded.Server, variable: str, stack: ExitStack) -> None:
    process = server.start()
    stack.callback(process.stop)
    os.environ[variable] = server.url
    stack.callback(os.environ.pop, variable, None)


@asynccontextmanager
async def migrated_database() -> AsyncIterator[Database]:
    """A copy of the template, dropped at the end with its role."""
    template = await _template()
    async with a_database(template=template) as database:
        await migrate.migrate(database.owner_url, app_url=database.app_url)
        yield database


@asynccontextmanager
async def a_database(*, template: str = "template0") -> AsyncIterator[Database]:
    """A database of its own on the server of this run, with nothing but what the template has."""
    database = named(f"test_{secrets.token_hex(4)}")
    server = await asyncpg.connect(os.environ["TEST_DATABASE_URL"])
    try:
        await server.execute(f'CREATE DATABASE "{database.name}" TEMPLATE "{template}"')
        yield database
    finally:
        await server.execute(f'DROP DATABASE IF EXISTS "{database.name}" WITH (FORCE)')
        await server.execute(f'DROP ROLE IF EXISTS "{app_role(database.name)}"')
        await server.close()


def named(name: str) -> Database:
    owner_url = urlsplit(os.environ["TEST_DATABASE_URL"])._replace(path=f"/{name}").geturl()
    return Database(name=name, owner_url=owner_url, app_url=app_database_url(owner_url, SECRET_KEY))


async def _template() -> str:
    """Migrated once for this state of the files; copying it is faster than migrating again."""
    digest = hashlib.sha256("".join(file.sha256 for file in migrate.load(migrate.FOLDER)).encode())
    template = named(f"template_{digest.hexdigest()[:12]}")
    server = await asyncpg.connect(os.environ["TEST_DATABASE_URL"])
    try:
        async with migrate.our_turn(server, wait=60):
            if not await _is_template(server, template.name):
                await server.execute(f'DROP DATABASE IF EXISTS "{template.name}"')
                await server.execute(f'CREATE DATABASE "{template.name}" TEMPLATE template0')
                await migrate.migrate(template.owner_url, app_url=template.app_url)
                await server.execute(f'ALTER DATABASE "{template.name}" IS_TEMPLATE true')
    finally:
        await server.close()  # releases the lock
    return template.name


async def _is_template(server: "asyncpg.Connection[asyncpg.Record]", name: str) -> bool:
    return bool(await server.fetchval("SELECT datistemplate FROM pg_database WHERE datname = $1", name))
