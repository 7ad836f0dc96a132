"""Comparing payment providers' books with ours."""

from typing import Annotated

from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from api.operations import command, query
from kernel.database import Tx
from kernel.paging import Page, Window
from webhooks.drift import store
from webhooks.drift.model import Done, DriftItem, DriftReport, DriftReportId, NewReconciliation
from webhooks.drift.request import request_reconciliation

OfReport = Annotated[
    DriftReportId | None,
    QueryParameter(name="drift_report_id", description="Only those of this comparison."),
]
OfDone = Annotated[
    Done | None, QueryParameter(name="done", description="Only those about which this was done.")
]


@command("/v1/reconciliations", scope="payments:write", status=202)
async def create_reconciliation(tx: NamedDependency[Tx], data: JSONBody[NewReconciliation]) -> DriftReport:
    """Compare a payment provider's books with ours now, beside every night.

    Ours follow theirs, and what only they know of is recorded. The report says what differed, and what is
    left to a person; it is `running` until a worker is through.
    """
    return await request_reconciliation(tx, data)


@query("/v1/drift_reports", scope="payments:read")
async def list_drift_reports(tx: NamedDependency[Tx], window: NamedDependency[Window]) -> Page[DriftReport]:
    """List comparisons with payment providers' books, newest first.

    There is one every night for each connection. `left` counts what asks for a person.
    """
    return await store.page(tx, window)


@query("/v1/drift_reports/{drift_report_id}", scope="payments:read")
async def get_drift_report(tx: NamedDependency[Tx], drift_report_id: FromPath[DriftReportId]) -> DriftReport:
    """Read what a comparison with a payment provider's books came to."""
    return await store.get(tx, drift_report_id)


@query("/v1/drift_items", scope="payments:read")
async def list_drift_items(
    tx: NamedDependency[Tx],
    window: NamedDependency[Window],
    drift_report_id: OfReport = None,
    done: OfDone = None,
) -> Page[DriftItem]:
    """List what differed between payment providers' books and ours, newest first.

    Each says what was done about it; what is `left` says what a person can do.
    """
    return await store.items(tx, window, report_id=drift_report_id, done=done)


ROUTES = [create_reconciliation, list_drift_reports, get_drift_report, list_drift_items]
