"""A settlement is money or a credit note matched to an invoice: an edge of the settlement graph."""

from datetime import date, datetime
from typing import Annotated

import msgspec

from billing.credit_notes.model import CreditNote, CreditNoteId, NoteToApply
from billing.invoices.model import Invoice, InvoiceId
from billing.parties.model import CustomerId
from billing.payments.model import Means, PaymentId
from kernel.ids import Id
from kernel.money import Currency, Money
from kernel.structs import Input, Value
from kernel.text import Note


class SettlementId(Id, prefix="stl"):
    """One edge, from a payment or a credit note to an invoice."""


class Settlement(Value, frozen=True, kw_only=True):
    """An edge: `amount` of a payment, a credit note or a deposit settles an invoice, until it is undone.

    `is_own`: what the note takes off an invoice that it is on. Of what is dissociated in part, one edge is
    undone and another stays in its place.
    """

    id: SettlementId
    invoice_id: InvoiceId
    payment_id: PaymentId | None
    credit_note_id: CreditNoteId | None
    deposit_id: InvoiceId | None
    is_own: bool
    currency: Currency
    amount: Money
    created_at: datetime
    undone_at: datetime | None


class ApplicableNote(Value, frozen=True, kw_only=True):
    """A credit note of which something is left; the invoice asked about would take `amount` of it."""

    credit_note_id: CreditNoteId
    number: str
    issued_on: date
    currency: Currency
    total: Money
    left: Money
    amount: Money


class ApplicableInvoice(Value, frozen=True, kw_only=True):
    """An invoice that is due; of the credit note asked about, `amount` would settle it."""

    invoice_id: InvoiceId
    number: str
    due_on: date
    currency: Currency
    total: Money
    due: Money
    amount: Money


class Application(Value, frozen=True, kw_only=True):
    """What is left of a credit note, paid on an invoice. A rebate has no `own_invoice_id`: it is on many."""

    id: SettlementId
    credit_note_id: CreditNoteId
    own_invoice_id: InvoiceId | None
    currency: Currency
    amount: Money


class Receipt(Value, frozen=True, kw_only=True):
    """What settled an invoice in part: money by its `means`, or the credit note of that number."""

    id: SettlementId
    amount: Money
    currency: Currency
    settled_at: datetime
    received_on: date | None
    means: Means | None
    reference: str | None
    number: str | None


class Unused(Value, frozen=True, kw_only=True):
    """A credit note of which something is left, and the invoice that it is on, if that is one."""

    credit_note_id: CreditNoteId
    invoice_id: InvoiceId | None


class Deduction(Value, frozen=True, kw_only=True):
    """What a credit note paid on an invoice the moment that was issued: its page deducts it."""

    number: str
    amount: Money


class Balance(Value, frozen=True, kw_only=True):
    """What we hold for a customer, one amount per currency: rests of credit notes, not promised or held, and
    money that is on no invoice."""

    customer_id: CustomerId
    amounts: list[Money]


class InvoiceToSettle(Input, frozen=True, kw_only=True):
    """An invoice, and how much of it: without `amount` as much as goes."""

    invoice: InvoiceId
    amount: Money | None = None


class NewSettlements(Input, frozen=True, kw_only=True):
    """Credit notes to apply to invoices, in the order given; what has an amount comes first, and exactly."""

    credit_notes: Annotated[list[NoteToApply], msgspec.Meta(min_length=1, max_length=100)]
    invoices: Annotated[list[InvoiceToSettle], msgspec.Meta(min_length=1, max_length=100)]


class Settled(Value, frozen=True, kw_only=True):
    """What was matched, edge by edge."""

    settlements: tuple[Settlement, ...]


class NewUse(Input, frozen=True, kw_only=True):
    """Why a credit note counts as used, and how much of it: without `amount` all that is left."""

    reason: Note
    amount: Money | None = None


class NewDissociation(Input, frozen=True, kw_only=True):
    """How much is taken back: without `amount` all of it."""

    amount: Money | None = None


class Dissociated(Value, frozen=True, kw_only=True):
    """The edge that is undone, and the one that stays for the rest of it."""

    undone: Settlement
    stays: Settlement | None


class Reversal(Value, frozen=True, kw_only=True):
    """The invoice that takes a credit note back, and the note, which has paid as much of it as was left."""

    invoice: Invoice
    credit_note: CreditNote
