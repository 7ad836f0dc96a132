"""Carrying out a settlement batch, chunk after chunk. The worker does it, and `ristourne settle`.

Where a chunk ends is known once it is decided: while PostgreSQL writes it, the next is read and decided. They
are committed in their order, each only where the one before left off; if one fails, so does the next.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from billing.settlement.batches import store
from billing.settlement.batches.advance import CHUNK, Overtaken, Planned, conclude, plan, write
from billing.settlement.batches.model import Mark, SettlementBatch, SettlementBatchId
from kernel.database import Door


async def settle_batch(
    door: Door,
    batch_id: SettlementBatchId,
    *,
    limit: int = CHUNK,
    told: Callable[[SettlementBatch], None] = lambda _: None,
) -> SettlementBatch:
    """To its end; each chunk is a transaction, and two are open at a time. `told` hears of each."""
    while True:
        async with door.open() as tx:
            batch, mark = await store.lock(tx, batch_id)
        if batch.is_over:
            return batch
        with suppress(Overtaken):
            return await _from(door, batch, mark, limit, told)


async def _from(
    door: Door,
    batch: SettlementBatch,
    mark: Mark | None,
    limit: int,
    told: Callable[[SettlementBatch], None],
) -> SettlementBatch:
    before: asyncio.Task[SettlementBatch] | None = None
    while True:
        decided: asyncio.Future[Planned] = asyncio.get_running_loop().create_future()
        chunk = asyncio.create_task(_chunk(door, batch, mark, before, decided, limit))
        try:
            await asyncio.wait((decided, chunk), return_when=asyncio.FIRST_COMPLETED)
            if before is not None:
                told(await before)
            planned = decided.result() if decided.done() else await _failed(chunk)
        except BaseException:
            await _give_up(chunk, before)
            raise
        mark, before = planned.walk.mark, chunk
        if mark is None:
            ended = await chunk
            told(ended)
            return ended


async def _chunk(
    door: Door,
    batch: SettlementBatch,
    mark: Mark | None,
    before: "asyncio.Task[SettlementBatch] | None",
    decided: "asyncio.Future[Planned]",
    limit: int,
) -> SettlementBatch:
    async with door.open() as tx:
        planned = await plan(tx, batch, mark, limit=limit)
        decided.set_result(planned)
        written = await write(tx, batch, planned)
        if before is not None:
            await asyncio.wait((before,))
            batch = before.result()
        return await conclude(tx, batch, planned, written)


async def _failed(chunk: "asyncio.Task[SettlementBatch]") -> Planned:
    await chunk
    raise AssertionError("a chunk that ends has been decided")


async def _give_up(*chunks: "asyncio.Task[SettlementBatch] | None") -> None:
    """What they hold is let go before anybody tries again."""
    open_chunks = [each for each in chunks if each is not None]
    for each in open_chunks:
        each.cancel()
    await asyncio.gather(*open_chunks, return_exceptions=True)
