"""A real SMTP server that keeps what it is sent, and can be told to refuse, to close and to open again."""

import asyncio
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser

from aiosmtpd.smtp import SMTP, Envelope, Session


class Inbox:
    def __init__(self) -> None:
        self.messages: list[EmailMessage] = []
        self.recipients: list[str] = []
        self.answers: dict[str, str] = {}
        self.reads_utf8 = True
        self.port = 0
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    async def open(self) -> None:
        """On the same port as before, if there was one."""
        self._server = await asyncio.get_running_loop().create_server(
            lambda: SMTP(self, hostname="localhost", enable_SMTPUTF8=self.reads_utf8),
            host="127.0.0.1",
            port=self.port,
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None

    async def handle_RCPT(  # noqa: N802 (aiosmtpd names it)
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        answer = self.answers.get(address, "250 OK")
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(  # noqa: N802 (aiosmtpd names it)
        self, _server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        content = envelope.content
        assert isinstance(content, bytes), "we did not ask aiosmtpd to decode"
        self.messages.append(BytesParser(EmailMessage, policy=policy.default).parsebytes(content))
        self.recipients += envelope.rcpt_tos
        return "250 OK"
