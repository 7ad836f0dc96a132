"""Mails as files: one .eml each, named by when it came, so that the newest sorts last."""

import re
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage, MIMEPart
from pathlib import Path

import msgspec

ID = re.compile(r"\d{8}T\d{12}-[0-9a-f]{8}")
MOST_LISTED = 200
HEADERS = ("From", "To", "Cc", "Reply-To", "Subject", "Date", "Message-ID")
SHOWN_INLINE = frozenset({"application/pdf", "image/png", "image/jpeg", "image/gif", "image/webp"})


class Attachment(msgspec.Struct, frozen=True, kw_only=True):
    position: int
    name: str
    media_type: str
    content: bytes

    @property
    def inline(self) -> bool:
        """What a browser shows without running anything in it."""
        return self.media_type in SHOWN_INLINE


class Mail(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    received_at: datetime
    recipients: str
    headers: tuple[tuple[str, str], ...]
    text: str | None
    html: str | None
    attachments: tuple[Attachment, ...]

    def header(self, name: str) -> str:
        return dict(self.headers).get(name, "")


def keep(folder: Path, content: bytes, recipients: list[str], *, now: datetime) -> str:
    """Whole or not at all. The envelope's recipients travel in a header of ours."""
    mail_id = f"{now.astimezone(UTC):%Y%m%dT%H%M%S%f}-{secrets.token_hex(4)}"
    draft = folder / f".{mail_id}"
    draft.write_bytes(b"X-Mailbox-Recipients: " + ", ".join(recipients).encode() + b"\r\n" + content)
    draft.replace(folder / f"{mail_id}.eml")
    return mail_id


def newest(folder: Path) -> list[Mail]:
    ours = [path for path in folder.glob("*.eml") if ID.fullmatch(path.stem)]
    return [_read(path) for path in sorted(ours, reverse=True)[:MOST_LISTED]]


def find(folder: Path, mail_id: str) -> Mail | None:
    path = folder / f"{mail_id}.eml"
    if not ID.fullmatch(mail_id) or not path.is_file():
        return None
    return _read(path)


def _read(path: Path) -> Mail:
    """One that no parser understands is shown as it came."""
    try:
        return _parsed(path)
    except (ValueError, LookupError):
        return _as_it_came(path)


def _as_it_came(path: Path) -> Mail:
    raw = Attachment(
        position=1, name=f"{path.stem}.eml", media_type="message/rfc822", content=path.read_bytes()
    )
    return Mail(
        id=path.stem,
        received_at=_received_at(path),
        recipients="",
        headers=(("Subject", "A mail that cannot be read"),),
        text="This mail is not formed as mails are. It is attached as it came.",
        html=None,
        attachments=(raw,),
    )


def _received_at(path: Path) -> datetime:
    return datetime.strptime(path.stem[:21], "%Y%m%dT%H%M%S%f").replace(tzinfo=UTC)


def _parsed(path: Path) -> Mail:
    message = message_from_bytes(path.read_bytes(), policy=policy.default)
    assert isinstance(message, EmailMessage), "the default policy makes no other"
    return Mail(
        id=path.stem,
        received_at=_received_at(path),
        recipients=_header(message, "X-Mailbox-Recipients"),
        headers=tuple((name, _header(message, name)) for name in HEADERS if message[name]),
        text=_body(message, "plain"),
        html=_body(message, "html"),
        attachments=tuple(_attachments(message)),
    )


def _header(message: EmailMessage, name: str) -> str:
    return str(message.get(name, ""))


def _body(message: EmailMessage, kind: str) -> str | None:
    part = message.get_body((kind,))
    return None if part is None else _content(part).decode(_charset(part), errors="replace")


def _charset(part: MIMEPart) -> str:
    charset = part.get_content_charset("utf-8")
    try:
        "".encode(charset)
    except LookupError:
        return "utf-8"
    return charset


def _attachments(message: EmailMessage) -> Iterator[Attachment]:
    for position, part in enumerate(message.iter_attachments(), start=1):
        yield Attachment(
            position=position,
            name=part.get_filename() or f"attachment-{position}",
            media_type=part.get_content_type(),
            content=_content(part),
        )


def _content(part: MIMEPart) -> bytes:
    content = part.get_payload(decode=True)
    return content if isinstance(content, bytes) else part.as_bytes()  # a message in a message
