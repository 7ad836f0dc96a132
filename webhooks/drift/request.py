"""Asking for a comparison of a provider's books with ours: a job does it."""

from datetime import datetime, timedelta

from billing.gateways.connections import store as connections
from billing.gateways.connections.model import Keys, PaymentConnectionId
from billing.gateways.connections.rules import check_not_disconnected
from kernel import jobs
from kernel.database import Tx
from kernel.errors import Conflict, Invalid, not_found
from kernel.ids import JobId
from webhooks.drift import store
from webhooks.drift.model import DriftReport, DriftReportId, NewReconciliation

RECONCILING = "reconcile"
# What was told too late for one comparison is in the next.
OVERLAP = timedelta(days=3)
FIRST = timedelta(days=30)
FARTHEST = timedelta(days=366)
A_NIGHT = timedelta(hours=12)


async def request_reconciliation(tx: Tx, request: NewReconciliation) -> DriftReport:
    connection = await _connection(tx, request.payment_connection)
    return await compare(tx, connection, since=request.since)


async def _connection(tx: Tx, named: PaymentConnectionId | None) -> Keys:
    if named is None:
        found = (await connections.choice_for_charge(tx, None)).keys
        if found is None:
            raise Conflict(
                "gateway_missing",
                "No payment provider is connected. Connect one with POST /v1/payment_connections.",
            )
        return found
    found = await connections.find(tx, named)
    if found is None:
        raise not_found("payment connection", named)
    check_not_disconnected(found)
    return found


async def compare(tx: Tx, connection: Keys, *, since: datetime | None = None) -> DriftReport:
    """A report that a job will fill."""
    last = await store.last_began(tx, connection.id)

    start = check(since, wall=tx.wall) if since else (last or tx.wall - FIRST + OVERLAP) - OVERLAP
    report_id, job_id = DriftReportId.new(), JobId.new()

    await store.insert(tx, report_id, connection.id, connection.provider, job_id=job_id, since=start)
    data = {"connection_id": str(connection.id), "drift_report_id": str(report_id)}
    await jobs.schedule(tx, RECONCILING, data, due=tx.now, job_id=job_id)
    return await store.get(tx, report_id)


async def compare_nightly(tx: Tx) -> None:
    """Each connection that works once a night, however often it is called."""
    for connection in await connections.connected(tx):
        last = await store.last_requested(tx, connection.id)
        if last is None or tx.wall - last >= A_NIGHT:
            await compare(tx, connection)


def check(since: datetime, *, wall: datetime) -> datetime:
    if not timedelta() <= wall - since <= FARTHEST:
        raise Invalid(
            "since_out_of_range",
            "Compare from a time of the past year on, by the world's clock.",
            param="since",
        )
    return since
