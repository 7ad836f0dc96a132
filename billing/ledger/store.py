"""Every SQL statement about the ledger. There is no UPDATE and no DELETE: the role may not."""

from collections.abc import Sequence
from datetime import date

from billing.invoices.model import Invoice
from billing.ledger.model import Account, EntryId, Posting, Source, TransactionId
from billing.tax.model import Category, TaxGroup
from kernel.database import Tx
from kernel.decimals import Rate
from kernel.ids import Id
from kernel.money import Money
from kernel.structs import Value


class Balance(Value, frozen=True, kw_only=True):
    """What an account holds of one invoice and VAT group."""

    account: Account
    tax: TaxGroup | None
    amount: Money


async def insert(
    tx: Tx,
    invoice: Invoice,
    source: Source,
    document_id: Id,
    postings: Sequence[Posting],
    *,
    label: str,
    booked_on: date,
) -> None:
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
        TransactionId.new(),
        invoice.legal_entity_id,
        document_id,
        source,
        invoice.id,
        invoice.customer_id,
        invoice.currency,
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
        SELECT account, tax_category, tax_rate_ppm, tax_reason, sum(amount_minor)::bigint AS minor
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
            tax=row["tax_category"]
            and TaxGroup(Category(row["tax_category"]), Rate(row["tax_rate_ppm"]), row["tax_reason"]),
            amount=Money(row["minor"], invoice.currency),
        )
        for row in rows
    ]
