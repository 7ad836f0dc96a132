"""A refund and what it is of, locked in the order of the house: invoice, credit note, refund."""

from billing.credit_notes import store as credit_notes
from billing.credit_notes.model import CreditNote
from billing.invoices import store as invoices
from billing.invoices.model import Invoice, InvoiceId
from billing.parties import store as parties
from billing.parties.model import LegalEntity
from kernel.database import Tx
from kernel.structs import Value
from refunds import store
from refunds.model import Refund, RefundId


class Locked(Value, frozen=True, kw_only=True):
    refund: Refund
    note: CreditNote
    invoice: Invoice | None
    entity: LegalEntity


async def lock_refund(tx: Tx, refund_id: RefundId) -> Locked:
    found = await store.get(tx, refund_id)
    assert found.credit_note_id is not None, "every refund is of a note"
    invoice = await lock_invoice(tx, found.invoice_id)
    note = await credit_notes.lock(tx, found.credit_note_id)
    refund = await store.lock(tx, refund_id)
    entity = await parties.legal_entity(tx, note.legal_entity_id)
    return Locked(refund=refund, note=note, invoice=invoice, entity=entity)


async def lock_invoice(tx: Tx, invoice_id: InvoiceId | None) -> Invoice | None:
    """What a rebate over many invoices gives back is in the books of none of them."""
    return await invoices.lock(tx, invoice_id) if invoice_id else None
