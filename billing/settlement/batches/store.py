"""Every SQL statement about settlement batches, and what they go through."""

from collections.abc import Mapping, Sequence

from billing.credit_notes.model import CreditNoteId
from billing.invoices.model import InvoiceId
from billing.settlement.batches.model import Mark, SettlementBatch, SettlementBatchId
from billing.settlement.bulk.model import Between
from kernel.database import Tx
from kernel.errors import not_found
from kernel.money import Money
from kernel.paging import Page, Window, page_of
from kernel.structs import Row, Value, load


class Rest(Value, frozen=True, kw_only=True):
    """A note of which something is left."""

    id: CreditNoteId
    between: Between
    invoice_id: InvoiceId | None
    left: Money


class Found(Value, frozen=True, kw_only=True):
    """`more`: there are others that are due, beside these."""

    invoice_ids: Sequence[InvoiceId]
    more: bool


async def insert(tx: Tx, batch: SettlementBatch) -> None:
    await tx.conn.execute(
        """
        INSERT INTO settlement_batches
            (tenant_id, id, currency, issued_before, simulate, status, examined, total, applications, applied,
             refused, created_at, ended_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
        """,
        tx.tenant,
        batch.id,
        batch.currency,
        batch.issued_before,
        batch.simulate,
        batch.status,
        batch.examined,
        batch.total,
        batch.applications,
        batch.applied,
        batch.refused,
        batch.created_at,
        batch.ended_at,
    )


async def get(tx: Tx, batch_id: SettlementBatchId) -> SettlementBatch:
    row = await tx.conn.fetchrow(
        """
        SELECT id, currency, issued_before, simulate, status, examined, total, applications, applied, refused,
               created_at, ended_at
        FROM settlement_batches
        WHERE tenant_id = $1 AND id = $2
        """,
        tx.tenant,
        batch_id,
    )
    if row is None:
        raise not_found("settlement batch", batch_id)
    return load(row, SettlementBatch)


async def lock(tx: Tx, batch_id: SettlementBatchId) -> tuple[SettlementBatch, Mark | None]:
    """And how far it is."""
    row = await tx.conn.fetchrow(
        """
        SELECT id, currency, issued_before, simulate, status, examined, total, applications, applied, refused,
               created_at, ended_at, mark
        FROM settlement_batches
        WHERE tenant_id = $1 AND id = $2
        FOR NO KEY UPDATE
        """,
        tx.tenant,
        batch_id,
    )
    if row is None:
        raise not_found("settlement batch", batch_id)
    return load(row, SettlementBatch), load(row["mark"], Mark) if row["mark"] else None


async def update(tx: Tx, batch: SettlementBatch, mark: Mark | None) -> None:
    await tx.conn.execute(
        """
        UPDATE settlement_batches
        SET status = $3, examined = $4, applications = $5, applied = $6, refused = $7, mark = $8,
            ended_at = $9
        WHERE tenant_id = $1 AND id = $2
        """,
        tx.tenant,
        batch.id,
        batch.status,
        batch.examined,
        batch.applications,
        batch.applied,
        batch.refused,
        mark,
        batch.ended_at,
    )


async def go_on(tx: Tx, batch: SettlementBatch, mark: Mark | None, *, was: Mark | None) -> bool:
    """False where it is no longer at the mark it was at, or has been called off."""
    moved = await tx.conn.fetchval(
        """
        UPDATE settlement_batches
        SET status = $3, examined = $4, applications = $5, applied = $6, refused = $7, mark = $8,
            ended_at = $9
        WHERE tenant_id = $1 AND id = $2 AND status IN ('queued', 'running')
          AND mark IS NOT DISTINCT FROM $10::jsonb
        RETURNING id
        """,
        tx.tenant,
        batch.id,
        batch.status,
        batch.examined,
        batch.applications,
        batch.applied,
        batch.refused,
        mark,
        batch.ended_at,
        was,
    )
    return moved is not None


async def page(tx: Tx, window: Window) -> Page[SettlementBatch]:
    rows = await tx.conn.fetch(
        """
        SELECT id, currency, issued_before, simulate, status, examined, total, applications, applied, refused,
               created_at, ended_at
        FROM settlement_batches
        WHERE tenant_id = $1 AND id < $2
        ORDER BY id DESC
        LIMIT $3
        """,
        tx.tenant,
        window.before,
        window.rows,
    )
    return page_of(rows, SettlementBatch, window)


# ── What it goes through ────────────────────────────────────────────────────────────────────────────────


async def count_notes(tx: Tx, batch: SettlementBatch) -> int:
    """Of which something is left, and nothing that paid their invoice is in dispute."""
    return int(
        await tx.conn.fetchval(
            """
            SELECT count(*)
            FROM credit_notes c
            JOIN credit_note_settlements s ON s.tenant_id = c.tenant_id AND s.credit_note_id = c.id
            WHERE c.tenant_id = $1
              AND s.status <> 'used'
              AND s.total_minor > s.applied_minor + s.refunded_minor + s.held_minor + s.promised_minor
                                  + s.marked_minor
              AND ($2::text IS NULL OR c.currency = $2)
              AND ($3::date IS NULL OR c.issued_on < $3)
              AND NOT EXISTS (
                  SELECT
                  FROM payments p
                  WHERE p.tenant_id = $1 AND p.invoice_id = c.invoice_id
                    AND p.disputed_minor > p.charged_back_minor
              )
            """,
            tx.tenant,
            batch.currency,
            batch.issued_before,
        )
    )


async def notes_after(tx: Tx, batch: SettlementBatch, mark: Mark, *, limit: int) -> list[Rest]:
    """By customer, the oldest first."""
    rows = await tx.conn.fetch(
        """
        SELECT c.id, c.customer_id, c.legal_entity_id, c.currency, c.invoice_id,
               s.total_minor - s.applied_minor - s.refunded_minor - s.held_minor - s.promised_minor
               - s.marked_minor AS left_minor
        FROM credit_notes c
        JOIN credit_note_settlements s ON s.tenant_id = c.tenant_id AND s.credit_note_id = c.id
        WHERE c.tenant_id = $1
          AND (c.customer_id, c.id) > ($2, $3)
          AND s.status <> 'used'
          AND s.total_minor > s.applied_minor + s.refunded_minor + s.held_minor + s.promised_minor
                              + s.marked_minor
          AND ($4::text IS NULL OR c.currency = $4)
          AND ($5::date IS NULL OR c.issued_on < $5)
          AND NOT EXISTS (
              SELECT
              FROM payments p
              WHERE p.tenant_id = $1 AND p.invoice_id = c.invoice_id
                AND p.disputed_minor > p.charged_back_minor
          )
        ORDER BY c.customer_id, c.id
        LIMIT $6
        """,
        tx.tenant,
        mark.customer_id,
        mark.after,
        batch.currency,
        batch.issued_before,
        limit,
    )
    return [load(row, Rest, between=_between(row)) for row in rows]


def _between(row: Row) -> Between:
    return row["customer_id"], row["legal_entity_id"], row["currency"]


async def dues(
    tx: Tx,
    batch: SettlementBatch,
    rests: Mapping[Between, Money],
    after: Mapping[Between, InvoiceId],
    *,
    limit: int,
) -> dict[Between, Found]:
    """Between each two parties the oldest invoices that are due, as many as what is left can need."""
    between = list(rests)
    rows = await tx.conn.fetch(
        """
        SELECT g.place, array_agg(d.id ORDER BY d.id) AS ids, max(d.found) AS found
        FROM unnest($2::uuid[], $3::uuid[], $4::text[], $5::uuid[], $6::bigint[])
             WITH ORDINALITY AS g (customer_id, legal_entity_id, currency, after, rest, place)
        CROSS JOIN LATERAL (
            SELECT o.id, sum(o.free) OVER (ORDER BY o.id) - o.free AS before, count(*) OVER () AS found
            FROM (
                SELECT i.id, s.total_minor - s.paid_minor - s.offset_minor - s.pending_minor AS free
                FROM invoices i
                JOIN invoice_settlements s ON s.tenant_id = i.tenant_id AND s.invoice_id = i.id
                WHERE i.tenant_id = $1
                  AND i.customer_id = g.customer_id
                  AND i.id > g.after
                  AND i.legal_entity_id = g.legal_entity_id
                  AND i.currency = g.currency
                  AND s.status IN ('open', 'partly_settled')
                  AND ($7::date IS NULL OR i.issued_on < $7)
                ORDER BY i.id
                LIMIT $8
            ) o
        ) d
        WHERE d.before < g.rest
        GROUP BY g.place
        """,
        tx.tenant,
        [customer_id for customer_id, _, _ in between],
        [legal_entity_id for _, legal_entity_id, _ in between],
        [currency for _, _, currency in between],
        [after[each] for each in between],
        [rests[each].minor for each in between],
        batch.issued_before,
        limit,
    )
    return {
        between[row["place"] - 1]: Found(
            invoice_ids=[InvoiceId.of(each) for each in row["ids"]],
            more=row["found"] == limit or len(row["ids"]) < row["found"],
        )
        for row in rows
    }
