"""Releasing what a credit note took off the lines of an invoice."""

from billing.credit_notes.model import CreditNote
from billing.invoices.model import Invoice
from billing.released import rules, store
from billing.released.events import LinesReleased
from kernel import outbox
from kernel.database import Tx
from kernel.money import total


async def release_lines(tx: Tx, note: CreditNote, invoice: Invoice) -> None:
    """`note` has just been issued on `invoice`."""
    lines = rules.released_by(note, invoice, now=tx.now)

    if not lines:  # all that was credited of them is VAT
        return
    await store.insert(tx, lines)
    outbox.publish(
        tx,
        LinesReleased(
            credit_note_id=note.id,
            invoice_id=invoice.id,
            customer_id=note.customer_id,
            released_lines=tuple(line.id for line in lines),
            amount=total((line.amount for line in lines), note.currency),
        ),
    )
