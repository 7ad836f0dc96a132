"""A settlement of all customers by two processes, killed again and again with SIGKILL: the same end as one.

`make test` kills a few times, `make torture` fifty times. A shot that hits no process inside a chunk is not
counted. SEED, which is printed, chooses the moments.
"""

import asyncio
import os
import random
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TypeAlias

import asyncpg
import pytest

from api import clock
from api.access.create_tenant import create_tenant
from api.settings import Settings
from kernel.database import Pool, transaction
from tests.billing.owing import copy_owing, owing_both_ways
from tests.books import assert_balanced, assert_owed
from tests.flows.test_bill_killed import Process, a_crew, none_of
from tests.servers import Database
from tests.shop import a_shop_by_hand

Owner: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

KILLS = int(os.environ.get("KILLS", "5"))
SEED = int(os.environ.get("SEED", secrets.randbelow(1_000_000)))
NOTES, EACH = 300, 7  # and as many again whenever all is settled before the last shot
WORDS = ("settle", "--chunk", "4", "--json")


@pytest.fixture
async def crew(
    owner: Owner, database: Database, settings: Settings, tmp_path: Path
) -> AsyncIterator[list[Process]]:
    async with a_crew(2, WORDS, owner, database, settings, tmp_path) as crew:
        yield crew


@pytest.mark.timeout(90 + 15 * KILLS)
async def test_a_settlement_killed_at_random_moments_comes_to_the_same_end(
    owner: Owner, pool: Pool, crew: list[Process]
) -> None:
    async with pool.acquire() as conn, conn.transaction():
        tenant = (await create_tenant(conn, "Nuage Clair", now=clock.now())).live.id
    async with transaction(pool, tenant, now=clock.now()) as tx:
        owing = await owing_both_ways(tx, await a_shop_by_hand(tx), credited="50.00", due="71.00")
    await copy_owing(owner, owing, NOTES, EACH)
    shots = random.Random(SEED)  # noqa: S311 (nobody guesses it)
    killed = 0

    while killed < KILLS:
        if await left(owner) < NOTES // 4:
            await copy_owing(owner, owing, NOTES, EACH)
        for process in crew:
            if not process.is_running:
                await process.start()
        await at_work(crew, owner)
        await asyncio.sleep(shots.uniform(0, 0.1))
        for process in crew:
            killed += bool(await process.kill(owner))
    for process in crew:
        await process.start()
    await asyncio.gather(*(process.end() for process in crew))

    print(f"SEED={SEED}: {killed} killed inside a chunk")
    await check_edges(owner)
    await check_progress(owner)
    async with transaction(pool, tenant, now=clock.now()) as tx:
        await assert_balanced(tx)
        await assert_owed(tx)


async def left(owner: Owner) -> int:
    """Notes of which something is left."""
    return int(await owner.fetchval("SELECT count(*) FROM credit_note_settlements WHERE status <> 'used'"))


async def at_work(crew: list[Process], owner: Owner) -> None:
    """Until one of them is inside a chunk: a Python takes its time to start."""
    while not any([await process.open_chunks(owner) for process in crew]):
        if not any(process.is_running for process in crew):
            return
        await asyncio.sleep(0.01)


async def check_edges(owner: Owner) -> None:
    """Of each customer the notes paid the invoices in the order of both: an edge wherever two of them overlap
    when they are laid end to end."""
    await owner.execute(
        """
        CREATE TEMP VIEW expected AS
        WITH note AS (
            SELECT c.id, c.customer_id, sum(c.total_minor) OVER w - c.total_minor AS starts,
                   sum(c.total_minor) OVER w AS ends
            FROM credit_notes c
            WINDOW w AS (PARTITION BY c.customer_id ORDER BY c.id)
        ), due AS (
            SELECT i.id, i.customer_id, sum(i.total_minor) OVER w - i.total_minor AS starts,
                   sum(i.total_minor) OVER w AS ends
            FROM invoices i
            JOIN invoice_settlements s ON s.tenant_id = i.tenant_id AND s.invoice_id = i.id
            WHERE s.paid_minor = 0
            WINDOW w AS (PARTITION BY i.customer_id ORDER BY i.id)
        )
        SELECT note.id AS credit_note_id, due.id AS invoice_id,
               (LEAST(note.ends, due.ends) - GREATEST(note.starts, due.starts))::bigint AS amount_minor
        FROM note JOIN due USING (customer_id)
        WHERE note.starts < due.ends AND due.starts < note.ends
        """
    )
    applied = (
        "SELECT credit_note_id, invoice_id, amount_minor FROM settlements WHERE credit_note_id IS NOT NULL"
    )
    await none_of(owner, f"{applied} EXCEPT ALL SELECT * FROM expected")
    await none_of(owner, f"SELECT * FROM expected EXCEPT ALL {applied}")
    entries = "SELECT count(DISTINCT document_id) FROM ledger_entries WHERE document = 'application'"
    edges = await owner.fetchval(f"SELECT count(*) FROM ({applied}) e")
    assert edges == await owner.fetchval(entries)
    events = await owner.fetchval("SELECT count(*) FROM events WHERE type = 'credit_note.applied'")
    assert edges == events


async def check_progress(owner: Owner) -> None:
    """What batches say they have applied is what is there: it was committed with it."""
    said = await owner.fetchval("SELECT sum(applications) FROM settlement_batches")
    assert said == await owner.fetchval("SELECT count(*) FROM settlements WHERE credit_note_id IS NOT NULL")
