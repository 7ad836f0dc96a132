"""Keeps the statements that the house sends, with what goes into them, to send them again."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

from kernel.database import Connection

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
