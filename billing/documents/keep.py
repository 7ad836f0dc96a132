"""The page of a document: kept, with its hash, by whoever sends it first.

A reader who comes before that is shown the page rendered for them, the same to the byte, and nothing is
written: a GET stays a GET.
"""

import asyncio

from billing.credit_notes.model import CreditNote
from billing.documents import render, store
from billing.invoices.model import Invoice, InvoiceKind
from billing.settlement import store as settlements
from kernel.database import Tx
from kernel.errors import Conflict


async def pdf_of(tx: Tx, document: Invoice | CreditNote) -> bytes:
    """The page that was kept, or as it will be kept."""
    return await store.find(tx, document.id) or await _render(tx, document)


def check_ours(document: Invoice | CreditNote) -> None:
    """The page of what was issued elsewhere is there, and a second one would be another document."""
    if is_imported(document):
        raise Conflict("document_imported", f"{document.number} was issued elsewhere, and its page is there.")


def is_imported(document: Invoice | CreditNote) -> bool:
    if isinstance(document, Invoice):
        return document.kind is InvoiceKind.IMPORTED
    return document.imported


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
    check_ours(document)
    deducted = await settlements.deducted_at_issue(tx, document) if isinstance(document, Invoice) else []
    return await asyncio.to_thread(render.pdf, document, deducted)
