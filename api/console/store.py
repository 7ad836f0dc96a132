"""What the console reads that no operation of the API asks for: names beside ids, and mails."""

from collections.abc import Sequence

from api.console.access.model import Refused
from billing.parties.model import CustomerId
from kernel.database import Tx
from kernel.paging import Page, Window, page_of
from kernel.structs import load
from notifications.model import Mail, MailId
from subscriptions.model import PlanId


async def customer_names(tx: Tx, ids: Sequence[CustomerId]) -> dict[CustomerId, str]:
    rows = await tx.conn.fetch(
        """
        SELECT id, name
        FROM customers
        WHERE tenant_id = $1 AND id = ANY($2::uuid[])
        """,
        tx.tenant,
        ids,
    )
    return {CustomerId.of(row["id"]): row["name"] for row in rows}


async def plan_names(tx: Tx, ids: Sequence[PlanId]) -> dict[PlanId, str]:
    rows = await tx.conn.fetch(
        """
        SELECT id, name
        FROM plans
        WHERE tenant_id = $1 AND id = ANY($2::uuid[])
        """,
        tx.tenant,
        ids,
    )
    return {PlanId.of(row["id"]): row["name"] for row in rows}


async def mails(tx: Tx, window: Window) -> Page[Mail]:
    rows = await tx.conn.fetch(
        """
        SELECT id, event_id, kind, language, customer_id, document_id, sender, recipient, subject, body,
               status, message_id, refusal, created_at, sent_at
        FROM mails
        WHERE tenant_id = $1 AND id < $2
        ORDER BY id DESC
        LIMIT $3
        """,
        tx.tenant,
        window.before,
        window.rows,
    )
    return page_of(rows, Mail, window)


async def mail(tx: Tx, mail_id: MailId) -> Mail:
    row = await tx.conn.fetchrow(
        """
        SELECT id, event_id, kind, language, customer_id, document_id, sender, recipient, subject, body,
               status, message_id, refusal, created_at, sent_at
        FROM mails
        WHERE tenant_id = $1 AND id = $2
        """,
        tx.tenant,
        mail_id,
    )
    if row is None:
        raise Refused(404, "There is no such mail.")
    return load(row, Mail)
