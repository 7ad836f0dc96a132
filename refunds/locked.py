"""A refund and what it is of, locked in the order of the house: invoice, credit note, refund."""

import msgspec

from billing.credit_notes import store as credit_notes
from billing.credit_notes.model import CreditNote
from billing.invoices import store as invoices
from billing.invoices.model import Invoice, InvoiceId
from billing.parties import store as parties
from billing.parties.model import LegalEntity
from billing.settlement.rules import used_with
from kernel.database import Tx
from kernel.money import Money
from kernel.structs import Value
from refunds import store
from refunds.model import Refund, RefundId


class Locked(Value, frozen=True, kw_only=True):
    """`note` is null while a refund that was made at the provider is linked to none."""

    refund: Refund
    note: CreditNote | None
    invoice: Invoice | None
    entity: LegalEntity


async def lock_refund(tx: Tx, refund_id: RefundId) -> Locked:
    found = await store.get(tx, refund_id)
    invoice = await lock_invoice(tx, found.invoice_id)
    note = await credit_notes.lock(tx, found.credit_note_id) if found.credit_note_id else None
    refund = await store.lock(tx, refund_id)
    return Locked(refund=refund, note=note, invoice=invoice, entity=await seller_of(tx, refund, note))


async def seller_of(tx: Tx, refund: Refund, note: CreditNote | None) -> LegalEntity:
    """Who issued the note; without one, whom the customer buys from."""
    if note is not None:
        return await parties.legal_entity(tx, note.legal_entity_id)
    customer = await parties.customer(tx, refund.customer_id)
    return await parties.legal_entity(tx, customer.legal_entity_id)


async def lock_invoice(tx: Tx, invoice_id: InvoiceId | None) -> Invoice | None:
    """What a rebate over many invoices gives back is in the books of none of them."""
    return await invoices.lock(tx, invoice_id) if invoice_id else None


async def use_note(
    tx: Tx, locked: Locked, *, held: Money | None = None, refunded: Money | None = None
) -> Locked:
    """What the refund's note holds or has given back moves; a refund without one moves none."""
    if locked.note is None:
        return locked
    used = used_with(locked.note, held=held, refunded=refunded)
    await credit_notes.update_settlement(tx, used)
    return msgspec.structs.replace(locked, note=used)
