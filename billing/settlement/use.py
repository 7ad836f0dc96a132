"""Using a customer's balance: what is left of credit notes pays invoices by itself, as the settings say.

Notes are locked, after the invoices that they are on, before an invoice takes its number: the series is the
last lock of a transaction.
"""

from collections.abc import Collection, Mapping, Sequence

from msgspec.structs import replace

from billing.credit_notes.model import CreditNote, CreditNoteId
from billing.invoices.model import Invoice, InvoiceId
from billing.parties.model import CustomerId
from billing.settlement import store
from billing.settlement.bulk import rules
from billing.settlement.bulk import store as bulk
from billing.settlement.bulk.apply import apply_pairs
from billing.settlement.bulk.model import OpenInvoice, OpenNote, open_invoice
from kernel.database import Tx
from kernel.structs import Value


class Balance(Value, frozen=True, kw_only=True):
    """The notes of which something is left, the oldest first, and the invoices they are on, all locked."""

    notes: Mapping[CreditNoteId, OpenNote]
    own: Mapping[InvoiceId, OpenInvoice]


async def lock_balance(
    tx: Tx, customer_ids: Collection[CustomerId], *, beside: Collection[InvoiceId] = ()
) -> Balance | None:
    """What pays the next invoices of these customers: one statement where there is nothing.

    Invoices `beside`, to be credited, are locked along with those that the notes are on.
    """
    found = await store.unused_notes(tx, customer_ids)
    wanted = {*beside, *(each.invoice_id for each in found if each.invoice_id)}
    own = await bulk.lock_invoices(tx, wanted) if wanted else {}
    if not found:
        return None
    return Balance(notes=await bulk.lock_notes(tx, [each.credit_note_id for each in found]), own=own)


async def use_balance(tx: Tx, balance: Balance, issued: Sequence[Invoice]) -> list[Invoice]:
    """The invoices, just issued, after what is left of the notes has paid what it can of them, in order."""
    due = {invoice.id: open_invoice(invoice) for invoice in issued}
    pairs = rules.matched(balance.notes.values(), due.values())
    if not pairs:
        return list(issued)
    applied = await apply_pairs(tx, pairs, balance.notes, {**balance.own, **due})
    after = {each.id: each.settlement for each in applied.invoices}
    return [
        replace(invoice, settlement=after[invoice.id]) if invoice.id in after else invoice
        for invoice in issued
    ]


async def settle_at_issue(tx: Tx, note: CreditNote) -> CreditNote:
    """What is left of a note that has just been issued pays what is due of its customer, the oldest first.

    Only where the settings say so. Nobody is waited for, since the number series is locked by now: what
    somebody else is busy with is left to them.
    """
    free = await store.lock_free_invoices(tx, note) if note.settlement.left else []
    if not free:
        return note
    invoices = await bulk.lock_invoices(tx, {*free, *([note.invoice_id] if note.invoice_id else [])})
    notes = await bulk.lock_notes(tx, [note.id])

    pairs = rules.matched(notes.values(), [invoices[invoice_id] for invoice_id in free])

    applied = await apply_pairs(tx, pairs, notes, invoices)
    return replace(note, settlement=applied.notes[0].settlement) if applied.notes else note
