"""Signing up: the customer, the welcome offer, the subscription and what it entitles to, in one act."""

from collections.abc import Mapping, Sequence, Set
from typing import TypeAlias

from msgspec.structs import replace

from billing.invoices import store as invoices
from billing.invoices.issue import issue_invoices
from billing.parties import store as parties
from billing.parties.add_customer import Found, find_or_add_customer, take_over_payment_method
from billing.parties.model import Customer
from billing.tax.treatment import treatments_of
from kernel import outbox
from kernel.database import Tx
from kernel.errors import Conflict
from kernel.events import Event
from kernel.ids import Id
from promotions import engine
from promotions import store as promotions
from promotions.asked import Wanted, check_asked, offers_asked
from promotions.engine import BUDGET_SPENT, Held
from promotions.model import CouponId, OfferId
from promotions.redeem import Asked, grant, redeem
from subscriptions import charge_store, plan_store, store
from subscriptions.beginning import Begun, Beside, begin
from subscriptions.bill import Bill, Terms, basket_of, bill_of
from subscriptions.entitlements import grants, grants_of
from subscriptions.events import SubscriptionScheduled, SubscriptionStarted
from subscriptions.model import (
    ENTITLED,
    Given,
    Grants,
    NewSignup,
    NewSubscription,
    Plan,
    Signup,
    Status,
    Subscription,
)
from subscriptions.remind import schedule_reminders
from subscriptions.renew import renew
from subscriptions.schedule_phases import after_offers, phases_of
from subscriptions.terms import policy_of, sales_of, stubs_by, with_tax

# An offer, and the code that brought it where one did.
SignedUpWith: TypeAlias = tuple[OfferId, CouponId | None]


async def sign_up(tx: Tx, request: NewSignup) -> Signup:
    """Idempotent on the customer's reference and the offer: while the signup runs, it is the answer.

    Raises Conflict `signup_differs` when it runs on other terms, and with the engine's code when the offer
    cannot be had.
    """
    found = await find_or_add_customer(tx, request.customer)
    terms = NewSubscription(
        customer=str(found.customer.id),
        plan=request.plan,
        offer=request.offer,
        coupons=request.coupons,
        quantity=request.quantity,
        addons=request.addons,
        currency=request.currency,
        collection=request.collection,
        billing_anchor=request.billing_anchor,
        metadata=request.metadata,
    )
    plan = await plan_store.plan(tx, terms.plan)
    beside = await plan_store.plans_named(tx, [each.plan for each in terms.addons])
    wanted = await offers_asked(tx, terms.offer, terms.coupons, found.customer, is_new=found.is_new)
    asked = wanted.asked

    earlier = None if found.is_new else await _earlier(tx, found.customer, asked)
    if earlier is not None and is_same(earlier, await _offers_of(tx, earlier), plan, wanted, terms, beside):
        return await _again(tx, found.customer, earlier, asked)
    check_asked(tx, wanted, found.customer)
    if earlier is not None:
        raise _differs(earlier)
    customer = await take_over_payment_method(tx, found.customer, request.customer.payment_method)
    buyer = Found(customer=customer, entity=found.entity, is_new=found.is_new)
    signed_up_for = [plan.id, *(each.offer.id for each in asked)]
    given = (*asked, *wanted.kept)
    return await _start(tx, buyer, plan, given, terms, beside=beside, signed_up_for=signed_up_for)


async def subscribe(tx: Tx, request: NewSubscription) -> Signup:
    """A further subscription of a customer: each call makes one."""
    customer = await parties.lock_customer(tx, request.customer)
    entity = await parties.legal_entity(tx, customer.legal_entity_id)
    plan = await plan_store.plan(tx, request.plan)
    beside = await plan_store.plans_named(tx, [each.plan for each in request.addons])
    wanted = await offers_asked(tx, request.offer, request.coupons, customer)

    check_asked(tx, wanted, customer)
    buyer = Found(customer=customer, entity=entity, is_new=False)
    signup = await _start(
        tx, buyer, plan, (*wanted.asked, *wanted.kept), request, beside=beside, signed_up_for=()
    )
    return await _caught_up(tx, signup)


async def _caught_up(tx: Tx, signup: Signup) -> Signup:
    """With the periods that have begun since, each on an invoice of its own, where it started in the past."""
    subscription, later = signup.subscription, []
    if subscription.current_period.end > tx.now:
        return signup
    while subscription.next_billing_at is not None and subscription.next_billing_at <= tx.now:
        renewal = await renew(tx, subscription.id)
        subscription = renewal.subscription
        later += [renewal.invoice] if renewal.invoice else []
    return replace(
        signup,
        subscription=subscription,
        later_invoices=tuple(later),
        entitlements=await grants_of(tx, subscription.customer_id),
    )


async def _start(
    tx: Tx,
    buyer: Found,
    plan: Plan,
    asked: Sequence[Asked],
    request: NewSubscription,
    *,
    beside: Mapping[str, Plan],
    signed_up_for: Sequence[Id],
) -> Signup:
    """Begin the subscription: with free days it is trialing, otherwise its first period is billed.

    `beside` are the add-ons by the names they are asked for.
    """
    begun = begin(
        request,
        buyer,
        plan,
        beside,
        [each.offer for each in asked],
        stubs_by=await stubs_by(tx, [request.billing_anchor]),
        now=tx.now,
    )
    subscription, untaxed = begun.subscription, begun.untaxed
    terms = with_tax(untaxed, await treatments_of(tx, set(sales_of(untaxed))))
    held = await _grant(tx, buyer, asked, begun, terms)
    to_follow = request.phases or after_offers(held, subscription)
    subscription = replace(
        subscription,
        redemption_ids=tuple(each.redemption.id for each in held),
        phases=await phases_of(tx, subscription, plan, to_follow),
    )
    terms = replace(terms, held=held, policy=await policy_of(tx, [held]))

    bill = bill_of(subscription, terms, now=tx.now) if subscription.status is Status.ACTIVE else None
    check_budgets(bill)
    invoice_id = bill.invoice.id if bill else None

    given = billed(held, bill)
    await redeem(tx, given, buyer.customer)
    await schedule_reminders(tx, given)
    await store.insert(
        tx, subscription, invoice_id=invoice_id, decided=bill.decided if bill else None, granted=signed_up_for
    )
    await charge_store.insert(tx, untaxed.charges, invoice_id=invoice_id)
    outbox.publish(tx, _event(subscription))
    issued = await issue_invoices(tx, [bill.invoice] if bill else [], to_newcomers=buyer.is_new)
    return Signup(
        is_new=True,
        customer=buyer.customer,
        subscription=subscription,
        offer_id=asked[0].offer.id if asked else None,
        invoice=issued[0] if issued else None,
        entitlements=await _grants(tx, buyer, plan, untaxed.addons, subscription),
    )


def _event(subscription: Subscription) -> Event:
    if subscription.status is not Status.INCOMPLETE:
        return SubscriptionStarted(subscription_id=subscription.id, customer_id=subscription.customer_id)
    return SubscriptionScheduled(
        subscription_id=subscription.id,
        customer_id=subscription.customer_id,
        starts_at=subscription.current_period.end,
    )


def check_budgets(bill: Bill | None) -> None:
    """Who signs up for an offer has it on their first invoice, or is told that it is spent."""
    for refusal in bill.decision.refusals if bill else ():
        if refusal.code == BUDGET_SPENT:
            raise Conflict(refusal.code, refusal.detail, param="offer")


def billed(held: Sequence[Held], bill: Bill | None) -> list[Held]:
    """The offers as the first invoice leaves them."""
    after = {each.id: each for each in bill.redemptions} if bill else {}
    return [replace(each, redemption=after.get(each.redemption.id, each.redemption)) for each in held]


async def _grant(
    tx: Tx, buyer: Found, asked: Sequence[Asked], begun: Begun, terms: Terms
) -> tuple[Held, ...]:
    if not asked:
        return ()
    basket = basket_of(
        begun.subscription,
        terms,
        is_new_customer=buyer.is_new or not await store.has_subscribed(tx, buyer.customer.id),
        is_first_invoice=buyer.is_new or not await invoices.has_any(tx, buyer.customer.id),
    )
    return tuple(
        grant(each, buyer.customer.id, basket, begun.serving(each.offer), now=tx.now)
        for each in asked
        if not each.unasked or engine.refusal_of(basket, each.in_reach, now=tx.now) is None
    )


async def _grants(
    tx: Tx, buyer: Found, plan: Plan, also: Sequence[Beside], subscription: Subscription
) -> Grants:
    """A customer who is new has what the plan and its add-ons give, once it has begun, and nothing else."""
    if buyer.is_new:
        given = Given(
            entitlements=plan.entitlements,
            addons=tuple((addon.entitlements, quantity) for addon, quantity in also),
            used={},
            resets_at=subscription.current_period.end,
        )
        return grants(buyer.customer.id, [given] if subscription.status in ENTITLED else [])
    return await grants_of(tx, buyer.customer.id)


async def _earlier(tx: Tx, customer: Customer, asked: Sequence[Asked]) -> Subscription | None:
    """The subscription of an earlier signup for the offer, or else of the signup that runs."""
    granted = await store.signed_up(tx, customer.id, asked[0].offer.id) if asked else None
    found = granted or await store.running_signup(tx, customer.id)
    if found is None:
        return None
    subscription = await store.get(tx, found)
    if subscription.is_over:
        raise Conflict(
            "signup_over",
            f"The customer signed up with this offer, and that subscription is {subscription.status}. "
            "Subscribe them again with POST /v1/subscriptions.",
        )
    return subscription


async def _offers_of(tx: Tx, subscription: Subscription) -> set[SignedUpWith]:
    """What it was signed up with: others may have come by themselves, or since."""
    held = [each.redemption for each in (await promotions.held(tx, subscription.redemption_ids)).values()]
    return {
        (each.offer_id, each.coupon_id)
        for each in held
        if each.redeemed_at == subscription.created_at and not each.came_by_itself
    }


def is_same(
    earlier: Subscription,
    held: Set[SignedUpWith],
    plan: Plan,
    wanted: Wanted,
    terms: NewSubscription,
    beside: Mapping[str, Plan],
) -> bool:
    """Whether a repetition asks for the same, `held` being the offers of the earlier one."""
    asked = {(each.offer.id, each.coupon.id if each.coupon else None) for each in wanted.asked}
    same_offer = held == asked and wanted.all_reach
    same_price = terms.currency in (None, earlier.currency) and terms.quantity == earlier.quantity
    has = {(addon.plan_id, addon.quantity) for addon in earlier.addons}
    same_addons = has == {(beside[each.plan].id, each.quantity) for each in terms.addons}
    return earlier.plan_id == plan.id and same_offer and same_price and same_addons


def _differs(earlier: Subscription) -> Conflict:
    return Conflict(
        "signup_differs",
        f"The customer signed up before, with other terms: subscription {earlier.id}. "
        "Change that one, or add another with POST /v1/subscriptions.",
    )


async def _again(tx: Tx, customer: Customer, earlier: Subscription, asked: Sequence[Asked]) -> Signup:
    """What the signup led to, as it is now."""
    first = await store.first_invoice(tx, earlier.id)
    return Signup(
        is_new=False,
        customer=customer,
        subscription=earlier,
        offer_id=asked[0].offer.id if asked else None,
        invoice=await invoices.get(tx, first) if first else None,
        entitlements=await grants_of(tx, customer.id),
    )
