"""Booking what happened."""

from collections.abc import Sequence
from datetime import date

from billing.credit_notes import store as credit_notes
from billing.credit_notes.model import CreditNote
from billing.invoices.model import Invoice
from billing.ledger import postings as rules
from billing.ledger import store
from billing.ledger.model import Posting, Source, holder_of
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
    booked = rules.in_one_transaction(
        (holder_of(document), posting) for posting in postings if posting.amount
    )
    if booked:
        await store.insert(tx, booked, source, document_id, label=label, booked_on=booked_on)


async def book_application(
    tx: Tx, note: CreditNote, other: Invoice, document_id: Id, amount: Money, *, label: str, booked_on: date
) -> None:
    """What is left of a note pays on another invoice; a negative amount is taken back from there."""
    booked = rules.in_one_transaction(
        (holder_of(document), posting)
        for document, owed in ((note, amount), (other, -amount))
        for posting in rules.customer_owes(owed)
    )
    await store.insert(tx, booked, Source.APPLICATION, document_id, label=label, booked_on=booked_on)


async def release_vat(tx: Tx, invoice: Invoice, source: Source, document_id: Id, *, booked_on: date) -> None:
    """After money moved or a credit note was issued: book the VAT that has fallen due, or no longer is.

    `invoice` carries its settlement as it is after the act.
    """
    await release_vat_of(tx, [invoice], source, document_id, booked_on=booked_on)


async def release_vat_of(
    tx: Tx, invoices: Sequence[Invoice], source: Source, document_id: Id, *, booked_on: date
) -> None:
    """Of one or of many, each in a transaction of its own."""
    ids = [invoice.id for invoice in invoices if invoice.vat_due is VatDue.ON_PAYMENT]
    if not ids:
        return
    balances = await store.balances_of(tx, ids)
    credited = await credit_notes.taxes_of_invoices(tx, ids)

    booked = [
        each
        for invoice in invoices
        if invoice.id in balances
        for each in rules.in_one_transaction(
            (holder_of(invoice), posting)
            for posting in rules.fallen_due(invoice, balances[invoice.id], credited.get(invoice.id, {}))
        )
    ]

    if booked:
        await store.insert(tx, booked, source, document_id, label="VAT due on receipts", booked_on=booked_on)


async def release_vat_of_note(
    tx: Tx, note: CreditNote, source: Source, document_id: Id, *, booked_on: date
) -> None:
    """After a note was used, or is no longer: of one that is on an invoice, it is in the books of that.

    `note` carries its settlement as it is after the act.
    """
    if note.vat_due is not VatDue.ON_PAYMENT or note.invoice_id is not None or note.rebate is not None:
        return
    balances = (await store.balances_of_notes(tx, [note.id]))[note.id]

    booked = rules.in_one_transaction(
        (holder_of(note), posting) for posting in rules.fallen_due_of_note(note, balances)
    )

    if booked:
        await store.insert(tx, booked, source, document_id, label="VAT due on receipts", booked_on=booked_on)
