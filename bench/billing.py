"""The billing run, beside two limits: raw COPY of the rows it wrote, and its own INSERTs without pricing.

All three on copies of one population, in one run, by as many processes. COPY is done as a superuser whom row
security does not hold, a table at a time; the INSERTs are those of a run that was recorded, sent again.
"""

import asyncio
import multiprocessing
import os
import resource
import tempfile
import time
import traceback
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import click

from api import billing
from bench import house
from bench.population import DUE, populate
from kernel import database
from kernel.database import Connection, Door, open_pool
from kernel.ids import TenantId
from kernel.structs import Value

# What a run writes, parents first.
TABLES = (
    "invoices",
    "invoice_lines",
    "invoice_taxes",
    "invoice_settlements",
    "ledger_entries",
    "subscription_invoices",
    "events",
)
MOST_RECORDED = 40_000  # of the INSERTs that are sent again, which are kept in memory

Recorded = list[tuple[str, tuple[Any, ...]]]  # the statements of one transaction


class Speed(Value, frozen=True, kw_only=True):
    invoices: int
    seconds: float
    peak_mb: int = 0

    @property
    def per_second(self) -> float:
        return self.invoices / self.seconds


async def measure(subscriptions: int, workers: Sequence[int], chunk: int) -> None:
    click.echo(f"{subscriptions:,} subscriptions due; a chunk is {chunk:,}")
    started = time.monotonic()
    await house.new_database("population")
    tenants = await populate("population", subscriptions)
    click.echo(f"  (made in {time.monotonic() - started:.0f} s)")
    recorded = await _recorded(tenants, chunk, min(subscriptions, MOST_RECORDED))

    for count in workers:
        ran, copied = await _run_and_copy(tenants, count, chunk)
        inserted = await _insert_again(recorded, count)
        _say(count, ran, copied, inserted)


def _say(workers: int, ran: Speed, copied: Speed, inserted: Speed) -> None:
    click.echo(f"{workers} worker{'s' if workers > 1 else ''}")
    click.echo(
        f"  billing run          {ran.per_second:8,.0f} invoices/s   {ran.seconds:6.1f} s   "
        f"{ran.peak_mb} MB a worker at most"
    )
    click.echo(f"  raw COPY             {copied.per_second:8,.0f} invoices/s   {copied.seconds:6.1f} s")
    click.echo(
        f"  INSERTs, no pricing  {inserted.per_second:8,.0f} invoices/s   (of {inserted.invoices:,} invoices)"
    )
    click.echo(
        f"  of raw COPY {ran.per_second / copied.per_second:.2f} (goal 0.50)   "
        f"of INSERTs {ran.per_second / inserted.per_second:.2f} (goal 0.80)"
    )


# ── The run itself ──────────────────────────────────────────────────────────────────────────────────────


async def _run_and_copy(tenants: Sequence[TenantId], workers: int, chunk: int) -> tuple[Speed, Speed]:
    with tempfile.TemporaryDirectory() as folder:
        async with house.copy_of("population", "run"):
            before = await _count("run")
            ran = await asyncio.to_thread(
                _in_processes, [partial(_bill, tenants, chunk) for _ in range(workers)]
            )
            billed = await _count("run") - before
            await _copy_out("run", Path(folder), workers)
        async with house.copy_of("population", "copied"):
            copied = await asyncio.to_thread(
                _in_processes, [partial(_copy_in, Path(folder), n) for n in range(workers)]
            )
    return (
        Speed(invoices=billed, seconds=ran.seconds, peak_mb=ran.peak_mb),
        Speed(invoices=billed, seconds=copied.seconds),
    )


async def _bill(tenants: Sequence[TenantId], chunk: int, begin: Callable[[], None]) -> None:
    pool = await open_pool(house.app_url_of("run"), size=billing.LANES)
    begin()
    for tenant in tenants:
        await billing.bill_due(Door(pool=pool, tenant=tenant, now=lambda: DUE), limit=chunk)
    await pool.close()


async def _count(name: str) -> int:
    async with house.as_owner(name) as owner:
        return int(await owner.fetchval("SELECT count(*) FROM invoices"))


# ── Raw COPY ────────────────────────────────────────────────────────────────────────────────────────────


async def _copy_out(name: str, folder: Path, parts: int) -> None:
    """What the run wrote, in as many parts as there will be processes, each whole in itself."""
    async with house.as_owner(name) as owner:
        for table in TABLES:
            key = {"invoices": "id", "events": "id"}.get(table, "invoice_id")
            of_the_run = "SELECT id FROM invoices WHERE issued_at = $1"
            newer = "created_at = $1" if table == "events" else f"{key} IN ({of_the_run})"
            for part in range(parts):
                await owner.copy_from_query(
                    f"SELECT * FROM {table} WHERE {newer} AND uuid_hash({key}) & {parts - 1} = {part}",  # noqa: S608
                    DUE,
                    output=folder / f"{table}.{part}",
                    format="binary",
                )


async def _copy_in(folder: Path, part: int, begin: Callable[[], None]) -> None:
    async with house.as_owner("copied") as owner:
        begin()
        for table in TABLES:
            with (folder / f"{table}.{part}").open("rb") as rows:
                await owner.copy_to_table(table, source=rows, format="binary")


# ── The same INSERTs, without pricing ───────────────────────────────────────────────────────────────────


async def _recorded(tenants: Sequence[TenantId], chunk: int, most: int) -> list[tuple[int, Recorded]]:
    """The writing transactions of a run, and how many invoices each wrote."""
    recorder = _Recorder()
    async with house.copy_of("population", "recorded"):
        pool = await open_pool(house.app_url_of("recorded"), size=1)
        with recorder.listening():
            for tenant in tenants:
                await billing.bill_due(
                    Door(pool=pool, tenant=tenant, now=lambda: DUE),
                    limit=chunk,
                    lanes=1,
                    over=lambda: recorder.invoices >= most,
                )
        await pool.close()
    return recorder.transactions


class _Recorder:
    """Keeps every statement that writes, by transaction; what only reads is left out."""

    def __init__(self) -> None:
        self.transactions: list[tuple[int, Recorded]] = []
        self.invoices = 0
        self._open: Recorded = []

    @contextmanager
    def listening(self) -> Iterator[None]:
        asks = {name: getattr(Connection, name) for name in ("execute", "fetch", "fetchrow", "fetchval")}
        for name, ask in asks.items():
            setattr(Connection, name, self._kept(ask))
        try:
            yield
        finally:
            for name, ask in asks.items():
                setattr(Connection, name, ask)

    def _kept(self, ask: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def asking(conn: Connection, query: str, *args: Any, **more: Any) -> Any:
            self._keep(query, tuple(list(each) if isinstance(each, list) else each for each in args))
            return await ask(conn, query, *args, **more)

        return asking

    def _keep(self, query: str, args: tuple[Any, ...]) -> None:
        words = query.split(maxsplit=1)[0]
        if words.startswith("BEGIN"):
            self._open = [(query, args)]
        elif words == "COMMIT":
            self._open.append((query, args))
            written = sum(len(args[9]) for query, args in self._open if "INTO invoices" in query)
            if written:
                self.transactions.append((written, self._open))
                self.invoices += written
        elif "INSERT" in query or "UPDATE subscriptions" in query or "UPDATE redemptions" in query:
            self._open.append((query, args))


async def _insert_again(recorded: Sequence[tuple[int, Recorded]], workers: int) -> Speed:
    shares = [list(islice(recorded, n, None, workers)) for n in range(workers)]
    async with house.copy_of("population", "inserted"):
        done = await asyncio.to_thread(_in_processes, [partial(_send, share) for share in shares])
    return Speed(invoices=sum(written for written, _ in recorded), seconds=done.seconds)


async def _send(share: Sequence[tuple[int, Recorded]], begin: Callable[[], None]) -> None:
    """On two connections, as the run does."""
    pool = await open_pool(house.app_url_of("inserted"), size=billing.LANES)
    begin()
    await asyncio.gather(*(_lane(pool, share[n :: billing.LANES]) for n in range(billing.LANES)))
    await pool.close()


async def _lane(pool: database.Pool, share: Sequence[tuple[int, Recorded]]) -> None:
    async with pool.acquire() as conn:
        for _, statements in share:
            for query, args in statements:
                await conn.execute(query, *args)


# ── Processes that begin together ───────────────────────────────────────────────────────────────────────

Work = Callable[[Callable[[], None]], Coroutine[Any, Any, None]]


def _in_processes(works: Sequence[Work]) -> Speed:
    """From when all are ready until the last is done; the peak is that of the largest.

    To be called in a thread: a process that is forked off a running event loop has half of it.
    """
    fork = multiprocessing.get_context("fork")
    barrier, peaks = fork.Barrier(len(works) + 1), fork.SimpleQueue()
    processes = [fork.Process(target=_process, args=(work, barrier, peaks)) for work in works]
    for process in processes:
        process.start()
    barrier.wait(timeout=120)
    started = time.monotonic()
    for process in processes:
        process.join()
    seconds = time.monotonic() - started
    assert all(process.exitcode == 0 for process in processes), "a process of the measurement failed"
    return Speed(invoices=0, seconds=seconds, peak_mb=max(peaks.get() for _ in works))


def _process(work: Work, barrier: Any, peaks: Any) -> None:
    try:
        asyncio.run(work(lambda: barrier.wait(timeout=120)))
    except BaseException:  # noqa: BLE001 - the exit code says so, and the others need not wait
        barrier.abort()
        traceback.print_exc()
        os._exit(1)
    peaks.put(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
    os._exit(0)
