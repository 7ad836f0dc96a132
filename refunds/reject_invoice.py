"""Recording that the e-invoicing platform rejected an invoice, and answering it by a credit note.

A rejected invoice keeps its number and stays in the books: a note for all that is left of it takes it back,
and another invoice, if it is asked for in the same act, stands in its place.
"""

from billing.credit_notes.model import NewCreditNote, Reason
from billing.invoices import store as invoices
from billing.invoices.model import Invoice, InvoiceId, Rejection
from billing.parties import store as parties
from billing.payments.record import check_day
from kernel import outbox
from kernel.database import Tx
from kernel.errors import Conflict
from kernel.money import zero
from kernel.periods import local_date
from refunds.credit_invoice import credit_invoice
from refunds.events import InvoiceRejected
from refunds.fix_invoice import fix_invoice
from refunds.model import NewFix, NewRejection, RejectedInvoice


async def reject_invoice(tx: Tx, invoice_id: InvoiceId, request: NewRejection) -> RejectedInvoice:
    """Once. Of an invoice that is credited whole already it is only recorded."""
    invoice = await invoices.get(tx, invoice_id)
    entity = await parties.legal_entity(tx, invoice.legal_entity_id)
    today = local_date(tx.now, entity.zone)

    day = request.rejected_on or today
    check(invoice, request)
    check_day(day, today=today, param="rejected_on")

    answer = await _answer(tx, invoice, request)
    rejection = Rejection(
        rejected_on=day,
        reason_code=request.reason_code,
        reason_text=request.reason_text,
        platform_reference=request.platform_reference,
        credit_note_id=str(answer.credit_note.id) if answer.credit_note else None,
    )
    if not await invoices.mark_rejected(tx, invoice.id, rejection):
        raise already_rejected(invoice)
    outbox.publish(
        tx,
        InvoiceRejected(
            invoice_id=invoice.id,
            credit_note_id=answer.credit_note.id if answer.credit_note else None,
            corrected_invoice_id=answer.corrected.id if answer.corrected else None,
            customer_id=invoice.customer_id,
        ),
    )
    return RejectedInvoice(
        invoice=await invoices.get(tx, invoice.id),
        credit_note=answer.credit_note,
        corrected=answer.corrected,
        refunds=answer.refunds,
        to_refund_by_hand=answer.to_refund_by_hand,
    )


def check(invoice: Invoice, request: NewRejection) -> None:
    if invoice.rejection is not None:
        raise already_rejected(invoice)
    if request.correct is not None and invoice.settlement.credited == invoice.total:
        raise Conflict(
            "nothing_to_credit",
            f"{invoice.number} has been credited already: leave `correct` out, and issue the other invoice.",
            param="correct",
        )


def already_rejected(invoice: Invoice) -> Conflict:
    return Conflict("already_rejected", f"The rejection of {invoice.number} is recorded already.")


async def _answer(tx: Tx, invoice: Invoice, request: NewRejection) -> RejectedInvoice:
    """What takes the invoice back, and what stands in its place."""
    if invoice.settlement.credited == invoice.total:
        return RejectedInvoice(
            invoice=invoice,
            credit_note=None,
            corrected=None,
            refunds=(),
            to_refund_by_hand=zero(invoice.currency),
        )
    if request.correct is None:
        given = await credit_invoice(
            tx,
            invoice.id,
            NewCreditNote(
                reason=Reason.BILLING_ERROR,
                reason_text=request.reason_text,
                refund=request.refund,
                refund_on=request.refund_on,
            ),
        )
        return RejectedInvoice(
            invoice=invoice,
            credit_note=given.credit_note,
            corrected=None,
            refunds=given.refunds,
            to_refund_by_hand=given.to_refund_by_hand,
        )
    fixed = await fix_invoice(
        tx,
        invoice.id,
        NewFix(
            reason=Reason.BILLING_ERROR,
            reason_text=request.reason_text,
            lines=request.correct.lines,
            discounts=request.correct.discounts,
            note=request.correct.note,
            metadata=request.correct.metadata,
            refund=request.refund,
            refund_on=request.refund_on,
        ),
    )
    return RejectedInvoice(
        invoice=invoice,
        credit_note=fixed.credit_note,
        corrected=fixed.invoice,
        refunds=fixed.refunds,
        to_refund_by_hand=fixed.to_refund_by_hand,
    )
