"""What happens to released lines."""

from billing.credit_notes.model import CreditNoteId
from billing.invoices.model import InvoiceId, ReleasedLineId
from billing.parties.model import CustomerId
from kernel.events import Event
from kernel.money import Money


class LinesReleased(Event, frozen=True, kw_only=True, tag="credit_note.lines_released"):
    """What the note took off the invoice can be billed again: `amount` in the prices of that invoice."""

    credit_note_id: CreditNoteId
    invoice_id: InvoiceId
    customer_id: CustomerId
    released_lines: tuple[ReleasedLineId, ...]
    amount: Money


class ReleasedLinesBilled(Event, frozen=True, kw_only=True, tag="credit_note.released_lines_billed"):
    """Lines that the note released were billed by this invoice."""

    credit_note_id: CreditNoteId
    invoice_id: InvoiceId
    customer_id: CustomerId
    released_lines: tuple[ReleasedLineId, ...]
    amount: Money
