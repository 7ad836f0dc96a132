"""A job is work that a worker does later: a consequence of an event, or something due at a time.

waiting ──claim──▶ running ──finish──▶ done
   ▲                  │
   ├──────retry───────┤
   │                  └──give up──▶ parked
   └── lease over ── running

Whoever claims a job raises its `attempt`; only the holder of the newest attempt may finish it. A worker
that was killed leaves a running job whose lease ends, and the next one takes it: every job may run twice.

A job has two times. It is scheduled for one of the tenant's own, which may have a clock; and wall time says
when it may be tried next, or how long its lease is.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from kernel import outbox
from kernel.database import Tx
from kernel.events import Event
from kernel.ids import EventId, JobId
from kernel.structs import Value, load

LEASE = timedelta(seconds=60)
MAX_ATTEMPTS = 30


class JobParked(Event, frozen=True, kw_only=True, tag="job.parked"):
    """Nobody will try again by themselves: a person has to look, and `ristourne jobs retry` it."""

    job_id: JobId
    kind: str
    error: str


class Job(Value, frozen=True, kw_only=True):
    """`event_id` is the event whose consequence it is, if it is one. `attempt` is 1 the first time."""

    id: JobId
    kind: str
    event_id: EventId | None
    data: dict[str, object]
    attempt: int


def backoff(attempt: int) -> timedelta:
    """How long to wait after this attempt failed: 1 s, 2 s, 4 s … up to six hours."""
    return timedelta(seconds=min(2 ** (attempt - 1), 6 * 3600))


class Due(Value, frozen=True, kw_only=True):
    """What has fallen due can be tried `at` a wall time; `next_at`, by the tenant's own, more falls due."""

    at: datetime | None
    next_at: datetime | None


async def schedule(
    tx: Tx, kind: str, data: Mapping[str, object], *, due: datetime, job_id: JobId | None = None
) -> JobId:
    """Leave work for later, in this transaction; `due` is the tenant's own time.

    Under an id that is given it is left once, whoever leaves it again.
    """
    job_id = job_id or JobId.new()
    tx.schedules(due)
    await tx.conn.execute(
        """
        INSERT INTO jobs (tenant_id, id, kind, data, scheduled_for, due_at, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        ON CONFLICT (tenant_id, id) DO NOTHING
        """,
        tx.tenant,
        job_id,
        kind,
        data,
        due,
        tx.wall,
        tx.now,
    )
    return job_id


async def ensure(tx: Tx, kind: str, data: Mapping[str, object], *, job_id: JobId) -> None:
    """A job under this id that is still to be run: one that was done, or given up, begins again."""
    tx.leaves_work(tx.wall)
    await tx.conn.execute(
        """
        INSERT INTO jobs (tenant_id, id, kind, data, scheduled_for, due_at, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $5)
        ON CONFLICT (tenant_id, id) DO UPDATE
        SET state = 'waiting', attempt = 0, due_at = EXCLUDED.due_at
        WHERE jobs.state IN ('done', 'parked')
        """,
        tx.tenant,
        job_id,
        kind,
        data,
        tx.now,
        tx.wall,
    )


async def attended(tx: Tx, field: str, values: Sequence[str]) -> set[str]:
    """Those of these that some job which waits or runs is about."""
    rows = await tx.conn.fetch(
        """
        SELECT DISTINCT data ->> $2 AS value
        FROM jobs
        WHERE tenant_id = $1 AND state IN ('waiting', 'running') AND data ->> $2 = ANY ($3::text[])
        """,
        tx.tenant,
        field,
        list(values),
    )
    return {row["value"] for row in rows}


async def schedule_each(tx: Tx, kind: str, data: Sequence[Mapping[str, object]], *, due: datetime) -> None:
    """A job for each, all due at the same time."""
    await schedule_all(tx, kind, [(each, due) for each in data])


async def schedule_all(tx: Tx, kind: str, work: Sequence[tuple[Mapping[str, object], datetime]]) -> None:
    """A job for each at its own time, in one statement."""
    if not work:
        return
    tx.schedules(min(due for _, due in work))
    await tx.conn.execute(
        """
        INSERT INTO jobs (tenant_id, id, kind, data, scheduled_for, due_at, created_at)
        SELECT $1, j.id, $2, j.data, j.due, $6, $7
        FROM unnest($3::uuid[], $4::jsonb[], $5::timestamptz[]) AS j (id, data, due)
        """,
        tx.tenant,
        kind,
        [JobId.new() for _ in work],
        [data for data, _ in work],
        [due for _, due in work],
        tx.wall,
        tx.now,
    )


async def claim(tx: Tx, *, lease: timedelta = LEASE) -> Job | None:
    """The next job that is due, now ours until the lease ends."""
    row = await tx.conn.fetchrow(
        """
        WITH due AS (
            SELECT id
            FROM jobs
            WHERE tenant_id = $1 AND state IN ('waiting', 'running')
              AND GREATEST(scheduled_for, due_at) <= GREATEST($2::timestamptz, $3::timestamptz)
              AND scheduled_for <= $2 AND due_at <= $3
            ORDER BY GREATEST(scheduled_for, due_at), id
            LIMIT 1
            FOR UPDATE SKIP LOCKED
        )
        UPDATE jobs
        SET state = 'running', attempt = attempt + 1, due_at = $4
        FROM due
        WHERE jobs.tenant_id = $1 AND jobs.id = due.id
        RETURNING jobs.id, kind, event_id, data, attempt
        """,
        tx.tenant,
        tx.now,
        tx.wall,
        tx.wall + lease,
    )
    return load(row, Job) if row else None


async def keep(tx: Tx, job: Job, *, lease: timedelta = LEASE) -> None:
    """Ours for longer, unless somebody else has it by now."""
    await tx.conn.execute(
        """
        UPDATE jobs
        SET due_at = $4
        WHERE tenant_id = $1 AND id = $2 AND attempt = $3 AND state = 'running'
        """,
        tx.tenant,
        job.id,
        job.attempt,
        tx.wall + lease,
    )


async def finish(tx: Tx, job: Job) -> None:
    await _settle(tx, job, state="done", due=None, error=None)


async def retry(tx: Tx, job: Job, *, error: str) -> None:
    """Try again later; after MAX_ATTEMPTS the job is parked with its last error."""
    if job.attempt >= MAX_ATTEMPTS:
        if await _settle(tx, job, state="parked", due=None, error=error):
            outbox.publish(tx, JobParked(job_id=job.id, kind=job.kind, error=error))
    else:
        due = tx.wall + backoff(job.attempt)
        await _settle(tx, job, state="waiting", due=due, error=error)


async def postpone(tx: Tx, job: Job, *, after: timedelta) -> None:
    """Nothing went wrong, it is only too early: look again later, as if for the first time."""
    await tx.conn.execute(
        """
        UPDATE jobs
        SET state = 'waiting', attempt = attempt - 1, due_at = $4
        WHERE tenant_id = $1 AND id = $2 AND attempt = $3 AND state = 'running'
        """,
        tx.tenant,
        job.id,
        job.attempt,
        tx.wall + after,
    )


async def _settle(tx: Tx, job: Job, *, state: str, due: datetime | None, error: str | None) -> bool:
    """Fenced by the attempt: who lost the lease changes nothing, and is told False."""
    settled = await tx.conn.fetchval(
        """
        UPDATE jobs
        SET state = $4, due_at = COALESCE($5, due_at), last_error = $6
        WHERE tenant_id = $1 AND id = $2 AND attempt = $3 AND state = 'running'
        RETURNING id
        """,
        tx.tenant,
        job.id,
        job.attempt,
        state,
        due,
        error,
    )
    return settled is not None


async def due(tx: Tx) -> Due:
    """An event to dispatch, or a job to run."""
    return await _due_by_clock(tx) if tx.has_clock else Due(at=await _due_in_real_time(tx), next_at=None)


async def _due_in_real_time(tx: Tx) -> datetime | None:
    """There may be any number of jobs: the index has the first of them."""
    at: datetime | None = await tx.conn.fetchval(
        """
        SELECT LEAST(
            (SELECT GREATEST(scheduled_for, due_at) FROM jobs
             WHERE tenant_id = $1 AND state IN ('waiting', 'running')
             ORDER BY GREATEST(scheduled_for, due_at), id
             LIMIT 1),
            (SELECT $2::timestamptz
             WHERE EXISTS (SELECT FROM events WHERE tenant_id = $1 AND state = 'pending'))
        )
        """,
        tx.tenant,
        tx.wall,
    )
    return at


async def _due_by_clock(tx: Tx) -> Due:
    row = await tx.conn.fetchrow(
        """
        SELECT
            CASE
                WHEN EXISTS (SELECT FROM events WHERE tenant_id = $1 AND state = 'pending') THEN $3
                ELSE (SELECT min(due_at) FROM jobs
                      WHERE tenant_id = $1 AND state IN ('waiting', 'running') AND scheduled_for <= $2)
            END AS at,
            (SELECT min(scheduled_for) FROM jobs
             WHERE tenant_id = $1 AND state IN ('waiting', 'running') AND scheduled_for > $2) AS next_at
        """,
        tx.tenant,
        tx.now,
        tx.wall,
    )
    assert row is not None, "a SELECT without FROM has one row"
    return load(row, Due)


async def awaited(tx: Tx, *, after: datetime | None, until: datetime) -> bool:
    """Whether a clock that stands at `tx.now` has to wait for jobs, of those that fell due `after` a time.

    What runs is waited for, and so is what is tried again by `until`, wall time, unless it failed twice.
    """
    found: bool = await tx.conn.fetchval(
        """
        SELECT EXISTS (
            SELECT FROM jobs
            WHERE tenant_id = $1 AND state IN ('waiting', 'running') AND scheduled_for <= $2
              AND (state = 'running'
                   OR (attempt < 2 AND due_at <= $4 AND ($3::timestamptz IS NULL OR scheduled_for > $3)))
        )
        """,
        tx.tenant,
        tx.now,
        after,
        until,
    )
    return found


class Unfinished(Value, frozen=True, kw_only=True):
    """A job that has fallen due and is not done. One that was given up is not tried again."""

    id: JobId
    kind: str
    attempts: int
    last_error: str | None
    scheduled_for: datetime
    next_try_at: datetime | None


async def unfinished(tx: Tx) -> list[Unfinished]:
    rows = await tx.conn.fetch(
        """
        SELECT id, kind, attempt AS attempts, last_error, scheduled_for,
               CASE state WHEN 'parked' THEN NULL ELSE due_at END AS next_try_at
        FROM jobs
        WHERE tenant_id = $1 AND state IN ('waiting', 'running', 'parked') AND scheduled_for <= $2
        ORDER BY scheduled_for, id
        LIMIT 100
        """,
        tx.tenant,
        tx.now,
    )
    return [load(row, Unfinished) for row in rows]


class Parked(Value, frozen=True, kw_only=True):
    """A job that was given up, with the error of its last attempt."""

    id: JobId
    kind: str
    data: dict[str, object]
    last_error: str
    created_at: datetime


async def parked(tx: Tx) -> list[Parked]:
    rows = await tx.conn.fetch(
        """
        SELECT id, kind, data, last_error, created_at
        FROM jobs
        WHERE tenant_id = $1 AND state = 'parked'
        ORDER BY created_at, id
        LIMIT 1000
        """,
        tx.tenant,
    )
    return [load(row, Parked) for row in rows]


async def revive(tx: Tx, job_id: JobId) -> bool:
    """A parked job is tried again, from the first attempt; False when there is no such job."""
    tx.leaves_work(tx.wall)
    revived = await tx.conn.fetchval(
        """
        UPDATE jobs
        SET state = 'waiting', attempt = 0, due_at = $3
        WHERE tenant_id = $1 AND id = $2 AND state = 'parked'
        RETURNING id
        """,
        tx.tenant,
        job_id,
        tx.wall,
    )
    return revived is not None


async def forget_done(tx: Tx, *, before: datetime) -> None:
    await tx.conn.execute(
        """
        DELETE FROM jobs
        WHERE tenant_id = $1 AND state = 'done' AND due_at < $2
        """,
        tx.tenant,
        before,
    )
