"""Doing what is due: take a tenant from the directory of pending work, and work inside it until it is done.

PostgreSQL knows what there is to do; whoever calls `drain` is only told that it might be worth looking.
Any number of workers may do it at the same time, and any of them may be killed at any point.
"""

import asyncio
from datetime import timedelta

import structlog

from api.consequences import BY_KIND, KINDS_BY_EVENT, Work
from api.house import House
from kernel import directory, jobs, outbox
from kernel.database import transaction
from kernel.ids import TenantId
from kernel.jobs import Job

LANES = 4  # jobs of one tenant that run side by side
JOB_SECONDS = 45.0  # less than the lease of a job, so that nobody else takes it meanwhile
SHIFT_SECONDS = 10.0  # then nothing more is begun; what is left is found by the next to look

log = structlog.get_logger("worker")


async def drain(house: House, *, seconds: float = SHIFT_SECONDS) -> int:
    """Work until no tenant has anything due, or the shift is over. Returns how many it looked into."""
    ends_at = _clock() + seconds
    tenants = 0
    while _clock() < ends_at and (hint := await directory.take(house.pool, now=house.now())) is not None:
        await directory.clear(house.pool, hint, now=house.now())
        await work_inside(house, hint.tenant_id, ends_at=ends_at)
        async with transaction(house.pool, hint.tenant_id, now=house.now()) as tx:
            await directory.lock(tx)
            await directory.put_back(tx, hint, due=await jobs.next_due(tx))
        tenants += 1
    return tenants


async def work_inside(house: House, tenant: TenantId, *, ends_at: float) -> None:
    """Dispatch the tenant's events and run its due jobs, until neither is left."""
    while await _dispatch(house, tenant) or await _run_due(house, tenant, ends_at):
        pass


async def _dispatch(house: House, tenant: TenantId) -> int:
    async with transaction(house.pool, tenant, now=house.now()) as tx:
        return await outbox.dispatch(tx, KINDS_BY_EVENT)


async def _run_due(house: House, tenant: TenantId, ends_at: float) -> int:
    return sum(await asyncio.gather(*(_run_some(house, tenant, ends_at) for _ in range(LANES))))


async def _run_some(house: House, tenant: TenantId, ends_at: float) -> int:
    ran = 0
    while _clock() < ends_at and (job := await _claim(house, tenant)) is not None:
        await _run(house, tenant, job)
        ran += 1
    return ran


def _clock() -> float:
    return asyncio.get_running_loop().time()


async def _claim(house: House, tenant: TenantId) -> Job | None:
    async with transaction(house.pool, tenant, now=house.now()) as tx:
        return await jobs.claim(tx)


async def _run(house: House, tenant: TenantId, job: Job) -> None:
    """Whatever goes wrong, the job is tried again, and parked in the end for a person to look at."""
    line = log.bind(tenant=str(tenant), job=str(job.id), kind=job.kind, attempt=job.attempt)
    try:
        async with asyncio.timeout(JOB_SECONDS):
            again = await BY_KIND[job.kind](Work(house=house, tenant=tenant, job=job))
    except Exception as error:  # noqa: BLE001 - see above
        line.warning("job failed", error=name_of(error))
        await _retry(house, tenant, job, error=name_of(error))
    else:
        line.info("job done" if again is None else "job to be looked at again")
        await (_finish(house, tenant, job) if again is None else _later(house, tenant, job, again))


def name_of(error: Exception) -> str:
    """Its kind and code, and not its text: there may be a person in it."""
    code = next(
        (getattr(error, name) for name in ("sqlstate", "smtp_code", "code") if hasattr(error, name)), ""
    )
    return f"{type(error).__name__} {code}".strip()


async def _finish(house: House, tenant: TenantId, job: Job) -> None:
    async with transaction(house.pool, tenant, now=house.now()) as tx:
        await jobs.finish(tx, job)


async def _retry(house: House, tenant: TenantId, job: Job, *, error: str) -> None:
    async with transaction(house.pool, tenant, now=house.now()) as tx:
        await jobs.retry(tx, job, error=error)


async def _later(house: House, tenant: TenantId, job: Job, after: timedelta) -> None:
    async with transaction(house.pool, tenant, now=house.now()) as tx:
        await jobs.postpone(tx, job, after=after)
