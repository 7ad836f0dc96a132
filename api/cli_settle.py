"""`ristourne settle`: what is left of credit notes settles what is due, of all customers, now.

The same as POST /v1/settlement_batches, carried out here: for a month's end, and for cron. A worker that is
there does its part of it.
"""

import asyncio
import time
from collections.abc import Sequence
from datetime import datetime

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from api import billing, clock
from api.access import store as access
from api.cli_shared import find_tenant, json_option, say, settings_here
from api.settling import settle_batch
from billing.settlement.batches.advance import CHUNK
from billing.settlement.batches.create import create_settlement_batch
from billing.settlement.batches.model import NewSettlementBatch, SettlementBatch
from kernel import clocks
from kernel.database import Door, Pool, open_pool, transaction
from kernel.ids import TenantId
from kernel.money import Currency
from kernel.structs import Value


class Settled(Value, frozen=True, kw_only=True):
    tenant_id: TenantId
    batch: SettlementBatch


class Report(Value, frozen=True, kw_only=True):
    """`per_second` is applications."""

    batches: tuple[Settled, ...]
    applications: int
    seconds: float
    per_second: int


@click.command()
@click.option("--tenant", "tenants", multiple=True, help="Only this one: its id, or name/live. Repeatable.")
@click.option("--currency", type=str, help="Only documents in this currency.")
@click.option(
    "--issued-before", type=click.DateTime(["%Y-%m-%d"]), help="Only documents from before this day."
)
@click.option("--simulate", is_flag=True, help="Do it and undo it, chunk by chunk: the report is the same.")
@click.option("--chunk", type=click.IntRange(1, 20_000), default=CHUNK, show_default=True, help="Per commit.")
@json_option
def settle(
    tenants: tuple[str, ...],
    currency: str | None,
    issued_before: datetime | None,
    simulate: bool,
    chunk: int,
    as_json: bool,
) -> None:
    """Settle what is due with what is left of credit notes, of all customers, and report.

    Notes pay on invoices of the same customer, seller and currency, the oldest first. It can be interrupted
    at any point: a worker goes on with it, or it is run again, and nothing is applied twice.
    """
    billing.collect_seldom()
    request = NewSettlementBatch(
        currency=Currency.parse(currency) if currency else None,
        issued_before=issued_before.date() if issued_before else None,
        simulate=simulate,
    )
    report = asyncio.run(_report(tenants, request, chunk, quiet=as_json))
    say(report, _said(report), as_json=as_json)


async def _report(tenants: Sequence[str], request: NewSettlementBatch, chunk: int, *, quiet: bool) -> Report:
    started = time.monotonic()
    pool = await open_pool(settings_here().app_database_url, size=2)
    try:
        found = [await find_tenant(pool, text) for text in tenants] or await access.all_tenants(pool)
        batches = [
            Settled(tenant_id=tenant.id, batch=await _settle(pool, tenant.id, request, chunk, quiet=quiet))
            for tenant in found
        ]
    finally:
        await pool.close()
    seconds = time.monotonic() - started
    applications = sum(each.batch.applications for each in batches)
    return Report(
        batches=tuple(batches),
        applications=applications,
        seconds=round(seconds, 3),
        per_second=round(applications / seconds),
    )


async def _settle(
    pool: Pool, tenant: TenantId, request: NewSettlementBatch, chunk: int, *, quiet: bool
) -> SettlementBatch:
    """At the tenant's own time."""
    async with transaction(pool, tenant, now=clock.now()) as tx:
        own = await clocks.find(tx)
    door = Door(pool=pool, tenant=tenant, now=clock.now, clock=own.now_at if own else None)
    async with door.open() as tx:
        batch = await create_settlement_batch(tx, request)
    with _progress(quiet=quiet or not batch.total) as progress:
        task = progress.add_task("settling", total=batch.total, rate="")
        started = time.monotonic()

        def told(batch: SettlementBatch) -> None:
            rate = f"{batch.applications / (time.monotonic() - started):,.0f}/s"
            progress.update(task, completed=batch.examined, rate=rate)

        return await settle_batch(door, batch.id, limit=chunk, told=told)


def _progress(*, quiet: bool) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=quiet,
        transient=True,
    )


def _said(report: Report) -> list[str]:
    lines = []
    for each in report.batches:
        verb = "would be applied" if each.batch.simulate else "applied"
        lines += [
            f"{each.tenant_id}  {found.applications:,} {verb}, {found.amount}" for found in each.batch.applied
        ]
        lines += [
            f"{each.tenant_id}  {refused.credit_notes:,} credit notes settled nothing: {refused.code}"
            for refused in each.batch.refused
        ]
    if not lines:
        return ["Nothing is left of any credit note."]
    return [*lines, f"{report.seconds:,.1f} s, {report.per_second:,} applications/s"]
