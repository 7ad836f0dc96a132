"""What a period costs, from everything that decides it. Pure: a signup, a renewal and a run ask here."""

from datetime import datetime

import msgspec

from billing.invoices.model import Allowance, Collection, InvoiceId, PricedLine
from billing.invoices.ready import Ready, ToIssue, ready_to_issue
from billing.invoices.totals import with_allowance
from billing.parties.model import Customer, LegalEntity
from billing.tax.model import TaxTreatment
from kernel.periods import Period
from kernel.structs import Value
from promotions import engine
from promotions.engine import Basket, Decision, Held, InReach
from promotions.model import AtEnd, Redemption
from subscriptions import pricing
from subscriptions.model import Plan, Subscription
from subscriptions.proration import Share, offer_for, prorated


class Terms(Value, frozen=True, kw_only=True):
    """What the price depends on beside the subscription itself; `held` is the offer it began with."""

    entity: LegalEntity
    customer: Customer
    plan: Plan
    tax: TaxTreatment
    held: Held | None


class Bill(Value, frozen=True, kw_only=True):
    """The invoice of a period, and the redemption as it is once the period is billed."""

    invoice: Ready
    redemption: Redemption | None


def bill_of(subscription: Subscription, terms: Terms, *, now: datetime) -> Bill:
    """The current period's. Raises Conflict where it could not be issued."""
    price = pricing.price_in(terms.plan, subscription.currency)
    lines = pricing.lines_of(terms.plan, price, subscription.quantity, subscription.current_period, terms.tax)
    decision = _decide(lines, terms.plan, terms.held, now=now)
    return Bill(invoice=_ready(subscription, terms, lines, decision), redemption=_after(terms.held, decision))


def bill_of_rest(
    subscription: Subscription, terms: Terms, share: Share, *, served: bool, now: datetime
) -> Bill | None:
    """Of a share of the current period, from now to its end; None when nothing is left of it.

    A held offer goes on. A period that it has `served` already is not counted again.
    """
    price = pricing.price_in(terms.plan, subscription.currency)
    rest = Period(now, subscription.current_period.end)
    whole = pricing.lines_of(terms.plan, price, subscription.quantity, rest, terms.tax)
    lines = prorated(whole, share, rest)
    if not lines:
        return None
    decision = _decide(lines, terms.plan, terms.held and _held_for(terms.held, share, served), now=now)
    return Bill(
        invoice=_ready(subscription, terms, lines, decision),
        redemption=None if served else _after(terms.held, decision),
    )


def _held_for(held: Held, share: Share, served: bool) -> Held:
    """As it was when the period began."""
    used = held.redemption.periods_used - served
    return Held(
        offer=offer_for(held.offer, share),
        redemption=msgspec.structs.replace(held.redemption, periods_used=used),
    )


def _ready(subscription: Subscription, terms: Terms, lines: list[PricedLine], decision: Decision) -> Ready:
    return ready_to_issue(
        ToIssue(
            id=InvoiceId.new(),
            entity=terms.entity,
            customer=terms.customer,
            currency=subscription.currency,
            tax_behavior=terms.plan.tax_behavior,
            lines=discounted(lines, decision),
            collection=_collection(subscription, terms.customer),
            metadata=subscription.metadata,
        )
    )


def ends(terms: Terms) -> bool:
    """Whether the subscription is over once its offer is."""
    held = terms.held
    return (
        held is not None
        and held.offer.at_end is AtEnd.END
        and engine.is_used_up(held.offer, held.redemption.periods_used)
    )


def discounted(lines: list[PricedLine], decision: Decision) -> list[PricedLine]:
    """The lines with what each offer takes off them, frozen as allowances."""
    for allocation in decision.allocations:
        lines = [
            _less(line, Allowance(source=allocation.reference, name=allocation.name, amount=amount))
            for line, amount in zip(lines, allocation.amounts, strict=True)
        ]
    return lines


def _less(line: PricedLine, allowance: Allowance) -> PricedLine:
    return with_allowance(line, allowance) if allowance.amount else line


def _decide(lines: list[PricedLine], plan: Plan, held: Held | None, *, now: datetime) -> Decision:
    if held is None:
        return engine.NOTHING
    basket = Basket(
        plan=plan.reference,
        currency=lines[0].amount.currency,
        is_new_customer=False,
        lines=tuple(line.billed for line in lines),
    )
    return engine.evaluate(basket, [_in_reach(held)], now=now)


def _in_reach(held: Held) -> InReach:
    return InReach(offer=held.offer, granted=True, periods_used=held.redemption.periods_used)


def _after(held: Held | None, decision: Decision) -> Redemption | None:
    if held is None:
        return None
    after = engine.after_invoice(held, served=bool(decision.allocations))
    return after if after != held.redemption else None


def _collection(subscription: Subscription, customer: Customer) -> Collection:
    """Where there is nothing to charge, the invoice is sent, and says how to pay it."""
    return subscription.collection if customer.payment_method else Collection.SEND_INVOICE
