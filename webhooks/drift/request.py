"""Asking for a comparison of a provider's books with ours: a job does it."""

from datetime import datetime, timedelta

from kernel import jobs
from kernel.database import Tx
from kernel.errors import Invalid
from kernel.ids import Id, JobId
from webhooks.drift import store
from webhooks.drift.model import DriftReport, DriftReportId

RECONCILING = "reconcile"
# What was told too late for one comparison is in the next.
OVERLAP = timedelta(days=3)
FIRST = timedelta(days=30)
FARTHEST = timedelta(days=366)
A_NIGHT = timedelta(hours=12)


async def request_reconciliation(
    tx: Tx, connection_id: Id, provider: str, *, since: datetime | None = None
) -> DriftReport:
    last = await store.last_began(tx, connection_id)

    start = check(since, wall=tx.wall) if since else (last or tx.wall - FIRST + OVERLAP) - OVERLAP
    report_id, job_id = DriftReportId.new(), JobId.new()

    await store.insert(tx, report_id, connection_id, provider, job_id=job_id, since=start)
    data = {"connection_id": str(connection_id), "drift_report_id": str(report_id)}
    await jobs.schedule(tx, RECONCILING, data, due=tx.now, job_id=job_id)
    return await store.get(tx, report_id)


async def reconcile_nightly(tx: Tx, connection_id: Id, provider: str) -> None:
    """Once a night, however often it is called."""
    last = await store.last_requested(tx, connection_id)
    if last is None or tx.wall - last >= A_NIGHT:
        await request_reconciliation(tx, connection_id, provider)


def check(since: datetime, *, wall: datetime) -> datetime:
    if not timedelta() <= wall - since <= FARTHEST:
        raise Invalid(
            "since_out_of_range",
            "Compare from a time of the past year on, by the world's clock.",
            param="since",
        )
    return since
