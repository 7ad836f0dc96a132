"""`ristourne bill`: renew everything that is due, now, with as many processes as you give it.

The worker does the same by itself, a little at a time; this is for a month's end, and for cron.
"""

import asyncio
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import TypeVar

import click
import structlog
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from api import billing, clock
from api.access import store
from api.cli_shared import find_tenant, json_option, say, settings_here
from kernel import clocks
from kernel.database import Door, Pool, open_pool, transaction
from kernel.ids import TenantId
from kernel.money import Currency, Money
from kernel.structs import Value, decode, encode
from subscriptions import billing_store
from subscriptions.billing_run import CHUNK, Chunk
from subscriptions.billing_store import Failure, PutAside

T = TypeVar("T")


class Told(Value, frozen=True, kw_only=True):
    """One chunk, on the way from a process that bills to the one that shows it."""

    tenant_id: TenantId
    chunk: Chunk


class Ended(Value, frozen=True, kw_only=True):
    """A process that bills is over. If it stopped before it came to its end, others may bill the rest."""

    stopped: bool


class NotBilled(Value, frozen=True, kw_only=True):
    tenant_id: TenantId
    failure: Failure


class Waiting(Value, frozen=True, kw_only=True):
    """What an earlier run could not bill."""

    tenant_id: TenantId
    failure: PutAside

    @property
    def line(self) -> str:
        failure = self.failure
        again = f"again at {failure.retry_at:%Y-%m-%d %H:%M} UTC" if failure.retry_at else "given up"
        tried = f"{failure.attempts} {'try' if failure.attempts == 1 else 'tries'}, {again}"
        return f"{failure.subscription_id}  {tried}  {failure.code}: {failure.detail}"


class Report(Value, frozen=True, kw_only=True):
    """`per_second` is invoices; `invoices` and `amounts` are per currency, amounts with VAT.

    `stopped` is how many processes did not come to their end.
    """

    claimed: int
    ended: int
    invoices: dict[str, int]
    amounts: dict[str, Money]
    not_billed: tuple[NotBilled, ...]
    stopped: int
    seconds: float
    per_second: int


@click.command()
@click.option("--tenant", "tenants", multiple=True, help="Only this one: its id, or name/live. Repeatable.")
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes.")
@click.option("--chunk", type=click.IntRange(1, 20_000), default=CHUNK, show_default=True, help="Per commit.")
@click.option("--lines", is_flag=True, hidden=True, help="Bill, and tell each chunk in a line of JSON.")
@click.option("--failures", is_flag=True, help="Bill nothing: list what could not be billed, and why.")
@json_option
def bill(
    tenants: tuple[str, ...], workers: int, chunk: int, lines: bool, failures: bool, as_json: bool
) -> None:
    """Bill every subscription that is due, and report.

    It can be interrupted at any point and run again, by any number of processes at once: each period is
    billed once. What cannot be billed is told with its reason, tried again later, and makes the exit code 1.
    """
    if failures:
        waiting = asyncio.run(_with_pool(lambda pool: _waiting(pool, tenants)))
        say(waiting, [each.line for each in waiting] or ["Nothing waits."], as_json=as_json)
        return
    if lines:
        billing.collect_seldom()
        structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
        asyncio.run(_with_pool(lambda pool: _bill(pool, tenants, chunk, _print_line)))
        return
    report = asyncio.run(_report(tenants, workers, chunk, quiet=as_json))
    say(report, _said(report), as_json=as_json)
    sys.exit(1 if report.not_billed or report.stopped else 0)


async def _report(tenants: Sequence[str], workers: int, chunk: int, *, quiet: bool) -> Report:
    due = await _with_pool(lambda pool: _count_due(pool, tenants))
    started, heard, stopped = time.monotonic(), list[Told](), 0
    with _progress(due, quiet=quiet) as progress:
        task = progress.add_task("billing", total=due, rate="")
        async for told in _told_by(tenants, workers, chunk):
            if isinstance(told, Ended):
                stopped += told.stopped
                continue
            heard.append(told)
            done = sum(each.chunk.claimed for each in heard)
            rate = f"{done / (time.monotonic() - started):,.0f}/s"
            progress.update(task, completed=done, rate=rate)
    return _summed(heard, stopped=stopped, seconds=time.monotonic() - started)


def _summed(heard: Sequence[Told], *, stopped: int, seconds: float) -> Report:
    invoices: Counter[str] = Counter()
    amounts: Counter[str] = Counter()
    for told in heard:
        invoices.update(told.chunk.invoices)
        amounts.update(told.chunk.amounts)
    return Report(
        claimed=sum(told.chunk.claimed for told in heard),
        ended=sum(told.chunk.ended for told in heard),
        invoices=dict(invoices),
        amounts={code: Money(minor, Currency(code)) for code, minor in amounts.items()},
        not_billed=tuple(
            NotBilled(tenant_id=told.tenant_id, failure=failure)
            for told in heard
            for failure in told.chunk.failures
        ),
        stopped=stopped,
        seconds=round(seconds, 3),
        per_second=round(invoices.total() / seconds),
    )


def _said(report: Report) -> list[str]:
    if not report.claimed and not report.stopped:
        return ["Nothing is due."]
    lines = [
        f"{report.invoices[code]:,} invoices, {amount} with VAT" for code, amount in report.amounts.items()
    ]
    lines += [f"{report.ended:,} subscriptions ended with their offer"] if report.ended else []
    lines += [f"{report.seconds:,.1f} s, {report.per_second:,} invoices/s"]
    lines += (
        [f"{report.stopped} of the processes stopped; run it again for what is left"]
        if report.stopped
        else []
    )
    lines += [f"{len(report.not_billed):,} could not be billed:"] if report.not_billed else []
    lines += [
        f"  {each.failure.subscription_id}  {each.failure.code}: {each.failure.detail}"
        for each in report.not_billed
    ]
    return lines


def _progress(due: int, *, quiet: bool) -> AbstractContextManager[Progress]:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=quiet or not due,
        transient=True,
    )


# ── Who bills: this process's children, each of which tells its chunks line by line ─────────────────────


async def _told_by(tenants: Sequence[str], workers: int, chunk: int) -> AsyncIterator[Told | Ended]:
    queue: asyncio.Queue[Told | Ended] = asyncio.Queue()
    children = [asyncio.create_task(_child(tenants, chunk, queue)) for _ in range(workers)]
    try:
        running = workers
        while running:
            told = await queue.get()
            running -= isinstance(told, Ended)
            yield told
    finally:
        await asyncio.gather(*children)


async def _child(tenants: Sequence[str], chunk: int, queue: "asyncio.Queue[Told | Ended]") -> None:
    named = [part for tenant in tenants for part in ("--tenant", tenant)]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "api", "bill", "--lines", "--chunk", str(chunk), *named, stdout=-1
    )
    try:
        assert process.stdout is not None, "it was asked for"
        async for line in process.stdout:
            queue.put_nowait(decode(line, Told))
    finally:
        queue.put_nowait(Ended(stopped=await process.wait() != 0))


def _print_line(told: Told) -> None:
    click.echo(encode(told))


async def _bill(pool: Pool, tenants: Sequence[str], chunk: int, told: Callable[[Told], None]) -> None:
    for tenant in await _billed(pool, tenants):
        door = Door(pool=pool, tenant=tenant, now=clock.now)
        await billing.bill_due(door, limit=chunk, told=partial(_tell, told, tenant))


def _tell(told: Callable[[Told], None], tenant: TenantId, chunk: Chunk) -> None:
    told(Told(tenant_id=tenant, chunk=chunk))


async def _billed(pool: Pool, tenants: Sequence[str]) -> list[TenantId]:
    """Those named or all of them, but for those whose clock decides what is due."""
    named = await _named(pool, tenants)
    return [tenant for tenant in named if not await _has_clock(pool, tenant)]


async def _named(pool: Pool, tenants: Sequence[str]) -> list[TenantId]:
    found = [await find_tenant(pool, text) for text in tenants] or await store.all_tenants(pool)
    return [tenant.id for tenant in found]


async def _has_clock(pool: Pool, tenant: TenantId) -> bool:
    async with transaction(pool, tenant, now=clock.now()) as tx:
        return await clocks.find(tx) is not None


async def _count_due(pool: Pool, tenants: Sequence[str]) -> int:
    due = 0
    for tenant in await _billed(pool, tenants):
        async with transaction(pool, tenant, now=clock.now()) as tx:
            due += await billing_store.count_due(tx)
    return due


async def _waiting(pool: Pool, tenants: Sequence[str]) -> list[Waiting]:
    waiting: list[Waiting] = []
    for tenant in await _named(pool, tenants):
        async with transaction(pool, tenant, now=clock.now()) as tx:
            waiting += [Waiting(tenant_id=tenant, failure=each) for each in await billing_store.put_aside(tx)]
    return waiting


async def _with_pool(act: Callable[[Pool], Awaitable[T]]) -> T:
    pool = await open_pool(settings_here().app_database_url, size=billing.LANES)
    try:
        return await act(pool)
    finally:
        await pool.close()
