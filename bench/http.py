"""A client that costs next to nothing: what is measured is the server. One request at a time."""

import asyncio
from typing import Self, cast

END_OF_HEAD = b"\r\n\r\n"
LENGTH = b"content-length:"


class Client(asyncio.Protocol):
    def __init__(self) -> None:
        self._received = b""
        self._answer: asyncio.Future[int] | None = None

    @classmethod
    async def connect(cls, host: str, port: int, *, patience: float) -> Self:
        """Tries again, for so many seconds, while nobody listens."""
        async with asyncio.timeout(patience):
            while True:
                try:
                    _, client = await asyncio.get_running_loop().create_connection(cls, host, port)
                except OSError:
                    await asyncio.sleep(0.1)
                else:
                    return client

    def get(self, path: str, *, key: str) -> "asyncio.Future[int]":
        """The status; the answer is read to its end."""
        return self._ask(
            f"GET {path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {key}\r\n\r\n".encode()
        )

    def post(self, path: str, body: bytes, *, key: str, attempt: str | None = None) -> "asyncio.Future[int]":
        once = f"idempotency-key: {attempt}\r\n" if attempt else ""
        head = (
            f"POST {path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {key}\r\n"
            f"content-type: application/json\r\n{once}content-length: {len(body)}\r\n\r\n"
        )
        return self._ask(head.encode() + body)

    def close(self) -> None:
        self._transport.close()

    def _ask(self, request: bytes) -> "asyncio.Future[int]":
        assert self._answer is None, "one request at a time"
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._answer

    # ── asyncio's side ───────────────────────────────────────────────────────────────────────────

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(END_OF_HEAD)
        if end < 0:
            return
        head = self._received[:end].lower()
        _, _, rest = head.partition(LENGTH)
        if len(self._received) == end + len(END_OF_HEAD) + int(rest.split(b"\r\n", 1)[0]):
            answer, self._answer, self._received = self._answer, None, b""
            assert answer is not None, "nothing is answered that was not asked"
            answer.set_result(int(head.split(b" ", 2)[1]))

    def connection_lost(self, error: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error or ConnectionResetError("the server closed the connection"))
