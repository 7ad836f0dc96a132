"""A settlement is money or a credit note matched to an invoice: an edge of the settlement graph."""

from billing.credit_notes.model import CreditNoteId
from billing.invoices.model import InvoiceId
from billing.parties.model import CustomerId
from kernel.ids import Id
from kernel.money import Currency, Money
from kernel.structs import Value


class SettlementId(Id, prefix="stl"):
    """One edge, from a payment or a credit note to an invoice."""


class Application(Value, frozen=True, kw_only=True):
    """What is left of a credit note, paid on an invoice. A rebate has no `own_invoice_id`: it is on many."""

    id: SettlementId
    credit_note_id: CreditNoteId
    own_invoice_id: InvoiceId | None
    currency: Currency
    amount: Money


class Deduction(Value, frozen=True, kw_only=True):
    """What a credit note paid on an invoice the moment that was issued: its page deducts it."""

    number: str
    amount: Money


class Balance(Value, frozen=True, kw_only=True):
    """What we hold for a customer, one amount per currency: rests of credit notes, not promised or held."""

    customer_id: CustomerId
    amounts: list[Money]
