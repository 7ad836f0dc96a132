"""Writing documents that were issued elsewhere: with their own numbers, many in one statement."""

from collections.abc import Iterable, Sequence
from datetime import date
from itertools import chain
from typing import Any

from billing.credit_notes.model import CreditNote
from billing.imports.model import Imported
from billing.invoices.model import InvoiceId
from billing.invoices.record import columns_of, entry_columns, line_columns, tax_columns
from billing.settlement.model import SettlementId
from kernel.database import Tx


async def insert_invoices(tx: Tx, invoices: Sequence[Imported]) -> set[InvoiceId]:
    """All of one seller. Those whose numbers were free: the others are not written."""
    entity = invoices[0].ready.entity
    rows = await tx.conn.fetch(
        """
        INSERT INTO invoices
            (tenant_id, id, number, legal_entity_id, customer_id, currency, language, issued_on, due_on,
             seller, buyer, vat_due, time_zone, collection, tax_behavior, net_minor, tax_minor,
             total_minor, note, metadata, issued_at, kind, refers_to)
        SELECT $1, id, number, $2, customer_id, currency, language, issued_on, due_on, $3, buyer, $4, $5,
               collection, tax_behavior, net, tax, total, note, metadata, $6, kind, '[]'
        FROM unnest($7::uuid[], $8::text[], $9::uuid[], $10::text[], $11::text[], $12::date[], $13::date[],
                    $14::jsonb[], $15::text[], $16::text[], $17::bigint[], $18::bigint[], $19::bigint[],
                    $20::text[], $21::jsonb[], $22::text[])
             AS h (id, number, customer_id, currency, language, issued_on, due_on, buyer, collection,
                   tax_behavior, net, tax, total, note, metadata, kind)
        ON CONFLICT (tenant_id, legal_entity_id, number) DO NOTHING
        RETURNING id
        """,
        tx.tenant,
        entity.id,
        entity.seller,
        entity.vat_due,
        entity.time_zone,
        tx.now,
        *_heads(invoices),
    )
    return {InvoiceId.of(row["id"]) for row in rows}


async def insert_contents(tx: Tx, invoices: Sequence[Imported], *, booked_on: date) -> None:
    """Lines, VAT, settlement, payments and ledger of what `insert_invoices` has written."""
    await tx.conn.execute(
        """
        WITH line AS (
            INSERT INTO invoice_lines
                (tenant_id, id, invoice_id, position, description, quantity, unit_price, recurring,
                 period_start, period_end, currency, amount_minor, discount_minor, included_tax_minor,
                 net_minor, allowances, tax_category, tax_rate_ppm, tax_reason, item, discountable)
            SELECT $1, l.*
            FROM unnest($5::uuid[], $6::uuid[], $7::int[], $8::text[], $9::numeric[], $10::numeric[],
                        $11::bool[], $12::timestamptz[], $13::timestamptz[], $14::text[], $15::bigint[],
                        $16::bigint[], $17::bigint[], $18::bigint[], $19::jsonb[], $20::text[], $21::int[],
                        $22::text[], $23::text[], $24::bool[]) AS l
        ), tax AS (
            INSERT INTO invoice_taxes
                (tenant_id, invoice_id, currency, category, rate_ppm, reason, base_minor, tax_minor)
            SELECT $1, t.*
            FROM unnest($25::uuid[], $26::text[], $27::text[], $28::int[], $29::text[], $30::bigint[],
                        $31::bigint[]) AS t
        ), entry AS (
            INSERT INTO ledger_entries
                (tenant_id, id, transaction_id, legal_entity_id, document_id, document, invoice_id,
                 customer_id, account, tax_category, tax_rate_ppm, tax_reason, currency, amount_minor,
                 label, booked_on, created_at)
            SELECT $1, e.id, transaction_id, $2, e.invoice_id, 'import', e.invoice_id, customer_id, account,
                   category, rate, reason, currency, amount, 'Imported ' || number, $3, $4
            FROM unnest($32::uuid[], $33::uuid[], $34::uuid[], $35::int[], $36::uuid[], $37::text[],
                        $38::text[], $39::int[], $40::text[], $41::text[], $42::bigint[])
                 AS e (id, transaction_id, invoice_id, position, customer_id, account, category, rate,
                       reason, currency, amount)
            JOIN unnest($43::uuid[], $44::text[]) AS h (id, number) ON h.id = e.invoice_id
        ), payment AS (
            INSERT INTO payments
                (tenant_id, id, customer_id, invoice_id, currency, amount_minor, status, means, reference,
                 received_on, created_at)
            SELECT $1, id, customer_id, invoice_id, currency, amount, 'succeeded', means, reference,
                   received_on, $4
            FROM unnest($50::uuid[], $51::uuid[], $52::uuid[], $53::uuid[], $54::text[], $55::bigint[],
                        $56::text[], $57::text[], $58::date[])
                 AS p (settlement_id, id, customer_id, invoice_id, currency, amount, means, reference,
                       received_on)
        ), edge AS (
            INSERT INTO settlements
                (tenant_id, id, invoice_id, payment_id, currency, amount_minor, created_at, is_own)
            SELECT $1, settlement_id, invoice_id, id, currency, amount, $4, false
            FROM unnest($50::uuid[], $51::uuid[], $53::uuid[], $54::text[], $55::bigint[])
                 AS p (settlement_id, id, invoice_id, currency, amount)
        )
        INSERT INTO invoice_settlements
            (tenant_id, invoice_id, currency, total_minor, paid_minor, status, settled_at)
        SELECT $1, s.*, CASE WHEN status = 'settled' THEN $4 END
        FROM unnest($45::uuid[], $46::text[], $47::bigint[], $48::bigint[], $49::text[])
             AS s (invoice_id, currency, total, paid, status)
        """,
        tx.tenant,
        invoices[0].ready.entity.id,
        booked_on,
        tx.now,
        *line_columns([each.ready for each in invoices]),
        *tax_columns([each.ready for each in invoices]),
        *entry_columns([each.ready for each in invoices]),
        *_names(invoices),
        *_settlements(invoices),
        *_payments(invoices),
    )


async def insert_credit_note(tx: Tx, note: CreditNote) -> bool:
    """False where its number is taken."""
    inserted = await tx.conn.fetchval(
        """
        INSERT INTO credit_notes
            (tenant_id, id, number, legal_entity_id, customer_id, invoice_id, invoice_number,
             invoice_issued_on, currency, language, issued_on, seller, buyer, vat_due, time_zone, reason,
             reason_text, refund_mode, to_invoice_minor, to_provider_minor, by_hand_minor, to_balance_minor,
             tax_behavior, net_minor, tax_minor, total_minor, metadata, issued_at, imported)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, 0, 0,
                $20, $21, $22, $23, $24, $25, $26, true)
        ON CONFLICT (tenant_id, legal_entity_id, number) DO NOTHING
        RETURNING id
        """,
        tx.tenant,
        note.id,
        note.number,
        note.legal_entity_id,
        note.customer_id,
        note.invoice_id,
        note.invoice_number,
        note.invoice_issued_on,
        note.currency,
        note.language,
        note.issued_on,
        note.seller,
        note.buyer,
        note.vat_due,
        note.time_zone,
        note.reason,
        note.reason_text,
        note.refund_mode,
        note.destination.to_invoice.minor,
        note.destination.to_balance.minor,
        note.tax_behavior,
        note.net.minor,
        note.tax.minor,
        note.total.minor,
        note.metadata,
        note.issued_at,
    )
    return inserted is not None


async def insert_credit_note_contents(tx: Tx, note: CreditNote) -> None:
    """Lines, VAT and settlement of what `insert_credit_note` has written, and its invoice if it is on one."""
    await tx.conn.execute(
        """
        WITH line AS (
            INSERT INTO credit_note_lines
                (tenant_id, credit_note_id, currency, id, invoice_line_id, position, description, quantity,
                 unit_price, item, included_tax_minor, net_minor, tax_category, tax_rate_ppm, tax_reason,
                 volume_minor, rebate_minor)
            SELECT $1, $2, $3, l.id, l.invoice_line_id, l.position, l.description, l.quantity, l.unit_price,
                   l.item, l.included_tax, l.net, l.category, l.rate, l.reason, l.volume, -l.rebate_ended
            FROM unnest($4::uuid[], $5::uuid[], $6::text[], $7::numeric[], $8::numeric[], $9::text[],
                        $10::bigint[], $11::bigint[], $12::text[], $13::int[], $14::text[], $15::bigint[],
                        $16::bigint[])
                 WITH ORDINALITY AS l (id, invoice_line_id, description, quantity, unit_price, item,
                                       included_tax, net, category, rate, reason, volume, rebate_ended,
                                       position)
        ), source AS (
            INSERT INTO credit_note_sources
                (tenant_id, credit_note_id, currency, invoice_id, position, number, issued_on, net_minor,
                 tax_minor, total_minor, to_invoice_minor)
            SELECT $1, $2, $3, $17::uuid, 1, $18::text, $19::date, $20::bigint, $21::bigint, $22::bigint,
                   $23::bigint
            WHERE $17 IS NOT NULL
        ), source_tax AS (
            INSERT INTO credit_note_source_taxes
                (tenant_id, credit_note_id, currency, invoice_id, category, rate_ppm, reason, base_minor,
                 tax_minor)
            SELECT $1, $2, $3, $17, t.*
            FROM unnest($24::text[], $25::int[], $26::text[], $27::bigint[], $28::bigint[]) AS t
            WHERE $17 IS NOT NULL
        ), tax AS (
            INSERT INTO credit_note_taxes
                (tenant_id, credit_note_id, currency, category, rate_ppm, reason, base_minor, tax_minor)
            SELECT $1, $2, $3, t.*
            FROM unnest($24::text[], $25::int[], $26::text[], $27::bigint[], $28::bigint[]) AS t
        )
        INSERT INTO credit_note_settlements
            (tenant_id, credit_note_id, currency, total_minor, applied_minor, marked_minor, status)
        VALUES ($1, $2, $3, $22, $23, $29, $30)
        """,
        tx.tenant,
        note.id,
        note.currency,
        *_credit_lines(note),
        note.invoice_id,
        note.invoice_number,
        note.invoice_issued_on,
        note.net.minor,
        note.tax.minor,
        note.total.minor,
        note.settlement.applied.minor,
        *columns_of([tax.group for tax in note.taxes]),
        [tax.base.minor for tax in note.taxes],
        [tax.tax.minor for tax in note.taxes],
        note.settlement.marked.minor,
        note.settlement.status,
    )


# Each of these gives the columns of a statement, in its order.


def _heads(invoices: Sequence[Imported]) -> Iterable[list[Any]]:
    yield [each.ready.id for each in invoices]
    yield [each.number for each in invoices]
    yield [each.ready.customer.id for each in invoices]
    yield [each.ready.currency for each in invoices]
    yield [each.ready.customer.language for each in invoices]
    yield [each.issued_on for each in invoices]
    yield [each.due_on for each in invoices]
    yield [each.ready.customer.buyer for each in invoices]
    yield [each.ready.collection for each in invoices]
    yield [each.ready.sums.tax_behavior for each in invoices]
    yield [each.ready.sums.net.minor for each in invoices]
    yield [each.ready.sums.tax.minor for each in invoices]
    yield [each.ready.sums.total.minor for each in invoices]
    yield [each.ready.note for each in invoices]
    yield [each.ready.metadata for each in invoices]
    yield [each.ready.kind for each in invoices]


def _credit_lines(note: CreditNote) -> Iterable[list[Any]]:
    lines = note.lines
    yield [line.id for line in lines]
    yield [line.invoice_line_id for line in lines]
    yield [line.description for line in lines]
    yield [line.quantity for line in lines]
    yield [line.unit_price for line in lines]
    yield [line.item for line in lines]
    yield [line.included_tax.minor for line in lines]
    yield [line.net.minor for line in lines]
    yield from columns_of([line.tax for line in lines])
    yield [line.volume.minor for line in lines]
    yield [line.rebate_ended.minor for line in lines]


def _names(invoices: Sequence[Imported]) -> Iterable[list[Any]]:
    yield [each.ready.id for each in invoices]
    yield [each.number for each in invoices]


def _settlements(invoices: Sequence[Imported]) -> Iterable[list[Any]]:
    yield [each.ready.id for each in invoices]
    yield [each.ready.currency for each in invoices]
    yield [each.ready.sums.total.minor for each in invoices]
    yield [each.paid.minor for each in invoices]
    yield [each.ready.status for each in invoices]


def _payments(invoices: Sequence[Imported]) -> Iterable[list[Any]]:
    payments = list(chain.from_iterable(each.payments for each in invoices))
    yield [SettlementId.new() for _ in payments]
    yield [payment.id for payment in payments]
    yield [payment.customer_id for payment in payments]
    yield [payment.invoice_id for payment in payments]
    yield [payment.currency for payment in payments]
    yield [payment.amount.minor for payment in payments]
    yield [payment.means for payment in payments]
    yield [payment.reference for payment in payments]
    yield [payment.received_on for payment in payments]
