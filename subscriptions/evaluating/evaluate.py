"""Evaluating offers and codes: what would be billed with them, and why the others take nothing off."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from msgspec.structs import replace

from billing.invoices.model import Collection, InvoiceId, PricedLine
from billing.invoices.ready import Ready, ToIssue, ready_to_issue
from billing.parties import store as parties
from billing.parties.add_customer import Found
from billing.parties.model import Address, Customer, CustomerId, LegalEntity, Proration
from billing.tax import rules
from billing.tax.model import TaxTreatment
from billing.tax.treatment import Taxed
from kernel import clocks
from kernel.database import Tx
from kernel.decimals import Quantity, UnitPrice
from kernel.errors import Conflict, DomainError, not_found
from kernel.money import Currency, total, zero
from kernel.periods import Period
from kernel.structs import Value
from kernel.text import Email, Name, Reference
from promotions import duration, engine
from promotions.basket import refused
from promotions.coupons import attempts
from promotions.coupons import rules as coupons
from promotions.coupons.codes import normal
from promotions.coupons.model import Coupon
from promotions.engine import Basket, BasketLine, Decision, Held, InReach, Refusal
from promotions.model import FreePeriod, Offer, OfferId
from promotions.redeem import Asked, code_invalid, granted, identity_used, redeemed_before
from subscriptions import plan_store, renew
from subscriptions import store as subscriptions
from subscriptions.beginning import Begun, begin
from subscriptions.bill import Bill, Priced, Terms, basket_of, decision_of, discounted, priced
from subscriptions.changing import from_next_period
from subscriptions.evaluating import store
from subscriptions.evaluating.model import (
    Applied,
    AskedLine,
    EvaluatedLine,
    Evaluation,
    Newcomer,
    NewEvaluation,
    Refused,
)
from subscriptions.evaluating.store import Read
from subscriptions.grant_offer import next_served
from subscriptions.model import NewSubscription, Plan, Status, Subscription
from subscriptions.schedule_phases import after_offers, phases_of
from subscriptions.terms import Untaxed, sales_of, taxed, terms_of, with_tax

_SOMEBODY = Newcomer()
_NO_OFFER = OfferId(bytes(16))


class Reach(Value, frozen=True, kw_only=True):
    """What is asked for, by which codes where it took one; and the codes that bring nothing."""

    asked: tuple[Asked, ...]
    codes: dict[OfferId, str]
    refused: tuple[Refused, ...]


class Answer(Value, frozen=True, kw_only=True):
    """What would be billed, at what time, for which period; with what the engine decided about it."""

    invoice: Ready | None
    currency: Currency
    decision: Decision = engine.NOTHING
    refusals: tuple[Refusal, ...] = ()
    free_days: int = 0
    billed_at: datetime | None = None
    period: Period | None = None


async def evaluate(tx: Tx, request: NewEvaluation) -> Evaluation:
    """Reads in one statement, but for a subscription, which takes a fixed number; records nothing."""
    request.check()
    if request.subscription is not None:
        return await _next_invoice(tx, request)
    found = await store.read(tx, request)
    if found.clock is not None:
        tx.go_by(found.clock)
    buyer, reach = _buyer(request, found, now=tx.now), _reach(tx, request, found)

    if request.lines:
        answer = _of_lines(request, found, buyer, reach.asked, now=tx.now)
    else:
        answer = await _of_plan(tx, request, found, buyer, reach.asked)
    return _told(answer, reach, found.customer.id if found.customer else None)


# ── Whose it is, and what is in reach ───────────────────────────────────────────────────────────────────


def _buyer(request: NewEvaluation, found: Read, *, now: datetime) -> Found:
    """Who is there already is as they are; anybody else is a newcomer."""
    newcomer = request.newcomer or _SOMEBODY
    if found.customer is None and request.customer is not None and request.newcomer is None:
        raise not_found("customer", request.customer)
    if found.entity is None:
        raise parties.no_seller(newcomer.legal_entity)
    if newcomer.tax_rate is not None and found.own_rate is None:
        raise not_found("tax rate", newcomer.tax_rate)
    customer = found.customer or _customer(newcomer, found.entity, found, now=now)
    return Found(customer=customer, entity=found.entity, is_new=not found.has_subscribed)


def _customer(newcomer: Newcomer, entity: LegalEntity, found: Read, *, now: datetime) -> Customer:
    somewhere = Name("—")
    country = newcomer.country or entity.seller.address.country
    return Customer(
        id=CustomerId.new(),
        reference=Reference("newcomer"),
        name=Name("Newcomer"),
        email=newcomer.email or Email("newcomer@invalid"),
        language=entity.language,
        address=Address(line1=somewhere, city=somewhere, country=country),
        vat_number=newcomer.vat_number,
        siren=None,
        legal_entity_id=entity.id,
        tax_rate_id=found.own_rate,
        payment_method=None,
        metadata=newcomer.metadata,
        created_at=now,
    )


def _reach(tx: Tx, request: NewEvaluation, found: Read) -> Reach:
    """Who tries codes that cannot be used has to stop after a few, here as where they are used."""
    who = found.customer.reference if found.customer else request.customer or attempts.ANYBODY
    if request.coupons:
        coupons.check_attempts(found.attempts, who, now=tx.wall)
    reach = _asked(request, found, now=tx.now)
    if in_vain := sum(each.offer_id is None for each in reach.refused):
        attempts.failed(tx, who, in_vain)
    return reach


def _asked(request: NewEvaluation, found: Read, *, now: datetime) -> Reach:
    """The offers that are named and those the codes bring, each once."""
    by_id = {offer.id: offer for offer in found.offers}
    named = {offer.reference: offer for offer in found.offers}
    asked = {}
    for key in request.offers:
        offer = named.get(Reference(key)) or by_id.get(OfferId.read(key) or _NO_OFFER)
        if offer is None:
            raise not_found("offer", key)
        asked[offer.id] = Asked(offer=offer)
    codes, cannot = {}, []
    for code in dict.fromkeys(request.coupons):
        coupon = _usable(found.coupons.get(normal(code)), found, now=now)
        if coupon is None:
            cannot.append(_cannot_be_used(code))
        elif coupon.offer_id in asked:
            cannot.append(_named_twice(by_id[coupon.offer_id], code))
        else:
            asked[coupon.offer_id] = Asked(offer=by_id[coupon.offer_id], coupon=coupon)
            codes[coupon.offer_id] = code
    return Reach(asked=tuple(asked.values()), codes=codes, refused=tuple(cannot))


def _usable(coupon: Coupon | None, found: Read, *, now: datetime) -> Coupon | None:
    customer_id = found.customer.id if found.customer else None
    if coupon is None or not coupon.is_for(customer_id) or coupons.unusable(coupon, now=now) is not None:
        return None
    return coupon


def _cannot_be_used(code: str) -> Refused:
    """Whose code it is, and why it cannot be used, is not for a stranger to know."""
    refusal = code_invalid()
    return Refused(offer_id=None, offer=None, coupon=code, code=refusal.code, detail=refusal.detail)


def _named_twice(offer: Offer, code: str) -> Refused:
    return Refused(
        offer_id=offer.id,
        offer=offer.reference,
        coupon=code,
        code="offer_twice",
        detail="The same offer is in reach without this code.",
    )


def _sorted_out(
    asked: Iterable[Asked], basket: Basket, found: Read, *, now: datetime
) -> tuple[list[Asked], list[Refusal]]:
    """Those that this customer can have, and why not the others: what they had before counts last."""
    had, refusals = [], []
    for each in asked:
        reach = _in_reach(each, found, now=now)
        refusal = engine.refusal_of(basket, reach, now=now) or _had(reach, found)
        if refusal is None:
            had.append(each)
        else:
            refusals.append(refusal)
    return had, refusals


def _in_reach(asked: Asked, found: Read, *, now: datetime) -> InReach:
    until = found.reserved.get(asked.offer.id)
    return InReach(offer=asked.offer, reserved=until is not None and now < until)


def _had(reach: InReach, found: Read) -> Refusal | None:
    offer = reach.offer
    if found.redeemed.get(offer.id, 0) - reach.reserved >= offer.max_per_customer:
        return _refused_as(offer, redeemed_before())
    if offer.one_per_identity and offer.id in found.known:
        return _refused_as(offer, identity_used())
    return None


def _refused_as(offer: Offer, told: DomainError) -> Refusal:
    """In the words in which a signup would be refused."""
    return refused(offer, told.code, told.detail)


# ── A plan, as a signup begins with it ──────────────────────────────────────────────────────────────────


async def _of_plan(
    tx: Tx, request: NewEvaluation, found: Read, buyer: Found, asked: Sequence[Asked]
) -> Answer:
    begun = _begun(request, found, buyer, [], now=tx.now)
    terms = _with_tax(begun.untaxed, found)
    basket = basket_of(
        begun.subscription,
        terms,
        is_new_customer=buyer.is_new,
        is_first_invoice=not found.has_invoices,
    )
    can_have, refusals = _sorted_out(asked, basket, found, now=tx.now)
    free_days = max((engine.free_days(each.offer) for each in can_have), default=0)
    if free_days:
        begun = _begun(request, found, buyer, [each.offer for each in can_have], now=tx.now)
    held = tuple(
        granted(each, buyer.customer.id, basket.currency, begun.serving(each.offer), now=tx.now)
        for each in can_have
    )
    first, subscription = await _first(tx, begun.subscription, replace(terms, held=held, policy=found.policy))
    return Answer(
        invoice=first.invoice if first else None,
        currency=basket.currency,
        decision=_of_money(decision_of(first.decided), held) if first else engine.NOTHING,
        refusals=tuple(refusals),
        free_days=free_days or terms.plan.trial_days,
        billed_at=begun.subscription.trial_ends_at or tx.now,
        period=subscription.current_period,
    )


def _begun(
    request: NewEvaluation, found: Read, buyer: Found, offers: Iterable[Offer], *, now: datetime
) -> Begun:
    assert request.plan is not None, "it is asked about a plan"
    plan, beside = _plans(request.plan, request, found)
    signup = NewSubscription(
        customer=str(buyer.customer.id),
        plan=request.plan,
        quantity=request.quantity,
        addons=request.addons,
        currency=request.currency,
        billing_anchor=request.billing_anchor,
    )
    stubs_by = Proration.SECOND if found.proration is Proration.SECOND else Proration.DAY
    return begin(signup, buyer, plan, beside, offers, stubs_by=stubs_by, now=now)


def _plans(key: str, request: NewEvaluation, found: Read) -> tuple[Plan, Mapping[str, Plan]]:
    named = {name: plan for plan in found.plans for name in (str(plan.id), str(plan.reference))}
    for missing in (name for name in (key, *(each.plan for each in request.addons)) if name not in named):
        raise not_found("plan", missing)
    return named[key], named


def _with_tax(untaxed: Untaxed, found: Read) -> Terms:
    return with_tax(untaxed, {sale: _treatment(sale, found) for sale in sales_of(untaxed)})


def _treatment(sale: Taxed, found: Read) -> TaxTreatment:
    rates = found.tax_rates
    return rules.treatment(own=rates[sale.own].group, charged=rates[sale.charged].group)


async def _first(
    tx: Tx, subscription: Subscription, terms: Terms
) -> tuple[Priced | Bill | None, Subscription]:
    """What is billed first: now, or when the trial is over, then as the renewal decides it."""
    following = after_offers(terms.held, subscription)
    if subscription.status is Status.ACTIVE:
        return priced(subscription, terms, now=tx.now), subscription
    ends_at = subscription.trial_ends_at
    assert ends_at is not None, "what is not billed now is in its trial"
    if following:  # an offer says that another plan comes after its free days
        phases = await phases_of(tx, subscription, terms.plan, following)
        subscription = replace(subscription, phases=phases)
        due = from_next_period(subscription)
        plan = (await plan_store.versions_of(tx, due.versions))[due.plan_id, due.version]
        terms = replace(terms, plan=plan)
    decided = renew.next_period(subscription, terms, now=ends_at)
    return decided.bill, decided.subscription


def _of_money(decision: Decision, held: Iterable[Held]) -> Decision:
    """What gave its free days has nothing to say about the invoice that follows them."""
    gave = {each.offer.id for each in held if isinstance(each.offer.benefit, FreePeriod)}
    if not gave:
        return decision
    return replace(decision, refusals=tuple(each for each in decision.refusals if each.offer_id not in gave))


# ── Lines of a basket ───────────────────────────────────────────────────────────────────────────────────


def _of_lines(
    request: NewEvaluation, found: Read, buyer: Found, asked: Sequence[Asked], *, now: datetime
) -> Answer:
    currency = request.lines[0].amount.currency
    lines = [_priced(each, found, buyer) for each in request.lines]
    plans = [line.plan for line in request.lines if line.plan is not None]
    basket = Basket(
        plan=plans[0] if plans else Reference(""),
        addons=tuple(plans[1:]),
        currency=currency,
        is_new_customer=buyer.is_new,
        is_first_invoice=not found.has_invoices,
        country=buyer.customer.address.country,
        customer_metadata=buyer.customer.metadata,
        lines=tuple(_in_basket(line) for line in request.lines),
    )
    can_have, refusals = _sorted_out(asked, basket, found, now=now)
    reach = [_in_reach(each, found, now=now) for each in can_have]
    decision = engine.evaluate(basket, reach, found.policy, now=now)
    invoice = ready_to_issue(
        ToIssue(
            id=InvoiceId.new(),
            entity=buyer.entity,
            customer=buyer.customer,
            currency=currency,
            tax_behavior=found.tax_behavior,
            lines=discounted(lines, decision),
            collection=Collection.SEND_INVOICE,
        )
    )
    return Answer(
        invoice=invoice, currency=currency, decision=decision, refusals=tuple(refusals), billed_at=now
    )


def _priced(line: AskedLine, found: Read, buyer: Found) -> PricedLine:
    treatment = _treatment(taxed(buyer.customer, buyer.entity, None), found)
    quantity = line.quantity or Quantity(1)
    return PricedLine(
        description=line.description,
        quantity=quantity,
        unit_price=UnitPrice.giving(line.amount, quantity),
        amount=line.amount,
        tax=treatment.group,
        waived=treatment.waived,
        recurring=line.recurring,
        item=line.plan,
        discountable=line.discountable,
    )


def _in_basket(line: AskedLine) -> BasketLine:
    return BasketLine(
        amount=line.amount,
        plan=line.plan,
        quantity=line.quantity,
        recurring=line.recurring,
        discountable=line.discountable,
    )


# ── The next invoice of a subscription ──────────────────────────────────────────────────────────────────


async def _next_invoice(tx: Tx, request: NewEvaluation) -> Evaluation:
    """With what it holds, and as if it were given what is asked for."""
    await clocks.go_by(tx)
    assert request.subscription is not None, "it is asked about a subscription"
    subscription = await subscriptions.get(tx, request.subscription)
    found = await store.read(tx, replace(request, customer=str(subscription.customer_id)))
    due = from_next_period(subscription)
    terms = (await terms_of(tx, [due], to_bill=False))[subscription.id]
    billed_at = subscription.next_billing_at
    if billed_at is None or (subscription.cancel_at is not None and subscription.cancel_at <= billed_at):
        raise Conflict(
            "renewal_not_due", "Nothing more is to be billed: the subscription ends, or is paused."
        )

    # As when an offer is given: by its reference whoever gives it says that the customer may have it.
    basket = basket_of(subscription, terms, is_new_customer=True, is_first_invoice=True)
    reach = _reach(tx, request, found)
    can_have, refusals = _sorted_out(reach.asked, basket, found, now=tx.now)
    held = tuple(
        granted(each, terms.customer.id, basket.currency, _serving(each, subscription, terms, tx), now=tx.now)
        for each in can_have
    )
    decided = renew.next_period(
        subscription, replace(terms, held=(*terms.held, *held), policy=found.policy), now=billed_at
    )
    bill = decided.bill
    answer = Answer(
        invoice=bill.invoice if bill else None,
        currency=subscription.currency,
        decision=bill.decision if bill else engine.NOTHING,
        refusals=tuple(refusals),
        billed_at=billed_at,
        period=decided.subscription.current_period,
    )
    return _told(answer, reach, subscription.customer_id)


def _serving(each: Asked, subscription: Subscription, terms: Terms, tx: Tx) -> duration.Serving:
    return duration.serving(
        each.offer.duration,
        applies_from=next_served(subscription, now=tx.now),
        anchor_at=subscription.anchor_at,
        zone=terms.entity.zone,
    )


# ── What is answered ────────────────────────────────────────────────────────────────────────────────────


def _told(answer: Answer, reach: Reach, customer_id: CustomerId | None) -> Evaluation:
    invoice, nothing = answer.invoice, zero(answer.currency)
    lines = tuple(_lines(invoice)) if invoice else ()
    return Evaluation(
        customer_id=customer_id,
        currency=answer.currency,
        tax_behavior=invoice.sums.tax_behavior if invoice else None,
        free_days=answer.free_days,
        billed_at=answer.billed_at,
        period=answer.period,
        lines=lines,
        applied=tuple(_applied(answer.decision, reach)),
        refused=(*reach.refused, *_refused((*answer.refusals, *answer.decision.refusals), reach)),
        amount=total((line.amount for line in lines), answer.currency),
        discount=total((line.discount for line in lines), answer.currency),
        net=invoice.sums.net if invoice else nothing,
        tax=invoice.sums.tax if invoice else nothing,
        total=invoice.sums.total if invoice else nothing,
        taxes=invoice.sums.taxes if invoice else (),
    )


def _lines(invoice: Ready) -> Iterator[EvaluatedLine]:
    for line in invoice.lines:
        yield EvaluatedLine(
            item=line.item,
            description=line.description,
            quantity=line.quantity,
            unit_price=line.unit_price,
            recurring=line.recurring,
            period=line.period,
            amount=line.amount,
            discount=line.discount,
            included_tax=line.included_tax,
            net=line.net,
            allowances=line.allowances,
            discountable=line.discountable,
            tax=line.tax,
        )


def _refused(refusals: Iterable[Refusal], reach: Reach) -> Iterator[Refused]:
    for no in refusals:
        yield Refused(
            offer_id=no.offer_id,
            offer=no.reference,
            coupon=reach.codes.get(no.offer_id),
            code=no.code,
            detail=no.detail,
        )


def _applied(decision: Decision, reach: Reach) -> Iterator[Applied]:
    for each in decision.allocations:
        yield Applied(
            offer_id=each.offer_id,
            offer=each.reference,
            name=Name(each.name),
            coupon=reach.codes.get(each.offer_id),
            discount=total(each.amounts, each.amounts[0].currency),
        )
