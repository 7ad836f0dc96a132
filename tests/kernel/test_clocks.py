"""A tenant with a clock of its own: that says what has fallen due, and wall time when it is tried."""

from datetime import datetime, timedelta
from uuid import uuid4

from api.due import PATIENCE, awaited, due_of, next_look
from kernel import clocks, idempotency, jobs, outbox
from kernel.clocks import LEASE, Clock, ClockAdvanced
from kernel.database import Pool, Tx, leave_behind
from kernel.idempotency import Answer
from kernel.ids import TenantId
from kernel.jobs import Due, Job
from tests.makers import NOON
from tests.shop import a_door, while_open

SECOND, DAY = timedelta(seconds=1), timedelta(days=1)
NEXT_YEAR = NOON + 365 * DAY


def by_clock(tx: Tx, now: datetime, *, wall: datetime = NOON) -> Tx:
    """The same transaction, with the clock at `now`."""
    other = Tx(tx.conn, tx.tenant, now, wall=wall)
    other.events = tx.events
    return other


async def claimed(tx: Tx) -> Job:
    job = await jobs.claim(tx)
    assert job is not None
    return job


# ── Two times ────────────────────────────────────────────────────────────────────────────────────


async def test_a_job_is_run_when_the_clock_is_there_and_not_when_the_world_is(tx: Tx) -> None:
    await jobs.schedule(by_clock(tx, NOON), "work", {}, due=NEXT_YEAR)

    assert await jobs.claim(by_clock(tx, NEXT_YEAR - SECOND, wall=NEXT_YEAR + DAY)) is None
    assert (await claimed(by_clock(tx, NEXT_YEAR, wall=NOON))).attempt == 1


async def test_what_was_left_in_real_time_waits_for_the_clock_from_then_on(tx: Tx) -> None:
    await jobs.schedule(tx, "work", {}, due=NEXT_YEAR)

    assert (await claimed(by_clock(tx, NEXT_YEAR, wall=NOON))).attempt == 1


async def test_jobs_are_taken_in_the_order_in_which_they_fall_due(tx: Tx) -> None:
    for days in (3, 1, 2):
        await jobs.schedule(by_clock(tx, NOON), "work", {"n": days}, due=NOON + days * DAY)

    later = by_clock(tx, NEXT_YEAR)
    assert [(await claimed(later)).data["n"] for _ in range(3)] == [1, 2, 3]


async def test_leases_retries_and_postponements_go_by_wall_time(tx: Tx) -> None:
    await jobs.schedule(by_clock(tx, NEXT_YEAR), "work", {}, due=NEXT_YEAR)
    await claimed(by_clock(tx, NEXT_YEAR))
    assert await jobs.claim(by_clock(tx, NEXT_YEAR + DAY, wall=NOON + jobs.LEASE - SECOND)) is None

    lapsed = NOON + jobs.LEASE
    job = await claimed(by_clock(tx, NEXT_YEAR, wall=lapsed))
    await jobs.postpone(by_clock(tx, NEXT_YEAR, wall=lapsed), job, after=SECOND)
    assert await jobs.claim(by_clock(tx, NEXT_YEAR + DAY, wall=lapsed)) is None

    job = await claimed(by_clock(tx, NEXT_YEAR, wall=lapsed + SECOND))
    await jobs.retry(by_clock(tx, NEXT_YEAR, wall=lapsed + SECOND), job, error="no route")
    assert await jobs.due(by_clock(tx, NEXT_YEAR)) == Due(at=lapsed + 3 * SECOND, next_at=None)


async def test_an_idempotency_key_is_kept_for_thirty_days_of_the_world(tx: Tx) -> None:
    answer = Answer(fingerprint=b"1", status=200, headers=[], body=b"")
    clocked = by_clock(tx, NOON)
    idempotency.remember(clocked, "key", answer)
    await leave_behind(clocked)

    for clock, wall, kept in ((NEXT_YEAR, NOON + 30 * DAY, answer), (NOON, NOON + 31 * DAY, None)):
        later = by_clock(tx, clock, wall=wall)
        await idempotency.forget_lapsed(later)
        assert await idempotency.earlier_answer(later, "key", fingerprint=b"1") == kept


async def test_what_falls_due_next_is_told_in_the_tenants_time_and_what_is_due_in_the_worlds(tx: Tx) -> None:
    waiting = by_clock(tx, NOON)
    for days in (1, 2):
        await jobs.schedule(waiting, "work", {}, due=NOON + days * DAY)

    assert await jobs.due(waiting) == Due(at=None, next_at=NOON + DAY)
    assert await jobs.due(by_clock(tx, NOON + DAY)) == Due(at=NOON, next_at=NOON + 2 * DAY)


async def test_what_is_due_by_the_clock_in_time_to_come_leaves_no_hint(tx: Tx) -> None:
    waiting = by_clock(tx, NOON)
    await jobs.schedule(waiting, "work", {}, due=NOON + SECOND)
    assert waiting.due is None

    await jobs.schedule(waiting, "work", {}, due=NOON)
    assert waiting.due == NOON


async def test_a_hint_is_in_wall_time(pool: Pool, tenant: TenantId) -> None:
    async with a_door(pool, tenant, clock=NEXT_YEAR).open() as tx:
        await jobs.schedule(tx, "work", {}, due=NEXT_YEAR)

    assert await pool.fetchval("SELECT due_at FROM pending_work WHERE tenant_id = $1", tenant) == NOON


# ── One worker at a time ─────────────────────────────────────────────────────────────────────────

ONE, OTHER = uuid4(), uuid4()


async def test_one_worker_at_a_time_holds_a_clock(tx: Tx) -> None:
    await a_clock(tx)
    assert await clocks.hold(tx, ONE) is not None
    assert await clocks.hold(tx, ONE) is not None
    assert await clocks.hold(tx, OTHER) is None
    await clocks.release(tx, OTHER)
    assert await clocks.hold(tx, OTHER) is None

    await clocks.release(tx, ONE)
    assert await clocks.hold(tx, OTHER) is not None


async def test_a_clock_whose_holder_died_is_free_when_the_lease_ends(tx: Tx) -> None:
    await a_clock(tx)
    await clocks.hold(tx, ONE)

    assert await clocks.hold(by_clock(tx, NOON, wall=NOON + LEASE - SECOND), OTHER) is None
    assert await clocks.hold(by_clock(tx, NOON, wall=NOON + LEASE), OTHER) is not None


async def test_whoever_finds_it_held_looks_again_when_the_lease_ends(tx: Tx) -> None:
    await a_clock(tx)
    await jobs.schedule(tx, "work", {}, due=NOON)
    await clocks.hold(tx, ONE)
    assert await next_look(tx) == NOON + LEASE

    await clocks.release(tx, ONE)
    assert await next_look(tx) == NOON


async def test_two_advances_at_once_are_one(pool: Pool, tenant: TenantId) -> None:
    async def set_out(tx: Tx) -> Clock | None:
        return await clocks.set_out(tx, start=NOON, to=NEXT_YEAR)

    assert await while_open(pool, tenant, set_out, set_out) is None


# ── What it waits for ────────────────────────────────────────────────────────────────────────────


async def test_a_clock_waits_for_what_runs_and_is_tried_again_but_not_for_ever(tx: Tx) -> None:
    await a_clock(tx)
    await jobs.schedule(tx, "work", {}, due=NOON)
    await jobs.schedule(tx, "work", {}, due=NOON + DAY)
    assert await waits(tx)

    job = await claimed(tx)
    assert await waits(tx), "it runs"
    await jobs.retry(tx, job, error="first")
    assert await waits(tx), "it failed once"
    job = await claimed(by_clock(tx, NOON, wall=NOON + SECOND))
    await jobs.retry(by_clock(tx, NOON, wall=NOON + SECOND), job, error="second")
    assert not await waits(tx), "it failed twice"
    assert [each.attempts for each in await jobs.unfinished(tx)] == [2]


async def test_a_clock_waits_for_a_provider_that_takes_its_time_but_not_for_ever(tx: Tx) -> None:
    await a_clock(tx)
    await jobs.schedule(tx, "work", {}, due=NOON)
    await jobs.postpone(tx, await claimed(tx), after=PATIENCE)
    assert await waits(tx)

    late = by_clock(tx, NOON, wall=NOON + PATIENCE)
    await jobs.postpone(late, await claimed(late), after=SECOND)
    assert not await waits(tx)


async def test_a_job_that_it_has_waited_for_is_not_waited_for_again(tx: Tx) -> None:
    await a_clock(tx)
    await jobs.schedule(tx, "work", {"n": 1}, due=NOON)
    await jobs.schedule(tx, "work", {"n": 2}, due=NOON + DAY)
    await clocks.move(tx, to=NOON + DAY)
    there = by_clock(tx, NOON + DAY)
    assert await waits(there)

    for n in (1, 2):
        job = await claimed(there)
        assert job.data["n"] == n
        await (jobs.postpone(there, job, after=SECOND) if n == 1 else jobs.finish(there, job))
    assert not await waits(there)


async def test_a_clock_waits_for_events_to_be_dispatched(tx: Tx) -> None:
    await a_clock(tx)
    assert not await waits(tx)

    outbox.publish(tx, ClockAdvanced(now_at=NOON, unfinished_jobs=0))
    await leave_behind(tx)
    assert await waits(tx)


async def a_clock(tx: Tx, *, to: datetime = NEXT_YEAR) -> Clock:
    clock = await clocks.set_out(tx, start=NOON, to=to)
    assert clock is not None
    return clock


async def waits(tx: Tx) -> bool:
    clock = await clocks.find(tx)
    assert clock is not None
    return await awaited(tx, clock, await due_of(tx))
