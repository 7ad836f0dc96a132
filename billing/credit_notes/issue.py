"""Issuing a credit note: on an invoice here, and any other that is ready."""

from collections.abc import Iterator, Sequence

import msgspec

from billing.credit_notes import record, store
from billing.credit_notes.events import CreditNoteIssued
from billing.credit_notes.model import CreditNote, CreditNoteId, NewCreditNote, Refunding
from billing.credit_notes.ready import Ready, SoFar, ready_on_invoice
from billing.dunning.events import InvoiceRecovered
from billing.invoices.events import InvoiceSettled
from billing.invoices.model import Invoice, InvoiceId
from billing.ledger import store as ledger
from billing.parties import store as parties
from billing.parties.model import LegalEntity, VatDue
from billing.released.release import release_lines
from billing.settlement import store as settlements
from billing.settlement.apply import dissociate
from billing.settlement.model import Application
from kernel import outbox
from kernel.database import Tx
from kernel.events import Event


async def issue_credit_note(
    tx: Tx,
    invoice: Invoice,
    request: NewCreditNote,
    *,
    refund: Refunding,
    entity: LegalEntity | None = None,
    note_id: CreditNoteId | None = None,
) -> CreditNote:
    """`invoice` has been locked by the caller. The note first takes off what is still due on it.

    Next, what notes of other invoices paid on it goes back to them, so that it never becomes cash. What is
    left of the note afterwards was paid: `refund` says where it is to go, and taking it there is the
    caller's next step. `entity` is the seller, where that is known already; `note_id` that of a draft.
    """
    entity = entity or await parties.legal_entity(tx, invoice.legal_entity_id)
    applied = await settlements.lock_applications(tx, invoice.id) if invoice.settlement.offset else []
    so_far = await so_far_on(tx, invoice, applied)

    ready = ready_on_invoice(
        invoice, request, so_far, refund=refund, entity=entity, now=tx.now, note_id=note_id
    )

    await dissociate(tx, invoice, so_far.applied, ready.freed)
    note = await issue(tx, ready)
    if request.release_lines:
        await release_lines(tx, note, invoice)
    return note


async def issue(tx: Tx, ready: Ready) -> CreditNote:
    """Number it, keep it, book it: one statement, whose lock of the number series is the last."""
    recorded = await record.insert(tx, ready)

    outbox.publish(tx, *_events(ready, recovered=recorded.recovered))
    return msgspec.structs.replace(ready.note, number=recorded.number, issued_on=recorded.issued_on)


async def so_far_on(tx: Tx, invoice: Invoice, applied: Sequence[Application]) -> SoFar:
    """`applied` is what notes of other invoices pay on it.

    What its settlement says has not happened is not asked for.
    """
    settlement = invoice.settlement
    credited = bool(settlement.credited)
    moved = credited or bool(settlement.paid) or bool(settlement.offset)
    waits = moved and invoice.vat_due is VatDue.ON_PAYMENT
    return SoFar(
        lines=await store.credited_lines(tx, invoice.id) if credited else {},
        taxes=await store.taxes_of_invoice(tx, invoice.id) if credited else {},
        balances=(await ledger.balances_of(tx, [invoice.id]))[invoice.id] if waits else (),
        applied=applied,
    )


def _events(ready: Ready, *, recovered: frozenset[InvoiceId]) -> Iterator[Event]:
    note = ready.note
    for invoice in ready.settled:
        yield InvoiceSettled(invoice_id=invoice.id, customer_id=invoice.customer_id)
        if invoice.id in recovered:
            yield InvoiceRecovered(invoice_id=invoice.id, customer_id=invoice.customer_id)
    yield CreditNoteIssued(credit_note_id=note.id, invoice_id=note.invoice_id, customer_id=note.customer_id)
