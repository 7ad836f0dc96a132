"""Applying what is left of a credit note to another invoice, and dissociating them again.

It is a refund on the note's own invoice and a receipt on the other: VAT that falls due on receipt goes along.
"""

from collections.abc import Sequence
from datetime import date
from zoneinfo import ZoneInfo

from billing.credit_notes import store as credit_notes
from billing.credit_notes.events import CreditNoteApplied, CreditNoteDissociated
from billing.credit_notes.model import CreditNote
from billing.invoices import store as invoices
from billing.invoices.model import Invoice, InvoiceId
from billing.ledger.book import book_application, release_vat, release_vat_of_note
from billing.ledger.model import Source
from billing.settlement import store
from billing.settlement.model import Application, SettlementId
from billing.settlement.rules import used_with
from billing.settlement.settle import settle
from kernel import outbox
from kernel.database import Tx
from kernel.money import Money
from kernel.periods import local_date


async def lock_with_sources(tx: Tx, ids: Sequence[InvoiceId]) -> list[Invoice]:
    """Invoices to be credited, locked with those whose notes pay on them: these get theirs back."""
    if not ids:
        return []
    locked = await invoices.lock_many(tx, ids, with_sources=True)
    return [invoice for invoice in locked if invoice.id in ids]


async def apply_note(
    tx: Tx,
    note: CreditNote,
    invoice: Invoice,
    amount: Money,
    *,
    settlement_id: SettlementId | None = None,
) -> tuple[CreditNote, Invoice]:
    """Both have been locked by the caller, as has the note's own invoice.

    On that one, which is due again where its payment was taken from it, it is in the same books: nothing
    is booked.
    """
    assert (note.customer_id, note.legal_entity_id) == (invoice.customer_id, invoice.legal_entity_id)
    assert amount <= min(note.settlement.left, invoice.settlement.due), "no more than there is"

    used = used_with(note, applied=amount)
    is_own = note.invoice_id == invoice.id

    settlement_id = await store.insert(
        tx, invoice.id, amount, credit_note_id=note.id, is_own=is_own, settlement_id=settlement_id
    )
    await credit_notes.update_settlement(tx, used)
    after = await settle(tx, invoice, offset=amount)
    if not is_own:
        own = await _own_invoice(tx, note.invoice_id)
        label = f"{note.number} applied to {invoice.number}"
        await _book(tx, used, own, after, settlement_id, amount, label=label)
        await _release(tx, after, settlement_id)
    outbox.publish(
        tx,
        CreditNoteApplied(
            credit_note_id=note.id, invoice_id=invoice.id, customer_id=invoice.customer_id, amount=amount
        ),
    )
    return used, after


async def dissociate(tx: Tx, invoice: Invoice, applications: Sequence[Application], amount: Money) -> None:
    """Give an amount back to the notes that paid it on the invoice, the last one first.

    What the invoice has been settled with, and its VAT, are the caller's to move: in one step with what
    takes the place of these notes.
    """
    left = amount
    for application in sorted(applications, key=lambda each: each.id, reverse=True):
        part = min(left, application.amount)
        if part:
            await dissociate_part(tx, invoice, application, part)
            left -= part
    assert not left, "no more is taken back than was applied"


async def dissociate_part(
    tx: Tx, invoice: Invoice, application: Application, part: Money
) -> SettlementId | None:
    """What stays of the application is another one."""
    note = await credit_notes.get(tx, application.credit_note_id)
    own = await _own_invoice(tx, application.own_invoice_id)
    stays = application.amount - part

    await store.undo(tx, application.id)
    staying = await store.insert(tx, invoice.id, stays, credit_note_id=note.id) if stays else None
    after = used_with(note, applied=-part)
    await credit_notes.update_settlement(tx, after)
    label = f"{note.number} back from {invoice.number}"
    await _book(tx, after, own, invoice, application.id, -part, label=label)
    outbox.publish(
        tx,
        CreditNoteDissociated(
            credit_note_id=note.id, invoice_id=invoice.id, customer_id=invoice.customer_id, amount=part
        ),
    )
    if own is not None:
        await take_off_first(tx, after, own)
    return staying


async def take_off_first(tx: Tx, note: CreditNote, own: Invoice) -> CreditNote:
    """What comes back to a note was not paid while its own invoice, locked, is due: that has it first.

    It is due again where a dispute about what paid it was lost. What a payment under way will settle is left
    to that.
    """
    amount = min(note.settlement.left, own.settlement.due - own.settlement.pending)
    if amount.minor <= 0:
        return note
    used, _ = await apply_note(tx, note, own, amount)
    return used


async def _own_invoice(tx: Tx, invoice_id: InvoiceId | None) -> Invoice | None:
    """What is left of a rebate over many invoices has left their books already."""
    return await invoices.get(tx, invoice_id) if invoice_id else None


async def _book(
    tx: Tx,
    note: CreditNote,
    own: Invoice | None,
    other: Invoice,
    settlement_id: SettlementId,
    amount: Money,
    *,
    label: str,
) -> None:
    """`note` is as it is after the act."""
    booked_on = day_of(tx, other)
    await book_application(tx, note, other, settlement_id, amount, label=label, booked_on=booked_on)
    await release_vat_of_note(tx, note, Source.APPLICATION, settlement_id, booked_on=booked_on)
    if own is not None:
        await _release(tx, own, settlement_id)


async def _release(tx: Tx, invoice: Invoice, settlement_id: SettlementId) -> None:
    await release_vat(tx, invoice, Source.APPLICATION, settlement_id, booked_on=day_of(tx, invoice))


def day_of(tx: Tx, invoice: Invoice) -> date:
    """Today, where the seller is; not before the invoice, whose series may be ahead of it."""
    return max(local_date(tx.now, ZoneInfo(invoice.time_zone)), invoice.issued_on)
