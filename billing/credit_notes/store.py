"""Every SQL statement about credit notes, but for the one that writes those issued: record.py."""

from collections import defaultdict
from collections.abc import Sequence
from uuid import UUID

from billing.credit_notes.crediting import Credited
from billing.credit_notes.model import (
    CreditLine,
    CreditNote,
    CreditNoteId,
    CreditNoteSettlement,
    CreditNoteSource,
    Destination,
)
from billing.invoices.model import DocumentKind, DocumentReference, InvoiceId, LineId
from billing.invoices.record import columns_of
from billing.invoices.store import group_tax, line_group, line_period
from billing.parties.model import CustomerId
from billing.tax.model import GroupTax, TaxGroup
from kernel.database import Tx
from kernel.errors import not_found
from kernel.paging import Page, Window, next_cursor
from kernel.structs import Row, load

# Of a note over many invoices; one on an invoice has no more lines than that.
MOST_SHOWN = 1000


async def insert_over_many(tx: Tx, note: CreditNote) -> None:
    """Its lines, and what it takes off each invoice and group, are there already."""
    await _insert_head(tx, note)
    await tx.conn.execute(
        """
        INSERT INTO credit_note_taxes
            (tenant_id, credit_note_id, currency, category, rate_ppm, reason, base_minor, tax_minor)
        SELECT $1, $2, $3, t.category, t.rate, t.reason, t.base, t.tax
        FROM unnest($4::text[], $5::int[], $6::text[], $7::bigint[], $8::bigint[])
             AS t (category, rate, reason, base, tax)
        """,
        tx.tenant,
        note.id,
        note.currency,
        *columns_of([tax.group for tax in note.taxes]),
        [tax.base.minor for tax in note.taxes],
        [tax.tax.minor for tax in note.taxes],
    )
    await _insert_settlement(tx, note)


async def get(tx: Tx, credit_note_id: CreditNoteId) -> CreditNote:
    found = await find_many(tx, [credit_note_id])
    if not found:
        raise not_found("credit note", credit_note_id)
    return found[0]


async def lock(tx: Tx, credit_note_id: CreditNoteId) -> CreditNote:
    """The note, with its settlement row locked: whoever uses it takes turns."""
    await tx.conn.execute(
        """
        SELECT 1
        FROM credit_note_settlements
        WHERE tenant_id = $1 AND credit_note_id = $2
        FOR NO KEY UPDATE
        """,
        tx.tenant,
        credit_note_id,
    )
    return await get(tx, credit_note_id)


async def lock_many(tx: Tx, ids: Sequence[CreditNoteId]) -> list[CreditNote]:
    """Newest first; locked one after the other, the oldest before the others."""
    await tx.conn.execute(
        """
        SELECT 1
        FROM credit_note_settlements
        WHERE tenant_id = $1 AND credit_note_id = ANY($2::uuid[])
        ORDER BY credit_note_id
        FOR NO KEY UPDATE
        """,
        tx.tenant,
        ids,
    )
    found = await find_many(tx, ids)
    for missing in set(ids) - {note.id for note in found}:
        raise not_found("credit note", missing)
    return found


async def page(
    tx: Tx, window: Window, *, customer_id: CustomerId | None, invoice_id: InvoiceId | None
) -> Page[CreditNote]:
    rows = await tx.conn.fetch(
        """
        SELECT id
        FROM credit_notes c
        WHERE tenant_id = $1
          AND id < $2
          AND ($4::uuid IS NULL OR customer_id = $4)
          AND ($5::uuid IS NULL OR EXISTS (
              SELECT 1
              FROM credit_note_sources s
              WHERE s.tenant_id = $1 AND s.credit_note_id = c.id AND s.invoice_id = $5
          ) OR EXISTS (
              SELECT 1
              FROM credit_note_references r
              WHERE r.tenant_id = $1 AND r.credit_note_id = c.id AND r.invoice_id = $5
          ))
        ORDER BY id DESC
        LIMIT $3
        """,
        tx.tenant,
        window.before,
        window.rows,
        customer_id,
        invoice_id,
    )
    shown = [CreditNoteId.of(row["id"]) for row in rows[: window.limit]]
    return Page(data=await find_many(tx, shown), next_cursor=next_cursor(rows, window))


async def find_many(tx: Tx, ids: Sequence[CreditNoteId]) -> list[CreditNote]:
    """Newest first, in four statements however many they are; one more where some are on no invoice."""
    heads = await tx.conn.fetch(
        """
        SELECT c.id, c.number, c.legal_entity_id, c.customer_id, c.invoice_id, c.invoice_number,
               c.invoice_issued_on, c.currency, c.language, c.issued_on, c.seller, c.buyer, c.vat_due,
               c.time_zone, c.reason, c.reason_text, c.rebate, c.modality, c.refund_mode, c.refund_on,
               c.to_invoice_minor, c.to_provider_minor, c.by_hand_minor, c.to_balance_minor, c.tax_behavior,
               c.net_minor, c.tax_minor, c.total_minor, c.metadata, c.issued_at, c.corrected_by, c.imported,
               s.applied_minor, s.refunded_minor, s.held_minor, s.promised_minor, s.marked_minor,
               s.status, s.reversed_by
        FROM credit_notes c
        JOIN credit_note_settlements s ON s.tenant_id = c.tenant_id AND s.credit_note_id = c.id
        WHERE c.tenant_id = $1 AND c.id = ANY($2::uuid[])
        ORDER BY c.id DESC
        """,
        tx.tenant,
        ids,
    )
    lines = await _lines_of(tx, ids)
    sources = await _sources_of(tx, ids)
    taxes = await _taxes_of(tx, ids)
    alone = [row["id"] for row in heads if row["invoice_id"] is None and row["rebate"] is None]
    references = await _references_of(tx, alone) if alone else {}
    return [_note(row, lines, sources, taxes, references) for row in heads]


async def mark_reversed(tx: Tx, note_id: CreditNoteId, *, by: InvoiceId) -> None:
    """An invoice takes it back. Its settlement row has been locked."""
    await tx.conn.execute(
        """
        UPDATE credit_note_settlements
        SET reversed_by = $3
        WHERE tenant_id = $1 AND credit_note_id = $2
        """,
        tx.tenant,
        note_id,
        by,
    )


async def insert_references(tx: Tx, note_id: CreditNoteId, invoice_ids: Sequence[InvoiceId]) -> None:
    await tx.conn.execute(
        """
        INSERT INTO credit_note_references (tenant_id, credit_note_id, invoice_id, created_at)
        SELECT $1, $2, r.invoice_id, $4
        FROM unnest($3::uuid[]) AS r (invoice_id)
        """,
        tx.tenant,
        note_id,
        invoice_ids,
        tx.now,
    )


async def delete_references(tx: Tx, note_id: CreditNoteId, invoice_ids: Sequence[InvoiceId]) -> None:
    await tx.conn.execute(
        """
        DELETE FROM credit_note_references
        WHERE tenant_id = $1 AND credit_note_id = $2 AND invoice_id = ANY($3::uuid[])
        """,
        tx.tenant,
        note_id,
        invoice_ids,
    )


async def _references_of(tx: Tx, ids: Sequence[UUID]) -> dict[CreditNoteId, list[DocumentReference]]:
    """The invoices that notes have been attached to, the oldest first."""
    rows = await tx.conn.fetch(
        """
        SELECT r.credit_note_id, i.id, i.number, i.issued_on
        FROM credit_note_references r
        JOIN invoices i ON i.tenant_id = r.tenant_id AND i.id = r.invoice_id
        WHERE r.tenant_id = $1 AND r.credit_note_id = ANY($2::uuid[])
        ORDER BY r.credit_note_id, i.id
        """,
        tx.tenant,
        ids,
    )
    references: dict[CreditNoteId, list[DocumentReference]] = defaultdict(list)
    for row in rows:
        references[CreditNoteId.of(row["credit_note_id"])].append(
            DocumentReference(
                kind=DocumentKind.INVOICE,
                id=str(InvoiceId.of(row["id"])),
                number=row["number"],
                issued_on=row["issued_on"],
            )
        )
    return references


async def credited_lines(tx: Tx, invoice_id: InvoiceId) -> dict[LineId, Credited]:
    """What was credited so far of each line of an invoice. Only certain under the invoice's lock."""
    rows = await tx.conn.fetch(
        """
        SELECT l.invoice_line_id, l.currency, sum(l.net_minor + l.included_tax_minor)::bigint AS amount_minor,
               COALESCE(sum(l.quantity), 0) AS quantity, sum(l.volume_minor)::bigint AS volume_minor,
               sum(l.rebate_minor)::bigint AS rebate_minor
        FROM invoice_lines i
        JOIN credit_note_lines l ON l.tenant_id = i.tenant_id AND l.invoice_line_id = i.id
        WHERE i.tenant_id = $1 AND i.invoice_id = $2
        GROUP BY l.invoice_line_id, l.currency
        """,
        tx.tenant,
        invoice_id,
    )
    credited = [load(row, Credited) for row in rows]
    return {each.invoice_line_id: each for each in credited}


async def taxes_of_invoice(tx: Tx, invoice_id: InvoiceId) -> dict[TaxGroup, GroupTax]:
    """What was credited so far of each VAT group of an invoice."""
    return (await taxes_of_invoices(tx, [invoice_id])).get(invoice_id, {})


async def taxes_of_invoices(
    tx: Tx, invoice_ids: Sequence[InvoiceId]
) -> dict[InvoiceId, dict[TaxGroup, GroupTax]]:
    rows = await tx.conn.fetch(
        """
        SELECT invoice_id, category, rate_ppm, reason, currency, sum(base_minor)::bigint AS base_minor,
               sum(tax_minor)::bigint AS tax_minor
        FROM credit_note_source_taxes
        WHERE tenant_id = $1 AND invoice_id = ANY($2::uuid[])
        GROUP BY invoice_id, category, rate_ppm, reason, currency
        """,
        tx.tenant,
        invoice_ids,
    )
    taxes: dict[InvoiceId, dict[TaxGroup, GroupTax]] = defaultdict(dict)
    for row in rows:
        tax = group_tax(row)
        taxes[InvoiceId.of(row["invoice_id"])][tax.group] = tax
    return taxes


async def update_settlement(tx: Tx, note: CreditNote) -> None:
    """Write the whole row, read under its lock; the table's checks hold the caps."""
    await tx.conn.execute(
        """
        UPDATE credit_note_settlements
        SET applied_minor = $3, refunded_minor = $4, held_minor = $5, promised_minor = $6,
            marked_minor = $7, status = $8
        WHERE tenant_id = $1 AND credit_note_id = $2
        """,
        tx.tenant,
        note.id,
        note.settlement.applied.minor,
        note.settlement.refunded.minor,
        note.settlement.held.minor,
        note.settlement.promised.minor,
        note.settlement.marked.minor,
        note.settlement.status,
    )


def _note(
    row: Row,
    lines: dict[CreditNoteId, list[CreditLine]],
    sources: dict[CreditNoteId, list[CreditNoteSource]],
    taxes: dict[CreditNoteId, list[GroupTax]],
    references: dict[CreditNoteId, list[DocumentReference]],
) -> CreditNote:
    note_id = CreditNoteId.of(row["id"])
    return load(
        row,
        CreditNote,
        lines=tuple(lines[note_id]),
        sources=tuple(sources[note_id]),
        taxes=tuple(taxes[note_id]),
        references=tuple(references.get(note_id, ())),
        destination=load(row, Destination),
        settlement=_settlement(row),
    )


def _settlement(row: Row) -> CreditNoteSettlement:
    used = sum(row[f"{part}_minor"] for part in ("applied", "refunded", "held", "promised", "marked"))
    return load({**dict(row.items()), "left_minor": row["total_minor"] - used}, CreditNoteSettlement)


async def _lines_of(tx: Tx, ids: Sequence[CreditNoteId]) -> dict[CreditNoteId, list[CreditLine]]:
    rows = await tx.conn.fetch(
        """
        SELECT id, credit_note_id, invoice_line_id, item, description, unit_price, quantity, period_start,
               period_end, currency, included_tax_minor, net_minor, volume_minor,
               GREATEST(-rebate_minor, 0) AS rebate_ended_minor, tax_category, tax_rate_ppm, tax_reason
        FROM credit_note_lines
        WHERE tenant_id = $1 AND credit_note_id = ANY($2::uuid[]) AND position <= $3
        ORDER BY credit_note_id, position
        """,
        tx.tenant,
        ids,
        MOST_SHOWN,
    )
    lines: dict[CreditNoteId, list[CreditLine]] = defaultdict(list)
    for row in rows:
        lines[CreditNoteId.of(row["credit_note_id"])].append(
            load(row, CreditLine, tax=line_group(row), period=line_period(row))
        )
    return lines


async def _sources_of(tx: Tx, ids: Sequence[CreditNoteId]) -> dict[CreditNoteId, list[CreditNoteSource]]:
    rows = await tx.conn.fetch(
        """
        SELECT credit_note_id, invoice_id, number, issued_on, currency, net_minor, tax_minor, total_minor,
               to_invoice_minor
        FROM credit_note_sources
        WHERE tenant_id = $1 AND credit_note_id = ANY($2::uuid[]) AND position <= $3
        ORDER BY credit_note_id, position
        """,
        tx.tenant,
        ids,
        MOST_SHOWN,
    )
    sources: dict[CreditNoteId, list[CreditNoteSource]] = defaultdict(list)
    for row in rows:
        sources[CreditNoteId.of(row["credit_note_id"])].append(load(row, CreditNoteSource))
    return sources


async def _taxes_of(tx: Tx, ids: Sequence[CreditNoteId]) -> dict[CreditNoteId, list[GroupTax]]:
    rows = await tx.conn.fetch(
        """
        SELECT credit_note_id, category, rate_ppm, reason, currency, base_minor, tax_minor
        FROM credit_note_taxes
        WHERE tenant_id = $1 AND credit_note_id = ANY($2::uuid[])
        ORDER BY credit_note_id, category, rate_ppm, reason
        """,
        tx.tenant,
        ids,
    )
    taxes: dict[CreditNoteId, list[GroupTax]] = defaultdict(list)
    for row in rows:
        taxes[CreditNoteId.of(row["credit_note_id"])].append(group_tax(row))
    return taxes


async def _insert_head(tx: Tx, note: CreditNote) -> None:
    await tx.conn.execute(
        """
        INSERT INTO credit_notes
            (tenant_id, id, number, legal_entity_id, customer_id, invoice_id, invoice_number,
             invoice_issued_on, currency, language, issued_on, seller, buyer, vat_due, time_zone, reason,
             reason_text, refund_mode, refund_on, to_invoice_minor, to_provider_minor, by_hand_minor,
             to_balance_minor, tax_behavior, net_minor, tax_minor, total_minor, metadata, issued_at, rebate,
             corrected_by, modality)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19,
                $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32)
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
        note.refund_on,
        note.destination.to_invoice.minor,
        note.destination.to_provider.minor,
        note.destination.by_hand.minor,
        note.destination.to_balance.minor,
        note.tax_behavior,
        note.net.minor,
        note.tax.minor,
        note.total.minor,
        note.metadata,
        note.issued_at,
        note.rebate,
        note.corrected_by,
        note.modality,
    )


async def _insert_settlement(tx: Tx, note: CreditNote) -> None:
    await tx.conn.execute(
        """
        INSERT INTO credit_note_settlements
            (tenant_id, credit_note_id, currency, total_minor, applied_minor, status)
        VALUES ($1, $2, $3, $4, $5, $6)
        """,
        tx.tenant,
        note.id,
        note.currency,
        note.total.minor,
        note.settlement.applied.minor,
        note.settlement.status,
    )
