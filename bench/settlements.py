"""A settlement batch of very many credit notes against as many invoices, and the memory of whoever does it.

Everything is on: VAT falls due on payment, so that each application moves it on two invoices; ledger,
dunning, events and their activity log, row security. Beside it, in the same run, the INSERTs and UPDATEs of
a batch that was recorded, sent again without reading or deciding anything. The documents are copied from
some that the house's own verbs issued.
"""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial

import click

from api.billing import collect_seldom
from api.settling import settle_batch
from bench import house
from bench.population import tenant_named
from bench.processes import together
from bench.recorder import Recorder, Statements
from billing.settlement.batches.advance import CHUNK, advance
from billing.settlement.batches.create import create_settlement_batch
from billing.settlement.batches.model import NewSettlementBatch, SettlementBatch
from kernel.database import Door, open_pool, transaction
from kernel.ids import TenantId
from kernel.structs import Value
from tests.billing.owing import copy_owing, owing_both_ways
from tests.shop import a_shop_by_hand

GOAL_PER_SECOND = 5_000
BEGAN = datetime(2026, 1, 15, 11, 0, tzinfo=UTC)
LATER = datetime(2026, 2, 1, 11, 0, tzinfo=UTC)
MOST_RECORDED = 10_000

# How many notes, and as many invoices, a customer has; and what they are of, without VAT.
SHAPES = {
    "one each": (1, "50.00", "50.00"),
    "a hundred each, that do not fit": (100, "50.00", "71.00"),
}


class Speed(Value, frozen=True, kw_only=True):
    applications: int
    seconds: float
    peak_mb: int = 0

    @property
    def per_second(self) -> float:
        return self.applications / self.seconds


async def measure(notes: int) -> None:
    click.echo(f"{notes:,} credit notes against {notes:,} invoices; a chunk is {CHUNK:,}")
    for shape, (each, credited, due) in SHAPES.items():
        await house.new_database("owing")
        started = time.monotonic()
        tenant = await _populate(notes, each, credited, due)
        click.echo(f"{shape}   (made in {time.monotonic() - started:.0f} s)")
        async with house.copy_of("owing", "settled"):
            done = await together([partial(_settle, tenant)])
        ran = Speed(applications=done.found[0], seconds=done.seconds, peak_mb=done.peak_mb)
        recorded, applications = await _recorded(tenant)
        async with house.copy_of("owing", "resent"):
            again = await together([partial(_send, recorded)])
        _say(ran, Speed(applications=applications, seconds=again.seconds))
        await house.drop("owing")


def _say(ran: Speed, resent: Speed) -> None:
    click.echo(
        f"  batch        {ran.per_second:8,.0f} applications/s   {ran.seconds:6.1f} s   "
        f"{ran.peak_mb} MB at most   {ran.per_second / GOAL_PER_SECOND:.2f} of the goal"
    )
    click.echo(
        f"  only writes  {resent.per_second:8,.0f} applications/s   (of {resent.applications:,})   "
        f"{ran.per_second / resent.per_second:.2f} of them"
    )


# ── The batch ───────────────────────────────────────────────────────────────────────────────────────────


async def _settle(tenant: TenantId, begin: Callable[[], None]) -> int:
    collect_seldom()
    pool = await open_pool(house.app_url_of("settled"), size=2)
    door = Door(pool=pool, tenant=tenant, now=lambda: LATER)
    begin()
    async with door.open() as tx:
        batch = await create_settlement_batch(tx, NewSettlementBatch())
    batch = await settle_batch(door, batch.id)
    await pool.close()
    return batch.applications


async def _to_its_end(door: Door, *, most: int | None = None) -> SettlementBatch:
    async with door.open() as tx:
        batch = await create_settlement_batch(tx, NewSettlementBatch())
    while not batch.is_over and (most is None or batch.applications < most):
        async with door.open() as tx:
            batch = await advance(tx, batch.id)
    return batch


# ── Only what it writes ─────────────────────────────────────────────────────────────────────────────────


async def _recorded(tenant: TenantId) -> tuple[list[Statements], int]:
    recorder = Recorder(lambda query: "INSERT INTO" in query or "UPDATE settlement_batches" in query)
    async with house.copy_of("owing", "recorded"):
        pool = await open_pool(house.app_url_of("recorded"), size=1)
        with recorder.listening():
            batch = await _to_its_end(Door(pool=pool, tenant=tenant, now=lambda: LATER), most=MOST_RECORDED)
        await pool.close()
    return recorder.transactions, batch.applications


async def _send(recorded: Sequence[Statements], begin: Callable[[], None]) -> None:
    pool = await open_pool(house.app_url_of("resent"), size=1)
    begin()
    async with pool.acquire() as conn:
        for statements in recorded:
            for query, args in statements:
                await (conn.execute(query, *args) if args else conn.execute(query))
    await pool.close()


# ── What is there before ────────────────────────────────────────────────────────────────────────────────


async def _populate(notes: int, each: int, credited: str, due: str) -> TenantId:
    pool = await open_pool(house.app_url_of("owing"), size=1)
    async with house.as_owner("owing") as owner:
        tenant = await tenant_named(owner, "bench-settlements")
        async with transaction(pool, tenant, now=BEGAN) as tx:
            owing = await owing_both_ways(tx, await a_shop_by_hand(tx), credited=credited, due=due)
        await copy_owing(owner, owing, notes - 1, each)
        await owner.execute("VACUUM ANALYZE")
    await pool.close()
    return tenant
