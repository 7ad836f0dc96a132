"""Keeps the statements that the house sends, with what goes into them, to send them again."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeAlias

from bench import house
from bench.processes import together
from bench.serving import Pace
from kernel.database import Conn, Connection, open_pool

Statements: TypeAlias = list[tuple[str, tuple[Any, ...]]]

ASKING = ("execute", "fetch", "fetchrow", "fetchval")


class Recorder:
    """`transactions` are the statements of each transaction that was committed, BEGIN and COMMIT with them.

    `keeps` says which of those between are kept.
    """

    def __init__(self, keeps: Callable[[str], bool] = lambda _: True) -> None:
        self.transactions: list[Statements] = []
        self._keeps = keeps
        self._open: dict[int, Statements] = {}

    @contextmanager
    def listening(self) -> Iterator[None]:
        asks = {name: getattr(Connection, name) for name in ASKING}
        for name, ask in asks.items():
            setattr(Connection, name, self._heard(ask))
        try:
            yield
        finally:
            for name, ask in asks.items():
                setattr(Connection, name, ask)

    def _heard(self, ask: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def asking(conn: Connection, query: str, *args: Any, **more: Any) -> Any:
            self._keep(conn, query, args)
            return await ask(conn, query, *args, **more)

        return asking

    def _keep(self, conn: Connection, query: str, args: tuple[Any, ...]) -> None:
        statement = (query, tuple(list(each) if isinstance(each, list) else each for each in args))
        if query.startswith("BEGIN"):
            self._open[id(conn)] = [statement]
        elif query == "COMMIT":
            self.transactions.append([*self._open.pop(id(conn)), statement])
        elif id(conn) in self._open and self._keeps(query):
            self._open[id(conn)].append(statement)


async def resent(template: str, recorded: Sequence[Statements], clients: int, processes: int) -> Pace:
    """Straight to PostgreSQL, on a copy of the database they began in."""
    shares = [recorded[n::processes] for n in range(processes)]
    async with house.copy_of(template, "straight"):
        done = await together([partial(_send, share, clients // processes) for share in shares])
    seconds = sorted(each for found in done.found for each in found)
    return Pace(
        per_second=len(seconds) / done.seconds,
        p50_ms=1000 * seconds[len(seconds) // 2],
        p99_ms=1000 * seconds[len(seconds) * 99 // 100],
    )


async def _send(share: Sequence[Statements], connections: int, begin: Callable[[], None]) -> list[float]:
    pool = await open_pool(house.app_url_of("straight"), size=connections)
    left = iter(share)

    async def sending(conn: Conn) -> list[float]:
        return [await _one(conn, statements) for statements in left]

    conns = [await pool.acquire() for _ in range(connections)]
    await asyncio.gather(*(_one(conn, next(left)) for conn in conns))  # statements are prepared
    begin()
    found = await asyncio.gather(*map(sending, conns))
    for conn in conns:
        await pool.release(conn)
    await pool.close()
    return [each for some in found for each in some]


async def _one(conn: Conn, statements: Statements) -> float:
    started = time.perf_counter()
    for query, args in statements:
        await (conn.fetch(query, *args) if args else conn.execute(query))
    return time.perf_counter() - started
