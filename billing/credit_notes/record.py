"""Writing an issued credit note in one statement: number, document, what it settles, and ledger.

The row of the number series is locked in here and until the commit, so that nothing which could have been
done before has to be waited for by the next in line. Rebates over many invoices are written elsewhere.
"""

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any

from billing.credit_notes.model import CreditNote
from billing.credit_notes.ready import Ready
from billing.invoices.model import Invoice, InvoiceId
from billing.invoices.record import columns_of
from billing.ledger.model import Booked, EntryId
from billing.numbering import Series, numbering
from billing.settlement.model import SettlementId
from billing.tax.model import GroupTax
from kernel.database import Tx
from kernel.structs import Value, load


class Recorded(Value, frozen=True, kw_only=True):
    """`recovered` are the invoices that were overdue, and are settled now."""

    number: str
    issued_on: date
    recovered: frozenset[InvoiceId]


async def insert(tx: Tx, ready: Ready) -> Recorded:
    """The settlements of its invoices are written as they are afterwards: they have been locked before."""
    place = numbering(ready.entity, Series.CREDIT_NOTE, now=tx.now)
    row = await tx.conn.fetchrow(
        """
        WITH series AS (
            INSERT INTO number_series AS s
                (tenant_id, legal_entity_id, kind, year, last_number, last_issued_on)
            VALUES ($1, $2, $3, $4, 1, $5)
            ON CONFLICT (tenant_id, legal_entity_id, kind, year) DO UPDATE
            SET last_number    = s.last_number + 1,
                last_issued_on = GREATEST(s.last_issued_on, EXCLUDED.last_issued_on)
            RETURNING document_number($6, $4, last_number) AS number, last_issued_on AS issued_on
        ), note AS (
            INSERT INTO credit_notes
                (tenant_id, id, number, legal_entity_id, customer_id, invoice_id, invoice_number,
                 invoice_issued_on, currency, language, issued_on, seller, buyer, vat_due, time_zone, reason,
                 reason_text, refund_mode, refund_on, to_invoice_minor, to_provider_minor, by_hand_minor,
                 to_balance_minor, tax_behavior, net_minor, tax_minor, total_minor, metadata, issued_at,
                 rebate, corrected_by, modality)
            SELECT $1, $7, number, $2, $8, $9, $10, $11, $12, $13, issued_on, $14, $15, $16, $17, $18, $19,
                   $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $85, $86
            FROM series
        ), line AS (
            INSERT INTO credit_note_lines
                (tenant_id, credit_note_id, currency, id, invoice_line_id, position, description, quantity,
                 period_start, period_end, included_tax_minor, net_minor, tax_category, tax_rate_ppm,
                 tax_reason, volume_minor, rebate_minor, item, unit_price)
            SELECT $1, $7, $12, l.id, l.invoice_line_id, l.position, l.description, l.quantity,
                   l.period_start, l.period_end, l.included_tax, l.net, l.category, l.rate, l.reason,
                   l.volume, -l.rebate_ended, l.item, l.unit_price
            FROM unnest($33::uuid[], $34::uuid[], $35::text[], $36::numeric[], $37::timestamptz[],
                        $38::timestamptz[], $39::bigint[], $40::bigint[], $41::text[], $42::int[],
                        $43::text[], $44::bigint[], $45::bigint[], $87::text[], $88::numeric[])
                 WITH ORDINALITY AS l (id, invoice_line_id, description, quantity, period_start, period_end,
                                       included_tax, net, category, rate, reason, volume, rebate_ended, item,
                                       unit_price, position)
        ), source AS (
            INSERT INTO credit_note_sources
                (tenant_id, credit_note_id, currency, invoice_id, position, number, issued_on, net_minor,
                 tax_minor, total_minor, to_invoice_minor)
            SELECT $1, $7, $12, s.invoice_id, s.position, s.number, s.issued_on, s.net, s.tax, s.total,
                   s.to_invoice
            FROM unnest($46::uuid[], $47::text[], $48::date[], $49::bigint[], $50::bigint[], $51::bigint[],
                        $52::bigint[])
                 WITH ORDINALITY AS s (invoice_id, number, issued_on, net, tax, total, to_invoice, position)
        ), tax AS (
            INSERT INTO credit_note_taxes
                (tenant_id, credit_note_id, currency, category, rate_ppm, reason, base_minor, tax_minor)
            SELECT $1, $7, $12, t.*
            FROM unnest($53::text[], $54::int[], $55::text[], $56::bigint[], $57::bigint[]) AS t
        ), source_tax AS (
            INSERT INTO credit_note_source_taxes
                (tenant_id, credit_note_id, currency, invoice_id, category, rate_ppm, reason, base_minor,
                 tax_minor)
            SELECT $1, $7, $12, t.*
            FROM unnest($58::uuid[], $59::text[], $60::int[], $61::text[], $62::bigint[], $63::bigint[]) AS t
        ), settlement AS (
            INSERT INTO credit_note_settlements
                (tenant_id, credit_note_id, currency, total_minor, applied_minor, status)
            VALUES ($1, $7, $12, $29, $64, $65)
        ), own AS (
            INSERT INTO settlements
                (tenant_id, credit_note_id, currency, created_at, is_own, id, invoice_id, amount_minor)
            SELECT $1, $7, $12, $31, true, s.*
            FROM unnest($66::uuid[], $67::uuid[], $68::bigint[]) AS s
        ), settled AS (
            UPDATE invoice_settlements
            SET offset_minor   = i.offset_minor,
                credited_minor = i.credited_minor,
                status         = i.status,
                settled_at     = i.settled_at
            FROM unnest($69::uuid[], $70::bigint[], $71::bigint[], $72::text[], $73::timestamptz[])
                 AS i (invoice_id, offset_minor, credited_minor, status, settled_at)
            WHERE invoice_settlements.tenant_id = $1 AND invoice_settlements.invoice_id = i.invoice_id
        ), dunning AS (
            UPDATE dunnings
            SET status = 'recovered', next_at = NULL
            WHERE tenant_id = $1 AND invoice_id = ANY($74::uuid[]) AND status <> 'recovered'
            RETURNING invoice_id, overdue_at IS NOT NULL AS was_overdue
        ), entry AS (
            INSERT INTO ledger_entries
                (tenant_id, id, transaction_id, legal_entity_id, document_id, document, invoice_id,
                 customer_id, account, tax_category, tax_rate_ppm, tax_reason, currency, amount_minor,
                 label, booked_on, created_at, credit_note_id)
            SELECT $1, e.id, e.transaction_id, $2, $7, 'credit_note', e.invoice_id, $8, e.account, e.category,
                   e.rate, e.reason, $12, e.amount,
                   CASE WHEN e.issues THEN 'Credit note ' || number ELSE 'VAT due on receipts' END,
                   issued_on, $31, e.credit_note_id
            FROM series, unnest($75::uuid[], $76::uuid[], $77::uuid[], $78::text[], $79::text[], $80::int[],
                                $81::text[], $82::bigint[], $83::bool[], $84::uuid[])
                         AS e (id, transaction_id, invoice_id, account, category, rate, reason, amount,
                               issues, credit_note_id)
        )
        SELECT number, issued_on, ARRAY(SELECT invoice_id FROM dunning WHERE was_overdue) AS recovered
        FROM series
        """,
        tx.tenant,
        ready.entity.id,
        Series.CREDIT_NOTE,
        place.year,
        place.today,
        place.form,
        *_head(ready.note),
        *_lines(ready.note),
        *_sources(ready.note),
        *_taxes(ready.note.taxes),
        [invoice_id for invoice_id, _ in ready.taxes],
        *_taxes([tax for _, tax in ready.taxes]),
        ready.note.settlement.applied.minor,
        ready.note.settlement.status,
        *_own(ready.note),
        *_settled(ready.after),
        [invoice.id for invoice in ready.settled],
        *_entries(ready.booked, ready.fallen_due),
        ready.note.corrected_by,
        ready.note.modality,
        [line.item for line in ready.note.lines],
        [line.unit_price for line in ready.note.lines],
    )
    assert row is not None, "the series gives its number"
    return load(row, Recorded)


# Each of these gives the values of the statement, in its order.


def _head(note: CreditNote) -> Iterable[Any]:
    yield note.id
    yield note.customer_id
    yield note.invoice_id
    yield note.invoice_number
    yield note.invoice_issued_on
    yield note.currency
    yield note.language
    yield note.seller
    yield note.buyer
    yield note.vat_due
    yield note.time_zone
    yield note.reason
    yield note.reason_text
    yield note.refund_mode
    yield note.refund_on
    yield note.destination.to_invoice.minor
    yield note.destination.to_provider.minor
    yield note.destination.by_hand.minor
    yield note.destination.to_balance.minor
    yield note.tax_behavior
    yield note.net.minor
    yield note.tax.minor
    yield note.total.minor
    yield note.metadata
    yield note.issued_at
    yield note.rebate


def _lines(note: CreditNote) -> Iterable[list[Any]]:
    lines = note.lines
    yield [line.id for line in lines]
    yield [line.invoice_line_id for line in lines]
    yield [line.description for line in lines]
    yield [line.quantity for line in lines]
    yield [line.period and line.period.start for line in lines]
    yield [line.period and line.period.end for line in lines]
    yield [line.included_tax.minor for line in lines]
    yield [line.net.minor for line in lines]
    yield from columns_of([line.tax for line in lines])
    yield [line.volume.minor for line in lines]
    yield [line.rebate_ended.minor for line in lines]


def _sources(note: CreditNote) -> Iterable[list[Any]]:
    yield [source.invoice_id for source in note.sources]
    yield [source.number for source in note.sources]
    yield [source.issued_on for source in note.sources]
    yield [source.net.minor for source in note.sources]
    yield [source.tax.minor for source in note.sources]
    yield [source.total.minor for source in note.sources]
    yield [source.to_invoice.minor for source in note.sources]


def _taxes(taxes: Sequence[GroupTax]) -> Iterable[list[Any]]:
    yield from columns_of([tax.group for tax in taxes])
    yield [tax.base.minor for tax in taxes]
    yield [tax.tax.minor for tax in taxes]


def _own(note: CreditNote) -> Iterable[list[Any]]:
    """What it takes off its own invoices."""
    settling = [source for source in note.sources if source.to_invoice]
    yield [SettlementId.new() for _ in settling]
    yield [source.invoice_id for source in settling]
    yield [source.to_invoice.minor for source in settling]


def _settled(invoices: Sequence[Invoice]) -> Iterable[list[Any]]:
    yield [invoice.id for invoice in invoices]
    yield [invoice.settlement.offset.minor for invoice in invoices]
    yield [invoice.settlement.credited.minor for invoice in invoices]
    yield [invoice.settlement.status for invoice in invoices]
    yield [invoice.settlement.settled_at for invoice in invoices]


def _entries(issued: Sequence[Booked], fallen_due: Sequence[Booked]) -> Iterable[list[Any]]:
    booked = [*issued, *fallen_due]
    yield [EntryId.new() for _ in booked]
    yield [each.transaction_id for each in booked]
    yield [each.holder.invoice_id for each in booked]
    yield [each.posting.account for each in booked]
    yield [each.posting.tax and each.posting.tax.category for each in booked]
    yield [each.posting.tax and each.posting.tax.rate for each in booked]
    yield [each.posting.tax and each.posting.tax.reason for each in booked]
    yield [each.posting.amount.minor for each in booked]
    yield [True for _ in issued] + [False for _ in fallen_due]
    yield [each.holder.credit_note_id for each in booked]
