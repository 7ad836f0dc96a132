"""How a document is paid or given back, in its language: the same on the page and in the mail. Pure."""

from collections.abc import Sequence

from billing.credit_notes.model import CreditNote, Modality
from billing.documents.formats import Formats, in_fours
from billing.documents.words import WORDS
from billing.invoices.model import Collection, Invoice
from billing.settlement.model import Deduction
from kernel.money import Money, total


def to_pay(invoice: Invoice, deducted: Sequence[Deduction]) -> Money:
    """What was left to pay when the invoice was issued."""
    return invoice.to_pay - total((each.amount for each in deducted), invoice.currency)


def payment_terms(invoice: Invoice, deducted: Sequence[Deduction] = ()) -> str:
    words = WORDS[invoice.language]
    if not to_pay(invoice, deducted):
        return words.nothing_to_pay
    if invoice.collection is Collection.AUTOMATIC:
        return words.charged
    return words.to_transfer.format(date=Formats(invoice.language).long_date(invoice.due_on))


def reminder_terms(invoice: Invoice) -> str:
    """How to pay what was not paid in time. Who is charged automatically is told no account to pay to."""
    words, seller = WORDS[invoice.language], invoice.seller
    if invoice.collection is Collection.AUTOMATIC:
        return words.by_method
    if seller.iban is None:
        return words.by_agreement
    return words.by_transfer.format(iban=in_fours(seller.iban), number=invoice.number)


def refund_terms(note: CreditNote) -> str:
    """A sentence for each way the note goes, as it was decided when it was issued."""
    words, formats, destination = WORDS[note.language], Formats(note.language), note.destination
    back = words.to_provider_on if note.refund_on else words.to_provider
    day = formats.long_date(note.refund_on) if note.refund_on else ""
    by_hand, to_balance = words.by_hand, words.to_balance
    if note.modality is Modality.CARD:
        by_hand = words.by_card
    elif note.modality is Modality.VOUCHER:
        by_hand = to_balance = words.by_voucher
    ways = (
        (words.to_invoices if note.rebate else words.to_invoice, destination.to_invoice),
        (back, destination.to_provider),
        (by_hand, destination.by_hand),
        (to_balance, destination.to_balance),
    )
    return " ".join(
        sentence.format(amount=formats.money(amount), number=note.invoice_number, date=day)
        for sentence, amount in ways
        if amount
    )
