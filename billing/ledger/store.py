"""Every SQL statement about the ledger. There is no UPDATE and no DELETE: the role may not."""

from collections.abc import Sequence
from datetime import date

from billing.credit_notes.model import CreditNoteId
from billing.invoices.model import InvoiceId
from billing.ledger.model import Account, Balance, Booked, Entry, EntryId, Source
from billing.tax.model import Category, TaxGroup
from kernel.database import Tx
from kernel.decimals import Rate
from kernel.errors import not_found
from kernel.ids import KINDS, Id
from kernel.money import Currency, Money
from kernel.paging import Page, Window, next_cursor
from kernel.structs import Row, load


async def insert(
    tx: Tx, booked: Sequence[Booked], source: Source, document_id: Id, *, label: str, booked_on: date
) -> None:
    """What a document makes necessary, in the books of one holder or of many."""
    await tx.conn.execute(
        """
        INSERT INTO ledger_entries
            (tenant_id, id, transaction_id, legal_entity_id, document_id, document, invoice_id,
             customer_id, account, tax_category, tax_rate_ppm, tax_reason, currency, amount_minor,
             label, booked_on, created_at, credit_note_id, payment_id)
        SELECT $1, e.id, e.transaction_id, e.legal_entity_id, $2, $3, e.invoice_id, e.customer_id, e.account,
               e.category, e.rate, e.reason, e.currency, e.amount, $4, $5, $6, e.credit_note_id, e.payment_id
        FROM unnest($7::uuid[], $8::uuid[], $9::uuid[], $10::uuid[], $11::uuid[], $12::text[], $13::text[],
                    $14::int[], $15::text[], $16::text[], $17::bigint[], $18::uuid[], $19::uuid[])
             AS e (id, transaction_id, legal_entity_id, invoice_id, customer_id, account, category, rate,
                   reason, currency, amount, credit_note_id, payment_id)
        """,
        tx.tenant,
        document_id,
        source,
        label,
        booked_on,
        tx.now,
        [EntryId.new() for _ in booked],
        [each.transaction_id for each in booked],
        [each.holder.legal_entity_id for each in booked],
        [each.holder.invoice_id for each in booked],
        [each.holder.customer_id for each in booked],
        [each.posting.account for each in booked],
        [each.posting.tax and each.posting.tax.category for each in booked],
        [each.posting.tax and each.posting.tax.rate for each in booked],
        [each.posting.tax and each.posting.tax.reason for each in booked],
        [each.holder.currency for each in booked],
        [each.posting.amount.minor for each in booked],
        [each.holder.credit_note_id for each in booked],
        [each.holder.payment_id for each in booked],
    )


async def balances_of(tx: Tx, invoice_ids: Sequence[InvoiceId]) -> dict[InvoiceId, list[Balance]]:
    """Every account's balance over all that was booked because of each invoice."""
    rows = await tx.conn.fetch(
        """
        SELECT invoice_id, account, tax_category, tax_rate_ppm, tax_reason, currency,
               sum(amount_minor)::bigint AS amount_minor,
               COALESCE(sum(amount_minor) FILTER (
                   WHERE document IN ('payment', 'refund', 'application', 'use', 'deposit', 'dispute')
                      OR (document = 'credit_note' AND account = '411' AND amount_minor > 0)
                      -- Of what was imported: what had been paid, and what had been given back of a note.
                      OR (document = 'import' AND account = '411'
                          AND (amount_minor < 0) = (document_id = invoice_id))
               ), 0)::bigint AS moved_minor
        FROM ledger_entries
        WHERE tenant_id = $1 AND invoice_id = ANY($2::uuid[])
        GROUP BY invoice_id, account, tax_category, tax_rate_ppm, tax_reason, currency
        ORDER BY invoice_id, account, tax_category, tax_rate_ppm, tax_reason
        """,
        tx.tenant,
        invoice_ids,
    )
    balances: dict[InvoiceId, list[Balance]] = {invoice_id: [] for invoice_id in invoice_ids}
    for row in rows:
        balances[InvoiceId.of(row["invoice_id"])].append(_balance(row))
    return balances


async def balances_of_notes(
    tx: Tx, credit_note_ids: Sequence[CreditNoteId]
) -> dict[CreditNoteId, list[Balance]]:
    """Of notes that are on no invoice, in their own books."""
    rows = await tx.conn.fetch(
        """
        SELECT credit_note_id, account, tax_category, tax_rate_ppm, tax_reason, currency,
               sum(amount_minor)::bigint AS amount_minor, 0 AS moved_minor
        FROM ledger_entries
        WHERE tenant_id = $1 AND credit_note_id = ANY($2::uuid[])
        GROUP BY credit_note_id, account, tax_category, tax_rate_ppm, tax_reason, currency
        ORDER BY credit_note_id, account, tax_category, tax_rate_ppm, tax_reason
        """,
        tx.tenant,
        credit_note_ids,
    )
    balances: dict[CreditNoteId, list[Balance]] = {note_id: [] for note_id in credit_note_ids}
    for row in rows:
        balances[CreditNoteId.of(row["credit_note_id"])].append(_balance(row))
    return balances


def _balance(row: Row) -> Balance:
    currency = Currency(row["currency"])
    return Balance(
        account=Account(row["account"]),
        tax=_group(row),
        amount=Money(row["amount_minor"], currency),
        moved=Money(row["moved_minor"], currency),
    )


async def page(tx: Tx, window: Window, *, document_id: str | None) -> Page[Entry]:
    """`document_id` is an id of any of the kinds that entries are made for."""
    wanted = None if document_id is None else _any_id(document_id)
    rows = await tx.conn.fetch(
        """
        SELECT id, transaction_id, document, document_id, invoice_id, credit_note_id, payment_id, customer_id,
               account, tax_category, tax_rate_ppm, tax_reason, currency, amount_minor, label, booked_on,
               created_at
        FROM ledger_entries
        WHERE tenant_id = $1 AND id < $2 AND ($4::uuid IS NULL OR document_id = $4)
        ORDER BY id DESC
        LIMIT $3
        """,
        tx.tenant,
        window.before,
        window.rows,
        wanted,
    )
    shown = [_entry(row) for row in rows[: window.limit]]
    return Page(data=shown, next_cursor=next_cursor(rows, window))


def _entry(row: Row) -> Entry:
    prefix = _PREFIXES[Source(row["document"])]
    if row["document"] == Source.IMPORT and row["document_id"] != row["invoice_id"]:
        prefix = _PREFIXES[Source.CREDIT_NOTE]
    document_id = KINDS[prefix].of(row["document_id"])
    return load(row, Entry, document_id=str(document_id), tax=_group(row))


def _any_id(text: str) -> Id:
    kind = KINDS.get(text.partition("_")[0])
    found = kind.read(text) if kind is not None and kind.prefix in _PREFIXES.values() else None
    if found is not None:
        return found
    raise not_found("document", text)


# Refunds, settlements and rebates stand above the ledger, which knows their ids by prefix only.
_PREFIXES = {
    Source.INVOICE: "inv",
    Source.CREDIT_NOTE: "cn",
    Source.PAYMENT: "pay",
    Source.REFUND: "re",
    Source.APPLICATION: "stl",
    Source.REBATE_ACCRUAL: "rba",
    Source.USE: "cn",
    Source.DEPOSIT: "stl",
    Source.DISPUTE: "dsp",
    Source.IMPORT: "inv",
}


def _group(row: Row) -> TaxGroup | None:
    if row["tax_category"] is None:
        return None
    return TaxGroup(Category(row["tax_category"]), Rate(row["tax_rate_ppm"]), row["tax_reason"])
