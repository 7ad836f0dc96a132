"""Every SQL statement about what rebates are counted on and spread over.

However many lines there are, they stay in the database: what comes back is sums, or a thousand rows.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from billing.credit_notes.model import CreditNoteId
from billing.invoices.model import InvoiceId
from billing.invoices.record import columns_of
from billing.invoices.store import group_tax, line_group
from billing.parties.model import CustomerId
from billing.payments.model import Payment
from billing.rebates.model import Scope, Volume
from billing.tax.model import GroupTax, TaxGroup
from kernel.database import Tx
from kernel.money import Currency, Money
from kernel.structs import Value, load

# Seconds that a statement over all the lines of a programme may take.
LONG = 600


class Sums(Value, frozen=True, kw_only=True):
    """What a rebate takes off all its invoices."""

    net: Money
    tax: Money
    total: Money
    to_invoice: Money
    invoices: int
    lines: int


class Source(Value, frozen=True, kw_only=True):
    """What it takes off one of them."""

    invoice_id: InvoiceId
    net: Money
    total: Money
    to_invoice: Money


async def lock(tx: Tx, scope: Scope) -> int:
    """The invoices in the scope, and those whose notes pay on them: one after the other, the oldest first."""
    locked: int = await tx.conn.fetchval(
        """
        SELECT count(*)
        FROM (
            SELECT s.invoice_id
            FROM invoice_settlements s
            WHERE s.tenant_id = $1 AND s.invoice_id IN (
                SELECT i.id
                FROM invoices i
                WHERE i.tenant_id = $1 AND i.customer_id = ANY($2::uuid[]) AND i.currency = $3
                  AND (i.issued_on >= $4 AND i.issued_on < $5 OR i.id = ANY($6::uuid[]))
                UNION
                SELECT c.invoice_id
                FROM invoices i
                JOIN settlements x ON x.tenant_id = i.tenant_id AND x.invoice_id = i.id
                JOIN credit_notes c ON c.tenant_id = x.tenant_id AND c.id = x.credit_note_id
                WHERE i.tenant_id = $1 AND i.customer_id = ANY($2::uuid[]) AND i.currency = $3
                  AND (i.issued_on >= $4 AND i.issued_on < $5 OR i.id = ANY($6::uuid[]))
                  AND x.undone_at IS NULL AND NOT x.is_own
            )
            ORDER BY s.invoice_id
            FOR NO KEY UPDATE
        ) AS locked
        """,
        tx.tenant,
        scope.customers,
        scope.currency,
        scope.starts_on,
        scope.ends_on,
        scope.taken_back,
        timeout=LONG,
    )
    return locked


async def lock_notes(tx: Tx, scope: Scope) -> int:
    """What pays on the invoices in the scope, and may be given back by them: one after the other."""
    locked: int = await tx.conn.fetchval(
        """
        SELECT count(*)
        FROM (
            SELECT n.credit_note_id
            FROM credit_note_settlements n
            WHERE n.tenant_id = $1 AND n.credit_note_id IN (
                SELECT x.credit_note_id
                FROM invoices i
                JOIN settlements x ON x.tenant_id = i.tenant_id AND x.invoice_id = i.id
                WHERE i.tenant_id = $1 AND i.customer_id = ANY($2::uuid[]) AND i.currency = $3
                  AND (i.issued_on >= $4 AND i.issued_on < $5 OR i.id = ANY($6::uuid[]))
                  AND x.credit_note_id IS NOT NULL AND x.undone_at IS NULL AND NOT x.is_own
            )
            ORDER BY n.credit_note_id
            FOR NO KEY UPDATE
        ) AS locked
        """,
        tx.tenant,
        scope.customers,
        scope.currency,
        scope.starts_on,
        scope.ends_on,
        scope.taken_back,
        timeout=LONG,
    )
    return locked


async def left_per_group(tx: Tx, scope: Scope) -> dict[CustomerId, dict[TaxGroup, Money]]:
    """What can still be credited of each customer's lines, by the VAT it falls under."""
    rows = await tx.conn.fetch(
        """
        SELECT i.customer_id, i.currency, l.tax_category, l.tax_rate_ppm, l.tax_reason,
               sum(l.net_minor - COALESCE((
                   SELECT sum(n.net_minor)
                   FROM credit_note_lines n
                   WHERE n.tenant_id = $1 AND n.invoice_line_id = l.id
               ), 0))::bigint AS minor
        FROM invoices i
        JOIN invoice_lines l ON l.tenant_id = i.tenant_id AND l.invoice_id = i.id
        WHERE i.tenant_id = $1 AND i.customer_id = ANY($2::uuid[]) AND i.currency = $3
          AND (i.issued_on >= $4 AND i.issued_on < $5 AND ($6::text[] IS NULL OR l.item = ANY($6))
               AND i.id <> ALL($8::uuid[]) AND i.kind <> 'deposit' OR i.id = ANY($7::uuid[]))
        GROUP BY i.customer_id, i.currency, l.tax_category, l.tax_rate_ppm, l.tax_reason
        ORDER BY i.customer_id, l.tax_category, l.tax_rate_ppm, l.tax_reason
        """,
        tx.tenant,
        scope.customers,
        scope.currency,
        scope.starts_on,
        scope.ends_on,
        scope.items,
        scope.taken_back,
        scope.not_bought,
        timeout=LONG,
    )
    left: dict[CustomerId, dict[TaxGroup, Money]] = defaultdict(dict)
    for row in rows:
        left[CustomerId.of(row["customer_id"])][line_group(row)] = Money(
            row["minor"], Currency(row["currency"])
        )
    return left


async def with_payment_in_flight(tx: Tx, scope: Scope) -> str | None:
    """The number of an invoice in the scope that is being paid."""
    number: str | None = await tx.conn.fetchval(
        """
        SELECT i.number
        FROM invoices i
        JOIN invoice_settlements s ON s.tenant_id = i.tenant_id AND s.invoice_id = i.id
        WHERE i.tenant_id = $1 AND i.customer_id = ANY($2::uuid[]) AND i.currency = $3
          AND (i.issued_on >= $4 AND i.issued_on < $5 OR i.id = ANY($6::uuid[])) AND s.pending_minor > 0
        ORDER BY i.id
        LIMIT 1
        """,
        tx.tenant,
        scope.customers,
        scope.currency,
        scope.starts_on,
        scope.ends_on,
        scope.taken_back,
    )
    return number


async def volumes(tx: Tx, scope: Scope) -> list[Volume]:
    """Of each customer who has lines in the scope.

    Where rebates of several programmes came off a line, what a credit ended is shared out between them.
    """
    rows = await tx.conn.fetch(
        """
        SELECT i.customer_id, i.currency,
               COALESCE(sum(l.net_minor - COALESCE(c.volume, 0)) FILTER (WHERE i.id <> ALL($7::uuid[])), 0)
                   ::bigint AS net_minor,
               COALESCE(sum(CASE WHEN c.volume = l.net_minor AND c.volume > 0 THEN 0
                                 ELSE GREATEST(l.quantity - COALESCE(c.quantity, 0)
                                      - COALESCE(round(l.quantity * c.otherwise
                                                       / NULLIF(l.net_minor, 0), 6), 0), 0) END)
                        FILTER (WHERE i.id <> ALL($7::uuid[])), 0) AS quantity,
               COALESCE(sum(div(2 * c.in_force * c.own + c.given, 2 * c.given)), 0)::bigint AS rebate_minor,
               COALESCE(sum(l.net_minor - COALESCE(c.credited, 0)), 0)::bigint AS left_minor,
               bool_or(i.tax_behavior = 'inclusive' AND l.net_minor > 0) AS is_gross
        FROM invoices i
        JOIN invoice_lines l ON l.tenant_id = i.tenant_id AND l.invoice_id = i.id
        CROSS JOIN LATERAL (
            SELECT sum(n.volume_minor) AS volume, sum(n.net_minor) AS credited, sum(n.quantity) AS quantity,
                   sum(n.volume_minor) FILTER (WHERE n.quantity IS NULL) AS otherwise,
                   sum(n.rebate_minor) AS in_force,
                   sum(n.rebate_minor) FILTER (WHERE n.rebate_minor > 0) AS given,
                   sum(n.rebate_minor)
                       FILTER (WHERE n.rebate_minor > 0 AND n.credit_note_id = ANY($8::uuid[])) AS own
            FROM credit_note_lines n
            WHERE n.tenant_id = $1 AND n.invoice_line_id = l.id
        ) c
        WHERE i.tenant_id = $1 AND i.customer_id = ANY($2::uuid[]) AND i.currency = $3
          AND (i.issued_on >= $4 AND i.issued_on < $5 AND ($6::text[] IS NULL OR l.item = ANY($6))
               AND i.id <> ALL($9::uuid[]) AND i.kind <> 'deposit' OR i.id = ANY($7::uuid[]))
        GROUP BY i.customer_id, i.currency
        ORDER BY i.customer_id
        """,
        tx.tenant,
        scope.customers,
        scope.currency,
        scope.starts_on,
        scope.ends_on,
        scope.items,
        scope.taken_back,
        scope.given,
        scope.not_bought,
        timeout=LONG,
    )
    return [load(row, Volume) for row in rows]


async def refundable(tx: Tx, scope: Scope, *, at_least: Money) -> list[Payment]:
    """The newest payments on the invoices that a provider can carry back: until they come to the amount."""
    rows = await tx.conn.fetch(
        """
        WITH payment AS (
            SELECT p.id, sum(p.amount_minor - p.refunded_minor - p.disputed_minor)
                             OVER (ORDER BY p.created_at DESC, p.id DESC)
                             - p.amount_minor + p.refunded_minor + p.disputed_minor AS newer
            FROM invoices i
            JOIN payments p ON p.tenant_id = i.tenant_id AND p.invoice_id = i.id
            WHERE i.tenant_id = $1 AND i.customer_id = ANY($2::uuid[]) AND i.currency = $3
              AND (i.issued_on >= $4 AND i.issued_on < $5 OR i.id = ANY($6::uuid[]))
              AND p.status = 'succeeded' AND p.means = 'provider'
              AND p.refunded_minor + p.disputed_minor < p.amount_minor
        )
        SELECT p.id, p.customer_id, p.invoice_id, p.currency, p.amount_minor, p.refunded_minor,
               p.disputed_minor, p.charged_back_minor, p.status, p.means, p.reference, p.received_on,
               p.gateway, p.gateway_reference, p.payment_method, p.failure_code, p.created_at
        FROM payment n
        JOIN payments p ON p.tenant_id = $1 AND p.id = n.id
        WHERE n.newer < $7
        ORDER BY p.created_at DESC, p.id DESC
        """,
        tx.tenant,
        scope.customers,
        scope.currency,
        scope.starts_on,
        scope.ends_on,
        scope.taken_back,
        at_least.minor,
        timeout=LONG,
    )
    return [load(row, Payment) for row in rows]


# ── Spreading one over its lines and invoices ───────────────────────────────────────────────────────────


async def insert_lines(tx: Tx, note_id: CreditNoteId, scope: Scope, net: Money) -> None:
    """In proportion to what can still be credited, by cumulative rounding: no line takes more than it has.

    part_i = round(net x left_1..i / left) - round(net x left_1..i-1 / left)
    """
    await tx.conn.execute(
        """
        WITH source AS MATERIALIZED (
            SELECT l.id, l.invoice_id, l.position, l.description, l.period_start, l.period_end,
                   l.tax_category, l.tax_rate_ppm, l.tax_reason,
                   l.net_minor - COALESCE((
                       SELECT sum(n.net_minor)
                       FROM credit_note_lines n
                       WHERE n.tenant_id = $1 AND n.invoice_line_id = l.id
                   ), 0) AS still
            FROM invoices i
            JOIN invoice_lines l ON l.tenant_id = i.tenant_id AND l.invoice_id = i.id
            WHERE i.tenant_id = $1 AND i.customer_id = ANY($2::uuid[]) AND i.currency = $3
              AND (i.issued_on >= $4 AND i.issued_on < $5 AND ($6::text[] IS NULL OR l.item = ANY($6))
                   AND i.id <> ALL($10::uuid[]) AND i.kind <> 'deposit' OR i.id = ANY($7::uuid[]))
        ), upto AS (
            SELECT id, invoice_id, position, description, period_start, period_end, tax_category,
                   tax_rate_ppm, tax_reason, still,
                   sum(still) OVER (ORDER BY invoice_id, position) AS upto, sum(still) OVER () AS whole
            FROM source
            WHERE still > 0
        ), part AS (
            SELECT id, invoice_id, position, description, period_start, period_end, tax_category,
                   tax_rate_ppm, tax_reason,
                   div(2 * $9::numeric * upto + whole, 2 * whole)
                       - div(2 * $9::numeric * (upto - still) + whole, 2 * whole) AS part
            FROM upto
        )
        INSERT INTO credit_note_lines
            (tenant_id, id, credit_note_id, invoice_line_id, position, description, period_start, period_end,
             currency, net_minor, rebate_minor, tax_category, tax_rate_ppm, tax_reason)
        SELECT $1, gen_random_uuid(), $8, id, row_number() OVER (ORDER BY invoice_id, position), description,
               period_start, period_end, $3, part, part, tax_category, tax_rate_ppm, tax_reason
        FROM part
        WHERE part > 0
        """,
        tx.tenant,
        scope.customers,
        scope.currency,
        scope.starts_on,
        scope.ends_on,
        scope.items,
        scope.taken_back,
        note_id,
        net.minor,
        scope.not_bought,
        timeout=LONG,
    )


async def bases(tx: Tx, note_id: CreditNoteId) -> dict[TaxGroup, GroupTax]:
    """What its lines take off each VAT group; the VAT of it is still to be worked out."""
    rows = await tx.conn.fetch(
        """
        SELECT tax_category AS category, tax_rate_ppm AS rate_ppm, tax_reason AS reason, currency,
               sum(net_minor)::bigint AS base_minor, 0 AS tax_minor
        FROM credit_note_lines
        WHERE tenant_id = $1 AND credit_note_id = $2
        GROUP BY tax_category, tax_rate_ppm, tax_reason, currency
        """,
        tx.tenant,
        note_id,
        timeout=LONG,
    )
    taxes = [group_tax(row) for row in rows]
    return {tax.group: tax for tax in taxes}


async def insert_source_taxes(tx: Tx, note_id: CreditNoteId, wanted: Mapping[TaxGroup, Money]) -> None:
    """The VAT of each group, spread over its invoices: no more of one than is left of it.

    An invoice of which nothing is left in a group takes with it all that is left of its VAT. The others
    share the rest in proportion to theirs, by cumulative rounding.
    """
    await tx.conn.execute(
        """
        WITH based AS MATERIALIZED (
            SELECT l.invoice_id, n.currency, n.tax_category AS category, n.tax_rate_ppm AS rate_ppm,
                   n.tax_reason AS reason, sum(n.net_minor) AS base
            FROM credit_note_lines n
            JOIN invoice_lines l ON l.tenant_id = n.tenant_id AND l.id = n.invoice_line_id
            WHERE n.tenant_id = $1 AND n.credit_note_id = $2
            GROUP BY l.invoice_id, n.currency, n.tax_category, n.tax_rate_ppm, n.tax_reason
        ), room AS (
            SELECT b.invoice_id, b.currency, b.category, b.rate_ppm, b.reason, b.base,
                   t.base_minor - COALESCE(e.base, 0) - b.base AS base_left,
                   t.tax_minor - COALESCE(e.tax, 0) AS tax_left
            FROM based b
            JOIN invoice_taxes t
              ON t.tenant_id = $1 AND t.invoice_id = b.invoice_id AND t.category = b.category
             AND t.rate_ppm = b.rate_ppm AND t.reason = b.reason
            CROSS JOIN LATERAL (
                SELECT sum(c.base_minor) AS base, sum(c.tax_minor) AS tax
                FROM credit_note_source_taxes c
                WHERE c.tenant_id = $1 AND c.invoice_id = b.invoice_id AND c.category = b.category
                  AND c.rate_ppm = b.rate_ppm AND c.reason = b.reason
            ) e
        ), weighed AS (
            SELECT invoice_id, currency, category, rate_ppm, reason, base,
                   CASE WHEN base_left = 0 THEN tax_left ELSE 0 END AS forced,
                   CASE WHEN base_left = 0 THEN 0
                        ELSE LEAST(tax_left, ceil(base * rate_ppm / 1000000)) END AS weight
            FROM room
        ), upto AS (
            SELECT w.invoice_id, w.currency, w.category, w.rate_ppm, w.reason, w.base, w.forced, w.weight,
                   sum(w.weight) OVER (g ORDER BY w.invoice_id) AS upto,
                   NULLIF(sum(w.weight) OVER g, 0) AS whole,
                   LEAST(GREATEST(t.tax - sum(w.forced) OVER g, 0), sum(w.weight) OVER g) AS shared
            FROM weighed w
            JOIN unnest($3::text[], $4::int[], $5::text[], $6::bigint[])
                 AS t (category, rate_ppm, reason, tax)
              ON t.category = w.category AND t.rate_ppm = w.rate_ppm AND t.reason = w.reason
            WINDOW g AS (PARTITION BY w.category, w.rate_ppm, w.reason)
        )
        INSERT INTO credit_note_source_taxes
            (tenant_id, credit_note_id, invoice_id, category, rate_ppm, reason, currency, base_minor,
             tax_minor)
        SELECT $1, $2, invoice_id, category, rate_ppm, reason, currency, base,
               forced + COALESCE(div(2 * shared * upto + whole, 2 * whole)
                                 - div(2 * shared * (upto - weight) + whole, 2 * whole), 0)
        FROM upto
        """,
        tx.tenant,
        note_id,
        *columns_of(list(wanted)),
        [tax.minor for tax in wanted.values()],
        timeout=LONG,
    )


async def insert_sources(tx: Tx, note_id: CreditNoteId) -> None:
    """Each takes off first what had not been paid with money of its invoice."""
    await tx.conn.execute(
        """
        WITH taxed AS (
            SELECT invoice_id, sum(base_minor) AS net, sum(tax_minor) AS tax
            FROM credit_note_source_taxes
            WHERE tenant_id = $1 AND credit_note_id = $2
            GROUP BY invoice_id
        )
        INSERT INTO credit_note_sources
            (tenant_id, credit_note_id, invoice_id, position, number, issued_on, currency, net_minor,
             tax_minor, total_minor, to_invoice_minor)
        SELECT $1, $2, i.id, row_number() OVER (ORDER BY i.id), i.number, i.issued_on, i.currency, t.net,
               t.tax, t.net + t.tax,
               LEAST(t.net + t.tax, s.total_minor - s.paid_minor - s.offset_minor + COALESCE((
                   SELECT sum(x.amount_minor)
                   FROM settlements x
                   WHERE x.tenant_id = $1 AND x.invoice_id = i.id AND x.credit_note_id IS NOT NULL
                     AND x.undone_at IS NULL AND NOT x.is_own
               ), 0))
        FROM taxed t
        JOIN invoices i ON i.tenant_id = $1 AND i.id = t.invoice_id
        JOIN invoice_settlements s ON s.tenant_id = $1 AND s.invoice_id = t.invoice_id
        """,
        tx.tenant,
        note_id,
        timeout=LONG,
    )


async def sums(tx: Tx, note_id: CreditNoteId) -> Sums:
    row = await tx.conn.fetchrow(
        """
        SELECT currency, sum(net_minor)::bigint AS net_minor, sum(tax_minor)::bigint AS tax_minor,
               sum(total_minor)::bigint AS total_minor, sum(to_invoice_minor)::bigint AS to_invoice_minor,
               count(*) AS invoices,
               (SELECT count(*)
                FROM credit_note_lines
                WHERE tenant_id = $1 AND credit_note_id = $2) AS lines
        FROM credit_note_sources
        WHERE tenant_id = $1 AND credit_note_id = $2
        GROUP BY currency
        """,
        tx.tenant,
        note_id,
        timeout=LONG,
    )
    assert row is not None, "a rebate of more than nothing has a source"
    return load(row, Sums)


async def taxes(tx: Tx, note_id: CreditNoteId) -> tuple[GroupTax, ...]:
    rows = await tx.conn.fetch(
        """
        SELECT category, rate_ppm, reason, currency, sum(base_minor)::bigint AS base_minor,
               sum(tax_minor)::bigint AS tax_minor
        FROM credit_note_source_taxes
        WHERE tenant_id = $1 AND credit_note_id = $2
        GROUP BY category, rate_ppm, reason, currency
        ORDER BY category, rate_ppm, reason
        """,
        tx.tenant,
        note_id,
        timeout=LONG,
    )
    return tuple(group_tax(row) for row in rows)


async def taxes_given(tx: Tx, note_ids: Sequence[CreditNoteId]) -> dict[TaxGroup, GroupTax]:
    """What these notes took off each VAT group."""
    rows = await tx.conn.fetch(
        """
        SELECT category, rate_ppm, reason, currency, sum(base_minor)::bigint AS base_minor,
               sum(tax_minor)::bigint AS tax_minor
        FROM credit_note_taxes
        WHERE tenant_id = $1 AND credit_note_id = ANY($2::uuid[])
        GROUP BY category, rate_ppm, reason, currency
        """,
        tx.tenant,
        note_ids,
    )
    found = [group_tax(row) for row in rows]
    return {tax.group: tax for tax in found}


async def check_references(tx: Tx) -> None:
    """That all of a note belongs to it, now that it is there: a COMMIT has no time for millions of rows."""
    await tx.conn.execute(
        """
        SET CONSTRAINTS credit_note_lines_note, credit_note_sources_note, credit_note_source_taxes_note
            IMMEDIATE;
        SET CONSTRAINTS credit_note_lines_note, credit_note_sources_note, credit_note_source_taxes_note
            DEFERRED
        """,
        timeout=LONG,
    )


async def sources_from(tx: Tx, note_id: CreditNoteId, position: int, *, limit: int) -> list[Source]:
    """In their order, so many from a position on."""
    rows = await tx.conn.fetch(
        """
        SELECT invoice_id, currency, net_minor, total_minor, to_invoice_minor
        FROM credit_note_sources
        WHERE tenant_id = $1 AND credit_note_id = $2 AND position >= $3 AND position < $3 + $4
        ORDER BY position
        """,
        tx.tenant,
        note_id,
        position,
        limit,
    )
    return [load(row, Source) for row in rows]


async def source_taxes(
    tx: Tx, note_id: CreditNoteId, invoice_ids: Sequence[InvoiceId]
) -> dict[InvoiceId, list[GroupTax]]:
    rows = await tx.conn.fetch(
        """
        SELECT invoice_id, category, rate_ppm, reason, currency, base_minor, tax_minor
        FROM credit_note_source_taxes
        WHERE tenant_id = $1 AND credit_note_id = $2 AND invoice_id = ANY($3::uuid[])
        ORDER BY invoice_id, category, rate_ppm, reason
        """,
        tx.tenant,
        note_id,
        invoice_ids,
    )
    found: dict[InvoiceId, list[GroupTax]] = {invoice_id: [] for invoice_id in invoice_ids}
    for row in rows:
        found[InvoiceId.of(row["invoice_id"])].append(group_tax(row))
    return found


async def add_credited(tx: Tx, sources: Sequence[Source]) -> None:
    """To invoices of which nothing was due: all else about them stays."""
    await tx.conn.execute(
        """
        UPDATE invoice_settlements s
        SET credited_minor = s.credited_minor + c.total
        FROM unnest($2::uuid[], $3::bigint[]) AS c (invoice_id, total)
        WHERE s.tenant_id = $1 AND s.invoice_id = c.invoice_id
        """,
        tx.tenant,
        [source.invoice_id for source in sources],
        [source.total.minor for source in sources],
    )
