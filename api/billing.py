"""Renewing all that is due in a tenant, chunk after chunk. The worker does it, and `ristourne bill`.

Two chunks are under way at a time: while PostgreSQL writes the one, the other is priced.
"""

import asyncio
from collections.abc import Callable

from kernel.database import Door
from subscriptions import billing_run
from subscriptions.billing_run import CHUNK, Chunk

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

    async def lane() -> int:
        claimed, mark = 0, None
        while not over():
            async with door.open() as tx:
                chunk = await billing_run.bill_chunk(tx, limit=limit, after=mark)
            told(chunk)
            if chunk.mark is None and mark is None:
                break
            # At the end, once more from the beginning: others may have left what they had locked.
            claimed, mark = claimed + chunk.claimed, chunk.mark
        return claimed

    return sum(await asyncio.gather(*(lane() for _ in range(lanes))))
