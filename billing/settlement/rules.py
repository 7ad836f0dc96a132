"""How an invoice's and a credit note's settlement move. Pure."""

from datetime import datetime
from typing import TypeVar

import msgspec

from billing.credit_notes import model as credit_notes
from billing.credit_notes.model import CreditNote
from billing.invoices import model as invoices
from billing.invoices import totals
from billing.invoices.model import Invoice
from billing.settlement.bulk.model import OpenInvoice, OpenNote
from kernel.money import Money

Owed = TypeVar("Owed", Invoice, OpenInvoice)
N = TypeVar("N", CreditNote, OpenNote)


def settled_with(
    invoice: Owed,
    *,
    paid: Money | None = None,
    offset: Money | None = None,
    pending: Money | None = None,
    credited: Money | None = None,
    now: datetime,
) -> Owed:
    """The invoice after these amounts were added to its settlement; `pending` may go down."""
    before = invoice.settlement
    after_paid = before.paid + paid if paid else before.paid
    after_offset = before.offset + offset if offset else before.offset
    settled = after_paid + after_offset
    status = totals.status_of(total=invoice.total, settled=settled)
    settlement = msgspec.structs.replace(
        before,
        status=status,
        paid=after_paid,
        offset=after_offset,
        pending=before.pending + pending if pending else before.pending,
        credited=before.credited + credited if credited else before.credited,
        due=invoice.total - settled,
        settled_at=(before.settled_at or now) if status is invoices.Status.SETTLED else None,
    )
    return msgspec.structs.replace(invoice, settlement=settlement)


def used_with(
    note: N,
    *,
    applied: Money | None = None,
    refunded: Money | None = None,
    held: Money | None = None,
    promised: Money | None = None,
    marked: Money | None = None,
) -> N:
    """The note after these amounts were added to its settlement; `held` and `promised` may go down."""
    before = note.settlement
    after_applied = before.applied + applied if applied else before.applied
    after_refunded = before.refunded + refunded if refunded else before.refunded
    after_held = before.held + held if held else before.held
    after_promised = before.promised + promised if promised else before.promised
    after_marked = before.marked + marked if marked else before.marked
    used = after_applied + after_refunded + after_marked
    settlement = msgspec.structs.replace(
        before,
        status=status_of(used=used, total=note.total),
        applied=after_applied,
        refunded=after_refunded,
        held=after_held,
        promised=after_promised,
        marked=after_marked,
        left=note.total - used - after_held - after_promised,
    )
    return msgspec.structs.replace(note, settlement=settlement)


def status_of(*, used: Money, total: Money) -> credit_notes.Status:
    if used >= total:
        return credit_notes.Status.USED
    return credit_notes.Status.PARTLY_USED if used else credit_notes.Status.UNUSED
