"""What a period costs, from everything that decides it. Pure: a signup, a renewal and a run ask here."""

from collections.abc import Iterator, Sequence
from datetime import datetime

import msgspec

from billing.invoices.model import Allowance, Collection, InvoiceId, PricedLine
from billing.invoices.ready import Ready, ToIssue, ready_to_issue
from billing.invoices.totals import with_allowance
from billing.parties.model import Customer, LegalEntity, Proration
from billing.tax.model import TaxTreatment
from kernel.decimals import Quantity
from kernel.money import zero
from kernel.periods import Period, nth_period
from kernel.structs import Value
from kernel.text import Reference
from promotions import engine
from promotions.engine import Basket, BasketLine, Decision, Held, InReach
from promotions.model import AtEnd, Percent, Redemption
from subscriptions import addons, charging, pricing
from subscriptions.charging import Owed
from subscriptions.model import ChargeId, Plan, Subscription
from subscriptions.proration import Share, offer_for, prorated, share_of
from subscriptions.usage import rating
from subscriptions.usage.model import Usage


class Item(Value, frozen=True, kw_only=True):
    """A plan as a subscription has it, and the VAT it falls under."""

    plan: Plan
    quantity: Quantity
    tax: TaxTreatment


class Terms(Value, frozen=True, kw_only=True):
    """What the price depends on beside the subscription itself; `held` is the offer it began with.

    `addons` are in their order; `charges` have waited for this invoice. `usage` is what was metered in the
    period that is over, on the terms of that one.
    """

    entity: LegalEntity
    customer: Customer
    plan: Plan
    tax: TaxTreatment
    held: Held | None
    addons: tuple[Item, ...] = ()
    charges: tuple[Owed, ...] = ()
    stubs_by: Proration = Proration.DAY
    usage: Usage | None = None


class Bill(Value, frozen=True, kw_only=True):
    """The invoice of a period, the redemption as it is once the period is billed, and what waits no more."""

    invoice: Ready
    redemption: Redemption | None
    charges: tuple[ChargeId, ...]
    usage: Usage | None = None


class Entry(Value, frozen=True, kw_only=True):
    """A line to be, the plan it is for, and whether offers may take something off it."""

    line: PricedLine
    plan: Reference | None
    discountable: bool = True


def bill_of(subscription: Subscription, terms: Terms, *, now: datetime) -> Bill:
    """The current period's, and the usage of the last. Raises Conflict where it could not be issued."""
    rating.check_beside(terms.usage, terms.plan)
    period, share = subscription.current_period, stub_of(subscription, terms)
    if share is not None:
        return _bill_of_part(subscription, terms, share, period, served=False, now=now)
    entries = [*_recurring(subscription, terms, period), *_used(terms), *_once(terms)]
    decision = _decide(entries, terms, terms.held, now=now)
    return Bill(
        invoice=_ready(subscription, terms, entries, decision),
        redemption=_after(terms.held, decision),
        charges=_billed_with(terms),
        usage=terms.usage,
    )


def bill_of_usage(subscription: Subscription, terms: Terms, *, now: datetime) -> Bill | None:
    """An invoice of what is left of the usage alone; None where that costs nothing.

    A percentage that still runs is taken off it. An amount is not: the period had it when it began.
    """
    return _bill_of_what_is_left(subscription, msgspec.structs.replace(terms, charges=()), now=now)


def bill_of_end(subscription: Subscription, terms: Terms, *, now: datetime) -> Bill | None:
    """Of a subscription that ends by itself: what is left of its usage, and the charges that wait.

    A setup fee waited for a period that was to be paid, and there will be none.
    """
    owed = tuple(each for each in terms.charges if each.charge.plan_id is None)
    return _bill_of_what_is_left(subscription, msgspec.structs.replace(terms, charges=owed), now=now)


def _bill_of_what_is_left(subscription: Subscription, terms: Terms, *, now: datetime) -> Bill | None:
    if terms.usage is not None:
        terms = msgspec.structs.replace(terms, plan=terms.usage.plan)
    entries = [*_used(terms), *_once(terms)]
    if not any(entry.line.amount for entry in entries):
        return None
    is_percentage = terms.held is not None and isinstance(terms.held.offer.benefit, Percent)
    decision = _decide(entries, terms, terms.held if is_percentage else None, now=now)
    return Bill(
        invoice=_ready(subscription, terms, entries, decision),
        redemption=None,
        charges=_billed_with(terms),
        usage=terms.usage,
    )


def bill_of_rest(
    subscription: Subscription, terms: Terms, share: Share, *, served: bool, now: datetime
) -> Bill | None:
    """Of a share of the current period, from now to its end; None when nothing is left of it.

    A held offer goes on. A period that it has `served` already is not counted again.
    """
    if not share.part:
        return None
    rest = Period(now, subscription.current_period.end)
    terms = msgspec.structs.replace(terms, usage=None)
    return _bill_of_part(subscription, terms, share, rest, served=served, now=now)


def stub_of(subscription: Subscription, terms: Terms) -> Share | None:
    """What of a nominal period the current one is, where it begins later; None of a whole one."""
    if subscription.billing_anchor is None:
        return None
    period, zone = subscription.current_period, terms.entity.zone
    nominal = nth_period(subscription.anchor_at, terms.plan.interval, subscription.period_number, zone)
    return None if period == nominal else share_of(period, nominal, zone, terms.stubs_by)


def _bill_of_part(
    subscription: Subscription, terms: Terms, share: Share, part: Period, *, served: bool, now: datetime
) -> Bill:
    whole = list(_recurring(subscription, terms, part))
    parts = prorated([entry.line for entry in whole], share, part)
    recurring = (msgspec.structs.replace(each, line=part) for each, part in zip(whole, parts, strict=True))
    entries = [*recurring, *_used(terms), *_once(terms)]
    decision = _decide(entries, terms, terms.held and _held_for(terms.held, share, served), now=now)
    return Bill(
        invoice=_ready(subscription, terms, entries, decision),
        redemption=None if served else _after(terms.held, decision),
        charges=_billed_with(terms),
        usage=terms.usage,
    )


def bill_of_charges(subscription: Subscription, terms: Terms) -> Bill:
    """An invoice of charges alone. Offers serve periods: they take nothing off it, and are not used up."""
    entries = list(_once(terms))
    return Bill(
        invoice=_ready(subscription, terms, entries, engine.NOTHING),
        redemption=None,
        charges=_billed_with(terms),
    )


def _recurring(subscription: Subscription, terms: Terms, period: Period) -> Iterator[Entry]:
    for item in terms.addons:  # a new version of the plan, too, may be one that they do not go with
        addons.check_beside(terms.plan, item.plan, subscription.currency)
    for item in (Item(plan=terms.plan, quantity=subscription.quantity, tax=terms.tax), *terms.addons):
        price = pricing.price_in(item.plan, subscription.currency)
        for line in pricing.lines_of(item.plan, price, item.quantity, period, item.tax):
            yield Entry(line=line, plan=item.plan.reference)


def _once(terms: Terms) -> Iterator[Entry]:
    references = {plan.id: plan.reference for plan in (terms.plan, *(item.plan for item in terms.addons))}
    for owed in terms.charges:
        plan = references.get(owed.charge.plan_id) if owed.charge.plan_id else None
        line = charging.line_of(owed, terms.plan.tax_behavior, plan)
        yield Entry(line=line, plan=plan, discountable=owed.charge.discountable)


def _used(terms: Terms) -> Iterator[Entry]:
    if terms.usage is not None:
        for line in rating.lines_of(terms.usage):
            yield Entry(line=line, plan=terms.usage.plan.reference)


def _billed_with(terms: Terms) -> tuple[ChargeId, ...]:
    return tuple(owed.charge.id for owed in terms.charges)


def _held_for(held: Held, share: Share, served: bool) -> Held:
    """As it was when the period began."""
    used = held.redemption.periods_used - served
    return Held(
        offer=offer_for(held.offer, share),
        redemption=msgspec.structs.replace(held.redemption, periods_used=used),
    )


def _ready(subscription: Subscription, terms: Terms, entries: Sequence[Entry], decision: Decision) -> Ready:
    return ready_to_issue(
        ToIssue(
            id=InvoiceId.new(),
            entity=terms.entity,
            customer=terms.customer,
            currency=subscription.currency,
            tax_behavior=terms.plan.tax_behavior,
            lines=discounted([entry.line for entry in entries], decision),
            collection=collection_of(subscription, terms.customer),
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


def _decide(entries: Sequence[Entry], terms: Terms, held: Held | None, *, now: datetime) -> Decision:
    if held is None:
        return engine.NOTHING
    basket = Basket(
        plan=terms.plan.reference,
        addons=tuple(item.plan.reference for item in terms.addons),
        currency=entries[0].line.amount.currency,
        is_new_customer=False,
        lines=tuple(_offered(entry) for entry in entries),
    )
    return engine.evaluate(basket, [_in_reach(held)], now=now)


def _offered(entry: Entry) -> BasketLine:
    billed = entry.line.billed
    return BasketLine(amount=billed if entry.discountable else zero(billed.currency), plan=entry.plan)


def _in_reach(held: Held) -> InReach:
    return InReach(offer=held.offer, granted=True, periods_used=held.redemption.periods_used)


def _after(held: Held | None, decision: Decision) -> Redemption | None:
    if held is None:
        return None
    after = engine.after_invoice(held, served=bool(decision.allocations))
    return after if after != held.redemption else None


def collection_of(subscription: Subscription, customer: Customer) -> Collection:
    """Where there is nothing to charge, the invoice is sent, and says how to pay it."""
    return subscription.collection if customer.payment_method else Collection.SEND_INVOICE
