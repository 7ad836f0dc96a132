"""Subscriptions: every pair of states is allowed or refused."""

from itertools import permutations, product

import msgspec
import pytest

from billing.invoices.model import Collection
from billing.parties.model import CustomerId
from kernel.database import Pool
from kernel.decimals import Quantity
from kernel.errors import Conflict
from kernel.structs import encode
from subscriptions.entitlements import merged
from subscriptions.model import (
    ENTITLED,
    NEXT,
    Entitlements,
    PlanId,
    Status,
    Subscription,
    SubscriptionId,
)
from tests.makers import EUR, JANUARY, NOON

DRAWN = """
incomplete -> trialing active cancelled ended
trialing   -> active past_due paused cancelled ended
active     -> past_due paused cancelled ended
past_due   -> active paused cancelled ended
paused     -> active cancelled ended
cancelled  ->
ended      ->
"""
ALLOWED = {
    (Status(before.strip()), Status(after))
    for before, _, afters in (line.partition("->") for line in DRAWN.strip().splitlines())
    for after in afters.split()
}


def a_subscription(status: Status) -> Subscription:
    return Subscription(
        id=SubscriptionId.new(),
        customer_id=CustomerId.new(),
        plan_id=PlanId.new(),
        version=1,
        currency=EUR,
        quantity=Quantity(1),
        status=status,
        collection=Collection.AUTOMATIC,
        anchor_at=NOON,
        period_number=0,
        current_period=JANUARY,
        trial_ends_at=None,
        next_billing_at=JANUARY.end,
        cancel_at=None,
        cancelled_at=None,
        ended_at=None,
        metadata={},
        created_at=NOON,
    )


@pytest.mark.parametrize(("before", "after"), list(product(Status, Status)))
def test_every_pair_of_states_is_allowed_or_refused(before: Status, after: Status) -> None:
    subscription = a_subscription(before)

    if before is after or (before, after) in ALLOWED:
        assert subscription.to(after).status is after
    else:
        with pytest.raises(Conflict, match=f"A {before} subscription cannot be {after}") as refused:
            subscription.to(after)
        assert refused.value.code == "subscription_state"


def test_the_table_says_what_is_drawn() -> None:
    assert {(before, after) for before, afters in NEXT.items() for after in afters} == ALLOWED


def test_a_change_is_a_new_value() -> None:
    before = a_subscription(Status.ACTIVE)
    after = before.to(Status.CANCELLED, cancelled_at=NOON)

    assert (before.status, before.cancelled_at) == (Status.ACTIVE, None)
    assert (after.cancelled_at, after.is_over) == (NOON, True)


def test_only_a_subscription_that_is_paid_for_or_tried_entitles() -> None:
    assert {Status.TRIALING, Status.ACTIVE, Status.PAST_DUE} == ENTITLED


async def test_the_database_knows_the_same_states(pool: Pool) -> None:
    definition = await pool.fetchval(
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'subscriptions_status'"
    )

    assert all(f"'{status}'" in definition for status in Status)
    assert definition.count("::text") >= len(Status)


def test_of_each_feature_the_best_grant_counts() -> None:
    basic = {"export": False, "seats": 5, "api": True}
    more = {"export": True, "seats": 20}

    assert merged([basic, more]) == {"export": True, "seats": 20, "api": True}
    assert merged([more, basic]) == merged([basic, more])
    assert merged([]) == {}


FROM_WORST_TO_BEST: list[bool | int] = [False, 0, 1, 5, 20, True]


@pytest.mark.parametrize("count", [1, 2, 3, 6])
def test_without_a_limit_beats_a_limit_beats_nothing_in_any_order(count: int) -> None:
    """In Python True is 1 and False is 0: here they are not."""
    for places in permutations(range(6), count):
        (best,) = merged([{"seats": FROM_WORST_TO_BEST[place]} for place in places]).values()
        assert best is FROM_WORST_TO_BEST[max(places)]


@pytest.mark.parametrize("feature", ["", "Seats", "1st", "a b", "é", "a\n", "a" * 65])
def test_a_feature_is_a_plain_name(feature: str) -> None:
    assert msgspec.json.decode(encode({"seats_2": 5}), type=Entitlements) == {"seats_2": 5}
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(encode({feature: True}), type=Entitlements)
