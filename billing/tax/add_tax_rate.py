"""Adding a VAT rate to sell at."""

from billing.tax import rules, store
from billing.tax.model import NewTaxRate, TaxRate, TaxRateId
from kernel.database import Tx


async def add_tax_rate(tx: Tx, request: NewTaxRate) -> TaxRate:
    rules.check(category=request.category, rate=request.rate, reason=request.reason)
    rate = TaxRate(
        id=TaxRateId.new(),
        reference=request.reference,
        name=request.name,
        category=request.category,
        rate=request.rate,
        reason=request.reason or "",
        created_at=tx.now,
    )

    await store.insert(tx, rate)
    return rate
