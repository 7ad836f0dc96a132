"""Carrying out a settlement batch, chunk after chunk. The worker does it, and `ristourne settle`."""

from collections.abc import Callable

from billing.settlement.batches.advance import CHUNK, advance
from billing.settlement.batches.model import SettlementBatch, SettlementBatchId
from kernel.database import Door


async def settle_batch(
    door: Door,
    batch_id: SettlementBatchId,
    *,
    limit: int = CHUNK,
    told: Callable[[SettlementBatch], None] = lambda _: None,
) -> SettlementBatch:
    """To its end; each chunk is a transaction. `told` hears of each."""
    while True:
        async with door.open() as tx:
            batch = await advance(tx, batch_id, limit=limit)
        told(batch)
        if batch.is_over:
            return batch
