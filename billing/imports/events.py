"""What happens to documents that were issued elsewhere."""

from typing import ClassVar

from billing.credit_notes.model import CreditNoteId
from billing.invoices.model import InvoiceId
from billing.parties.model import CustomerId
from kernel.events import Event
from kernel.money import Money


class InvoiceImported(Event, frozen=True, kw_only=True, tag="invoice.imported"):
    """`dunned` says whether it is dunned once it is overdue: not if it was already, unless asked for."""

    begins: ClassVar[bool] = True

    invoice_id: InvoiceId
    customer_id: CustomerId
    amount: Money
    dunned: bool


class CreditNoteImported(Event, frozen=True, kw_only=True, tag="credit_note.imported"):
    """On an invoice, or on none."""

    begins: ClassVar[bool] = True

    credit_note_id: CreditNoteId
    invoice_id: InvoiceId | None
    customer_id: CustomerId
    amount: Money
