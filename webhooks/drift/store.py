"""Every SQL statement about drift."""

from datetime import datetime

from msgspec.structs import replace

from billing.gateways.connections.model import PaymentConnectionId
from kernel.database import Tx
from kernel.errors import not_found
from kernel.ids import JobId
from kernel.paging import Page, Window, page_of
from kernel.structs import load
from webhooks.drift.model import ADVICE, Done, DriftItem, DriftItemId, DriftReport, DriftReportId, Finding


async def insert(
    tx: Tx,
    report_id: DriftReportId,
    connection_id: PaymentConnectionId,
    provider: str,
    *,
    job_id: JobId,
    since: datetime,
) -> None:
    await tx.conn.execute(
        """
        INSERT INTO drift_reports (tenant_id, id, connection_id, provider, job_id, since, requested_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        """,
        tx.tenant,
        report_id,
        connection_id,
        provider,
        job_id,
        since,
        tx.wall,
    )


async def last_began(tx: Tx, connection_id: PaymentConnectionId) -> datetime | None:
    """When the newest comparison began that has come to an end."""
    began: datetime | None = await tx.conn.fetchval(
        """
        SELECT max(requested_at)
        FROM drift_reports
        WHERE tenant_id = $1 AND connection_id = $2 AND ended_at IS NOT NULL
        """,
        tx.tenant,
        connection_id,
    )
    return began


async def last_requested(tx: Tx, connection_id: PaymentConnectionId) -> datetime | None:
    requested: datetime | None = await tx.conn.fetchval(
        """
        SELECT max(requested_at)
        FROM drift_reports
        WHERE tenant_id = $1 AND connection_id = $2
        """,
        tx.tenant,
        connection_id,
    )
    return requested


async def get(tx: Tx, report_id: DriftReportId) -> DriftReport:
    row = await tx.conn.fetchrow(
        """
        SELECT r.id, r.provider, r.connection_id AS payment_connection_id, r.since, r.requested_at,
               r.ended_at, r.compared, r.job_id, COALESCE(j.attempt, 0) AS attempts, j.last_error,
               CASE WHEN r.ended_at IS NOT NULL THEN 'done'
                    WHEN j.state = 'parked' THEN 'failed'
                    ELSE 'running' END AS status,
               count(*) FILTER (WHERE i.done = 'moved') AS moved,
               count(*) FILTER (WHERE i.done = 'recorded') AS recorded,
               count(*) FILTER (WHERE i.done = 'left') AS left
        FROM drift_reports r
        LEFT JOIN jobs j ON j.tenant_id = r.tenant_id AND j.id = r.job_id
        LEFT JOIN drift_items i ON i.tenant_id = r.tenant_id AND i.drift_report_id = r.id
        WHERE r.tenant_id = $1 AND r.id = $2
        GROUP BY r.tenant_id, r.id, j.attempt, j.last_error, j.state
        """,
        tx.tenant,
        report_id,
    )
    if row is None:
        raise not_found("drift report", report_id)
    return load(row, DriftReport)


async def page(tx: Tx, window: Window) -> Page[DriftReport]:
    rows = await tx.conn.fetch(
        """
        SELECT r.id, r.provider, r.connection_id AS payment_connection_id, r.since, r.requested_at,
               r.ended_at, r.compared, r.job_id, COALESCE(j.attempt, 0) AS attempts, j.last_error,
               CASE WHEN r.ended_at IS NOT NULL THEN 'done'
                    WHEN j.state = 'parked' THEN 'failed'
                    ELSE 'running' END AS status,
               count(*) FILTER (WHERE i.done = 'moved') AS moved,
               count(*) FILTER (WHERE i.done = 'recorded') AS recorded,
               count(*) FILTER (WHERE i.done = 'left') AS left
        FROM drift_reports r
        LEFT JOIN jobs j ON j.tenant_id = r.tenant_id AND j.id = r.job_id
        LEFT JOIN drift_items i ON i.tenant_id = r.tenant_id AND i.drift_report_id = r.id
        WHERE r.tenant_id = $1 AND r.id < $2
        GROUP BY r.tenant_id, r.id, j.attempt, j.last_error, j.state
        ORDER BY r.id DESC
        LIMIT $3
        """,
        tx.tenant,
        window.before,
        window.rows,
    )
    return page_of(rows, DriftReport, window)


async def insert_item(tx: Tx, report_id: DriftReportId, found: Finding) -> None:
    """Once, however often it is found by a comparison that began anew."""
    amount = found.theirs or found.ours
    await tx.conn.execute(
        """
        INSERT INTO drift_items
            (tenant_id, id, drift_report_id, kind, done, reference, our_id, currency, ours_minor,
             theirs_minor, detail)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
        ON CONFLICT (tenant_id, drift_report_id, kind, reference) DO NOTHING
        """,
        tx.tenant,
        DriftItemId.new(),
        report_id,
        found.kind,
        found.done,
        found.reference,
        found.our_id,
        None if amount is None else amount.currency,
        None if found.ours is None else found.ours.minor,
        None if found.theirs is None else found.theirs.minor,
        found.detail,
    )


async def items(
    tx: Tx, window: Window, *, report_id: DriftReportId | None, done: Done | None
) -> Page[DriftItem]:
    rows = await tx.conn.fetch(
        """
        SELECT id, drift_report_id, kind, done, reference, our_id, currency, ours_minor, theirs_minor, detail
        FROM drift_items
        WHERE tenant_id = $1
          AND id < $2
          AND ($4::uuid IS NULL OR drift_report_id = $4)
          AND ($5::text IS NULL OR done = $5)
        ORDER BY id DESC
        LIMIT $3
        """,
        tx.tenant,
        window.before,
        window.rows,
        report_id,
        done,
    )
    page = page_of(rows, DriftItem, window)
    return replace(page, data=[_advised(item) for item in page.data])


def _advised(item: DriftItem) -> DriftItem:
    return replace(item, advice=ADVICE[item.kind]) if item.done is Done.LEFT else item


async def end(tx: Tx, report_id: DriftReportId, *, compared: int) -> bool:
    """False when it has come to its end before."""
    ended = await tx.conn.fetchval(
        """
        UPDATE drift_reports
        SET ended_at = $3, compared = $4
        WHERE tenant_id = $1 AND id = $2 AND ended_at IS NULL
        RETURNING id
        """,
        tx.tenant,
        report_id,
        tx.wall,
        compared,
    )
    return ended is not None
