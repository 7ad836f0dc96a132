"""Which notes and invoices could settle each other: what a person chooses from."""

from billing.credit_notes import store as credit_notes
from billing.credit_notes.model import CreditNoteId
from billing.invoices import store as invoices
from billing.invoices.model import InvoiceId
from billing.settlement import store
from billing.settlement.model import ApplicableInvoice, ApplicableNote
from kernel.database import Tx
from kernel.paging import Page, Window


async def notes_for(tx: Tx, invoice_id: InvoiceId, window: Window) -> Page[ApplicableNote]:
    return await store.applicable_notes(tx, window, await invoices.get(tx, invoice_id))


async def invoices_for(tx: Tx, credit_note_id: CreditNoteId, window: Window) -> Page[ApplicableInvoice]:
    return await store.applicable_invoices(tx, window, await credit_notes.get(tx, credit_note_id))
