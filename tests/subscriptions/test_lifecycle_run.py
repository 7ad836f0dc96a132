"""The billing run moves on whatever is due, in whatever state it is, as it would be moved on one by one."""

from datetime import datetime, timedelta
from typing import Any

from kernel.database import Pool, Tx
from kernel.decimals import Quantity
from kernel.periods import Interval, Unit
from promotions.create_offer import create_offer
from promotions.model import AtEnd, Forever, MoveTo
from refunds.change_subscription import change_subscription
from refunds.model import ChangeWhen, NewChange, NewSubscriptionPause, PauseWhen
from refunds.pause_subscription import pause_subscription
from subscriptions.billing_run import bill_chunk
from subscriptions.model import (
    BillingAnchor,
    NewPhase,
    NewSubscription,
    PriceModel,
    Subscription,
    SubscriptionId,
)
from subscriptions.renew import renew
from subscriptions.resume import resume_subscription
from subscriptions.sign_up import subscribe
from tests.books import assert_sound
from tests.makers import NOON
from tests.promotions.offers import a_new_offer, days, fixed, percent
from tests.shop import a_shop, a_transaction, another_customer, at
from tests.subscriptions.plans import a_plan, a_price
from tests.subscriptions.population import documents

FIRST = BillingAnchor(day=1)
LAST = BillingAnchor(day=31)
TO_YEARLY = NewPhase(plan="yearly", after_periods=1)
MORE_SEATS = NewPhase(plan="seats", quantity=Quantity(4), begins_at=NOON + timedelta(days=40))

OFFERS = (
    a_new_offer(days(12), reference="TRIAL"),
    a_new_offer(fixed(10_00), reference="TENNER", duration=Forever()),
    a_new_offer(percent("50"), reference="MOVE", at_end=MoveTo(plan="yearly")),
    a_new_offer(days(20), reference="END", at_end=AtEnd.END),
)


async def all_walks_of_life(tx: Tx) -> list[SubscriptionId]:
    """Scheduled, tried, anchored, paused, changed, in phases: with and without an offer."""
    await a_shop(tx)
    await a_plan(tx, "pro")
    await a_plan(tx, "seats", a_price("7.50", model=PriceModel.PER_UNIT))
    await a_plan(tx, "yearly", a_price("290.00"), interval=Interval(Unit.YEAR))
    for offer in OFFERS:
        await create_offer(tx, offer)
    made: list[Subscription] = []
    for reference in (None, *(offer.reference for offer in OFFERS)):
        for anchor in (None, FIRST, LAST):
            for starts_at in (None, NOON + timedelta(days=9), NOON - timedelta(days=50)):
                phases = (TO_YEARLY,) if anchor is FIRST else (MORE_SEATS, TO_YEARLY) if starts_at else ()
                customer = await another_customer(tx, f"user-{reference}-{len(made)}".lower())
                request = NewSubscription(
                    customer=str(customer.id),
                    plan="pro",
                    offer=reference,
                    billing_anchor=anchor,
                    starts_at=starts_at,
                    phases=phases,
                )
                made.append((await subscribe(tx, request)).subscription)
    running = [each for each in made if each.status != "incomplete" and not each.is_over]
    for each in running[::4]:
        await pause_subscription(tx, each.id, NewSubscriptionPause(when=PauseWhen.PERIOD_END))
    for each in running[1::4]:
        if not each.phases:
            request_ = NewChange(plan="seats", quantity=Quantity(2), when=ChangeWhen.PERIOD_END)
            await change_subscription(tx, each.id, request_)
    return [each.id for each in made]


async def due(tx: Tx, now: datetime) -> list[SubscriptionId]:
    rows = await tx.conn.fetch(
        """
        SELECT id FROM subscriptions
        WHERE tenant_id = $1 AND next_billing_at <= $2 ORDER BY next_billing_at, id
        """,
        tx.tenant,
        now,
    )
    return [SubscriptionId.of(row["id"]) for row in rows]


async def lived(tx: Tx, ids: list[SubscriptionId], *, in_chunks: bool) -> list[Any]:
    """Three months, ten days at a time; those who rest then go on."""
    for days_later in range(10, 91, 10):
        now = NOON + timedelta(days=days_later)
        while waiting := await due(tx, now):
            if in_chunks:
                chunk = await bill_chunk(at(tx, now), limit=5)
                assert chunk.failures == ()
            else:
                for subscription_id in waiting:
                    await renew(at(tx, now), subscription_id)
        if days_later == 60:
            for row in await tx.conn.fetch(
                "SELECT id FROM subscriptions WHERE status = 'paused' ORDER BY id"
            ):
                await resume_subscription(at(tx, now), SubscriptionId.of(row["id"]))
    rows = await tx.conn.fetch(
        """
        SELECT array_position($1, s.id), p.reference, s.version, quantity, status, anchor_at, period_number,
               current_period_start, current_period_end, next_billing_at, phases IS NULL,
               pending_change IS NULL
        FROM subscriptions s JOIN plans p ON p.id = s.plan_id
        ORDER BY array_position($1, s.id)
        """.replace("s.version", "s.version", 1).replace(
            "array_position($1, s.id)", "array_position($1, s.id)"
        ),
        ids,
    )
    return [tuple(row.values()) for row in rows]


async def test_a_run_leads_through_every_walk_of_life_as_one_by_one(pool: Pool) -> None:
    seen = []
    for in_chunks in (True, False):
        async with a_transaction(pool) as tx:
            subscriptions = await lived(tx, await all_walks_of_life(tx), in_chunks=in_chunks)
            await assert_sound(tx)
            seen.append((subscriptions, await documents(tx)))
    assert seen[0] == seen[1]
    statuses = {row[4] for row in seen[0][0]}
    assert statuses == {"active", "ended"}
    assert len(seen[0][1]) > 100
