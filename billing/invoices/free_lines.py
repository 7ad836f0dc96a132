"""Free lines, of a draft or of a credit note on no invoice, with what they cost and the VAT as of now."""

from collections.abc import Collection, Sequence

from billing.invoices import totals
from billing.invoices.model import NewLine, PricedLine
from billing.parties.model import Customer, LegalEntity
from billing.tax import store as tax_rates
from billing.tax.model import TaxTreatment
from billing.tax.treatment import Taxed, treatments_of
from kernel.database import Tx
from kernel.money import Currency, Money


async def free_lines(
    tx: Tx, lines: Sequence[NewLine], currency: Currency, customer: Customer, entity: LegalEntity
) -> list[PricedLine]:
    """A line that names a VAT rate is priced with that one; any other is priced with the seller's."""
    named = {line.tax_rate for line in lines if line.tax_rate is not None}
    treatments = await treatments_named(tx, named, customer, entity)
    return [
        PricedLine(
            description=line.description,
            quantity=line.quantity,
            unit_price=line.unit_price,
            amount=_amount(line, currency),
            tax=treatments[line.tax_rate].group,
            waived=treatments[line.tax_rate].waived,
            item=line.item,
        )
        for line in lines
    ]


async def treatments_named(
    tx: Tx, names: Collection[str], customer: Customer, entity: LegalEntity
) -> dict[str | None, TaxTreatment]:
    """By the VAT rates that lines name; without a name, of a line which names none."""
    sale = Taxed(own=entity.tax_rate_id, charged=customer.tax_rate_id or entity.tax_rate_id)
    return {
        None: (await treatments_of(tx, [sale]))[sale],
        **{key: TaxTreatment(group=(await tax_rates.get(tx, key)).group) for key in names},
    }


def _amount(line: NewLine, currency: Currency) -> Money:
    amount = line.unit_price.times(line.quantity, currency)
    totals.check_amount(amount)
    return amount
