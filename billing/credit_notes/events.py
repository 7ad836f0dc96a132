"""What happens to credit notes."""

from billing.credit_notes.model import CreditNoteId
from billing.invoices.model import InvoiceId
from billing.parties.model import CustomerId
from kernel.events import Event


class CreditNoteIssued(Event, frozen=True, kw_only=True, tag="credit_note.issued"):
    credit_note_id: CreditNoteId
    invoice_id: InvoiceId
    customer_id: CustomerId
