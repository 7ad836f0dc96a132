"""What happens to refunds."""

from billing.credit_notes.model import CreditNoteId
from billing.parties.model import CustomerId
from kernel.events import Event
from refunds.model import RefundId


class RefundRequested(Event, frozen=True, kw_only=True, tag="refund.requested"):
    refund_id: RefundId
    credit_note_id: CreditNoteId
    customer_id: CustomerId


class RefundScheduled(Event, frozen=True, kw_only=True, tag="refund.scheduled"):
    refund_id: RefundId
    credit_note_id: CreditNoteId
    customer_id: CustomerId


class RefundSucceeded(Event, frozen=True, kw_only=True, tag="refund.succeeded"):
    refund_id: RefundId
    credit_note_id: CreditNoteId
    customer_id: CustomerId


class RefundFailed(Event, frozen=True, kw_only=True, tag="refund.failed"):
    refund_id: RefundId
    credit_note_id: CreditNoteId
    customer_id: CustomerId
    failure_code: str
