"""Promotions as a whole: how offers add up, what they would take off, and what they would have taken off."""

from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from api.operations import command, query, question
from kernel.database import Tx
from kernel.paging import Page, Window
from promotions import change_policy as verbs
from promotions import store
from promotions.model import Policy, PolicyChange
from subscriptions.backtests import create_back_test as trying
from subscriptions.backtests import store as back_tests
from subscriptions.backtests.model import BackTest, BackTestId, NewBackTest
from subscriptions.evaluating import evaluate as evaluating
from subscriptions.evaluating.model import Evaluation, NewEvaluation


@query("/v1/promotions/policy", scope="offers:read")
async def get_stacking_policy(tx: NamedDependency[Tx]) -> Policy:
    """Read how offers add up."""
    return await store.policy(tx)


@command("/v1/promotions/policy", scope="offers:write", method="PATCH")
async def patch_stacking_policy(tx: NamedDependency[Tx], data: JSONBody[PolicyChange]) -> Policy:
    """Change how offers add up: what percentages are of, what comes off first, in which lanes all come off.

    It holds for what is billed from now on, also for offers that customers hold already.
    """
    return await verbs.change_policy(tx, data)


@question("/v1/promotions/evaluate", scope="offers:read")
async def evaluate_promotions(tx: NamedDependency[Tx], data: JSONBody[NewEvaluation]) -> Evaluation:
    """Say what somebody would pay, and why the offers and codes that do not apply do not.

    A signup with the same offers bills the same, to the cent. Nothing is recorded.
    """
    return await evaluating.evaluate(tx, data)


@query("/v1/promotions/backtests", scope="offers:read")
async def list_back_tests(tx: NamedDependency[Tx], window: NamedDependency[Window]) -> Page[BackTest]:
    """List back-tests, newest first."""
    return await back_tests.page(tx, window)


@query("/v1/promotions/backtests/{back_test_id}", scope="offers:read")
async def get_back_test(tx: NamedDependency[Tx], back_test_id: FromPath[BackTestId]) -> BackTest:
    """Read how far a back-test is, and what it has found."""
    return await back_tests.get(tx, back_test_id)


@command("/v1/promotions/backtests", scope="offers:write", status=202)
async def create_back_test(tx: NamedDependency[Tx], data: JSONBody[NewBackTest]) -> BackTest:
    """Try an offer, a rebate programme or the rules in force on what was billed in the past.

    A worker goes through the invoices: what it would have cost, who wins, who stays just below a threshold.
    Nothing that was billed changes.
    """
    return await trying.create_back_test(tx, data)


@command("/v1/promotions/backtests/{back_test_id}/cancel", scope="offers:write")
async def cancel_back_test(tx: NamedDependency[Tx], back_test_id: FromPath[BackTestId]) -> BackTest:
    """Call a back-test off: what it has found so far stays."""
    return await trying.cancel_back_test(tx, back_test_id)


ROUTES = [
    get_stacking_policy,
    patch_stacking_policy,
    evaluate_promotions,
    list_back_tests,
    get_back_test,
    create_back_test,
    cancel_back_test,
]
