"""What is billed once: setup fees, and charges of other kinds. Pure."""

from collections.abc import Iterable
from datetime import datetime

from billing.invoices import totals
from billing.invoices.model import PricedLine
from billing.parties.model import Language
from billing.tax.model import TaxBehavior, TaxRateId, TaxTreatment
from kernel.errors import Conflict, Invalid
from kernel.structs import Value
from kernel.text import Reference
from subscriptions import pricing
from subscriptions.model import Charge, ChargeId, NewCharge, Plan, Subscription

# An invoice that cannot be read by anybody is nobody's wish.
MOST_PENDING = 250

_SETUP_FEE = {Language.ENGLISH: " – setup fee", Language.FRENCH: " – frais de mise en service"}


class Owed(Value, frozen=True, kw_only=True):
    """A charge with the VAT it falls under."""

    charge: Charge
    tax: TaxTreatment


def setup_fees(
    subscription: Subscription, plans: Iterable[Plan], language: Language, *, now: datetime
) -> list[Charge]:
    """What taking these plans costs once, a charge for each that has a fee."""
    prices = [(plan, pricing.price_in(plan, subscription.currency)) for plan in plans]
    return [
        Charge(
            id=ChargeId.new(),
            subscription_id=subscription.id,
            plan_id=plan.id,
            description=pricing.described(plan.name, _SETUP_FEE[language]),
            quantity=pricing.ONE,
            unit_price=price.setup_fee,
            currency=price.currency,
            tax_rate_id=plan.tax_rate_id,
            tax_behavior=plan.tax_behavior,
            discountable=True,
            invoice_id=None,
            created_at=now,
        )
        for plan, price in prices
        if price.setup_fee
    ]


def charge_of(
    subscription: Subscription,
    plan: Plan,
    request: NewCharge,
    tax_rate_id: TaxRateId | None,
    *,
    now: datetime,
) -> Charge:
    """Raises Invalid where it could not be billed, and Conflict where nothing is billed any more."""
    if subscription.is_over:
        raise Conflict("subscription_over", f"The subscription is {subscription.status} already.")
    if not request.quantity:
        raise Invalid("quantity_zero", "A charge is for a quantity above zero.", param="quantity")
    totals.check_amount(request.unit_price.times(request.quantity, subscription.currency))
    return Charge(
        id=ChargeId.new(),
        subscription_id=subscription.id,
        plan_id=None,
        description=request.description,
        quantity=request.quantity,
        unit_price=request.unit_price,
        currency=subscription.currency,
        tax_rate_id=tax_rate_id,
        tax_behavior=plan.tax_behavior,
        discountable=request.discountable,
        invoice_id=None,
        created_at=now,
    )


def check_room(pending: int) -> None:
    if pending >= MOST_PENDING:
        raise Conflict(
            "charges_too_many",
            f"{pending} charges wait for the next invoice already: bill this one now, or delete some.",
        )


def line_of(owed: Owed, behavior: TaxBehavior, item: Reference | None) -> PricedLine:
    """For an invoice of these prices: the plan may have other ones now than when the charge was made.

    `item` is the reference of the plan that it is a setup fee of.
    """
    charge = owed.charge
    line = PricedLine(
        description=charge.description,
        quantity=charge.quantity,
        unit_price=charge.unit_price,
        amount=charge.unit_price.times(charge.quantity, charge.currency),
        tax=owed.tax.group,
        waived=owed.tax.waived,
        item=item,
        discountable=charge.discountable,
    )
    return totals.in_prices(line, of=charge.tax_behavior, to=behavior)
