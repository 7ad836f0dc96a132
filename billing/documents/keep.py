"""The page of a document: kept, with its hash, by whoever sends it first.

A reader who comes before that is shown the page rendered for them, the same to the byte, and nothing is
written: a GET stays a GET.
"""

import asyncio

from billing.credit_notes.model import CreditNote
from billing.documents import render, store
from billing.invoices.model import Invoice
from billing.settlement import store as settlements
from kernel.database import Tx


async def pdf_of(tx: Tx, document: Invoice | CreditNote) -> bytes:
    """The page that was kept, or as it will be kept."""
    return await store.find(tx, document.id) or await _render(tx, document)


async def keep_pdf_of(tx: Tx, document: Invoice | CreditNote) -> bytes:
    """The page that was kept, now if not before."""
    kept = await store.find(tx, document.id)
    if kept is not None:
        return kept
    pdf = await _render(tx, document)
    await store.insert(tx, document.id, pdf)
    # Somebody else may have kept theirs meanwhile: what stands there is what counts.
    return await store.find(tx, document.id) or pdf


async def _render(tx: Tx, document: Invoice | CreditNote) -> bytes:
    deducted = await settlements.deducted_at_issue(tx, document) if isinstance(document, Invoice) else []
    return await asyncio.to_thread(render.pdf, document, deducted)
