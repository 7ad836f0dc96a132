"""The door to the mail server."""

from email.message import EmailMessage
from email.utils import parseaddr
from urllib.parse import unquote, urlsplit

import aiosmtplib
from aiosmtplib import SMTPNotSupported, SMTPRecipientsRefused

from notifications.message import mailbox

TIMEOUT_SECONDS = 15


class Refused(Exception):
    """The server will never take this mail for this recipient. The sentence is the server's."""


class Mailer:
    """`url` is `smtp://[user:password@]host[:port]` or `smtps://…`; `sender` is an address, maybe named."""

    def __init__(self, url: str, sender: str) -> None:
        self._server = urlsplit(url)
        self.sender = parseaddr(sender)[1]
        assert self.sender, f"{sender!r} has no address in it"

    @property
    def domain(self) -> str:
        """Where our message ids are at home."""
        return mailbox("", self.sender).domain

    async def send(self, message: EmailMessage) -> None:
        """Raises Refused when trying again is of no use, and whatever went wrong otherwise."""
        try:
            await aiosmtplib.send(
                message,
                hostname=self._server.hostname,
                port=self._server.port,
                username=self._credential(self._server.username),
                password=self._credential(self._server.password),
                use_tls=self._server.scheme == "smtps",
                timeout=TIMEOUT_SECONDS,
            )
        except SMTPRecipientsRefused as error:
            refusal = error.recipients[0]
            if refusal.code >= 500:
                raise Refused(f"{refusal.code} {refusal.message}") from error
            raise
        except SMTPNotSupported as error:
            raise Refused(error.message) from error

    @staticmethod
    def _credential(text: str | None) -> str | None:
        return None if text is None else unquote(text)
