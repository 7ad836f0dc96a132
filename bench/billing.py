"""The billing run, beside two limits: raw COPY of the rows it wrote, and its own INSERTs without pricing.

All three on copies of one population, in one run, by as many processes. COPY is done as a superuser whom row
security does not hold, a table at a time; the INSERTs are those of a run that was recorded, sent again.
"""

import asyncio
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from pathlib import Path

import click

from api import billing
from bench import house
from bench.population import DUE, populate
from bench.processes import together
from bench.recorder import Recorder, Statements
from kernel import database
from kernel.database import Door, open_pool
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

    # What is recorded is kept in memory, and would be counted as that of the processes: it comes last.
    ran = [await _run_and_copy(tenants, count, chunk) for count in workers]
    recorded = await _recorded(tenants, chunk, min(subscriptions, MOST_RECORDED))
    for count, (run, copied) in zip(workers, ran, strict=True):
        _say(count, run, copied, await _insert_again(recorded, count))


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
            ran = await together([partial(_bill, tenants, chunk) for _ in range(workers)])
            billed = await _count("run") - before
            await _copy_out("run", Path(folder), workers)
        async with house.copy_of("population", "copied"):
            copied = await together([partial(_copy_in, Path(folder), n) for n in range(workers)])
    return (
        Speed(invoices=billed, seconds=ran.seconds, peak_mb=ran.peak_mb),
        Speed(invoices=billed, seconds=copied.seconds),
    )


async def _bill(tenants: Sequence[TenantId], chunk: int, begin: Callable[[], None]) -> None:
    billing.collect_seldom()
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


async def _recorded(tenants: Sequence[TenantId], chunk: int, most: int) -> list[Statements]:
    """The writing transactions of a run, without what only reads."""
    recorder = Recorder(_writes)
    async with house.copy_of("population", "recorded"):
        pool = await open_pool(house.app_url_of("recorded"), size=1)
        with recorder.listening():
            for tenant in tenants:
                door = Door(pool=pool, tenant=tenant, now=lambda: DUE)
                await billing.bill_due(
                    door, limit=chunk, lanes=1, over=lambda: sum(map(_written, recorder.transactions)) >= most
                )
        await pool.close()
    return [each for each in recorder.transactions if _written(each)]


def _writes(query: str) -> bool:
    return any(words in query for words in ("INSERT INTO", "UPDATE subscriptions", "UPDATE redemptions"))


def _written(statements: Statements) -> int:
    """How many invoices a transaction writes."""
    return sum(len(args[9]) for query, args in statements if "INSERT INTO invoices" in query)


async def _insert_again(recorded: Sequence[Statements], workers: int) -> Speed:
    shares = [list(islice(recorded, n, None, workers)) for n in range(workers)]
    async with house.copy_of("population", "inserted"):
        done = await together([partial(_send, share) for share in shares])
    return Speed(invoices=sum(map(_written, recorded)), seconds=done.seconds)


async def _send(share: Sequence[Statements], begin: Callable[[], None]) -> None:
    """On two connections, as the run does."""
    pool = await open_pool(house.app_url_of("inserted"), size=billing.LANES)
    begin()
    await asyncio.gather(*(_lane(pool, share[n :: billing.LANES]) for n in range(billing.LANES)))
    await pool.close()


async def _lane(pool: database.Pool, share: Sequence[Statements]) -> None:
    async with pool.acquire() as conn:
        for statements in share:
            for query, args in statements:
                await conn.execute(query, *args)
