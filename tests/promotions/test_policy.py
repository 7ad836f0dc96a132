"""How offers add up, as a tenant says it."""

from kernel.database import Tx
from promotions import store
from promotions.change_policy import change_policy
from promotions.events import StackingPolicyChanged
from promotions.model import First, Percentages, Policy, PolicyChange


async def test_until_a_tenant_says_otherwise_percentages_compound_and_the_best_of_a_lane_wins(tx: Tx) -> None:
    assert await store.policy(tx) == Policy(
        percentages=Percentages.COMPOUND, order=First.PERCENT, cumulative_lanes=()
    )


async def test_what_is_sent_is_changed_and_the_rest_stays(tx: Tx) -> None:
    changed = await change_policy(tx, PolicyChange(percentages=Percentages.FULL_AMOUNT))
    assert changed == await store.policy(tx) == Policy(percentages=Percentages.FULL_AMOUNT)

    changed = await change_policy(tx, PolicyChange(order=First.FIXED, cumulative_lanes=(7, 2, 7)))
    assert changed == await store.policy(tx)
    assert changed == Policy(percentages=Percentages.FULL_AMOUNT, order=First.FIXED, cumulative_lanes=(2, 7))

    changed = await change_policy(tx, PolicyChange(cumulative_lanes=()))
    assert changed.cumulative_lanes == ()


async def test_a_change_is_told_and_a_repetition_is_not(tx: Tx) -> None:
    for _ in range(2):
        await change_policy(tx, PolicyChange(cumulative_lanes=(1,)))

    assert [event for event in tx.events if isinstance(event, StackingPolicyChanged)] == [
        StackingPolicyChanged(percentages=Percentages.COMPOUND, order=First.PERCENT, cumulative_lanes=(1,))
    ]
