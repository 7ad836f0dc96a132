"""`ristourne jobs …`: what the workers gave up on, for a person to look at and to try again."""

import asyncio

import click

from api import clock
from api.access import store
from api.cli_shared import inside, json_option, say, tenant_option, with_pool
from kernel import jobs
from kernel.database import Pool, transaction
from kernel.ids import JobId, TenantId
from kernel.jobs import Parked
from kernel.structs import Value


class ParkedJob(Value, frozen=True, kw_only=True):
    tenant_id: TenantId
    job: Parked

    @property
    def line(self) -> str:
        return f"{self.job.id}  {self.tenant_id}  {self.job.kind}: {self.job.last_error}"


@click.group("jobs")
def jobs_group() -> None:
    """Jobs that were given up."""


@jobs_group.command("list")
@json_option
def jobs_list(as_json: bool) -> None:
    """List parked jobs of every tenant, with the error of their last attempt."""
    parked = asyncio.run(with_pool(lambda pool, _: _parked(pool)))
    say(parked, [each.line for each in parked] or ["Nothing is parked."], as_json=as_json)


@jobs_group.command("retry")
@tenant_option
@click.argument("job_id")
def jobs_retry(tenant_text: str, job_id: str) -> None:
    """Try a parked job again, from its first attempt."""
    found = JobId.read(job_id)
    if found is None:
        raise click.BadParameter(f"{job_id!r} is not the id of a job")
    asyncio.run(with_pool(lambda pool, _: _retry(pool, tenant_text, found)))
    click.echo(f"{found} is tried again.")


async def _parked(pool: Pool) -> list[ParkedJob]:
    found: list[ParkedJob] = []
    for tenant in await store.all_tenants(pool):
        async with transaction(pool, tenant.id, now=clock.now()) as tx:
            found += [ParkedJob(tenant_id=tenant.id, job=job) for job in await jobs.parked(tx)]
    return found


async def _retry(pool: Pool, tenant_text: str, job_id: JobId) -> None:
    async with inside(pool, tenant_text) as tx:
        if not await jobs.revive(tx, job_id):
            raise click.ClickException(f"There is no parked job {job_id} of this tenant.")
