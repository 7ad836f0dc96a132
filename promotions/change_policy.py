"""Saying how offers add up."""

from kernel import outbox
from kernel.database import Tx
from promotions import store
from promotions.events import StackingPolicyChanged
from promotions.model import Policy, PolicyChange


async def change_policy(tx: Tx, change: PolicyChange) -> Policy:
    """It holds for what is billed from now on; documents that were issued stay as they are."""
    before = await store.policy(tx)
    policy = await store.change_policy(tx, change)

    if policy != before:
        outbox.publish(
            tx,
            StackingPolicyChanged(
                percentages=policy.percentages, order=policy.order, cumulative_lanes=policy.cumulative_lanes
            ),
        )
    return policy
