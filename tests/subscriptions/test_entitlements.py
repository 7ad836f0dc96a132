"""What a customer may use: the best of all that entitles, in every state, by id or reference."""

import pytest

from kernel.database import Tx
from kernel.errors import NotFound
from subscriptions import store
from subscriptions.entitlements import grants_of
from subscriptions.model import ENTITLED, NewSubscription, Status, Subscription
from subscriptions.sign_up import sign_up, subscribe
from tests.subscriptions.plans import a_plan, a_shop_with_a_plan, a_signup, signed_up


async def test_every_subscription_adds_what_it_gives(tx: Tx) -> None:
    signup = await signed_up(tx)
    await a_plan(tx, "seats", entitlements={"seats": 3, "api": True, "sso": False})
    await a_plan(tx, "more", entitlements={"seats": 50, "projects": 0})
    for plan in ("seats", "more"):
        await subscribe(tx, NewSubscription(customer="user-77", plan=plan))

    grants = await grants_of(tx, "user-77")
    assert grants.features == {"export": True, "seats": 50, "api": True, "sso": False, "projects": 0}
    assert await grants_of(tx, signup.customer.id) == grants
    assert await grants_of(tx, str(signup.customer.id)) == grants


async def test_nobody_has_what_another_has(tx: Tx) -> None:
    await a_shop_with_a_plan(tx)
    await sign_up(tx, a_signup(customer="user-1"))
    await a_plan(tx, "big", entitlements={"seats": 500})
    await sign_up(tx, a_signup(customer="user-2", plan="big"))
    assert (await grants_of(tx, "user-1")).features == {"export": True, "seats": 5}
    assert (await grants_of(tx, "user-42")).features == {}


@pytest.mark.parametrize("status", Status)
async def test_what_entitles_is_what_the_states_say(tx: Tx, status: Status) -> None:
    subscription = (await signed_up(tx)).subscription
    await put(tx, subscription, status)
    assert bool((await grants_of(tx, "user-77")).features) is (status in ENTITLED)


async def test_a_customer_who_is_not_there_has_no_entitlements_to_read(tx: Tx) -> None:
    with pytest.raises(NotFound) as missing:
        await grants_of(tx, "nobody")
    assert missing.value.code == "customer_not_found"


async def put(tx: Tx, subscription: Subscription, status: Status) -> None:
    """Into any state, whatever leads there."""
    await tx.conn.execute(
        """
        UPDATE subscriptions
        SET status = $3, next_billing_at = NULL, paused_at = created_at
        WHERE tenant_id = $1 AND id = $2
        """,
        tx.tenant,
        subscription.id,
        status,
    )
    assert (await store.get(tx, subscription.id)).status is status
