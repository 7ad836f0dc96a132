"""Doing what is due: take a tenant from the directory of pending work, and work inside it until it is done.

PostgreSQL knows what there is to do; whoever calls `drain` is only told that it might be worth looking.
Any number of workers may do it at the same time, and any of them may be killed at any point.

Inside a tenant that has a clock, one worker at a time does one thing after the other, as they fell due, and
moves the clock on when it advances and nothing is left to do where it stands.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import UUID, uuid4

import structlog

from api import billing, clockwork, due
from api.consequences import BY_KIND, KINDS_BY_EVENT, SLOW, Work
from api.house import House
from kernel import clocks, directory, jobs, outbox
from kernel.clocks import Clock
from kernel.database import Door, transaction
from kernel.ids import TenantId
from kernel.structs import Value

LANES = 4  # jobs of one tenant that run side by side
JOB_SECONDS = 45.0  # less than the lease of a job or a clock, so that nobody else takes it meanwhile
SLOW_SECONDS = 1800.0  # of the few kinds that are SLOW: they keep their lease while they run
KEEP_SECONDS = 20.0
SHIFT_SECONDS = 10.0  # then nothing more is begun; what is left is found by the next to look

log = structlog.get_logger("worker")


class Shift(Value, frozen=True, kw_only=True):
    """Until when a worker begins anything, and the name under which it holds clocks."""

    house: House
    ends_at: float
    holder: UUID

    @property
    def is_over(self) -> bool:
        return _clock() >= self.ends_at

    def door(self, tenant: TenantId, clock: Clock | None = None) -> Door:
        return Door(
            pool=self.house.pool,
            tenant=tenant,
            now=self.house.now,
            clock=clock.now_at if clock else None,
        )


async def drain(house: House, *, seconds: float = SHIFT_SECONDS) -> int:
    """Work until no tenant has anything due, or the shift is over. Returns how many it looked into."""
    shift = Shift(house=house, ends_at=_clock() + seconds, holder=uuid4())
    tenants = 0
    while not shift.is_over and (hint := await directory.take(house.pool, now=house.now())) is not None:
        await directory.clear(house.pool, hint, now=house.now())
        await work_inside(shift, hint.tenant_id)
        async with transaction(house.pool, hint.tenant_id, now=house.now()) as tx:
            await directory.lock(tx)
            await clocks.release(tx, shift.holder)
            await directory.put_back(tx, hint, due=await due.next_look(tx))
        tenants += 1
    return tenants


async def work_inside(shift: Shift, tenant: TenantId) -> None:
    """Dispatch the tenant's events, run its due jobs and bill what is due, until nothing is left."""
    door = shift.door(tenant)
    async with door.open() as tx:
        clock = await clocks.find(tx)

    if clock is not None:
        await _by_its_clock(shift, tenant)
    else:
        while await _dispatch(door) or await _run_due(shift, door) or await _bill(shift, door):
            pass


async def _by_its_clock(shift: Shift, tenant: TenantId) -> None:
    """One thing after the other. Somebody else may be there already, who will look after us."""
    while not shift.is_over:
        async with shift.door(tenant).open() as tx:
            clock = await clocks.hold(tx, shift.holder)
            if clock is None:
                return
            tx.go_by(clock.now_at)
            dispatched = await outbox.dispatch(tx, KINDS_BY_EVENT)
            job = await jobs.claim(tx)
            moved = not dispatched and job is None and await clockwork.tick(tx, clock)

        door = shift.door(tenant, clock)
        if job is not None:
            await _run(Work(house=shift.house, door=door, job=job))
        elif not (dispatched or moved or await _bill(shift, door, lanes=1)):
            return


async def _dispatch(door: Door) -> int:
    async with door.open() as tx:
        return await outbox.dispatch(tx, KINDS_BY_EVENT)


async def _bill(shift: Shift, door: Door, *, lanes: int = billing.LANES) -> int:
    return await billing.bill_due(door, lanes=lanes, over=lambda: shift.is_over)


async def _run_due(shift: Shift, door: Door) -> int:
    return sum(await asyncio.gather(*(_run_some(shift, door) for _ in range(LANES))))


async def _run_some(shift: Shift, door: Door) -> int:
    ran = 0
    while not shift.is_over and (work := await _claim(shift, door)) is not None:
        await _run(work)
        ran += 1
    return ran


def _clock() -> float:
    return asyncio.get_running_loop().time()


async def _claim(shift: Shift, door: Door) -> Work | None:
    async with door.open() as tx:
        job = await jobs.claim(tx)
    return None if job is None else Work(house=shift.house, door=door, job=job)


async def _run(work: Work) -> None:
    """Whatever goes wrong, the job is tried again, and parked in the end for a person to look at."""
    job = work.job
    line = log.bind(tenant=str(work.door.tenant), job=str(job.id), kind=job.kind, attempt=job.attempt)
    try:
        async with _in_time(work):
            again = await BY_KIND[job.kind](work)
    except Exception as error:  # noqa: BLE001 - see above
        line.warning("job failed", error=name_of(error))
        await _retry(work, error=name_of(error))
    else:
        line.info("job done" if again is None else "job to be looked at again")
        await (_finish(work) if again is None else _later(work, again))


@asynccontextmanager
async def _in_time(work: Work) -> AsyncIterator[None]:
    if work.job.kind not in SLOW:
        async with asyncio.timeout(JOB_SECONDS):
            yield
        return
    keeping = asyncio.create_task(_keep(work))
    try:
        async with asyncio.timeout(SLOW_SECONDS):
            yield
    finally:
        keeping.cancel()


async def _keep(work: Work) -> None:
    while True:
        await asyncio.sleep(KEEP_SECONDS)
        async with work.door.open() as tx:
            await jobs.keep(tx, work.job)


def name_of(error: Exception) -> str:
    """Its kind and code, and not its text: there may be a person in it."""
    code = next(
        (getattr(error, name) for name in ("sqlstate", "smtp_code", "code") if hasattr(error, name)), ""
    )
    return f"{type(error).__name__} {code}".strip()


async def _finish(work: Work) -> None:
    async with work.door.open() as tx:
        await jobs.finish(tx, work.job)


async def _retry(work: Work, *, error: str) -> None:
    async with work.door.open() as tx:
        await jobs.retry(tx, work.job, error=error)


async def _later(work: Work, after: timedelta) -> None:
    async with work.door.open() as tx:
        await jobs.postpone(tx, work.job, after=after)
