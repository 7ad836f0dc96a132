"""Booking what happened."""

from collections.abc import Sequence
from datetime import date

from billing.credit_notes import store as credit_notes
from billing.credit_notes.model import CreditNote
from billing.invoices.model import Invoice
from billing.ledger import postings as rules
from billing.ledger import store
from billing.ledger.model import Account, Posting, Source, TransactionId, holder_of
from billing.parties.model import VatDue
from kernel.database import Tx
from kernel.ids import Id
from kernel.money import Money, total


async def book(
    tx: Tx,
    document: Invoice | CreditNote,
    source: Source,
    document_id: Id,
    postings: Sequence[Posting],
    *,
    label: str,
    booked_on: date,
) -> None:
    """Write one transaction in the books of a document; amounts of zero leave no entry."""
    assert not total((p.amount for p in postings), document.currency), f"{label} does not balance"
    amounts = [posting for posting in postings if posting.amount]
    if amounts:
        await store.insert(
            tx, holder_of(document), source, document_id, amounts, label=label, booked_on=booked_on
        )


async def book_application(
    tx: Tx, note: CreditNote, other: Invoice, document_id: Id, amount: Money, *, label: str, booked_on: date
) -> None:
    """What is left of a note pays on another invoice; a negative amount is taken back from there."""
    transaction_id = TransactionId.new()
    for document, owed in ((note, amount), (other, -amount)):
        await store.insert(
            tx,
            holder_of(document),
            Source.APPLICATION,
            document_id,
            rules.customer_owes(owed),
            label=label,
            booked_on=booked_on,
            transaction_id=transaction_id,
        )


async def release_vat(tx: Tx, invoice: Invoice, source: Source, document_id: Id, *, booked_on: date) -> None:
    """After money moved or a credit note was issued: book the VAT that has fallen due, or no longer is.

    `invoice` carries its settlement as it is after the act.
    """
    if invoice.vat_due is VatDue.ON_INVOICE:
        return
    balances = await store.balances_of(tx, invoice)
    credited = await credit_notes.taxes_of_invoice(tx, invoice.id)

    postings = rules.vat_fallen_due(
        invoice.taxes,
        credited_tax={group: tax.tax for group, tax in credited.items()},
        released={b.tax: -b.amount for b in balances if b.account is Account.VAT_COLLECTED and b.tax},
        received=-total((b.moved for b in balances if b.account is Account.CUSTOMERS), invoice.currency),
        left=invoice.total - invoice.settlement.credited,
    )

    await book(tx, invoice, source, document_id, postings, label="VAT due on receipts", booked_on=booked_on)
