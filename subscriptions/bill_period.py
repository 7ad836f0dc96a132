"""Billing one period of a subscription: the same for a signup and a renewal."""

from collections.abc import Sequence

from billing.invoices.issue import ToIssue, issue_invoice
from billing.invoices.model import Allowance, Collection, Invoice, InvoiceId, PricedLine
from billing.invoices.totals import with_allowance
from billing.parties import store as parties
from billing.parties.model import Customer
from billing.tax import store as tax_rates
from billing.tax.model import TaxGroup
from kernel.database import Tx
from promotions import engine
from promotions import store as promotions
from promotions.engine import Allocation, Basket, InReach
from promotions.model import Offer, Redemption
from promotions.redeem import count_period
from subscriptions import pricing, store
from subscriptions.model import Plan, Subscription


async def bill_period(tx: Tx, customer: Customer, subscription: Subscription, plan: Plan) -> Invoice:
    """Issue the invoice of the current period, with what the redeemed offer takes off it."""
    tax = await _tax_group(tx, customer, plan)
    held = await _held_offer(tx, subscription)

    price = pricing.price_in(plan, subscription.currency)
    lines = pricing.lines_of(plan, price, subscription.quantity, subscription.current_period, tax)
    basket = Basket(
        plan=plan.reference,
        currency=price.currency,
        is_new_customer=False,
        lines=tuple(line.net for line in lines),
    )
    in_reach = [_in_reach(*held)] if held else []
    decision = engine.evaluate(basket, in_reach, now=tx.now)
    # Where there is nothing to charge, the invoice is sent, and says how to pay it.
    collection = subscription.collection if customer.payment_method else Collection.SEND_INVOICE

    if held:
        await count_period(tx, *held, served=bool(decision.allocations))
    invoice = await issue_invoice(
        tx,
        ToIssue(
            id=InvoiceId.new(),
            entity=await parties.legal_entity(tx, customer.legal_entity_id),
            customer=customer,
            currency=price.currency,
            lines=discounted(lines, decision.allocations),
            collection=collection,
            metadata=subscription.metadata,
        ),
    )
    await store.link_invoice(tx, subscription, invoice.id)
    return invoice


def discounted(lines: Sequence[PricedLine], allocations: Sequence[Allocation]) -> Sequence[PricedLine]:
    """The lines with what each offer takes off them, frozen as allowances."""
    for allocation in allocations:
        lines = [
            with_allowance(line, Allowance(source=allocation.reference, name=allocation.name, amount=amount))
            if amount
            else line
            for line, amount in zip(lines, allocation.amounts, strict=True)
        ]
    return lines


async def _tax_group(tx: Tx, customer: Customer, plan: Plan) -> TaxGroup:
    """The customer's own rate, or the plan's, or the seller's."""
    entity = await parties.legal_entity(tx, customer.legal_entity_id)
    rate_id = customer.tax_rate_id or plan.tax_rate_id or entity.tax_rate_id
    return (await tax_rates.get(tx, rate_id)).group


async def _held_offer(tx: Tx, subscription: Subscription) -> tuple[Offer, Redemption] | None:
    if subscription.redemption_id is None:
        return None
    redemption = await promotions.redemption(tx, subscription.redemption_id)
    return await promotions.offer(tx, redemption.offer_id), redemption


def _in_reach(offer: Offer, redemption: Redemption) -> InReach:
    return InReach(offer=offer, granted=True, periods_used=redemption.periods_used)
