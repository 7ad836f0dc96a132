"""Jobs: claimed by one worker at a time, tried again when they fail, never lost to a worker that died."""

import asyncio
from datetime import datetime, timedelta

from msgspec.structs import replace

from kernel import jobs
from kernel.database import Pool, Tx, begin, commit, leave_behind, transaction
from kernel.ids import TenantId
from kernel.jobs import LEASE, MAX_ATTEMPTS, Due, Job, backoff
from tests.makers import NOON
from tests.shop import at

SECOND = timedelta(seconds=1)


async def a_job(tx: Tx, *, due: datetime = NOON, **data: object) -> None:
    await jobs.schedule(tx, "work", data, due=due)


async def claimed(tx: Tx) -> Job:
    job = await jobs.claim(tx)
    assert job is not None
    return job


async def state_of(tx: Tx) -> tuple[str, int, str | None]:
    row = await tx.conn.fetchrow("SELECT state, attempt, last_error FROM jobs")
    assert row is not None
    return row["state"], row["attempt"], row["last_error"]


async def test_a_job_is_claimed_when_it_is_due_and_not_before(tx: Tx) -> None:
    await a_job(tx, due=NOON + SECOND, invoice="inv_1")

    assert await jobs.claim(tx) is None
    job = await claimed(at(tx, NOON + SECOND))
    assert (job.kind, job.data, job.attempt) == ("work", {"invoice": "inv_1"}, 1)


async def test_the_job_that_has_waited_longest_comes_first(tx: Tx) -> None:
    await a_job(tx, due=NOON + 2 * SECOND, n=2)
    await a_job(tx, due=NOON + SECOND, n=1)

    later = at(tx, NOON + 2 * SECOND)
    assert [(await claimed(later)).data["n"] for _ in range(2)] == [1, 2]


async def test_a_job_that_is_running_is_left_alone_until_its_lease_ends(tx: Tx) -> None:
    await a_job(tx)
    await claimed(tx)

    assert await jobs.claim(at(tx, NOON + LEASE - SECOND)) is None
    assert (await claimed(at(tx, NOON + LEASE))).attempt == 2


async def test_a_lease_that_is_kept_ends_later_and_nobody_keeps_what_another_has(tx: Tx) -> None:
    await a_job(tx)
    first = await claimed(tx)
    await jobs.keep(at(tx, NOON + LEASE - SECOND), first)

    assert await jobs.claim(at(tx, NOON + LEASE)) is None
    await claimed(at(tx, NOON + 2 * LEASE))
    await jobs.keep(at(tx, NOON + 3 * LEASE - SECOND), first)
    assert (await claimed(at(tx, NOON + 3 * LEASE))).attempt == 3


async def test_a_job_that_is_done_does_not_come_back(tx: Tx) -> None:
    await a_job(tx)
    await jobs.finish(tx, await claimed(tx))

    assert await jobs.claim(at(tx, NOON + timedelta(days=365))) is None
    assert await jobs.due(tx) == Due(at=None, next_at=None)


async def test_two_workers_do_not_claim_the_same_job(pool: Pool, tenant: TenantId) -> None:
    async with transaction(pool, tenant, now=NOON) as tx:
        await a_job(tx)

    async with pool.acquire() as conn:
        first = await begin(conn, tenant, now=NOON)
        await claimed(first)
        async with asyncio.timeout(5), transaction(pool, tenant, now=NOON) as second:
            assert await jobs.claim(second) is None
        await commit(first)


async def test_who_lost_the_lease_changes_nothing(tx: Tx) -> None:
    await a_job(tx)
    slow = await claimed(tx)
    quick = await claimed(at(tx, NOON + LEASE))

    await jobs.finish(tx, slow)
    await jobs.retry(tx, slow, error="too late")
    await jobs.postpone(tx, slow, after=SECOND)
    assert await state_of(tx) == ("running", 2, None)

    await jobs.finish(tx, quick)
    assert await state_of(tx) == ("done", 2, None)


async def test_who_lost_the_lease_gives_nothing_up(tx: Tx) -> None:
    await a_job(tx)
    slow = replace(await claimed(tx), attempt=MAX_ATTEMPTS)
    await tx.conn.execute("UPDATE jobs SET attempt = $1", MAX_ATTEMPTS + 1)

    await jobs.retry(tx, slow, error="too late")

    assert await state_of(tx) == ("running", MAX_ATTEMPTS + 1, None)
    assert await tx.conn.fetchval("SELECT count(*) FROM events") == 0


async def test_a_job_that_failed_is_tried_again_later(tx: Tx) -> None:
    await a_job(tx)
    await jobs.retry(tx, await claimed(tx), error="no route")

    assert await state_of(tx) == ("waiting", 1, "no route")
    assert await jobs.due(tx) == Due(at=NOON + SECOND, next_at=None)
    assert await jobs.claim(tx) is None
    assert (await claimed(at(tx, NOON + SECOND))).attempt == 2


def test_the_wait_doubles_up_to_six_hours() -> None:
    waits = [backoff(attempt) for attempt in range(1, MAX_ATTEMPTS)]

    assert waits[:4] == [SECOND, 2 * SECOND, 4 * SECOND, 8 * SECOND]
    assert waits[-1] == timedelta(hours=6)


def test_a_provider_may_be_away_for_a_weekend() -> None:
    assert sum(map(backoff, range(1, MAX_ATTEMPTS)), timedelta()) > timedelta(days=3)


async def test_a_job_that_never_succeeds_is_parked_with_its_last_error(tx: Tx) -> None:
    await a_job(tx)
    now = NOON
    for _ in range(MAX_ATTEMPTS):
        job = await claimed(at(tx, now))
        await jobs.retry(at(tx, now), job, error=f"attempt {job.attempt}")
        now += timedelta(hours=6)

    assert await jobs.claim(at(tx, now)) is None
    assert await state_of(tx) == ("parked", MAX_ATTEMPTS, f"attempt {MAX_ATTEMPTS}")
    await leave_behind(tx)
    assert await tx.conn.fetchval("SELECT count(*) FROM events WHERE type = 'job.parked'") == 1


async def test_a_job_that_is_revived_begins_again(tx: Tx) -> None:
    await a_job(tx)
    job = await claimed(tx)
    await jobs.retry(tx, replace(job, attempt=1), error="first")
    assert not await jobs.revive(tx, job.id)

    await tx.conn.execute("UPDATE jobs SET state = 'parked', attempt = $1", MAX_ATTEMPTS)
    assert [parked.id for parked in await jobs.parked(tx)] == [job.id]
    assert await jobs.revive(tx, job.id)

    assert await jobs.parked(tx) == []
    assert (await claimed(tx)).attempt == 1


async def test_only_what_is_done_and_of_that_age_is_forgotten(tx: Tx) -> None:
    age = timedelta(days=30)
    for due in (NOON - age - SECOND, NOON - age):
        for state in ("waiting", "running", "done", "parked"):
            job_id = await jobs.schedule(tx, state, {}, due=due)
            await tx.conn.execute("UPDATE jobs SET state = $1, due_at = $2 WHERE id = $3", state, due, job_id)

    await jobs.forget_done(tx, before=NOON - age)

    left = await tx.conn.fetch("SELECT state FROM jobs ORDER BY due_at, id")
    assert [row["state"] for row in left] == (
        "waiting running parked".split() + "waiting running done parked".split()
    )


async def test_looking_again_later_is_not_an_attempt(tx: Tx) -> None:
    await a_job(tx)
    for n in range(3):
        now = NOON + n * SECOND
        await jobs.postpone(at(tx, now), await claimed(at(tx, now)), after=SECOND)

    assert await state_of(tx) == ("waiting", 0, None)


async def test_the_next_due_time_is_that_of_the_earliest_job(tx: Tx) -> None:
    await a_job(tx, due=NOON + 2 * SECOND)
    await a_job(tx, due=NOON + SECOND)

    assert await jobs.due(tx) == Due(at=NOON + SECOND, next_at=None)
