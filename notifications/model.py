"""A mail tells a customer what happened: one per event and kind.

queued ──▶ sent
   └─────▶ refused     the server said that it will never take it

A mail is queued with its words before it is sent, so that sending again sends the same mail.
"""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from billing.parties.model import CustomerId, Language
from kernel.ids import EventId, Id
from kernel.structs import Value
from kernel.text import Email, Name


class MailId(Id, prefix="mail"):
    """A mail to a customer."""


class Kind(StrEnum):
    """What a mail is about. The value is the type of the event that it follows from."""

    INVOICE_ISSUED = "invoice.issued"
    INVOICE_CORRECTED = "invoice.corrected"
    CREDIT_NOTE_ISSUED = "credit_note.issued"
    PAYMENT_FAILED = "payment.failed"
    INVOICE_REMINDER_DUE = "invoice.reminder_due"
    REFUND_SUCCEEDED = "refund.succeeded"
    REFUND_CONVERTED = "refund.converted_to_balance"
    SUBSCRIPTION_CANCELLED = "subscription.cancelled"
    OFFER_ENDS_SOON = "offer.ends_soon"


class Status(StrEnum):
    QUEUED = "queued"
    SENT = "sent"
    REFUSED = "refused"


class Mail(Value, frozen=True, kw_only=True):
    """`document_id` is what the mail is about; `refusal` is the server's sentence."""

    id: MailId
    event_id: EventId
    kind: Kind
    language: Language
    customer_id: CustomerId
    document_id: UUID
    sender: str
    recipient: Email
    subject: str
    body: str
    status: Status
    message_id: str
    refusal: str | None
    created_at: datetime
    sent_at: datetime | None


class Attachment(Value, frozen=True, kw_only=True):
    """A PDF that goes along."""

    file_name: str
    content: bytes


class Letter(Value, frozen=True, kw_only=True):
    """Everything a mail says, and to whom: what is read before anything is decided or sent."""

    kind: Kind
    language: Language
    customer_id: CustomerId
    document_id: UUID
    to_name: Name
    to_address: Email
    from_name: Name
    reply_to: Email
    subject: str
    body: str
    attachments: tuple[Attachment, ...] = ()
