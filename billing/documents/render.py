"""A document as PDF. Deterministic: the same document gives the same bytes.

typst gets data, never markup: the page is one JSON text in `sys.inputs`, and what people wrote in it is
printed as it stands. It reads no file but the template, knows no font but ours and its own, and fetches
nothing, since only markup could ask for a package. It works without the GIL: call it in a thread from a
coroutine.
"""

from collections.abc import Sequence
from pathlib import Path

import typst

from billing.credit_notes.model import CreditNote
from billing.documents import page
from billing.documents.page import Page
from billing.invoices.model import Invoice
from billing.settlement.model import Deduction, Receipt
from kernel.structs import encode

_FOLDER = Path(__file__).parent
_FONTS = typst.Fonts(include_system_fonts=False, font_paths=[_FOLDER / "fonts"])


def pdf(document: Invoice | CreditNote, deducted: Sequence[Deduction] = ()) -> bytes:
    match document:
        case Invoice():
            return invoice_pdf(document, deducted)
        case CreditNote():
            return credit_note_pdf(document)


def invoice_pdf(invoice: Invoice, deducted: Sequence[Deduction] = ()) -> bytes:
    return _typeset(page.of_invoice(invoice, deducted))


def receipt_pdf(invoice: Invoice, receipts: Sequence[Receipt]) -> bytes:
    return _typeset(page.of_receipt(invoice, receipts))


def credit_note_pdf(note: CreditNote) -> bytes:
    return _typeset(page.of_credit_note(note))


def file_name(document: Invoice | CreditNote) -> str:
    """`F2026-000001.pdf`. A number may hold a slash, a file name may not."""
    return f"{document.number.replace('/', '-')}.pdf"


def _typeset(content: Page) -> bytes:
    return typst.compile(
        _FOLDER / "document.typ",
        root=_FOLDER,
        font_paths=_FONTS,
        sys_inputs={"page": encode(content).decode()},
    )
