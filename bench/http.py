"""A client that costs next to nothing: what is measured is the server. One request at a time."""

import asyncio
from typing import Self


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def connect(cls, host: str, port: int, *, patience: float) -> Self:
        """Tries again, for so many seconds, while nobody listens."""
        async with asyncio.timeout(patience):
            while True:
                try:
                    return cls(*await asyncio.open_connection(host, port))
                except OSError:
                    await asyncio.sleep(0.1)

    async def post(self, path: str, body: bytes, *, key: str, attempt: str) -> int:
        """The status; the answer is read to its end."""
        self._writer.write(
            f"POST {path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {key}\r\n"
            f"content-type: application/json\r\nidempotency-key: {attempt}\r\n"
            f"content-length: {len(body)}\r\n\r\n".encode()
            + body
        )
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        length = next(line for line in head.split("\r\n") if line.startswith("content-length:"))
        await self._reader.readexactly(int(length.partition(":")[2]))
        return int(head.split(" ", 2)[1])

    def close(self) -> None:
        self._writer.close()
