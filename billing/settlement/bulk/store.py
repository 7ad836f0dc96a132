"""Every SQL statement about settling by the thousand."""

from collections.abc import Iterable, Sequence
from typing import Any

from billing.credit_notes.model import CreditNoteId, CreditNoteSettlement
from billing.credit_notes.model import Status as NoteStatus
from billing.invoices.model import InvoiceId, InvoiceSettlement, Status
from billing.invoices.store import group_tax
from billing.ledger.model import EntryId
from billing.parties.model import CustomerId, LegalEntityId, VatDue
from billing.settlement.bulk.model import Edge, OpenInvoice, OpenNote
from billing.settlement.bulk.rules import Applied, Written
from billing.tax.model import GroupTax
from kernel.database import Tx
from kernel.money import Currency, Money
from kernel.rows import named
from kernel.structs import Row

_TAX = named("category rate_ppm reason currency base_minor tax_minor")


async def own_invoices(tx: Tx, note_ids: Sequence[CreditNoteId]) -> list[InvoiceId]:
    """Those that these notes are on."""
    rows = await tx.conn.fetch(
        """
        SELECT DISTINCT invoice_id
        FROM credit_notes
        WHERE tenant_id = $1 AND id = ANY($2::uuid[]) AND invoice_id IS NOT NULL
        """,
        tx.tenant,
        note_ids,
    )
    return [InvoiceId.of(row["invoice_id"]) for row in rows]


async def lock_invoices(tx: Tx, ids: Iterable[InvoiceId]) -> dict[InvoiceId, OpenInvoice]:
    """One after the other, the oldest first."""
    rows = await tx.conn.fetch(
        """
        SELECT i.id, i.number, i.legal_entity_id, i.customer_id, i.currency, i.issued_on, i.vat_due,
               i.time_zone, i.total_minor, s.paid_minor, s.offset_minor, s.pending_minor, s.credited_minor,
               s.status, s.settled_at, s.deducted_by,
               ARRAY (SELECT ROW (t.category, t.rate_ppm, t.reason, t.currency, t.base_minor, t.tax_minor)
                      FROM invoice_taxes t
                      WHERE t.tenant_id = $1 AND t.invoice_id = i.id
                      ORDER BY t.category, t.rate_ppm, t.reason) AS taxes
        FROM invoice_settlements s
        JOIN invoices i ON i.tenant_id = s.tenant_id AND i.id = s.invoice_id
        WHERE s.tenant_id = $1 AND s.invoice_id = ANY($2::uuid[])
        ORDER BY s.invoice_id
        FOR NO KEY UPDATE OF s
        """,
        tx.tenant,
        list(ids),
    )
    found = [_invoice(row) for row in rows]
    return {each.id: each for each in found}


async def lock_notes(tx: Tx, ids: Iterable[CreditNoteId]) -> dict[CreditNoteId, OpenNote]:
    """After the invoices; the oldest first."""
    rows = await tx.conn.fetch(
        """
        SELECT c.id, c.number, c.legal_entity_id, c.customer_id, c.invoice_id, c.currency, c.vat_due,
               c.total_minor, s.applied_minor, s.refunded_minor, s.held_minor, s.promised_minor,
               s.marked_minor, s.status,
               ARRAY (SELECT ROW (t.category, t.rate_ppm, t.reason, t.currency, t.base_minor, t.tax_minor)
                      FROM credit_note_taxes t
                      WHERE t.tenant_id = $1 AND t.credit_note_id = c.id AND c.invoice_id IS NULL
                        AND c.rebate IS NULL
                      ORDER BY t.category, t.rate_ppm, t.reason) AS taxes
        FROM credit_note_settlements s
        JOIN credit_notes c ON c.tenant_id = s.tenant_id AND c.id = s.credit_note_id
        WHERE s.tenant_id = $1 AND s.credit_note_id = ANY($2::uuid[])
        ORDER BY s.credit_note_id
        FOR NO KEY UPDATE OF s
        """,
        tx.tenant,
        list(ids),
    )
    found = [_note(row) for row in rows]
    return {each.id: each for each in found}


# Thousands at a time: what PostgreSQL has checked is put together as it is.


def _invoice(row: Row) -> OpenInvoice:
    currency = Currency(row["currency"])
    total, paid, offset = row["total_minor"], row["paid_minor"], row["offset_minor"]
    return OpenInvoice(
        id=InvoiceId.of(row["id"]),
        number=row["number"],
        legal_entity_id=LegalEntityId.of(row["legal_entity_id"]),
        customer_id=CustomerId.of(row["customer_id"]),
        currency=currency,
        issued_on=row["issued_on"],
        vat_due=VatDue(row["vat_due"]),
        time_zone=row["time_zone"],
        taxes=_taxes(row),
        total=Money(total, currency),
        settlement=InvoiceSettlement(
            status=Status(row["status"]),
            paid=Money(paid, currency),
            offset=Money(offset, currency),
            pending=Money(row["pending_minor"], currency),
            credited=Money(row["credited_minor"], currency),
            due=Money(total - paid - offset, currency),
            settled_at=row["settled_at"],
            deducted_by=InvoiceId.of(row["deducted_by"]) if row["deducted_by"] else None,
        ),
    )


def _note(row: Row) -> OpenNote:
    currency = Currency(row["currency"])
    used = {part: row[f"{part}_minor"] for part in ("applied", "refunded", "held", "promised", "marked")}
    left = row["total_minor"] - sum(used.values())
    return OpenNote(
        id=CreditNoteId.of(row["id"]),
        number=row["number"],
        legal_entity_id=LegalEntityId.of(row["legal_entity_id"]),
        customer_id=CustomerId.of(row["customer_id"]),
        invoice_id=InvoiceId.of(row["invoice_id"]) if row["invoice_id"] else None,
        currency=currency,
        vat_due=VatDue(row["vat_due"]),
        taxes=_taxes(row),
        total=Money(row["total_minor"], currency),
        settlement=CreditNoteSettlement(
            status=NoteStatus(row["status"]),
            left=Money(left, currency),
            **{part: Money(minor, currency) for part, minor in used.items()},
        ),
    )


def _taxes(row: Row) -> tuple[GroupTax, ...]:
    return tuple(group_tax(_TAX(each)) for each in row["taxes"])


async def record(tx: Tx, applied: Applied) -> frozenset[InvoiceId]:
    """Edges, both settlements, the dunning that is over, and the ledger; which were overdue until now."""
    rows = await tx.conn.fetch(
        """
        WITH edge AS (
            INSERT INTO settlements
                (tenant_id, id, invoice_id, credit_note_id, currency, amount_minor, created_at, is_own)
            SELECT $1, e.id, e.invoice_id, e.credit_note_id, e.currency, e.amount, $2, e.is_own
            FROM unnest($3::uuid[], $4::uuid[], $5::uuid[], $6::text[], $7::bigint[], $8::bool[])
                 AS e (id, invoice_id, credit_note_id, currency, amount, is_own)
        ), note AS (
            UPDATE credit_note_settlements
            SET applied_minor = n.applied, status = n.status
            FROM unnest($9::uuid[], $10::bigint[], $11::text[]) AS n (credit_note_id, applied, status)
            WHERE credit_note_settlements.tenant_id = $1
              AND credit_note_settlements.credit_note_id = n.credit_note_id
        ), invoice AS (
            UPDATE invoice_settlements
            SET offset_minor = i.offset_minor, status = i.status, settled_at = i.settled_at
            FROM unnest($12::uuid[], $13::bigint[], $14::text[], $15::timestamptz[])
                 AS i (invoice_id, offset_minor, status, settled_at)
            WHERE invoice_settlements.tenant_id = $1 AND invoice_settlements.invoice_id = i.invoice_id
        ), dunning AS (
            UPDATE dunnings
            SET status = 'recovered', next_at = NULL
            WHERE tenant_id = $1 AND invoice_id = ANY($16::uuid[]) AND status <> 'recovered'
            RETURNING invoice_id, overdue_at IS NOT NULL AS was_overdue
        ), entry AS (
            INSERT INTO ledger_entries
                (tenant_id, id, transaction_id, legal_entity_id, document_id, document, invoice_id,
                 credit_note_id, customer_id, account, tax_category, tax_rate_ppm, tax_reason, currency,
                 amount_minor, label, booked_on, created_at)
            SELECT $1, e.id, e.transaction_id, e.legal_entity_id, e.document_id, 'application', e.invoice_id,
                   e.credit_note_id, e.customer_id, e.account, e.category, e.rate, e.reason, e.currency,
                   e.amount, e.label, e.booked_on, $2
            FROM unnest($17::uuid[], $18::uuid[], $19::uuid[], $20::uuid[], $21::uuid[], $22::uuid[],
                        $23::uuid[], $24::text[], $25::text[], $26::int[], $27::text[], $28::text[],
                        $29::bigint[], $30::text[], $31::date[])
                 AS e (id, transaction_id, legal_entity_id, document_id, invoice_id, credit_note_id,
                       customer_id, account, category, rate, reason, currency, amount, label, booked_on)
        )
        SELECT invoice_id
        FROM dunning
        WHERE was_overdue
        """,
        tx.tenant,
        tx.now,
        *_edges(applied.edges),
        *_notes(applied.notes),
        *_invoices(applied.invoices),
        [edge.pair.invoice_id for edge in applied.edges if edge.settles],
        *_entries(applied.entries),
    )
    return frozenset(InvoiceId.of(row["invoice_id"]) for row in rows)


# Each of these gives the columns of the statement, in its order.


def _edges(edges: Sequence[Edge]) -> Iterable[list[Any]]:
    yield [edge.id for edge in edges]
    yield [edge.pair.invoice_id for edge in edges]
    yield [edge.pair.credit_note_id for edge in edges]
    yield [edge.pair.amount.currency for edge in edges]
    yield [edge.pair.amount.minor for edge in edges]
    yield [edge.is_own for edge in edges]


def _notes(notes: Sequence[OpenNote]) -> Iterable[list[Any]]:
    yield [note.id for note in notes]
    yield [note.settlement.applied.minor for note in notes]
    yield [note.settlement.status for note in notes]


def _invoices(invoices: Sequence[OpenInvoice]) -> Iterable[list[Any]]:
    yield [invoice.id for invoice in invoices]
    yield [invoice.settlement.offset.minor for invoice in invoices]
    yield [invoice.settlement.status for invoice in invoices]
    yield [invoice.settlement.settled_at for invoice in invoices]


def _entries(entries: Sequence[Written]) -> Iterable[list[Any]]:
    booked = [entry.booked for entry in entries]
    taxes = [each.posting.tax for each in booked]
    yield [EntryId.new() for _ in booked]
    yield [each.transaction_id for each in booked]
    yield [each.holder.legal_entity_id for each in booked]
    yield [entry.settlement_id for entry in entries]
    yield [each.holder.invoice_id for each in booked]
    yield [each.holder.credit_note_id for each in booked]
    yield [each.holder.customer_id for each in booked]
    yield [each.posting.account for each in booked]
    yield [tax and tax.category for tax in taxes]
    yield [tax and tax.rate for tax in taxes]
    yield [tax and tax.reason for tax in taxes]
    yield [each.holder.currency for each in booked]
    yield [each.posting.amount.minor for each in booked]
    yield [entry.label for entry in entries]
    yield [entry.booked_on for entry in entries]
