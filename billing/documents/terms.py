"""How a document is paid or given back, in its language: the same on the page and in the mail. Pure."""

from billing.credit_notes.model import CreditNote
from billing.documents.formats import Formats
from billing.documents.words import WORDS
from billing.invoices.model import Collection, Invoice


def payment_terms(invoice: Invoice) -> str:
    words = WORDS[invoice.language]
    if not invoice.total:
        return words.nothing_to_pay
    if invoice.collection is Collection.AUTOMATIC:
        return words.charged
    return words.to_transfer.format(date=Formats(invoice.language).long_date(invoice.due_on))


def refund_terms(note: CreditNote) -> str:
    words = WORDS[note.language]
    first = words.refund_first.format(number=note.invoice_number)
    day = Formats(note.language).long_date(note.refund_on) if note.refund_on else ""
    return f"{first} {words.refunds[note.refund_mode].format(date=day)}"
