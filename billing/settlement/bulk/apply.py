"""Applying thousands of notes to thousands of invoices, in a fixed number of statements."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from billing.credit_notes import store as credit_notes
from billing.credit_notes.events import CreditNoteApplied
from billing.credit_notes.model import CreditNoteId
from billing.dunning.events import InvoiceRecovered
from billing.invoices.events import InvoiceSettled
from billing.invoices.model import InvoiceId
from billing.ledger import store as ledger
from billing.parties.model import VatDue
from billing.settlement.bulk import rules, store
from billing.settlement.bulk.model import Edge, OpenInvoice, OpenNote, Pair
from billing.settlement.bulk.rules import Applied, Books
from kernel import outbox
from kernel.database import Tx
from kernel.events import Event


async def settle_all(
    tx: Tx, note_ids: Sequence[CreditNoteId], invoice_ids: Sequence[InvoiceId]
) -> list[Pair]:
    """Match these notes with these invoices in the order given, and apply what matches.

    Locks the invoices, those that the notes are on, and the notes.
    """
    own = await store.own_invoices(tx, note_ids)
    invoices = await store.lock_invoices(tx, {*invoice_ids, *own})
    notes = await store.lock_notes(tx, note_ids)

    pairs = rules.matched(
        [notes[each] for each in note_ids if each in notes],
        [invoices[each] for each in invoice_ids if each in invoices],
    )

    await apply_pairs(tx, pairs, notes, invoices)
    return pairs


async def apply_pairs(
    tx: Tx,
    pairs: Sequence[Pair],
    notes: Mapping[CreditNoteId, OpenNote],
    invoices: Mapping[InvoiceId, OpenInvoice],
) -> Applied:
    """All have been locked by the caller, as have the invoices that the notes are on."""
    books = await _books(tx, pairs, notes, invoices)

    applied = rules.applied(pairs, notes, invoices, books, now=tx.now)

    recovered = await store.record(tx, applied) if pairs else frozenset()
    outbox.publish(tx, *_events(applied.edges, recovered))
    return applied


async def _books(
    tx: Tx,
    pairs: Iterable[Pair],
    notes: Mapping[CreditNoteId, OpenNote],
    invoices: Mapping[InvoiceId, OpenInvoice],
) -> Books:
    """Of what takes part, where VAT waits."""
    using = [notes[each] for each in dict.fromkeys(pair.credit_note_id for pair in pairs)]
    touched = dict.fromkeys([*(pair.invoice_id for pair in pairs), *(each.invoice_id for each in using)])
    waiting = [each for each in touched if each and invoices[each].vat_due is VatDue.ON_PAYMENT]
    credited = [each for each in waiting if invoices[each].settlement.credited]
    alone = [note.id for note in using if note.taxes and note.vat_due is VatDue.ON_PAYMENT]
    return Books(
        balances=await ledger.balances_of(tx, waiting) if waiting else {},
        credited=await credit_notes.taxes_of_invoices(tx, credited) if credited else {},
        of_notes=await ledger.balances_of_notes(tx, alone) if alone else {},
    )


def _events(edges: Iterable[Edge], recovered: frozenset[InvoiceId]) -> Iterator[Event]:
    for edge in edges:
        invoice_id, customer_id = edge.pair.invoice_id, edge.customer_id
        if edge.settles:
            yield InvoiceSettled(invoice_id=invoice_id, customer_id=customer_id)
            if invoice_id in recovered:
                yield InvoiceRecovered(invoice_id=invoice_id, customer_id=customer_id)
        yield CreditNoteApplied(
            credit_note_id=edge.pair.credit_note_id,
            invoice_id=invoice_id,
            customer_id=customer_id,
            amount=edge.pair.amount,
        )
