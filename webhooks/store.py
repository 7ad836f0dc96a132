"""Every SQL statement about provider events. What became of one is read with its job."""

from collections.abc import Sequence
from datetime import datetime

from billing.gateways.connections.model import PaymentConnectionId
from kernel.database import Tx
from kernel.errors import not_found
from kernel.ids import JobId
from kernel.paging import Page, Window, page_of
from kernel.structs import load
from webhooks.model import ObjectKind, ProviderEvent, ProviderEventId, ProviderObject, Status, Told


async def insert(
    tx: Tx, connection_id: PaymentConnectionId, provider: str, told: Told, job_id: JobId | None
) -> bool:
    """False when this event is here already."""
    inserted = await tx.conn.fetchval(
        """
        INSERT INTO provider_events
            (tenant_id, provider, reference, id, connection_id, type, kind, object_reference, job_id,
             happened_at, received_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
        ON CONFLICT (tenant_id, provider, reference) DO NOTHING
        RETURNING id
        """,
        tx.tenant,
        provider,
        told.reference,
        ProviderEventId.new(),
        connection_id,
        told.type,
        told.kind,
        told.object_reference,
        job_id,
        told.happened_at,
        tx.wall,
    )
    return inserted is not None


async def waiting_for(
    tx: Tx, connection_id: PaymentConnectionId, about: ProviderObject
) -> list[ProviderEventId]:
    """The events about an object that nobody has looked at since they came."""
    rows = await tx.conn.fetch(
        """
        SELECT id
        FROM provider_events
        WHERE tenant_id = $1 AND connection_id = $2 AND kind = $3 AND object_reference = $4
          AND handled_at IS NULL
        ORDER BY id
        """,
        tx.tenant,
        connection_id,
        about.kind,
        about.reference,
    )
    return [ProviderEventId.of(row["id"]) for row in rows]


async def mark_handled(tx: Tx, event_ids: Sequence[ProviderEventId]) -> None:
    await tx.conn.execute(
        """
        UPDATE provider_events
        SET handled_at = $3
        WHERE tenant_id = $1 AND id = ANY ($2::uuid[]) AND handled_at IS NULL
        """,
        tx.tenant,
        event_ids,
        tx.wall,
    )


async def get(tx: Tx, event_id: ProviderEventId) -> ProviderEvent:
    row = await tx.conn.fetchrow(
        """
        SELECT e.id, provider, connection_id AS payment_connection_id, reference, type, e.kind,
               object_reference, happened_at, received_at, handled_at, job_id,
               COALESCE(j.attempt, 0) AS attempts, j.last_error,
               CASE WHEN e.kind IS NULL THEN 'ignored'
                    WHEN handled_at IS NOT NULL THEN 'handled'
                    WHEN j.state = 'parked' THEN 'parked'
                    ELSE 'waiting' END AS status,
               CASE WHEN handled_at IS NULL AND j.state IN ('waiting', 'running') THEN j.due_at
                    END AS next_try_at
        FROM provider_events e
        LEFT JOIN jobs j ON j.tenant_id = e.tenant_id AND j.id = e.job_id
        WHERE e.tenant_id = $1 AND e.id = $2
        """,
        tx.tenant,
        event_id,
    )
    if row is None:
        raise not_found("provider event", event_id)
    return load(row, ProviderEvent)


async def page(
    tx: Tx, window: Window, *, status: Status | None, kind: ObjectKind | None, object_reference: str | None
) -> Page[ProviderEvent]:
    rows = await tx.conn.fetch(
        """
        SELECT e.id, provider, connection_id AS payment_connection_id, reference, type, e.kind,
               object_reference, happened_at, received_at, handled_at, job_id,
               COALESCE(j.attempt, 0) AS attempts, j.last_error,
               CASE WHEN e.kind IS NULL THEN 'ignored'
                    WHEN handled_at IS NOT NULL THEN 'handled'
                    WHEN j.state = 'parked' THEN 'parked'
                    ELSE 'waiting' END AS status,
               CASE WHEN handled_at IS NULL AND j.state IN ('waiting', 'running') THEN j.due_at
                    END AS next_try_at
        FROM provider_events e
        LEFT JOIN jobs j ON j.tenant_id = e.tenant_id AND j.id = e.job_id
        WHERE e.tenant_id = $1
          AND e.id < $2
          AND ($4::text IS NULL OR $4 = CASE WHEN e.kind IS NULL THEN 'ignored'
                                             WHEN handled_at IS NOT NULL THEN 'handled'
                                             WHEN j.state = 'parked' THEN 'parked'
                                             ELSE 'waiting' END)
          AND ($5::text IS NULL OR e.kind = $5)
          AND ($6::text IS NULL OR object_reference = $6)
        ORDER BY e.id DESC
        LIMIT $3
        """,
        tx.tenant,
        window.before,
        window.rows,
        status,
        kind,
        object_reference,
    )
    return page_of(rows, ProviderEvent, window)


async def forget_handled(tx: Tx, *, before: datetime) -> None:
    """Those too from which nothing followed. One that is delivered again after that is looked at again."""
    await tx.conn.execute(
        """
        DELETE FROM provider_events
        WHERE tenant_id = $1 AND received_at < $2 AND (handled_at IS NOT NULL OR kind IS NULL)
        """,
        tx.tenant,
        before,
    )
