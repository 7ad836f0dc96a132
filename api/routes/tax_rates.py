"""VAT rates to sell at."""

from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from api.operations import command, query
from billing.tax import store
from billing.tax.add_tax_rate import add_tax_rate
from billing.tax.model import NewTaxRate, TaxRate
from kernel.database import Tx
from kernel.paging import Page, Window


@query("/v1/tax_rates", scope="tax_rates:read")
async def list_tax_rates(tx: NamedDependency[Tx], window: NamedDependency[Window]) -> Page[TaxRate]:
    """List VAT rates, newest first."""
    return await store.page(tx, window)


@query("/v1/tax_rates/{tax_rate}", scope="tax_rates:read")
async def get_tax_rate(tx: NamedDependency[Tx], tax_rate: FromPath[str]) -> TaxRate:
    """Read a VAT rate, by id or reference."""
    return await store.get(tx, tax_rate)


@command("/v1/tax_rates", scope="tax_rates:write", status=201)
async def create_tax_rate(tx: NamedDependency[Tx], data: JSONBody[NewTaxRate]) -> TaxRate:
    """Add a VAT rate.

    Every category but S and Z needs a `reason`: it is printed on documents.
    """
    return await add_tax_rate(tx, data)


ROUTES = [list_tax_rates, get_tax_rate, create_tax_rate]
