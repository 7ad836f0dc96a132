"""Asking for a back-test, and calling it off."""

from billing.parties import store as parties
from kernel import jobs
from kernel.database import Tx
from kernel.errors import not_found
from promotions import rules as offers
from promotions.rebates import rules as rebates
from subscriptions.backtests import store
from subscriptions.backtests.model import (
    BackTest,
    BackTestId,
    BackTestStatus,
    Findings,
    NewBackTest,
)

TRYING = "back_test"


async def create_back_test(tx: Tx, request: NewBackTest) -> BackTest:
    """A worker carries it out."""
    request.check()
    if request.offer is not None:
        offers.check(request.offer, now=request.starts_at)
    if request.programme is not None:
        rebates.check(request.programme)
    named = [*request.customers, *(request.programme.customers if request.programme else ())]
    found = await parties.find_customers(tx, named) if named else {}
    for key in named:
        if key not in found:
            raise not_found("customer", key)
    of_whom = {found[key] for key in request.customers}
    total = await store.count_invoices(tx, request.starts_at, request.ends_at, of_whom)
    back_test = BackTest(
        id=BackTestId.new(),
        request=request,
        status=BackTestStatus.QUEUED,
        done=0,
        total=total,
        findings=Findings(),
        error=None,
        created_at=tx.now,
        ended_at=None,
    )

    await store.insert(tx, back_test)
    await jobs.schedule(tx, TRYING, {"back_test_id": str(back_test.id)}, due=tx.now)
    return back_test


async def cancel_back_test(tx: Tx, back_test_id: BackTestId) -> BackTest:
    """What it has found so far stays."""
    back_test, mark = await store.lock(tx, back_test_id)
    cancelled = back_test.to(BackTestStatus.CANCELLED)

    if cancelled != back_test:
        cancelled = cancelled.to(BackTestStatus.CANCELLED, ended_at=tx.now)
        await store.update(tx, cancelled, mark)
    return cancelled
