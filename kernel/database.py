"""The door to PostgreSQL: one pool, one kind of transaction.

A transaction belongs to one tenant, from its first statement to its last. Row level security reads the
tenant that `SET LOCAL` names, so a statement that forgets to name one finds nothing.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from datetime import datetime
from typing import TYPE_CHECKING, TypeAlias

import asyncpg
import msgspec

from kernel.events import Event, documents_of, type_of
from kernel.ids import EventId, TenantId
from kernel.structs import Value, encode

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


# What was answered under which Idempotency-Key: key, fingerprint, status, headers, body.
Answer: TypeAlias = tuple[str, bytes, int, list[tuple[str, str]], bytes]


Act: TypeAlias = "Callable[[Tx], Awaitable[object]]"


class Tx:
    """One open transaction: the connection, whose rows it may see, and the times it goes by.

    `now` is what it decides by, and what it writes: the tenant's own time. `wall` is the time of the world,
    which leases, retries and keys go by. They differ where a test tenant has a clock: then `wall` is given.

    Events are kept until the transaction ends, as is the `answer` to an attempt of a client, and `due`, the
    earliest wall time at which it left work for a worker: all in one statement before the commit.

    What was noted in `when_undone` is done when it is not kept, in a transaction of its own: see `undone`.

    `secret` keys the digests of what must not be read out of the database, which does not know it.

    `actor` is who called for it, an API key; nobody did where a worker does what is due.
    """

    __slots__ = (
        "actor",
        "answer",
        "conn",
        "due",
        "events",
        "has_clock",
        "now",
        "secret",
        "tenant",
        "wall",
        "when_undone",
    )

    def __init__(self, conn: Conn, tenant: TenantId, now: datetime, *, wall: datetime | None = None) -> None:
        self.conn = conn
        self.tenant = tenant
        self.now = now
        self.wall = wall or now
        self.has_clock = wall is not None
        self.due: datetime | None = None
        self.events: list[Event] = []
        self.answer: Answer | None = None
        self.secret = b""
        self.actor: str | None = None
        self.when_undone: list[Act] = []

    def go_by(self, clock: datetime) -> None:
        """From here on by the tenant's own clock."""
        self.now = clock
        self.has_clock = True

    def leaves_work(self, due: datetime) -> None:
        """For workers to look at from this wall time on."""
        self.due = due if self.due is None else min(self.due, due)

    def schedules(self, at: datetime) -> None:
        """Work for a time of the tenant's own. If it has a clock, nobody need look until that is there."""
        if at <= self.now:
            self.leaves_work(self.wall)
        elif not self.has_clock:
            self.leaves_work(at)


class Door(Value, frozen=True, kw_only=True):
    """The door of one tenant: transactions at its time, which is the world's unless it has a `clock`."""

    pool: Pool
    tenant: TenantId
    now: Callable[[], datetime]
    clock: datetime | None = None

    def open(self) -> AbstractAsyncContextManager[Tx]:
        wall = self.now()
        if self.clock is None:
            return transaction(self.pool, self.tenant, now=wall, planned_once=True)
        return transaction(self.pool, self.tenant, now=self.clock, wall=wall, planned_once=True)


async def open_pool(url: str, *, size: int = 8) -> Pool:
    """Connect as the application's role; `url` is APP_DATABASE_URL."""
    return await asyncpg.create_pool(
        url,
        min_size=1,
        max_size=size,
        connection_class=Connection,
        init=_set_codecs,
        command_timeout=30,
        # A statement that is not in a connection's cache costs a round trip to prepare.
        statement_cache_size=1000,
        max_cached_statement_lifetime=0,
        server_settings={"application_name": "ristourne", "timezone": "UTC"},
    )


@asynccontextmanager
async def transaction(
    pool: Pool,
    tenant: TenantId,
    *,
    now: datetime,
    wall: datetime | None = None,
    planned_once: bool = False,
) -> AsyncIterator[Tx]:
    """Open a transaction for one tenant; commit at the end, roll back on any exception."""
    async with pool.acquire() as conn:
        tx = await begin(conn, tenant, now=now, wall=wall, planned_once=planned_once)
        try:
            yield tx
        except BaseException:
            await rollback(tx)
            raise
        await commit(tx)


async def begin(
    conn: Conn,
    tenant: TenantId,
    *,
    now: datetime,
    wall: datetime | None = None,
    read_only: bool = False,
    planned_once: bool = False,
) -> Tx:
    """`planned_once` is for what finds its rows by key, whatever the key: commands and workers.

    PostgreSQL would plan their statements anew each time, which for the one that issues an invoice costs more
    than running it. Lists are planned for what they are asked.
    """
    # SET LOCAL takes no parameters; the uuid comes out of our own type, never out of text.
    mode = " READ ONLY" if read_only else ""
    plans = "; SET LOCAL plan_cache_mode = 'force_generic_plan'" if planned_once else ""
    await conn.execute(f"BEGIN{mode}; SET LOCAL ristourne.tenant = '{tenant.uuid}'{plans}")
    return Tx(conn, tenant, now, wall=wall)


async def commit(tx: Tx) -> None:
    await leave_behind(tx)
    outcome = await tx.conn.execute("COMMIT")
    # PostgreSQL answers a COMMIT after a failed statement with a rollback and no error.
    assert outcome == "COMMIT", "an error inside the transaction was swallowed: nothing is kept"


@asynccontextmanager
async def savepoint(tx: Tx) -> AsyncIterator[None]:
    """What is done inside is undone when it fails, and the transaction goes on; its locks stay."""
    published = len(tx.events)
    await tx.conn.execute("SAVEPOINT attempt")
    try:
        yield
    except Exception:
        await tx.conn.execute("ROLLBACK TO SAVEPOINT attempt; RELEASE SAVEPOINT attempt")
        del tx.events[published:]
        raise
    await tx.conn.execute("RELEASE SAVEPOINT attempt")


@asynccontextmanager
async def rehearsal(tx: Tx) -> AsyncIterator[None]:
    """What is done inside is undone at its end, and the transaction goes on."""
    published = len(tx.events)
    await tx.conn.execute("SAVEPOINT rehearsal")
    try:
        yield
    finally:
        await tx.conn.execute("ROLLBACK TO SAVEPOINT rehearsal; RELEASE SAVEPOINT rehearsal")
        del tx.events[published:]


async def leave_behind(tx: Tx) -> None:
    """Write the events so far, the answer, and a hint for the workers: one round trip."""
    if tx.events:
        tx.leaves_work(tx.wall)
    if tx.due is not None or tx.answer is not None:
        await _leave(tx)
        tx.events.clear()
        tx.answer = None


async def rollback(tx: Tx) -> bool:
    """Undo it. False when the connection was lost, and with it, by itself, the transaction."""
    try:
        await tx.conn.execute("ROLLBACK")
    except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError):
        with suppress(asyncpg.InterfaceError):  # the pool may have noticed and taken it back
            tx.conn.terminate()
        return False
    return True


async def undone(tx: Tx) -> None:
    """What stays of a transaction that was rolled back: a failure that is counted, say."""
    if not tx.when_undone:
        return
    own = await begin(tx.conn, tx.tenant, now=tx.now, wall=tx.wall)
    try:
        for act in tx.when_undone:
            await act(own)
    except BaseException:
        await rollback(own)
        raise
    await commit(own)


async def _leave(tx: Tx) -> None:
    """The events in their order, the hint by which a worker looks inside the tenant for them, and the answer.

    An older answer under the same key has lapsed, or nobody would have got here, and is replaced. What is
    begun by nobody, thousands at once, is not looked up by its document: that says itself when it was issued.
    """
    ids = [EventId.new() for _ in tx.events]
    about = [
        (event_id, document)
        for event_id, event in zip(ids, tx.events, strict=True)
        if tx.actor is not None or not event.begins
        for document in documents_of(event)
    ]
    await tx.conn.execute(
        """
        WITH hint AS (
            INSERT INTO pending_work (tenant_id, due_at)
            SELECT $1, $2
            WHERE $2::timestamptz IS NOT NULL
        ), answer AS (
            INSERT INTO idempotency_answers
                (tenant_id, key, fingerprint, status, headers, body, created_at)
            SELECT $1, $3, $4, $5, $6, $7, $8
            WHERE $3::text IS NOT NULL
            ON CONFLICT (tenant_id, key) DO UPDATE
            SET fingerprint = EXCLUDED.fingerprint,
                status      = EXCLUDED.status,
                headers     = EXCLUDED.headers,
                body        = EXCLUDED.body,
                created_at  = EXCLUDED.created_at
        ), named AS (
            INSERT INTO event_documents (tenant_id, event_id, document_id)
            SELECT $1, d.event_id, d.document_id
            FROM unnest($14::uuid[], $15::uuid[]) AS d (event_id, document_id)
        )
        INSERT INTO events (tenant_id, id, type, data, created_at, actor)
        SELECT $1, e.id, e.type, e.data, $9, $13
        FROM unnest($10::uuid[], $11::text[], $12::jsonb[]) WITH ORDINALITY AS e (id, type, data, n)
        ORDER BY e.n
        """,
        tx.tenant,
        tx.due,
        *(tx.answer or (None,) * 5),
        tx.wall,
        tx.now,
        ids,
        [type_of(event) for event in tx.events],
        tx.events,
        tx.actor,
        [event_id for event_id, _ in about],
        [document for _, document in about],
    )


async def _set_codecs(conn: _Connection) -> None:
    await conn.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        format="binary",
        encoder=lambda value: b"\x01" + encode(value),  # the first byte is the format's version
        decoder=lambda raw: msgspec.json.decode(memoryview(raw)[1:]),
    )
