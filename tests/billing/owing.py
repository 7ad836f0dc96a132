"""Customers who owe and are owed, by the thousand: copied from one that the house's own verbs made."""

from uuid import uuid4

import asyncpg

from billing.credit_notes.model import CreditNoteId
from billing.invoices.model import InvoiceId
from billing.parties.model import Customer, CustomerId
from kernel.database import Tx
from kernel.structs import Value
from tests.makers import a_line
from tests.shop import a_credit, a_payment, an_issued_invoice


class Owing(Value, frozen=True, kw_only=True):
    """A note on an invoice that was paid, and an invoice that is due."""

    customer: CustomerId
    paid: InvoiceId
    note: CreditNoteId
    due: InvoiceId


async def owing_both_ways(tx: Tx, customer: Customer, *, credited: str, due: str) -> Owing:
    """What is due comes first: a note would pay on the next invoice by itself."""
    open_invoice = await an_issued_invoice(tx, customer, [a_line(price=due)])
    paid = await an_issued_invoice(tx, customer, [a_line(price=credited)])
    await a_payment(tx, paid)
    note = await a_credit(tx, paid)
    return Owing(customer=customer.id, paid=paid.id, note=note.id, due=open_invoice.id)


# Table, its column of the document, which document, and what of a row is changed.
_COPIED = (
    ("invoices", "id", "paid", "'id', k.paid, 'number', 'P-' || k.name, 'customer_id', k.customer"),
    ("invoices", "id", "due", "'id', k.due, 'number', 'D-' || k.name, 'customer_id', k.customer"),
    ("invoice_lines", "invoice_id", "paid", "'id', uuidv7(), 'invoice_id', k.paid"),
    ("invoice_lines", "invoice_id", "due", "'id', uuidv7(), 'invoice_id', k.due"),
    ("invoice_taxes", "invoice_id", "paid", "'invoice_id', k.paid"),
    ("invoice_taxes", "invoice_id", "due", "'invoice_id', k.due"),
    ("invoice_settlements", "invoice_id", "paid", "'invoice_id', k.paid"),
    ("invoice_settlements", "invoice_id", "due", "'invoice_id', k.due"),
    ("payments", "invoice_id", "paid", "'id', k.payment, 'invoice_id', k.paid, 'customer_id', k.customer"),
    ("settlements", "invoice_id", "paid", "'id', uuidv7(), 'invoice_id', k.paid, 'payment_id', k.payment"),
    (
        *("credit_notes", "id", "note"),
        "'id', k.note, 'number', 'A-' || k.name, 'invoice_id', k.paid, 'customer_id', k.customer",
    ),
    ("credit_note_sources", "credit_note_id", "note", "'credit_note_id', k.note, 'invoice_id', k.paid"),
    ("credit_note_taxes", "credit_note_id", "note", "'credit_note_id', k.note"),
    ("credit_note_source_taxes", "credit_note_id", "note", "'credit_note_id', k.note, 'invoice_id', k.paid"),
    ("credit_note_settlements", "credit_note_id", "note", "'credit_note_id', k.note"),
    (
        *("ledger_entries", "invoice_id", "paid"),
        "'id', uuidv7(), 'invoice_id', k.paid, 'customer_id', k.customer",
    ),
    (
        *("ledger_entries", "invoice_id", "due"),
        "'id', uuidv7(), 'invoice_id', k.due, 'customer_id', k.customer",
    ),
)


async def copy_owing(
    owner: "asyncpg.Connection[asyncpg.Record]", owing: Owing, notes: int, each: int
) -> None:
    """So many notes and as many invoices, of new customers with so many `each`: rows are copied as a whole,
    whatever columns they have."""
    async with owner.transaction():
        await owner.execute(
            """
            CREATE TEMP TABLE who ON COMMIT DROP AS
            SELECT uuidv7() AS customer, $3 || n AS name, n
            FROM generate_series(0, ($1::int - 1) / $2) AS n
            """,
            notes,
            each,
            f"{uuid4().hex[:6]}-",
        )
        await owner.execute(
            """
            CREATE TEMP TABLE copies ON COMMIT DROP AS
            SELECT w.customer, uuidv7() AS paid, uuidv7() AS payment, uuidv7() AS note, uuidv7() AS due,
                   w.name || '-' || n.n AS name
            FROM generate_series(0, $1::int - 1) AS n (n) JOIN who w ON w.n = n.n / $2
            """,
            notes,
            each,
        )
        await owner.execute(
            """
            INSERT INTO customers
            SELECT (jsonb_populate_record(o, jsonb_build_object('id', w.customer, 'reference', w.name))).*
            FROM who w CROSS JOIN customers o
            WHERE o.id = $1
            """,
            owing.customer.uuid,
        )
        for table, key, document, changed in _COPIED:
            await owner.execute(
                f"""
                INSERT INTO {table}
                SELECT (jsonb_populate_record(o, jsonb_build_object({changed}))).*
                FROM copies k CROSS JOIN {table} o
                WHERE o.{key} = $1
                """,
                getattr(owing, document).uuid,
            )
