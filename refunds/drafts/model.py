"""Credit notes to be: what will be asked for, on an invoice or on none, and what it would come to now."""

from datetime import datetime

from billing.credit_notes.model import CreditNoteId, Destination
from billing.invoices.model import InvoiceId, LineId
from billing.parties.model import CustomerId
from billing.tax.model import GroupTax, TaxGroup
from kernel.decimals import Measure
from kernel.money import Currency, Money
from kernel.structs import Input, Value
from kernel.text import Name, Reference
from refunds.model import NewCredit, NewCustomerCredit


class CreditOnInvoice(NewCredit, frozen=True, kw_only=True):
    """What is credited of this invoice."""

    invoice: InvoiceId


class NewDraftCreditNote(Input, frozen=True, kw_only=True):
    """One of the two: what POST /v1/invoices/{id}/credit_notes takes, or POST /v1/credit_notes.

    Nothing happens until it is issued.
    """

    on_invoice: CreditOnInvoice | None = None
    on_customer: NewCustomerCredit | None = None


class DraftCreditNote(Value, frozen=True, kw_only=True):
    """A draft has no number and no legal meaning."""

    id: CreditNoteId
    customer_id: CustomerId
    invoice_id: InvoiceId | None
    on_invoice: CreditOnInvoice | None
    on_customer: NewCustomerCredit | None
    created_at: datetime


class PreviewedLine(Value, frozen=True, kw_only=True):
    """A line without an id, which it gets when it is issued."""

    invoice_line_id: LineId | None
    item: Reference | None
    description: Name
    quantity: Measure | None
    included_tax: Money
    net: Money
    tax: TaxGroup


class Preview(Value, frozen=True, kw_only=True):
    """What the note would say if it was issued now."""

    currency: Currency
    lines: tuple[PreviewedLine, ...]
    taxes: tuple[GroupTax, ...]
    net: Money
    tax: Money
    total: Money
    destination: Destination


class Obstacle(Value, frozen=True, kw_only=True):
    """Why it cannot be issued now, as issuing it would say."""

    code: str
    detail: str


class PreviewedDraft(Value, frozen=True, kw_only=True):
    """A draft, and either what it would come to now, or why it cannot be issued."""

    id: CreditNoteId
    customer_id: CustomerId
    invoice_id: InvoiceId | None
    on_invoice: CreditOnInvoice | None
    on_customer: NewCustomerCredit | None
    created_at: datetime
    preview: Preview | None
    obstacle: Obstacle | None
