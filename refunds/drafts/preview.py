"""What a draft would come to if it was issued now. Nothing is locked or written."""

from billing.credit_notes.issue import so_far_on
from billing.credit_notes.ready import Ready, ready_on_invoice
from billing.invoices import store as invoices
from billing.settlement import store as settlements
from kernel.database import Tx
from kernel.errors import DomainError
from refunds.credit_customer import ready_for
from refunds.credit_invoice import asked_of
from refunds.drafts.model import (
    CreditOnInvoice,
    DraftCreditNote,
    Obstacle,
    Preview,
    PreviewedDraft,
    PreviewedLine,
)


async def previewed(
    tx: Tx, draft: DraftCreditNote, *, tolerated: type[DomainError] = DomainError
) -> PreviewedDraft:
    """A refusal of the kind that is `tolerated` is shown; any other is raised."""
    preview, obstacle = None, None
    try:
        preview = _shown(await _ready(tx, draft))
    except tolerated as refusal:
        obstacle = Obstacle(code=refusal.code, detail=refusal.detail)
    return PreviewedDraft(
        id=draft.id,
        customer_id=draft.customer_id,
        invoice_id=draft.invoice_id,
        on_invoice=draft.on_invoice,
        on_customer=draft.on_customer,
        created_at=draft.created_at,
        preview=preview,
        obstacle=obstacle,
    )


async def _ready(tx: Tx, draft: DraftCreditNote) -> Ready:
    if draft.on_invoice is not None:
        return await _on_invoice(tx, draft.on_invoice)
    assert draft.on_customer is not None, "a draft is of one or the other"
    ready, _ = await ready_for(tx, draft.on_customer)
    return ready


async def _on_invoice(tx: Tx, request: CreditOnInvoice) -> Ready:
    invoice = await invoices.get(tx, request.invoice)
    asked = await asked_of(tx, invoice, request)
    applied = await settlements.applications(tx, invoice.id) if invoice.settlement.offset else []
    so_far = await so_far_on(tx, invoice, applied)
    return ready_on_invoice(invoice, request, so_far, refund=asked.refund, entity=asked.entity, now=tx.now)


def _shown(ready: Ready) -> Preview:
    note = ready.note
    return Preview(
        currency=note.currency,
        lines=tuple(
            PreviewedLine(
                invoice_line_id=line.invoice_line_id,
                item=line.item,
                description=line.description,
                quantity=line.quantity,
                included_tax=line.included_tax,
                net=line.net,
                tax=line.tax,
            )
            for line in note.lines
        ),
        taxes=note.taxes,
        net=note.net,
        tax=note.tax,
        total=note.total,
        destination=note.destination,
    )
