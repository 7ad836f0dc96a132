"""Signing up: the customer, the welcome offer, the subscription and what it entitles to, in one act."""

from billing.invoices import store as invoices
from billing.invoices.model import Invoice
from billing.parties import store as parties
from billing.parties.add_customer import find_or_add_customer, take_over_payment_method
from billing.parties.model import Customer
from kernel import jobs, outbox
from kernel.database import Tx
from kernel.errors import Conflict
from kernel.money import Currency
from promotions import engine
from promotions import store as promotions
from promotions.engine import Basket
from promotions.model import Offer, OfferId, Redemption
from promotions.redeem import redeem
from subscriptions import pricing, schedule, store
from subscriptions.bill_period import bill_period
from subscriptions.entitlements import grants_of
from subscriptions.events import SubscriptionStarted
from subscriptions.model import (
    NewSignup,
    NewSubscription,
    Plan,
    Signup,
    Status,
    Subscription,
    SubscriptionId,
)

RENEWAL = "renew_subscription"


async def sign_up(tx: Tx, request: NewSignup) -> Signup:
    """Idempotent on the customer's reference and the offer: while the signup runs, it is the answer.

    Raises Conflict `signup_differs` when it runs on other terms, and with the engine's code when the offer
    cannot be had.
    """
    customer, is_new = await find_or_add_customer(tx, request.customer)
    terms = NewSubscription(
        customer=str(customer.id),
        plan=request.plan,
        offer=request.offer,
        quantity=request.quantity,
        currency=request.currency,
        collection=request.collection,
        metadata=request.metadata,
    )
    plan = await store.plan(tx, terms.plan)
    offer = None if terms.offer is None else await promotions.offer(tx, terms.offer)

    earlier = None if is_new else await _earlier(tx, customer, offer)
    if earlier is not None:
        check_same(earlier, await _offer_of(tx, earlier), plan, offer, terms)
        return await _signup(tx, customer, earlier, offer, await _first_invoice(tx, earlier), is_new=False)
    customer = await take_over_payment_method(tx, customer, request.customer.payment_method)
    subscription, invoice = await start(tx, customer, plan, offer, terms)

    await store.put_signup(tx, subscription, [plan.id, *([offer.id] if offer else [])])
    return await _signup(tx, customer, subscription, offer, invoice, is_new=True)


async def subscribe(tx: Tx, request: NewSubscription) -> Signup:
    """A further subscription of a customer: each call makes one."""
    customer = await parties.lock_customer(tx, request.customer)
    plan = await store.plan(tx, request.plan)
    offer = None if request.offer is None else await promotions.offer(tx, request.offer)

    subscription, invoice = await start(tx, customer, plan, offer, request)

    return await _signup(tx, customer, subscription, offer, invoice, is_new=True)


async def start(
    tx: Tx, customer: Customer, plan: Plan, offer: Offer | None, request: NewSubscription
) -> tuple[Subscription, Invoice | None]:
    """Begin the subscription: with free days it is trialing, otherwise its first period is billed."""
    entity = await parties.legal_entity(tx, customer.legal_entity_id)
    price = pricing.price_in(plan, request.currency)
    redemption = await _redeem(tx, customer, plan, offer, price.currency)

    starts = schedule.start(
        plan.interval,
        free_days=engine.free_days(offer) if offer else 0,
        now=tx.now,
        zone=entity.zone,
    )
    subscription = Subscription(
        id=SubscriptionId.new(),
        customer_id=customer.id,
        plan_id=plan.id,
        version=plan.version,
        currency=price.currency,
        quantity=pricing.billed_quantity(price, request.quantity),
        status=Status.TRIALING if starts.trial_ends_at else Status.ACTIVE,
        collection=request.collection,
        redemption_id=redemption.id if redemption else None,
        anchor_at=starts.anchor_at,
        period_number=starts.period_number,
        current_period=starts.period,
        trial_ends_at=starts.trial_ends_at,
        next_billing_at=starts.period.end,
        cancel_at=None,
        cancelled_at=None,
        ended_at=None,
        metadata=request.metadata,
        created_at=tx.now,
    )

    await store.insert(tx, subscription)
    await jobs.schedule(
        tx, RENEWAL, {"subscription_id": str(subscription.id)}, due=subscription.current_period.end
    )
    outbox.publish(tx, SubscriptionStarted(subscription_id=subscription.id, customer_id=customer.id))
    if subscription.trial_ends_at is not None:
        return subscription, None
    return subscription, await bill_period(tx, customer, subscription, plan)


async def _redeem(
    tx: Tx, customer: Customer, plan: Plan, offer: Offer | None, currency: Currency
) -> Redemption | None:
    if offer is None:
        return None
    basket = Basket(
        plan=plan.reference,
        currency=currency,
        is_new_customer=not await store.has_subscribed(tx, customer.id),
        lines=(),
    )
    return await redeem(tx, offer, customer.id, basket)


async def _earlier(tx: Tx, customer: Customer, offer: Offer | None) -> Subscription | None:
    """The subscription of an earlier signup for the offer, or else of the signup that runs."""
    granted = await store.signed_up(tx, customer.id, offer.id) if offer else None
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


async def _offer_of(tx: Tx, subscription: Subscription) -> OfferId | None:
    if subscription.redemption_id is None:
        return None
    return (await promotions.redemption(tx, subscription.redemption_id)).offer_id


def check_same(
    earlier: Subscription, held: OfferId | None, plan: Plan, offer: Offer | None, terms: NewSubscription
) -> None:
    """A repetition asks for the same, `held` being the offer of the earlier one. Raises `signup_differs`."""
    same_offer = held == (offer.id if offer else None)
    same_price = terms.currency in (None, earlier.currency) and terms.quantity == earlier.quantity
    if earlier.plan_id != plan.id or not same_offer or not same_price:
        raise Conflict(
            "signup_differs",
            f"The customer signed up before, with other terms: subscription {earlier.id}. "
            "Change that one, or add another with POST /v1/subscriptions.",
        )


async def _first_invoice(tx: Tx, subscription: Subscription) -> Invoice | None:
    found = await store.first_invoice(tx, subscription.id)
    return await invoices.get(tx, found) if found else None


async def _signup(
    tx: Tx,
    customer: Customer,
    subscription: Subscription,
    offer: Offer | None,
    invoice: Invoice | None,
    *,
    is_new: bool,
) -> Signup:
    return Signup(
        is_new=is_new,
        customer=customer,
        subscription=subscription,
        offer_id=offer.id if offer else None,
        invoice=invoice,
        entitlements=await grants_of(tx, customer.id),
    )
