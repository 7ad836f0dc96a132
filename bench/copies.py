"""Documents by the thousand, copied from one that the house's own verbs issued."""

import asyncpg

from billing.invoices.model import InvoiceId


async def copy_invoice(
    owner: "asyncpg.Connection[asyncpg.Record]", invoice_id: InvoiceId, count: int
) -> None:
    """With its lines, taxes, payment and ledger: a row is copied as a whole, whatever columns it has."""
    async with owner.transaction():
        await owner.execute(
            """
            CREATE TEMP TABLE copies ON COMMIT DROP AS
            SELECT uuidv7() AS id, uuidv7() AS payment_id, n FROM generate_series(1, $1::int) AS n
            """,
            count,
        )
        for table, key, changed in (
            ("invoices", "id", "'id', k.id, 'number', 'C-' || k.n"),
            ("invoice_lines", "invoice_id", "'id', uuidv7(), 'invoice_id', k.id"),
            ("invoice_taxes", "invoice_id", "'invoice_id', k.id"),
            ("invoice_settlements", "invoice_id", "'invoice_id', k.id"),
            ("payments", "invoice_id", "'id', k.payment_id, 'invoice_id', k.id"),
            (
                "settlements",
                "invoice_id",
                "'id', uuidv7(), 'payment_id', k.payment_id, 'invoice_id', k.id",
            ),
            ("ledger_entries", "invoice_id", "'id', uuidv7(), 'invoice_id', k.id"),
        ):
            await owner.execute(
                f"""
                INSERT INTO {table}
                SELECT (jsonb_populate_record(o, jsonb_build_object({changed}))).*
                FROM copies k CROSS JOIN {table} o
                WHERE o.{key} = $1
                """,  # noqa: S608
                invoice_id.uuid,
            )
