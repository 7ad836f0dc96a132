"""What happens to credit notes."""

from billing.credit_notes.model import CreditNoteId
from billing.invoices.model import InvoiceId
from billing.parties.model import CustomerId
from kernel.events import Event
from kernel.money import Money


class CreditNoteIssued(Event, frozen=True, kw_only=True, tag="credit_note.issued"):
    """A rebate is on many invoices, and has no `invoice_id`."""

    credit_note_id: CreditNoteId
    invoice_id: InvoiceId | None
    customer_id: CustomerId


class CreditNoteApplied(Event, frozen=True, kw_only=True, tag="credit_note.applied"):
    """What was left of it pays on an invoice."""

    credit_note_id: CreditNoteId
    invoice_id: InvoiceId
    customer_id: CustomerId
    amount: Money


class CreditNoteDissociated(Event, frozen=True, kw_only=True, tag="credit_note.dissociated"):
    """From an invoice it had been applied to: that much of it is balance again."""

    credit_note_id: CreditNoteId
    invoice_id: InvoiceId
    customer_id: CustomerId
    amount: Money


class CreditNoteMarkedUsed(Event, frozen=True, kw_only=True, tag="credit_note.marked_used"):
    """Somebody said that so much of it was settled elsewhere."""

    credit_note_id: CreditNoteId
    invoice_id: InvoiceId | None
    customer_id: CustomerId
    amount: Money
    reason: str


class CreditNoteAttached(Event, frozen=True, kw_only=True, tag="credit_note.attached"):
    """To an invoice that it is about; no money moved."""

    credit_note_id: CreditNoteId
    invoice_id: InvoiceId
    customer_id: CustomerId


class CreditNoteDetached(Event, frozen=True, kw_only=True, tag="credit_note.detached"):
    """It is not about this invoice after all."""

    credit_note_id: CreditNoteId
    invoice_id: InvoiceId
    customer_id: CustomerId


class CreditNoteReversed(Event, frozen=True, kw_only=True, tag="credit_note.reversed"):
    """It was wrong: the invoice `reversal_id` takes it back. `invoice_id` is the one that it is on."""

    credit_note_id: CreditNoteId
    invoice_id: InvoiceId | None
    reversal_id: InvoiceId
    customer_id: CustomerId
    amount: Money
