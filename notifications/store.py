"""Every SQL statement about mails."""

from datetime import datetime

from kernel.database import Tx
from kernel.ids import EventId
from kernel.structs import load
from notifications.model import Kind, Mail, Status


async def insert(tx: Tx, mail: Mail) -> None:
    """Whoever comes second for the same event and kind adds nothing."""
    await tx.conn.execute(
        """
        INSERT INTO mails
            (tenant_id, id, event_id, kind, language, customer_id, document_id, sender, recipient,
             subject, body, status, message_id, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
        ON CONFLICT (tenant_id, event_id, kind) DO NOTHING
        """,
        tx.tenant,
        mail.id,
        mail.event_id,
        mail.kind,
        mail.language,
        mail.customer_id,
        mail.document_id,
        mail.sender,
        mail.recipient,
        mail.subject,
        mail.body,
        mail.status,
        mail.message_id,
        mail.created_at,
    )


async def find(tx: Tx, event_id: EventId, kind: Kind) -> Mail | None:
    row = await tx.conn.fetchrow(
        """
        SELECT id, event_id, kind, language, customer_id, document_id, sender, recipient, subject, body,
               status, message_id, refusal, created_at, sent_at
        FROM mails
        WHERE tenant_id = $1 AND event_id = $2 AND kind = $3
        """,
        tx.tenant,
        event_id,
        kind,
    )
    return load(row, Mail) if row else None


async def update_outcome(
    tx: Tx, mail: Mail, *, status: Status, refusal: str | None, sent_at: datetime | None
) -> None:
    """Only of a mail that is still queued: a second worker changes nothing."""
    await tx.conn.execute(
        """
        UPDATE mails
        SET status = $3, refusal = $4, sent_at = $5
        WHERE tenant_id = $1 AND id = $2 AND status = 'queued'
        """,
        tx.tenant,
        mail.id,
        status,
        refusal,
        sent_at,
    )
