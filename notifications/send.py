"""Sending a mail because of an event: queued in one transaction, sent in none, and marked in another."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from kernel.database import Door, Tx
from kernel.ids import EventId
from notifications import store
from notifications.mailer import Mailer, Refused
from notifications.message import message_of
from notifications.model import Letter, Mail, MailId, Status

Read: TypeAlias = Callable[[Tx], Awaitable[Letter | None]]


async def send_mail(door: Door, mailer: Mailer, event_id: EventId, read: Read) -> None:
    """Send the letter that `read` reads, unless there is nothing to say any more.

    A second run finds the mail of the first, and nothing to do. Whatever keeps the server from answering is
    raised, to be tried again; the mail is then the same one.
    """
    async with door.open() as tx:
        letter = await read(tx)
        if letter is None:
            return
        mail = await _queue(tx, event_id, letter, mailer)
    if mail.status is not Status.QUEUED:
        return

    refusal = await _hand_over(mailer, mail, letter)

    async with door.open() as tx:
        status = Status.SENT if refusal is None else Status.REFUSED
        sent_at = tx.now if refusal is None else None
        await store.update_outcome(tx, mail, status=status, refusal=refusal, sent_at=sent_at)


async def _queue(tx: Tx, event_id: EventId, letter: Letter, mailer: Mailer) -> Mail:
    """The mail of this event: the one that is there, or else a new one."""
    await store.insert(tx, _mail(event_id, letter, mailer, tx))
    mail = await store.find(tx, event_id, letter.kind)
    assert mail is not None, "a mail was just queued for this event"
    return mail


def _mail(event_id: EventId, letter: Letter, mailer: Mailer, tx: Tx) -> Mail:
    mail_id = MailId.new()
    return Mail(
        id=mail_id,
        event_id=event_id,
        kind=letter.kind,
        language=letter.language,
        customer_id=letter.customer_id,
        document_id=letter.document_id,
        sender=mailer.sender,
        recipient=letter.to_address,
        subject=letter.subject,
        body=letter.body,
        status=Status.QUEUED,
        message_id=f"<{mail_id}@{mailer.domain}>",
        refusal=None,
        created_at=tx.now,
        sent_at=None,
    )


async def _hand_over(mailer: Mailer, mail: Mail, letter: Letter) -> str | None:
    """None when the server took it, else its sentence."""
    try:
        await mailer.send(message_of(mail, letter))
    except Refused as refused:
        return str(refused)
    return None
