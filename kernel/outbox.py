"""Events are written in the transaction that made them true, and handed on after it.

pending ──dispatch──▶ dispatched

A worker claims them by state with SKIP LOCKED, never by `id > cursor`: transactions commit in another
order than they took their ids. Dispatching an event writes one job for each of its consequences, in the
same transaction, so that no consequence is lost and each is retried on its own.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from kernel.database import Tx
from kernel.errors import not_found
from kernel.events import Event
from kernel.ids import EventId, Id, JobId
from kernel.paging import Page, Window, page_of
from kernel.structs import Value, load


class Pending(Value, frozen=True, kw_only=True):
    """A claimed event: `data` is the event as JSON builtins, `type` included."""

    id: EventId
    type: str
    data: dict[str, object]
    created_at: datetime


class PublishedEvent(Value, frozen=True, kw_only=True):
    """An event as others read it. `data` holds ids and facts; who wants more reads the resource.

    `actor` is the API key that called for it, null for what happened by itself.
    """

    id: EventId
    type: str
    data: dict[str, object]
    actor: str | None
    created_at: datetime


def publish(tx: Tx, *events: Event) -> None:
    """They are written as the transaction commits, in the order they were published."""
    tx.events.extend(events)


async def dispatch(tx: Tx, consequences: Mapping[str, Sequence[str]], *, limit: int = 500) -> int:
    """Turn pending events into jobs, by the kinds of job `consequences` names for each event type.

    Returns how many events were dispatched; fewer than `limit` means none is left to claim.
    """
    claimed = await _claim(tx, limit)
    jobs = [(event, kind) for event in claimed for kind in consequences.get(event.type, ())]

    if jobs:
        await _insert_jobs(tx, jobs)
    return len(claimed)


async def get(tx: Tx, event_id: EventId) -> PublishedEvent:
    row = await tx.conn.fetchrow(
        """
        SELECT id, type, data, actor, created_at
        FROM events
        WHERE tenant_id = $1 AND id = $2
        """,
        tx.tenant,
        event_id,
    )
    if row is None:
        raise not_found("event", event_id)
    return load(row, PublishedEvent)


async def page(tx: Tx, window: Window, *, event_type: str | None = None) -> Page[PublishedEvent]:
    rows = await tx.conn.fetch(
        """
        SELECT id, type, data, actor, created_at
        FROM events
        WHERE tenant_id = $1 AND id < $2 AND ($4::text IS NULL OR type = $4)
        ORDER BY id DESC
        LIMIT $3
        """,
        tx.tenant,
        window.before,
        window.rows,
        event_type,
    )
    return page_of(rows, PublishedEvent, window)


async def page_about(tx: Tx, window: Window, document: Id) -> Page[PublishedEvent]:
    """The activity log of one document."""
    rows = await tx.conn.fetch(
        """
        SELECT e.id, e.type, e.data, e.actor, e.created_at
        FROM event_documents d
        JOIN events e ON e.tenant_id = d.tenant_id AND e.id = d.event_id
        WHERE d.tenant_id = $1 AND d.document_id = $4 AND d.event_id < $2
        ORDER BY d.event_id DESC
        LIMIT $3
        """,
        tx.tenant,
        window.before,
        window.rows,
        document,
    )
    return page_of(rows, PublishedEvent, window)


async def _claim(tx: Tx, limit: int) -> list[Pending]:
    rows = await tx.conn.fetch(
        """
        WITH claimed AS (
            SELECT id
            FROM events
            WHERE tenant_id = $1 AND state = 'pending'
            ORDER BY created_at, id
            LIMIT $2
            FOR UPDATE SKIP LOCKED
        )
        UPDATE events
        SET state = 'dispatched'
        FROM claimed
        WHERE events.tenant_id = $1 AND events.id = claimed.id
        RETURNING events.id, type, data, created_at
        """,
        tx.tenant,
        limit,
    )
    return sorted((load(row, Pending) for row in rows), key=lambda event: event.id)


async def _insert_jobs(tx: Tx, jobs: Sequence[tuple[Pending, str]]) -> None:
    await tx.conn.execute(
        """
        INSERT INTO jobs (tenant_id, id, kind, event_id, data, scheduled_for, due_at, created_at)
        SELECT $1, j.id, j.kind, j.event_id, j.data, $6, $7, $6
        FROM unnest($2::uuid[], $3::text[], $4::uuid[], $5::jsonb[]) AS j (id, kind, event_id, data)
        ON CONFLICT (tenant_id, event_id, kind) DO NOTHING
        """,
        tx.tenant,
        [JobId.new() for _ in jobs],
        [kind for _, kind in jobs],
        [event.id for event, _ in jobs],
        [event.data for event, _ in jobs],
        tx.now,
        tx.wall,
    )
