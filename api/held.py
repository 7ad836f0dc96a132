"""An answer that is held back until its transaction has ended."""

import asyncio
from collections.abc import Mapping

from litestar.types import HTTPResponseStartEvent, Message, Receive, ReceiveMessage, Send


class Held:
    """Give its `send` to the application; call `release` when the answer may go.

    With `streams`, an answer in more than one part goes out as it comes, because it may be long.
    """

    def __init__(self, send: Send, *, streams: bool) -> None:
        self._send = send
        self._streams = streams
        self._start: HTTPResponseStartEvent | None = None
        self.body = b""
        self.gone = False
        self._said = asyncio.Event()

    @property
    def status(self) -> int:
        assert self._start is not None, "the application answers every request"
        return self._start["status"]

    @property
    def headers(self) -> list[tuple[str, str]]:
        assert self._start is not None, "the application answers every request"
        return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in self._start["headers"]]

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
        elif message["type"] == "http.response.body":
            self.body += message["body"]
            if not message["more_body"]:
                self._said.set()
            elif self._streams:
                await self._part()

    def until_said(self, receive: Receive) -> Receive:
        """Who listens for the client to leave, while a long answer goes out, need not once it is whole."""

        async def hear() -> ReceiveMessage:
            heard, said = asyncio.ensure_future(receive()), asyncio.ensure_future(self._said.wait())
            try:
                await asyncio.wait({heard, said}, return_when=asyncio.FIRST_COMPLETED)
                return heard.result() if heard.done() else {"type": "http.disconnect"}
            finally:
                heard.cancel()
                said.cancel()

        return hear

    def set(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        """Answer this instead."""
        kept = [(name, value) for name, value in headers if name.lower() != "content-length"]
        lines = [*kept, ("content-length", str(len(body)))]
        self._start = {
            "type": "http.response.start",
            "status": status,
            "headers": [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in lines],
        }
        self.body = body

    def add(self, headers: Mapping[str, str]) -> None:
        self.set(self.status, [*self.headers, *headers.items()], self.body)

    async def release(self) -> None:
        await self._begin()
        await self._send({"type": "http.response.body", "body": self.body, "more_body": False})

    async def _part(self) -> None:
        await self._begin()
        await self._send({"type": "http.response.body", "body": self.body, "more_body": True})
        self.body = b""

    async def _begin(self) -> None:
        assert self._start is not None, "the application answers every request"
        if not self.gone:
            self.gone = True
            await self._send(self._start)
