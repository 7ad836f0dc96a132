"""Every SQL statement about the ledger. There is no UPDATE and no DELETE: the role may not."""

from collections.abc import Sequence
from datetime import date

from billing.invoices.model import Invoice
from billing.ledger.model import Account, Entry, EntryId, Holder, Posting, Source, TransactionId
from billing.tax.model import Category, TaxGroup
from kernel.database import Tx
from kernel.decimals import Rate
from kernel.errors import not_found
from kernel.ids import KINDS, Id
from kernel.money import Money
from kernel.paging import Page, Window, next_cursor
from kernel.structs import Row, Value, load


class Balance(Value, frozen=True, kw_only=True):
    """What an account holds of one invoice and VAT group.

    `moved` is what of it came with money, or went with it: by payments, refunds and applications, and with
    what is left of a rebate over many invoices, which is no longer of this one.
    """

    account: Account
    tax: TaxGroup | None
    amount: Money
    moved: Money


async def insert(
    tx: Tx,
    holder: Holder,
    source: Source,
    document_id: Id,
    postings: Sequence[Posting],
    *,
    label: str,
    booked_on: date,
    transaction_id: TransactionId | None = None,
) -> None:
    """In a transaction of their own, unless it has begun with another invoice."""
    await tx.conn.execute(
        """
        INSERT INTO ledger_entries
            (tenant_id, id, transaction_id, legal_entity_id, document_id, document, invoice_id,
             customer_id, account, tax_category, tax_rate_ppm, tax_reason, currency, amount_minor,
             label, booked_on, created_at)
        SELECT $1, e.id, $2, $3, $4, $5, $6, $7, e.account, e.category, e.rate, e.reason, $8, e.amount,
               $9, $10, $11
        FROM unnest($12::uuid[], $13::text[], $14::text[], $15::int[], $16::text[], $17::bigint[])
             AS e (id, account, category, rate, reason, amount)
        """,
        tx.tenant,
        transaction_id or TransactionId.new(),
        holder.legal_entity_id,
        document_id,
        source,
        holder.invoice_id,
        holder.customer_id,
        holder.currency,
        label,
        booked_on,
        tx.now,
        [EntryId.new() for _ in postings],
        [posting.account for posting in postings],
        [posting.tax and posting.tax.category for posting in postings],
        [posting.tax and posting.tax.rate for posting in postings],
        [posting.tax and posting.tax.reason for posting in postings],
        [posting.amount.minor for posting in postings],
    )


async def balances_of(tx: Tx, invoice: Invoice) -> list[Balance]:
    """Every account's balance over all that was booked because of one invoice."""
    rows = await tx.conn.fetch(
        """
        SELECT account, tax_category, tax_rate_ppm, tax_reason, sum(amount_minor)::bigint AS minor,
               COALESCE(sum(amount_minor) FILTER (WHERE document IN ('payment', 'refund', 'application')
                                                  OR (document = 'credit_note' AND account = '411'
                                                      AND amount_minor > 0)), 0)::bigint AS moved_minor
        FROM ledger_entries
        WHERE tenant_id = $1 AND invoice_id = $2
        GROUP BY account, tax_category, tax_rate_ppm, tax_reason
        ORDER BY account, tax_category, tax_rate_ppm, tax_reason
        """,
        tx.tenant,
        invoice.id,
    )
    return [
        Balance(
            account=Account(row["account"]),
            tax=_group(row),
            amount=Money(row["minor"], invoice.currency),
            moved=Money(row["moved_minor"], invoice.currency),
        )
        for row in rows
    ]


async def page(tx: Tx, window: Window, *, document_id: str | None) -> Page[Entry]:
    """`document_id` is an id of any of the kinds that entries are made for."""
    wanted = None if document_id is None else _any_id(document_id)
    rows = await tx.conn.fetch(
        """
        SELECT id, transaction_id, document, document_id, invoice_id, customer_id, account,
               tax_category, tax_rate_ppm, tax_reason, currency, amount_minor, label, booked_on,
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
    document_id = KINDS[prefix].of(row["document_id"])
    return load(row, Entry, document_id=str(document_id), tax=_group(row))


def _any_id(text: str) -> Id:
    for prefix in _PREFIXES.values():
        found = KINDS[prefix].read(text)
        if found is not None:
            return found
    raise not_found("document", text)


# Refunds and settlements stand above the ledger, which knows their ids by prefix only.
_PREFIXES = {
    Source.INVOICE: "inv",
    Source.CREDIT_NOTE: "cn",
    Source.PAYMENT: "pay",
    Source.REFUND: "re",
    Source.APPLICATION: "stl",
}


def _group(row: Row) -> TaxGroup | None:
    if row["tax_category"] is None:
        return None
    return TaxGroup(Category(row["tax_category"]), Rate(row["tax_rate_ppm"]), row["tax_reason"])
