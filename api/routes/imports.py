"""Documents that were issued elsewhere."""

from litestar.di import NamedDependency
from litestar.params import JSONBody

from api.operations import command
from billing.imports.import_invoices import import_invoices
from billing.imports.model import ImportedInvoices, NewImportedInvoices
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


ROUTES = [create_imported_invoices]
