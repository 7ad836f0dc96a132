"""Promotions as a whole: how offers add up, and what they would take off before anything is bought."""

from litestar.di import NamedDependency
from litestar.params import JSONBody

from api.operations import command, query, question
from kernel.database import Tx
from promotions import change_policy as verbs
from promotions import store
from promotions.model import Policy, PolicyChange
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


ROUTES = [get_stacking_policy, patch_stacking_policy, evaluate_promotions]
