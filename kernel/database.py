"""The door to PostgreSQL: one pool, one kind of transaction.

A transaction belongs to one tenant, from its first statement to its last. Row level security reads the
tenant that `SET LOCAL` names, so a statement that forgets to name one finds nothing.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import TYPE_CHECKING, TypeAlias

import asyncpg
import msgspec

from kernel.ids import TenantId
from kernel.structs import encode

Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"


if TYPE_CHECKING:
    _Connection = asyncpg.Connection[asyncpg.Record]
else:
    _Connection = asyncpg.Connection  # takes no type at run time


class Connection(_Connection):
    """Session state is only ever set by SET LOCAL, so there is nothing to reset: a round trip less."""

    def get_reset_query(self) -> str:
        return ""


Conn: TypeAlias = "Connection | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"


class Tx:
    """One open transaction: the connection, whose rows it may see, and the time it decides at.

    `due` is the earliest time at which this transaction left work for a worker; the one row in the
    directory of pending work is written from it as the transaction ends.
    """

    __slots__ = ("conn", "due", "now", "tenant")

    def __init__(self, conn: Conn, tenant: TenantId, now: datetime) -> None:
        self.conn = conn
        self.tenant = tenant
        self.now = now
        self.due: datetime | None = None

    def leaves_work(self, due: datetime) -> None:
        self.due = due if self.due is None else min(self.due, due)


async def open_pool(url: str, *, size: int = 8) -> Pool:
    """Connect as the application's role; `url` is APP_DATABASE_URL."""
    return await asyncpg.create_pool(
        url,
        min_size=1,
        max_size=size,
        connection_class=Connection,
        init=_set_codecs,
        command_timeout=30,
        server_settings={"application_name": "ristourne", "timezone": "UTC"},
    )


@asynccontextmanager
async def transaction(pool: Pool, tenant: TenantId, *, now: datetime) -> AsyncIterator[Tx]:
    """Open a transaction for one tenant; commit at the end, roll back on any exception."""
    async with pool.acquire() as conn:
        tx = await begin(conn, tenant, now=now)
        try:
            yield tx
        except BaseException:
            await rollback(tx)
            raise
        await commit(tx)


async def begin(conn: Conn, tenant: TenantId, *, now: datetime, read_only: bool = False) -> Tx:
    # SET LOCAL takes no parameters; the uuid comes out of our own type, never out of text.
    mode = " READ ONLY" if read_only else ""
    await conn.execute(f"BEGIN{mode}; SET LOCAL ristourne.tenant = '{tenant.uuid}'")
    return Tx(conn, tenant, now)


async def commit(tx: Tx) -> None:
    if tx.due is not None:
        await _leave_hint(tx, tx.due)
    outcome = await tx.conn.execute("COMMIT")
    # PostgreSQL answers a COMMIT after a failed statement with a rollback and no error.
    assert outcome == "COMMIT", "an error inside the transaction was swallowed: nothing is kept"


async def rollback(tx: Tx) -> bool:
    """Undo it. False when the connection was lost, and with it, by itself, the transaction."""
    try:
        await tx.conn.execute("ROLLBACK")
    except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError):
        with suppress(asyncpg.InterfaceError):  # the pool may have noticed and taken it back
            tx.conn.terminate()
        return False
    return True


async def _leave_hint(tx: Tx, due: datetime) -> None:
    """Tell the workers that this tenant has work; they look inside the tenant for what it is."""
    await tx.conn.execute(
        """
        INSERT INTO pending_work (tenant_id, due_at)
        VALUES ($1, $2)
        """,
        tx.tenant,
        due,
    )


async def _set_codecs(conn: _Connection) -> None:
    await conn.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        format="binary",
        encoder=lambda value: b"\x01" + encode(value),  # the first byte is the format's version
        decoder=lambda raw: msgspec.json.decode(memoryview(raw)[1:]),
    )
