"""Renewing all that is due in a tenant, chunk after chunk. The worker does it, and `ristourne bill`.

Two chunks are under way at a time: while PostgreSQL writes the one, the other is priced.
"""

import asyncio
import gc
from collections.abc import Callable

from kernel.database import Door
from subscriptions import billing_run, billing_store
from subscriptions.billing_run import CHUNK, Chunk
from subscriptions.billing_store import Mark

LANES = 2


async def bill_due(
    door: Door,
    *,
    limit: int = CHUNK,
    lanes: int = LANES,
    told: Callable[[Chunk], None] = lambda _: None,
    over: Callable[[], bool] = lambda: False,
) -> int:
    """How many were claimed; `told` hears of each chunk, and `over` says when to begin no other."""
    claimed = 0

    async def lane(after: Mark | None = None) -> None:
        nonlocal claimed
        while not over():
            async with door.open() as tx:
                chunk = await billing_run.bill_chunk(tx, limit=limit, after=after)
            told(chunk)
            claimed += chunk.claimed
            if chunk.mark is None and after is None:
                break
            # At the end, once more from the beginning: others may have left what they had locked.
            after = chunk.mark

    async with door.open() as tx:
        next_at = await billing_store.next_renewal(tx)
    if next_at is not None and next_at <= tx.now:
        await asyncio.gather(*(lane() for _ in range(lanes)))
    return claimed


def collect_seldom() -> None:
    """For a process that only bills: what is loaded stays, and what chunks make holds no cycles."""
    gc.freeze()
    gc.set_threshold(100_000, 50, 50)
