"""The lines of a credit note on no invoice, priced: free ones, and those of the catalogue."""

from billing.credit_notes.model import NewGlobalCreditNote, NewNoteLine
from billing.invoices import totals
from billing.invoices.free_lines import free_lines
from billing.invoices.model import NewLine, PricedLine
from billing.parties.model import Customer, LegalEntity
from billing.tax import store as tax_rates
from billing.tax.model import TaxBehavior, TaxTreatment
from billing.tax.treatment import treatments_of
from kernel.database import Tx
from kernel.errors import Invalid
from kernel.money import Currency
from subscriptions import plan_store, pricing
from subscriptions.model import Plan
from subscriptions.terms import taxed


async def priced_lines(
    tx: Tx, request: NewGlobalCreditNote, behavior: TaxBehavior, customer: Customer, entity: LegalEntity
) -> list[PricedLine]:
    """A line without a price is of the catalogue: what its plan or add-on costs now."""
    plans = await plan_store.plans_named(tx, {_plan_named(line) for line in request.lines if _lacks(line)})
    lines: list[PricedLine] = []
    for line in request.lines:
        plan = plans[_plan_named(line)] if _lacks(line) else None
        if plan is None or line.unit_price is not None:
            lines += await free_lines(tx, [_free(line, plan)], request.currency, customer, entity)
        else:
            tax = await _tax(tx, line, plan, customer, entity)
            lines += of_catalogue(line, plan, request.currency, behavior, tax)
    return lines


def of_catalogue(
    line: NewNoteLine, plan: Plan, currency: Currency, behavior: TaxBehavior, tax: TaxTreatment
) -> list[PricedLine]:
    """A line for each part of the price: tiers have several."""
    price = pricing.price_in(plan, currency)
    quantity = pricing.billed_quantity(price, line.quantity)
    return [
        totals.in_prices(
            PricedLine(
                description=pricing.described(
                    line.description or plan.name, f" ({part.about})" if part.about else ""
                ),
                quantity=part.quantity,
                unit_price=part.unit_price,
                amount=part.amount(currency),
                tax=tax.group,
                waived=tax.waived,
                item=plan.reference,
            ),
            of=plan.tax_behavior,
            to=behavior,
        )
        for part in pricing.parts_of(price, quantity)
    ]


def _lacks(line: NewNoteLine) -> bool:
    """Something that only the catalogue can say."""
    return line.unit_price is None or line.description is None


def _plan_named(line: NewNoteLine) -> str:
    if line.item is None:
        raise Invalid(
            "credit_line_incomplete",
            "A line has a description and a unit price, or names the plan or add-on (`item`) that has them.",
            param="lines",
        )
    return line.item


def _free(line: NewNoteLine, plan: Plan | None) -> NewLine:
    description = line.description or (plan.name if plan else None)
    assert description is not None, "a plan has a name"
    assert line.unit_price is not None, "the catalogue prices the others"
    return NewLine(
        description=description,
        unit_price=line.unit_price,
        quantity=line.quantity,
        item=line.item,
        tax_rate=line.tax_rate,
    )


async def _tax(
    tx: Tx, line: NewNoteLine, plan: Plan, customer: Customer, entity: LegalEntity
) -> TaxTreatment:
    """That of the line if it names one, else as if it was sold to the customer."""
    if line.tax_rate is not None:
        return TaxTreatment(group=(await tax_rates.get(tx, line.tax_rate)).group)
    sale = taxed(customer, entity, plan.tax_rate_id)
    return (await treatments_of(tx, [sale]))[sale]
