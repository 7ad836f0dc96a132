"""The inbox: what is kept of an event, once, and who has it tried again."""

from datetime import UTC, datetime, timedelta

import pytest

from billing.gateways.connections.model import PaymentConnectionId
from kernel import jobs
from kernel.database import Pool, Tx, begin, rollback, transaction
from kernel.errors import Conflict, NotFound
from kernel.ids import TenantId
from kernel.paging import Window
from tests.makers import NOON
from tests.shop import at, while_open
from webhooks import store
from webhooks.model import ObjectKind, ProviderEvent, ProviderEventId, ProviderObject, Status, Told
from webhooks.receive import receive
from webhooks.retry_event import retry_event

HERE = PaymentConnectionId.new()  # any id will do for a connection
A_REFUND = ProviderObject(kind=ObjectKind.REFUND, reference="re_1")


def told(
    reference: str = "evt_1", *, kind: ObjectKind | None = ObjectKind.REFUND, about: str = "re_1"
) -> Told:
    return Told(
        reference=reference,
        type="refund.updated" if kind else "payout.paid",
        kind=kind,
        object_reference=about,
        happened_at=datetime(2026, 1, 12, tzinfo=UTC),
    )


async def events(tx: Tx, **filters: Status) -> list[ProviderEvent]:
    window = Window(limit=100)
    status = filters.get("status")
    return (await store.page(tx, window, status=status, kind=None, object_reference=None)).data


async def parked(tx: Tx) -> ProviderEvent:
    """One whose job failed for as long as there was patience."""
    await receive(tx, HERE, "stripe", told())
    while (await events(tx))[0].status is not Status.PARKED:
        tx.wall += timedelta(days=1)
        job = await jobs.claim(tx)
        assert job is not None
        await jobs.retry(tx, job, error="GatewayTimeout")
    return (await events(tx))[0]


async def test_an_event_is_kept_with_a_job_that_looks_at_what_it_is_about(tx: Tx) -> None:
    assert await receive(tx, HERE, "stripe", told())

    (event,) = await events(tx)
    assert (event.reference, event.status, event.attempts) == ("evt_1", Status.WAITING, 0)
    assert event.received_at == NOON
    job = await jobs.claim(tx)
    assert job is not None
    assert job.id == event.job_id
    assert job.data == {"connection_id": str(HERE), "kind": "refund", "reference": "re_1"}


async def test_what_is_delivered_again_is_kept_once(tx: Tx) -> None:
    assert await receive(tx, HERE, "stripe", told())
    assert not await receive(tx, HERE, "stripe", told())

    assert len(await events(tx)) == 1
    assert await jobs.claim(tx) is not None
    assert await jobs.claim(tx) is None


async def test_two_deliveries_at_once_are_one(pool: Pool, tenant: TenantId) -> None:
    async def deliver(tx: Tx) -> bool:
        return await receive(tx, HERE, "stripe", told())

    assert await while_open(pool, tenant, deliver, deliver) is False


async def test_an_event_id_is_one_tenants_affair(pool: Pool, tenant: TenantId) -> None:
    async with transaction(pool, tenant, now=NOON) as tx:
        assert await receive(tx, HERE, "stripe", told())
    async with pool.acquire() as conn:
        other = await begin(conn, TenantId.new(), now=NOON)
        assert await receive(other, HERE, "stripe", told())
        await rollback(other)


async def test_what_nothing_follows_from_is_kept_and_has_no_job(tx: Tx) -> None:
    await receive(tx, HERE, "stripe", told(kind=None, about=""))

    (event,) = await events(tx)
    assert (event.status, event.job_id) == (Status.IGNORED, None)
    assert await jobs.claim(tx) is None


async def test_a_clock_decides_when_the_job_runs_and_the_world_when_it_came(tx: Tx) -> None:
    past = NOON - timedelta(days=300)
    tx.go_by(past)
    await receive(tx, HERE, "stripe", told())

    (event,) = await events(tx)
    assert event.received_at == NOON
    assert await jobs.claim(tx) is not None


async def test_events_of_one_object_wait_together(tx: Tx) -> None:
    for n in range(3):
        await receive(tx, HERE, "stripe", told(f"evt_{n}"))
    await receive(tx, HERE, "stripe", told("evt_of_another", about="re_2"))

    waiting = await store.waiting_for(tx, HERE, A_REFUND)
    assert len(waiting) == 3
    await store.mark_handled(tx, waiting)
    assert await store.waiting_for(tx, HERE, A_REFUND) == []
    assert [event.reference for event in await events(tx, status=Status.WAITING)] == ["evt_of_another"]


async def test_an_object_of_another_connection_is_another_object(tx: Tx) -> None:
    elsewhere = PaymentConnectionId.new()
    await receive(tx, elsewhere, "stripe", told())
    assert await store.waiting_for(tx, HERE, A_REFUND) == []


async def test_one_that_was_given_up_says_why_and_is_tried_again_by_hand(tx: Tx) -> None:
    event = await parked(tx)
    assert (event.last_error, event.next_try_at) == ("GatewayTimeout", None)
    assert event.attempts == jobs.MAX_ATTEMPTS

    again = await retry_event(tx, event.id)
    assert (again.status, again.attempts) == (Status.WAITING, 0)
    assert await jobs.claim(tx) is not None


async def test_only_what_was_given_up_is_tried_again_by_hand(tx: Tx) -> None:
    await receive(tx, HERE, "stripe", told())
    (event,) = await events(tx)

    with pytest.raises(Conflict, match="waiting"):
        await retry_event(tx, event.id)
    with pytest.raises(NotFound):
        await retry_event(tx, ProviderEventId.new())


async def test_what_was_looked_at_is_forgotten_in_time_and_what_was_not_is_kept(tx: Tx) -> None:
    await receive(tx, HERE, "stripe", told("evt_handled"))
    await receive(tx, HERE, "stripe", told("evt_ignored", kind=None))
    await receive(tx, HERE, "stripe", told("evt_waiting", about="re_2"))
    await store.mark_handled(tx, await store.waiting_for(tx, HERE, A_REFUND))

    await store.forget_handled(tx, before=NOON)
    assert len(await events(tx)) == 3
    await store.forget_handled(at(tx, NOON), before=NOON + timedelta(seconds=1))
    assert [event.reference for event in await events(tx)] == ["evt_waiting"]
