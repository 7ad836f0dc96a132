"""Crediting what a period of a subscription was billed for and is not used."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from zoneinfo import ZoneInfo

from billing.credit_notes import crediting
from billing.credit_notes import store as credit_notes
from billing.credit_notes.crediting import Credited
from billing.credit_notes.model import CreditShare, NewCreditLine, NewCreditNote, Reason
from billing.invoices.model import Invoice, InvoiceId, LineId
from billing.parties.model import Proration, RefundMode
from billing.settlement.apply import lock_with_sources
from kernel.database import Tx
from kernel.structs import Value
from kernel.text import Note
from refunds.credit_invoice import credit_invoice
from refunds.model import Credit, GivenBack
from subscriptions import proration
from subscriptions.model import PeriodInvoice


class Unused(Value, frozen=True, kw_only=True):
    """From when on the period is not used, what of it is credited, why, and where that is to go."""

    at: datetime
    zone: ZoneInfo
    by: Proration
    credit: Credit
    reason: Reason
    reason_text: Note | None
    refund: RefundMode | None
    refund_on: date | None


async def credit_invoices(
    tx: Tx, invoice_ids: Sequence[InvoiceId], unused: Unused, *, settles: bool = True
) -> list[GivenBack]:
    """A note on each of which there is something to credit, the newest first.

    What is left of them pays other invoices at once, if the settings say so and not the caller.
    """
    given_back = []
    for invoice in await lock_with_sources(tx, invoice_ids):
        earlier = await credit_notes.credited_lines(tx, invoice.id)
        lines = lines_to_credit(invoice, earlier, unused)
        if lines:
            given_back.append(await credit_invoice(tx, invoice.id, _note(lines, unused), settles=settles))
    return given_back


def to_credit(billed: Sequence[PeriodInvoice], credit: Credit) -> list[InvoiceId]:
    """Of the invoices of a period, those that a cancellation means."""
    match credit:
        case Credit.NONE:
            return []
        case Credit.PRORATED:
            return in_use(billed)
        case Credit.FULL:
            return [each.invoice_id for each in billed]


def in_use(billed: Sequence[PeriodInvoice]) -> list[InvoiceId]:
    """Of what a change has stopped, the unused part is credited already."""
    return [each.invoice_id for each in billed if each.stopped_at is None]


def lines_to_credit(
    invoice: Invoice, earlier: Mapping[LineId, Credited], unused: Unused
) -> list[NewCreditLine]:
    """All that is left of the invoice, or the unused part of its recurring lines, capped by what is left.

    As shares of the lines: a rebate that has come off them since ends by the same share.
    """
    lines: list[NewCreditLine] = []
    for line in invoice.lines:
        now = crediting.standing_of(line, earlier)
        share = now.volume
        if unused.credit is Credit.PRORATED:
            share = min(share, proration.unused(line, at=unused.at, zone=unused.zone, by=unused.by))
        if crediting.of_share(line, now, share).amount:
            lines.append(CreditShare(line=line.id, share=share))
    return lines


def _note(lines: list[NewCreditLine], unused: Unused) -> NewCreditNote:
    return NewCreditNote(
        reason=unused.reason,
        reason_text=unused.reason_text,
        lines=lines,
        refund=unused.refund,
        refund_on=unused.refund_on,
    )
