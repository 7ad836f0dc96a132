"""How sales are taxed."""

from collections.abc import Collection

from billing.tax import rules, store
from billing.tax.model import TaxRateId, TaxTreatment
from kernel.database import Tx
from kernel.structs import Value


class Taxed(Value, frozen=True, kw_only=True):
    """The rate that a thing is priced with, and the one that its customer is charged."""

    own: TaxRateId
    charged: TaxRateId


async def treatments_of(tx: Tx, sales: Collection[Taxed]) -> dict[Taxed, TaxTreatment]:
    groups = await store.groups_of(tx, {rate for sale in sales for rate in (sale.own, sale.charged)})
    return {sale: rules.treatment(own=groups[sale.own], charged=groups[sale.charged]) for sale in sales}
