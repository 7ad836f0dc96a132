"""Servers and databases to measure on: of this run alone, durable, and copied rather than filled again."""

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import asyncpg

from api import migrate
from api.settings import app_database_url
from api.stack import embedded

SECRET_KEY = b"the measurements keep no secret."

# What a server for this load is given, beside the defaults: checkpoints by time, not by the amount written.
SETTINGS = {"max_wal_size": "16GB", "checkpoint_timeout": "15min"}


@contextmanager
def servers() -> Iterator[None]:
    """DATABASE_URL and REDIS_URL name servers of our own from here on."""
    with ExitStack() as stack:
        data = Path(tempfile.mkdtemp(prefix="ristourne-bench-"))
        stack.callback(shutil.rmtree, data, ignore_errors=True)
        data.chmod(0o755)
        stack.callback(shutil.rmtree, embedded.postgres_home(data), ignore_errors=True)
        for variable, server in (
            ("DATABASE_URL", embedded.postgres(data, data / "postgres.log")),
            ("REDIS_URL", embedded.valkey(data, data / "valkey.log")),
        ):
            process = server.start()
            stack.callback(process.stop)
            os.environ[variable] = server.url
        os.environ["SECRET_KEY"] = SECRET_KEY.hex()
        os.environ["BENCH_FOLDER"] = str(data)
        yield


def url_of(database: str) -> str:
    base, _, query = os.environ["DATABASE_URL"].partition("?")
    return f"{base.rpartition('/')[0]}/{database}" + (f"?{query}" if query else "")


def app_url_of(database: str) -> str:
    return app_database_url(url_of(database), SECRET_KEY)


async def new_database(name: str) -> None:
    server = await asyncpg.connect(os.environ["DATABASE_URL"])
    try:
        for setting, value in SETTINGS.items():
            await server.execute(f"ALTER SYSTEM SET {setting} = '{value}'")
        await server.execute("SELECT pg_reload_conf()")
        await server.execute(f'CREATE DATABASE "{name}" TEMPLATE template0')
    finally:
        await server.close()
    await migrate.migrate(url_of(name), app_url=app_url_of(name))


@asynccontextmanager
async def copy_of(template: str, name: str) -> AsyncIterator[str]:
    """The same rows, on files of their own; dropped at the end."""
    server = await asyncpg.connect(os.environ["DATABASE_URL"])
    try:
        await server.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        await migrate.migrate(url_of(name), app_url=app_url_of(name))
        await server.execute("CHECKPOINT")
        yield name
    finally:
        await server.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        await server.close()


@asynccontextmanager
async def as_owner(database: str) -> "AsyncIterator[asyncpg.Connection[asyncpg.Record]]":
    """A superuser: row security does not hold for it."""
    conn = await asyncpg.connect(url_of(database), command_timeout=3600)
    try:
        yield conn
    finally:
        await conn.close()


async def drop(name: str) -> None:
    async with as_owner("postgres") as server:
        await server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def folder() -> Path:
    """For logs; gone with the servers."""
    return Path(os.environ["BENCH_FOLDER"])
