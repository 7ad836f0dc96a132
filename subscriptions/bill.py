"""What a period costs, from everything that decides it. Pure: a signup, a renewal and a run ask here."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

import msgspec

from billing.invoices.model import Allowance, Collection, InvoiceId, PricedLine
from billing.invoices.ready import Ready, ToIssue, ready_to_issue
from billing.invoices.totals import with_allowance
from billing.parties.model import Customer, LegalEntity, Proration
from billing.tax.model import TaxTreatment
from kernel.decimals import Quantity
from kernel.money import Money, total
from kernel.periods import Period, nth_period
from kernel.structs import Value
from kernel.text import Reference
from promotions import engine, replay
from promotions.duration import after_invoice, before_period, covered, exhausted, given, is_over
from promotions.engine import Basket, BasketLine, Decision, Held, InReach
from promotions.model import AtEnd, OfferId, Percent, Policy, Redemption, Status
from promotions.replay import Decided
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
    """What the price depends on beside the subscription itself; `held` are the offers it has been given.

    `addons` are in their order; `charges` have waited for this invoice. `usage` is what was metered in the
    period that is over, on the terms of that one.
    """

    entity: LegalEntity
    customer: Customer
    plan: Plan
    tax: TaxTreatment
    held: tuple[Held, ...] = ()
    addons: tuple[Item, ...] = ()
    charges: tuple[Owed, ...] = ()
    stubs_by: Proration = Proration.DAY
    usage: Usage | None = None
    policy: Policy = Policy()


class Bill(Value, frozen=True, kw_only=True):
    """The invoice of a period, the redemptions that it changes, as they are then, and what waits no more.

    `ended` are those that it is the last of. `spent` is what it takes of the budgets of offers, where they
    have one.
    """

    invoice: Ready
    decided: Decided | None = None
    redemptions: tuple[Redemption, ...] = ()
    ended: tuple[Held, ...] = ()
    spent: tuple[tuple[OfferId, Money], ...] = ()
    charges: tuple[ChargeId, ...]
    usage: Usage | None = None

    @property
    def decision(self) -> Decision:
        return decision_of(self.decided)


class Priced(Value, frozen=True, kw_only=True):
    """The invoice of a period, the offers that could serve it, and what was decided about them."""

    invoice: Ready
    serving: tuple[Held, ...]
    decided: Decided | None


class Entry(Value, frozen=True, kw_only=True):
    """A line to be, the plan it is for, and whether offers may take something off it."""

    line: PricedLine
    plan: Reference | None
    discountable: bool = True


def bill_of(subscription: Subscription, terms: Terms, *, now: datetime) -> Bill:
    """The current period's, and the usage of the last. Raises Conflict where it could not be issued."""
    return _bill(priced(subscription, terms, now=now), terms, subscription.current_period)


def priced(subscription: Subscription, terms: Terms, *, now: datetime) -> Priced:
    """What the current period comes to, with what its offers take off: nothing is counted for them."""
    rating.check_beside(terms.usage, terms.plan)
    period, share = subscription.current_period, stub_of(subscription, terms)
    if share is not None:
        return _priced_in_part(subscription, terms, share, period, now=now)
    entries = [*_recurring(subscription, terms, period), *_used(terms), *_once(terms)]
    serving = _serving(subscription, terms)
    decided = _decide(entries, terms, _in_reach(serving, subscription, terms, period), now=now)
    invoice = _ready(subscription, terms, entries, decision_of(decided))
    return Priced(invoice=invoice, serving=tuple(serving), decided=decided)


def _bill(priced: Priced, terms: Terms, period: Period) -> Bill:
    off = _off(decision_of(priced.decided))
    after = _after(priced.serving, off, period)
    return Bill(
        invoice=priced.invoice,
        decided=priced.decided,
        redemptions=after,
        ended=_ended(priced.serving, after),
        spent=_spent(priced.serving, off),
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
    percentages = [each for each in _serving(subscription, terms) if isinstance(each.offer.benefit, Percent)]
    period = subscription.current_period
    decided = _decide(entries, terms, _in_reach(percentages, subscription, terms, period), now=now)
    off = _off(decision_of(decided))
    return Bill(
        invoice=_ready(subscription, terms, entries, decision_of(decided)),
        decided=decided,
        redemptions=_after_usage(percentages, off),
        spent=_spent(percentages, off),
        charges=_billed_with(terms),
        usage=terms.usage,
    )


def bill_of_rest(subscription: Subscription, terms: Terms, share: Share, *, now: datetime) -> Bill | None:
    """Of a share of the current period, from now to its end; None when nothing is left of it.

    Held offers go on. A period that one has served already is not counted again.
    """
    if not share.part:
        return None
    rest = Period(now, subscription.current_period.end)
    terms = msgspec.structs.replace(terms, usage=None)
    return _bill(
        _priced_in_part(subscription, terms, share, rest, now=now), terms, subscription.current_period
    )


def stub_of(subscription: Subscription, terms: Terms) -> Share | None:
    """What of a nominal period the current one is, where it begins later; None of a whole one."""
    if subscription.billing_anchor is None:
        return None
    period, zone = subscription.current_period, terms.entity.zone
    nominal = nth_period(subscription.anchor_at, terms.plan.interval, subscription.period_number, zone)
    return None if period == nominal else share_of(period, nominal, zone, terms.stubs_by)


def _priced_in_part(
    subscription: Subscription, terms: Terms, share: Share, part: Period, *, now: datetime
) -> Priced:
    whole = list(_recurring(subscription, terms, part))
    parts = prorated([entry.line for entry in whole], share, part)
    recurring = (msgspec.structs.replace(each, line=part) for each, part in zip(whole, parts, strict=True))
    entries = [*recurring, *_used(terms), *_once(terms)]
    serving = _serving(subscription, terms)
    start = subscription.current_period.start
    in_part = [
        Held(offer=offer_for(each.offer, share), redemption=before_period(each.redemption, start))
        for each in serving
    ]
    decided = _decide(entries, terms, _in_reach(in_part, subscription, terms, part), now=now)
    invoice = _ready(subscription, terms, entries, decision_of(decided))
    return Priced(invoice=invoice, serving=tuple(serving), decided=decided)


def bill_of_charges(subscription: Subscription, terms: Terms) -> Bill:
    """An invoice of charges alone. Offers serve periods: they take nothing off it, and are not used up."""
    entries = list(_once(terms))
    return Bill(
        invoice=_ready(subscription, terms, entries, engine.NOTHING),
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


def ends(subscription: Subscription, terms: Terms) -> bool:
    """Whether the subscription is over once the current period is, because an offer of it is."""
    return any(
        held.offer.at_end is AtEnd.END
        and held.redemption.is_live
        and is_over(held, at=subscription.current_period.end)
        for held in terms.held
    )


def ended_with(subscription: Subscription, terms: Terms) -> tuple[Held, ...]:
    """Offers of a subscription that ends which no further bill tells that they are over: free days."""
    at = subscription.current_period.end
    return tuple(
        Held(offer=held.offer, redemption=exhausted(held, at=at))
        for held in terms.held
        if held.redemption.status is Status.REDEEMED and is_over(held, at=at)
    )


def discounted(lines: list[PricedLine], decision: Decision) -> list[PricedLine]:
    """The lines with what each offer takes off them, frozen as allowances."""
    for allocation in decision.allocations:
        lines = [
            _allowed(line, Allowance(source=allocation.reference, name=allocation.name, amount=amount))
            for line, amount in zip(lines, allocation.amounts, strict=True)
        ]
    return lines


def _allowed(line: PricedLine, allowance: Allowance) -> PricedLine:
    return with_allowance(line, allowance) if allowance.amount else line


def _decide(
    entries: Sequence[Entry], terms: Terms, offers: Sequence[InReach], *, now: datetime
) -> Decided | None:
    """With what was asked, so that it can be asked again; None where there is nothing to ask about."""
    return replay.decide(_basket(entries, terms), offers, terms.policy, now=now) if offers else None


def decision_of(decided: Decided | None) -> Decision:
    return decided.decision if decided else engine.NOTHING


def basket_of(
    subscription: Subscription, terms: Terms, *, is_new_customer: bool, is_first_invoice: bool = False
) -> Basket:
    """What a period comes to without offers, for deciding whether one can be had."""
    entries = [*_recurring(subscription, terms, subscription.current_period), *_once(terms)]
    return msgspec.structs.replace(
        _basket(entries, terms), is_new_customer=is_new_customer, is_first_invoice=is_first_invoice
    )


def _basket(entries: Sequence[Entry], terms: Terms) -> Basket:
    return Basket(
        plan=terms.plan.reference,
        addons=tuple(item.plan.reference for item in terms.addons),
        currency=entries[0].line.amount.currency,
        is_new_customer=False,
        country=terms.customer.address.country,
        customer_metadata=terms.customer.metadata,
        lines=tuple(_offered(entry) for entry in entries),
    )


def _offered(entry: Entry) -> BasketLine:
    line = entry.line
    return BasketLine(
        amount=line.billed,
        plan=entry.plan,
        quantity=line.quantity,
        recurring=line.recurring,
        discountable=entry.discountable,
    )


def _serving(subscription: Subscription, terms: Terms) -> list[Held]:
    """The offers that may serve the current period; of one that is held twice, the first that still can."""
    start = subscription.current_period.start
    live = [held for held in terms.held if held.redemption.is_live and held.redemption.serves_from(start)]
    first: dict[OfferId, Held] = {}
    for held in sorted(live, key=lambda each: (each.redemption.served_at != start, is_over(each, at=start))):
        first.setdefault(held.offer.id, held)
    return [held for held in live if held is first[held.offer.id]]


def _in_reach(
    serving: Sequence[Held], subscription: Subscription, terms: Terms, period: Period
) -> list[InReach]:
    reach = []
    for held in serving:
        covers = covered(
            period,
            held.redemption.ends_at,
            subscription.anchor_at,
            terms.entity.zone,
            begins_at=held.redemption.applies_from,
        )
        if covers.part:
            used = held.redemption.periods_used
            reach.append(InReach(offer=held.offer, granted=True, periods_used=used, covers=covers))
    return reach


def _after(serving: Sequence[Held], off: Mapping[OfferId, Money], period: Period) -> tuple[Redemption, ...]:
    """Those that the invoice changes."""
    after = ((held.redemption, after_invoice(held, off.get(held.offer.id), period)) for held in serving)
    return tuple(redemption for before, redemption in after if redemption != before)


def _ended(serving: Sequence[Held], after: Sequence[Redemption]) -> tuple[Held, ...]:
    """Those that were not over before."""
    running = {
        held.redemption.id: held.offer for held in serving if held.redemption.status is Status.REDEEMED
    }
    return tuple(
        Held(offer=running[redemption.id], redemption=redemption)
        for redemption in after
        if redemption.status is Status.EXHAUSTED and redemption.id in running
    )


def _after_usage(serving: Sequence[Held], off: Mapping[OfferId, Money]) -> tuple[Redemption, ...]:
    """No period is counted by what is billed after it."""
    return tuple(given(held.redemption, off[held.offer.id]) for held in serving if held.offer.id in off)


def _spent(serving: Sequence[Held], off: Mapping[OfferId, Money]) -> tuple[tuple[OfferId, Money], ...]:
    with_budget = {held.offer.id for held in serving if held.offer.budget is not None}
    return tuple((offer_id, amount) for offer_id, amount in off.items() if offer_id in with_budget)


def _off(decision: Decision) -> dict[OfferId, Money]:
    return {each.offer_id: total(each.amounts, each.amounts[0].currency) for each in decision.allocations}


def with_budgets(terms: Terms, spent: Mapping[OfferId, Money]) -> Terms:
    """Where others have spent of the budgets of its offers since they were read."""
    if not any(held.offer.id in spent for held in terms.held):
        return terms
    return msgspec.structs.replace(terms, held=tuple(_less(held, spent) for held in terms.held))


def _less(held: Held, spent: Mapping[OfferId, Money]) -> Held:
    offer = held.offer
    if offer.spent is None or offer.id not in spent:
        return held
    offer = msgspec.structs.replace(offer, spent=offer.spent + spent[offer.id])
    return msgspec.structs.replace(held, offer=offer)


def collection_of(subscription: Subscription, customer: Customer) -> Collection:
    """Where there is nothing to charge, the invoice is sent, and says how to pay it."""
    return subscription.collection if customer.payment_method else Collection.SEND_INVOICE
