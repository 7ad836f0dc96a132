"""What happens to refunds, and to invoices that are put right."""

from datetime import date
from typing import Self

from billing.credit_notes.model import CreditNoteId
from billing.invoices.model import InvoiceId
from billing.parties.model import CustomerId, RefundMode
from billing.payments.model import PaymentId
from kernel.events import Event
from kernel.money import Money
from refunds.model import Refund, RefundId


class CreditNoteRefundAsked(Event, frozen=True, kw_only=True, tag="credit_note.refund_asked"):
    """What is left of it is to go back, later than it was issued; `by_hand` is what was promised of that."""

    credit_note_id: CreditNoteId
    invoice_id: InvoiceId | None
    customer_id: CustomerId
    mode: RefundMode
    amount: Money
    by_hand: Money


class RefundEvent(Event, frozen=True, kw_only=True):
    """Every document that the refund is of, and how much money it is about."""

    refund_id: RefundId
    credit_note_id: CreditNoteId | None
    payment_id: PaymentId | None
    invoice_id: InvoiceId | None
    customer_id: CustomerId
    amount: Money

    @classmethod
    def of(cls, refund: Refund, **more: object) -> Self:
        return cls(
            refund_id=refund.id,
            credit_note_id=refund.credit_note_id,
            payment_id=refund.payment_id,
            invoice_id=refund.invoice_id,
            customer_id=refund.customer_id,
            amount=refund.amount,
            **more,
        )


class RefundRequested(RefundEvent, frozen=True, kw_only=True, tag="refund.requested"):
    pass


class RefundScheduled(RefundEvent, frozen=True, kw_only=True, tag="refund.scheduled"):
    pass


class RefundRescheduled(RefundEvent, frozen=True, kw_only=True, tag="refund.rescheduled"):
    due_on: date


class RefundBlocked(RefundEvent, frozen=True, kw_only=True, tag="refund.blocked"):
    """Its payment is disputed: it is sent once the dispute is won."""


class RefundSucceeded(RefundEvent, frozen=True, kw_only=True, tag="refund.succeeded"):
    pass


class RefundFailed(RefundEvent, frozen=True, kw_only=True, tag="refund.failed"):
    """Its amount is held until somebody decides. `was_succeeded`: the money came back later."""

    failure_code: str
    was_succeeded: bool


class RefundCancelled(RefundEvent, frozen=True, kw_only=True, tag="refund.cancelled"):
    pass


class RefundRetried(RefundEvent, frozen=True, kw_only=True, tag="refund.retried"):
    """The refunds that take its place are requested beside it."""


class RefundConverted(RefundEvent, frozen=True, kw_only=True, tag="refund.converted_to_balance"):
    """The customer keeps the amount as balance."""


class RefundRecordedExternal(RefundEvent, frozen=True, kw_only=True, tag="refund.recorded_external"):
    """The money went back past us: the refund that says so has succeeded beside it."""


class InvoiceCorrected(Event, frozen=True, kw_only=True, tag="invoice.corrected"):
    """A note took it back, and another invoice stands in its place."""

    invoice_id: InvoiceId
    credit_note_id: CreditNoteId
    corrected_invoice_id: InvoiceId
    customer_id: CustomerId


class InvoiceRejected(Event, frozen=True, kw_only=True, tag="invoice.rejected"):
    """By the e-invoicing platform. A note took it back, unless that had been done."""

    invoice_id: InvoiceId
    credit_note_id: CreditNoteId | None
    corrected_invoice_id: InvoiceId | None
    customer_id: CustomerId


class RefundLinked(RefundEvent, frozen=True, kw_only=True, tag="refund.linked"):
    """It was made at the provider, and is of this credit note now."""
