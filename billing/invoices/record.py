"""Writing issued invoices, one or thousands, in one statement: number, document, settlement and ledger.

The row of the number series is locked in here and until the commit, so that nothing which could have been
done before has to be waited for by the next in line.
"""

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

from billing.invoices.ready import Ready
from billing.ledger.model import EntryId, TransactionId
from billing.numbering import Numbered, Series, numbering
from billing.tax.model import TaxGroup
from kernel.database import Tx
from kernel.structs import load


async def insert(tx: Tx, invoices: Sequence[Ready]) -> list[Numbered]:
    """At least one, and all of one seller; they are numbered in their order."""
    entity = invoices[0].entity
    place = numbering(entity, Series.INVOICE, now=tx.now)
    rows = await tx.conn.fetch(
        """
        WITH head AS (
            SELECT *
            FROM unnest($10::uuid[], $11::uuid[], $12::text[], $13::text[], $14::int[], $15::jsonb[],
                        $16::text[], $17::text[], $18::bigint[], $19::bigint[], $20::bigint[],
                        $21::text[], $22::jsonb[], $23::text[], $63::text[], $64::jsonb[], $65::jsonb[],
                        $66::bigint[])
                 WITH ORDINALITY AS h (id, customer_id, currency, language, terms_days, buyer, collection,
                                       tax_behavior, net, tax, total, note, metadata, status, kind,
                                       refers_to, deductions, deducted, position)
        ), series AS (
            INSERT INTO number_series AS s
                (tenant_id, legal_entity_id, kind, year, last_number, last_issued_on)
            VALUES ($1, $2, $3, $4, cardinality($10::uuid[]), $5)
            ON CONFLICT (tenant_id, legal_entity_id, kind, year) DO UPDATE
            SET last_number    = s.last_number + EXCLUDED.last_number,
                last_issued_on = GREATEST(s.last_issued_on, EXCLUDED.last_issued_on)
            RETURNING last_number - cardinality($10::uuid[]) AS before, last_issued_on AS issued_on
        ), invoice AS (
            INSERT INTO invoices
                (tenant_id, id, number, legal_entity_id, customer_id, currency, language, issued_on, due_on,
                 seller, buyer, vat_due, time_zone, collection, tax_behavior, net_minor, tax_minor,
                 total_minor, note, metadata, issued_at, kind, refers_to, deductions)
            SELECT $1, id, document_number($6, $4, before + position), $2, customer_id, currency, language,
                   issued_on, issued_on + terms_days, $7, buyer, $8, $9, collection, tax_behavior, net, tax,
                   total, note, metadata, $24, kind, refers_to, deductions
            FROM head, series
        ), line AS (
            INSERT INTO invoice_lines
                (tenant_id, id, invoice_id, position, description, quantity, unit_price, recurring,
                 period_start, period_end, currency, amount_minor, discount_minor, included_tax_minor,
                 net_minor, allowances, tax_category, tax_rate_ppm, tax_reason, item, discountable)
            SELECT $1, l.*
            FROM unnest($25::uuid[], $26::uuid[], $27::int[], $28::text[], $29::numeric[], $30::numeric[],
                        $31::bool[], $32::timestamptz[], $33::timestamptz[], $34::text[], $35::bigint[],
                        $36::bigint[], $37::bigint[], $38::bigint[], $39::jsonb[], $40::text[], $41::int[],
                        $42::text[], $43::text[], $44::bool[]) AS l
        ), tax AS (
            INSERT INTO invoice_taxes
                (tenant_id, invoice_id, currency, category, rate_ppm, reason, base_minor, tax_minor)
            SELECT $1, t.*
            FROM unnest($45::uuid[], $46::text[], $47::text[], $48::int[], $49::text[], $50::bigint[],
                        $51::bigint[]) AS t
        ), settlement AS (
            INSERT INTO invoice_settlements
                (tenant_id, invoice_id, currency, total_minor, paid_minor, status, settled_at)
            SELECT $1, id, currency, total, deducted, status, CASE WHEN status = 'settled' THEN $24 END
            FROM head
        ), entry AS (
            INSERT INTO ledger_entries
                (tenant_id, id, transaction_id, legal_entity_id, document_id, document, invoice_id,
                 customer_id, account, tax_category, tax_rate_ppm, tax_reason, currency, amount_minor,
                 label, booked_on, created_at)
            SELECT $1, id, transaction_id, $2, invoice_id, 'invoice', invoice_id, customer_id, account,
                   category, rate, reason, currency, amount,
                   'Invoice ' || document_number($6, $4, before + position), issued_on, $24
            FROM series, unnest($52::uuid[], $53::uuid[], $54::uuid[], $55::int[], $56::uuid[], $57::text[],
                                $58::text[], $59::int[], $60::text[], $61::text[], $62::bigint[])
                         AS e (id, transaction_id, invoice_id, position, customer_id, account, category, rate,
                               reason, currency, amount)
        )
        SELECT document_number($6, $4, before + position) AS number, issued_on
        FROM series, generate_series(1, cardinality($10::uuid[])) AS position
        ORDER BY position
        """,
        tx.tenant,
        entity.id,
        Series.INVOICE,
        place.year,
        place.today,
        place.form,
        entity.seller,
        entity.vat_due,
        entity.time_zone,
        *_heads(invoices),
        tx.now,
        *line_columns(invoices),
        *tax_columns(invoices),
        *entry_columns(invoices),
        [each.kind for each in invoices],
        [each.references for each in invoices],
        [each.deductions for each in invoices],
        [each.deducted.minor for each in invoices],
    )
    return [load(row, Numbered) for row in rows]


# Each of these gives the columns of the statement, in its order.


def _heads(invoices: Sequence[Ready]) -> Iterable[list[Any]]:
    yield [each.id for each in invoices]
    yield [each.customer.id for each in invoices]
    yield [each.currency for each in invoices]
    yield [each.customer.language for each in invoices]
    yield [each.terms_days for each in invoices]
    yield [each.customer.buyer for each in invoices]
    yield [each.collection for each in invoices]
    yield [each.sums.tax_behavior for each in invoices]
    yield [each.sums.net.minor for each in invoices]
    yield [each.sums.tax.minor for each in invoices]
    yield [each.sums.total.minor for each in invoices]
    yield [each.note for each in invoices]
    yield [each.metadata for each in invoices]
    yield [each.status for each in invoices]


def line_columns(invoices: Sequence[Ready]) -> Iterable[list[Any]]:
    lines = list(chain.from_iterable(each.lines for each in invoices))
    yield [line.id for line in lines]
    yield [each.id for each in invoices for _ in each.lines]
    yield [position for each in invoices for position in range(1, len(each.lines) + 1)]
    yield [line.description for line in lines]
    yield [line.quantity for line in lines]
    yield [line.unit_price for line in lines]
    yield [line.recurring for line in lines]
    yield [line.period and line.period.start for line in lines]
    yield [line.period and line.period.end for line in lines]
    yield [line.amount.currency for line in lines]
    yield [line.amount.minor for line in lines]
    yield [line.discount.minor for line in lines]
    yield [line.included_tax.minor for line in lines]
    yield [line.net.minor for line in lines]
    yield [line.allowances for line in lines]
    yield from columns_of([line.tax for line in lines])
    yield [line.item for line in lines]
    yield [line.discountable for line in lines]


def tax_columns(invoices: Sequence[Ready]) -> Iterable[list[Any]]:
    taxes = list(chain.from_iterable(each.sums.taxes for each in invoices))
    yield [each.id for each in invoices for _ in each.sums.taxes]
    yield [tax.tax.currency for tax in taxes]
    yield from columns_of([tax.group for tax in taxes])
    yield [tax.base.minor for tax in taxes]
    yield [tax.tax.minor for tax in taxes]


def entry_columns(invoices: Sequence[Ready]) -> Iterable[list[Any]]:
    """One transaction an invoice."""
    postings = list(chain.from_iterable(each.postings for each in invoices))
    yield [EntryId.new() for _ in postings]
    yield list(chain.from_iterable([TransactionId.new()] * len(each.postings) for each in invoices))
    yield [each.id for each in invoices for _ in each.postings]
    yield [position for position, each in enumerate(invoices, start=1) for _ in each.postings]
    yield [each.customer.id for each in invoices for _ in each.postings]
    yield [posting.account for posting in postings]
    yield [posting.tax and posting.tax.category for posting in postings]
    yield [posting.tax and posting.tax.rate for posting in postings]
    yield [posting.tax and posting.tax.reason for posting in postings]
    yield [posting.amount.currency for posting in postings]
    yield [posting.amount.minor for posting in postings]


def columns_of(groups: Sequence[TaxGroup]) -> tuple[list[str], list[int], list[str]]:
    return (
        [group.category for group in groups],
        [group.rate for group in groups],
        [group.reason for group in groups],
    )
