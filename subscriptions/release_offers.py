"""Giving back the slots of offers under which nothing that was billed still stands."""

from billing.credit_notes import store as credit_notes
from billing.credit_notes.model import CreditNoteId, Reason
from billing.parties import store as parties
from kernel.database import Tx
from promotions.release import release, revoke
from subscriptions import offer_store, store

# Credited for these, the customer keeps what they were promised.
KEEPS_OFFERS = frozenset({Reason.COMMERCIAL_GESTURE, Reason.REBATE, Reason.EARLY_PAYMENT})


async def release_offers(tx: Tx, credit_note_id: CreditNoteId) -> None:
    """An invoice in place of one that was credited stands. For fraud they are revoked: slots stay used."""
    note = await credit_notes.get(tx, credit_note_id)
    if note.invoice_id is None or note.reason in KEEPS_OFFERS:
        return
    subscription_id = await store.of_invoice(tx, note.invoice_id)
    if subscription_id is None:
        return
    await parties.lock_customer(tx, note.customer_id)
    await store.lock(tx, subscription_id)

    gone = [each for each in await offer_store.standing(tx, subscription_id) if each.is_credited]

    await release(tx, [each.id for each in gone if not each.is_fraud])
    await revoke(tx, [each.id for each in gone if each.is_fraud])
