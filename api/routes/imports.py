"""Documents that were issued elsewhere."""

from litestar.di import NamedDependency
from litestar.params import JSONBody

from api.operations import command
from billing.imports.import_credit_notes import import_credit_notes
from billing.imports.import_invoices import import_invoices
from billing.imports.model import (
    ImportedCreditNotes,
    ImportedInvoices,
    NewImportedCreditNotes,
    NewImportedInvoices,
)
from kernel.database import Tx


@command("/v1/imported_invoices", scope="invoices:write", status=201)
async def create_imported_invoices(
    tx: NamedDependency[Tx], data: JSONBody[NewImportedInvoices]
) -> ImportedInvoices:
    """Import up to 1000 invoices that were issued elsewhere, with their own numbers and what was paid.

    From then on they are listed, paid, credited and settled like any other. Nothing is sent or charged, and
    their PDF stays where it is. They are in the ledger as `import`, against the opening balance (890): what
    was booked elsewhere is not booked again. All of them are imported, or none.
    """
    return await import_invoices(tx, data)


@command("/v1/imported_credit_notes", scope="credit_notes:write", status=201)
async def create_imported_credit_notes(
    tx: NamedDependency[Tx], data: JSONBody[NewImportedCreditNotes]
) -> ImportedCreditNotes:
    """Import up to 200 credit notes that were issued elsewhere, each on an invoice or on none.

    One on an invoice takes off first what is due on it; what had been used of it elsewhere counts as used,
    and what is left is the customer's balance: applied and refunded like that of any other. Nothing is sent,
    and no money goes back by itself. All of them are imported, or none.
    """
    return await import_credit_notes(tx, data)


ROUTES = [create_imported_invoices, create_imported_credit_notes]
