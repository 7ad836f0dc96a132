"""The ledger: double entry. A debit is positive, a credit negative, a transaction sums to zero."""

from datetime import date, datetime
from enum import StrEnum

from billing.credit_notes.model import CreditNote, CreditNoteId
from billing.invoices.model import Invoice, InvoiceId
from billing.parties.model import CustomerId, LegalEntityId
from billing.payments.model import PaymentId
from billing.tax.model import TaxGroup
from kernel.ids import Id
from kernel.money import Currency, Money
from kernel.structs import Value


class Account(StrEnum):
    """The French chart of accounts (plan comptable general)."""

    CUSTOMERS = "411"
    BANK = "512"
    VAT_COLLECTED = "44571"
    VAT_WAITING = "4458"  # invoiced, not yet due because not yet received
    SERVICES = "706"
    REBATES_GRANTED = "709"
    CREDIT_NOTES_TO_ISSUE = "4198"  # rebates earned, whose credit note is still to come
    VAT_TO_ADJUST = "44587"  # theirs, which no document has taken off yet
    EARLY_PAYMENT_DISCOUNTS = "665"
    DEPOSITS = "4191"  # received before what they are for is invoiced
    BAD_DEBT = "654"
    SUSPENSE = "471"  # to be explained: what was settled where we do not see it
    OPENING = "890"  # what was booked elsewhere before it was brought here


class Source(StrEnum):
    """What made an entry necessary."""

    INVOICE = "invoice"
    CREDIT_NOTE = "credit_note"
    PAYMENT = "payment"
    REFUND = "refund"
    APPLICATION = "application"  # of a credit note to another invoice, or its end
    REBATE_ACCRUAL = "rebate_accrual"  # at a closing, and its reversal the day after
    USE = "use"  # of a credit note, marked by hand
    DEPOSIT = "deposit"  # deducted from the invoice it was for
    DISPUTE = "dispute"  # lost: the money went back to the customer
    IMPORT = "import"  # a document issued elsewhere, and what had become of it there


class EntryId(Id, prefix="led"):
    """One line of the ledger."""


class TransactionId(Id, prefix="ltx"):
    """Entries that sum to zero."""


class Entry(Value, frozen=True, kw_only=True):
    """One line of the ledger: debit positive, credit negative. `document_id` is what made it necessary.

    It is in the books of an invoice, or of a note or a payment that is on no one invoice.
    """

    id: EntryId
    transaction_id: TransactionId
    document: Source
    document_id: str
    invoice_id: InvoiceId | None
    credit_note_id: CreditNoteId | None
    payment_id: PaymentId | None
    customer_id: CustomerId
    account: Account
    tax: TaxGroup | None
    currency: Currency
    amount: Money
    label: str
    booked_on: date
    created_at: datetime


class Holder(Value, frozen=True, kw_only=True):
    """Whose books: a customer's with a seller, and in them those of one document, if it is of one."""

    legal_entity_id: LegalEntityId
    customer_id: CustomerId
    currency: Currency
    invoice_id: InvoiceId | None = None
    credit_note_id: CreditNoteId | None = None
    payment_id: PaymentId | None = None


def holder_of(document: Invoice | CreditNote) -> Holder:
    """A note is booked on its invoice; one that is on no one invoice has books of its own."""
    if isinstance(document, Invoice):
        invoice_id: InvoiceId | None = document.id
        credit_note_id: CreditNoteId | None = None
    else:
        invoice_id = document.invoice_id
        credit_note_id = document.id if invoice_id is None else None
    return Holder(
        legal_entity_id=document.legal_entity_id,
        customer_id=document.customer_id,
        currency=document.currency,
        invoice_id=invoice_id,
        credit_note_id=credit_note_id,
    )


class Posting(Value, frozen=True, kw_only=True):
    """An amount on an account, to be booked. VAT accounts are kept per group."""

    account: Account
    amount: Money
    tax: TaxGroup | None = None


class Booked(Value, frozen=True, kw_only=True):
    """A posting in the books of its holder; those of one transaction sum to zero."""

    transaction_id: TransactionId
    holder: Holder
    posting: Posting


class Balance(Value, frozen=True, kw_only=True):
    """What an account holds of one invoice and VAT group.

    `moved` is what of it came with money, or went with it: by payments, refunds and applications, and with
    what is left of a rebate over many invoices, which is no longer of this one.
    """

    account: Account
    tax: TaxGroup | None
    amount: Money
    moved: Money
