"""Issuing a credit note on an invoice."""

from billing.credit_notes import crediting, store
from billing.credit_notes.crediting import Credit
from billing.credit_notes.events import CreditNoteIssued
from billing.credit_notes.model import (
    CreditLine,
    CreditNote,
    CreditNoteId,
    CreditNoteLineId,
    CreditNoteSettlement,
    CreditNoteSource,
    Destination,
    NewCreditNote,
    Reason,
    Refunding,
)
from billing.invoices.model import Invoice
from billing.ledger import postings
from billing.ledger.book import book, release_vat
from billing.ledger.model import Source
from billing.numbering import Numbered, Series, take_number
from billing.parties import store as parties
from billing.parties.model import RefundMode
from billing.settlement import rules
from billing.settlement import store as settlements
from billing.settlement.apply import dissociate
from billing.settlement.settle import settle
from kernel import outbox
from kernel.database import Tx
from kernel.errors import Conflict, Invalid
from kernel.money import Money, total, zero


async def issue_credit_note(
    tx: Tx, invoice: Invoice, request: NewCreditNote, *, refund: Refunding
) -> CreditNote:
    """`invoice` has been locked by the caller. The note first takes off what is still due on it.

    Next, what notes of other invoices paid on it goes back to them, so that it never becomes cash. What is
    left of the note afterwards was paid: `refund` says where it is to go, and taking it there is the
    caller's next step.
    """
    entity = await parties.legal_entity(tx, invoice.legal_entity_id)
    earlier = await store.credited_lines(tx, invoice.id)
    earlier_taxes = await store.taxes_of_invoice(tx, invoice.id)

    _check(invoice, request)
    credit = crediting.work_out(
        invoice.lines,
        request.lines,
        earlier=earlier,
        earlier_taxes=earlier_taxes,
        billed=invoice.taxes,
        currency=invoice.currency,
        behavior=invoice.tax_behavior,
        reason=request.reason,
    )
    applied = await settlements.lock_applications(tx, invoice.id) if invoice.settlement.offset else []
    by_notes = total((each.amount for each in applied), invoice.currency)
    destination = destination_of(credit.total, invoice.settlement.due + by_notes, refund)
    freed = max(destination.to_invoice - invoice.settlement.due, zero(invoice.currency))
    numbered = await take_number(tx, entity, Series.CREDIT_NOTE)
    note = _note(invoice, request, credit, destination, numbered, refund, tx)

    await store.insert(tx, note)
    if destination.to_invoice:
        await settlements.insert(tx, invoice.id, destination.to_invoice, credit_note_id=note.id, is_own=True)
    await dissociate(tx, invoice, applied, freed)
    after = await settle(tx, invoice, offset=destination.to_invoice - freed, credited=note.total)
    await book(
        tx,
        invoice,
        Source.CREDIT_NOTE,
        note.id,
        postings.credit_note_issued(note),
        label=f"Credit note {note.number}",
        booked_on=note.issued_on,
    )
    await release_vat(tx, after, Source.CREDIT_NOTE, note.id, booked_on=note.issued_on)
    outbox.publish(
        tx,
        CreditNoteIssued(credit_note_id=note.id, invoice_id=invoice.id, customer_id=invoice.customer_id),
    )
    return note


def destination_of(amount: Money, unpaid: Money, refund: Refunding) -> Destination:
    """What was not paid with money first; the rest goes back as far as the refund mode carries it."""
    to_invoice = min(amount, unpaid)
    paid = amount - to_invoice
    back = zero(amount.currency) if refund.mode is RefundMode.NONE else paid
    to_provider = min(back, refund.by_provider)
    return Destination(
        to_invoice=to_invoice,
        to_provider=to_provider,
        by_hand=back - to_provider,
        to_balance=paid - back,
    )


def _check(invoice: Invoice, request: NewCreditNote) -> None:
    if request.reason is Reason.OTHER and request.reason_text is None:
        raise Invalid("reason_text_required", "Say what the other reason is.", param="reason_text")
    if invoice.settlement.pending:
        raise Conflict(
            "payment_in_flight",
            f"A payment of {invoice.settlement.pending} on {invoice.number} is under way. "
            "Credit the invoice when it has succeeded or failed.",
        )


def _note(
    invoice: Invoice,
    request: NewCreditNote,
    credit: Credit,
    destination: Destination,
    numbered: Numbered,
    refund: Refunding,
    tx: Tx,
) -> CreditNote:
    nothing = zero(invoice.currency)
    return CreditNote(
        id=CreditNoteId.new(),
        number=numbered.number,
        legal_entity_id=invoice.legal_entity_id,
        customer_id=invoice.customer_id,
        invoice_id=invoice.id,
        invoice_number=invoice.number,
        invoice_issued_on=invoice.issued_on,
        sources=(
            CreditNoteSource(
                invoice_id=invoice.id,
                number=invoice.number,
                issued_on=invoice.issued_on,
                net=credit.net,
                tax=credit.tax,
                total=credit.total,
                to_invoice=destination.to_invoice,
            ),
        ),
        rebate=None,
        currency=invoice.currency,
        language=invoice.language,
        issued_on=numbered.issued_on,
        seller=invoice.seller,
        buyer=invoice.buyer,
        vat_due=invoice.vat_due,
        time_zone=invoice.time_zone,
        reason=request.reason,
        reason_text=request.reason_text,
        refund_mode=refund.mode,
        refund_on=refund.due_on if refund.mode is RefundMode.DEFERRED and destination.to_provider else None,
        destination=destination,
        tax_behavior=invoice.tax_behavior,
        lines=tuple(
            CreditLine(
                id=CreditNoteLineId.new(),
                invoice_line_id=line_credit.line.id,
                description=line_credit.line.description,
                quantity=line_credit.quantity,
                period=line_credit.line.period,
                included_tax=included_tax,
                net=line_credit.amount - included_tax,
                volume=line_credit.volume,
                rebate_ended=line_credit.rebate_ended,
                tax=line_credit.line.tax,
            )
            for line_credit, included_tax in zip(credit.lines, credit.included_tax, strict=True)
        ),
        taxes=credit.taxes,
        net=credit.net,
        tax=credit.tax,
        total=credit.total,
        metadata=request.metadata,
        issued_at=tx.now,
        settlement=CreditNoteSettlement(
            status=rules.status_of(used=destination.to_invoice, total=credit.total),
            applied=destination.to_invoice,
            refunded=nothing,
            held=nothing,
            promised=nothing,
            left=credit.total - destination.to_invoice,
        ),
    )
