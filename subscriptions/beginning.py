"""What a subscription begins with: for who signs up, and for who asks what that would cost."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TypeAlias

from msgspec.structs import replace

from billing.parties.add_customer import Found
from billing.parties.model import Proration
from kernel.decimals import Quantity
from kernel.periods import nth_boundary
from kernel.structs import Value
from promotions import duration, engine
from promotions.duration import Serving
from promotions.model import Offer
from subscriptions import addons, charging, pricing, schedule
from subscriptions.model import NewSubscription, Plan, Price, Status, Subscription, SubscriptionId
from subscriptions.terms import Untaxed

# An add-on and how many of it.
Beside: TypeAlias = tuple[Plan, Quantity]


class Begun(Value, frozen=True, kw_only=True):
    """A subscription that begins, and what decides its price but for the VAT and the offers.

    With free days it is trialing, otherwise its first period is billed.
    """

    subscription: Subscription
    untaxed: Untaxed

    def serving(self, offer: Offer) -> Serving:
        """Which periods an offer given with it serves: from the first that is paid for."""
        return duration.serving(
            offer.duration,
            applies_from=schedule.paid_from(self.subscription),
            anchor_at=self.subscription.anchor_at,
            zone=self.untaxed.entity.zone,
        )


def begin(
    request: NewSubscription,
    buyer: Found,
    plan: Plan,
    beside: Mapping[str, Plan],
    offers: Iterable[Offer],
    *,
    stubs_by: Proration,
    now: datetime,
) -> Begun:
    """Writes nothing. `beside` are the add-ons by the names they are asked for.

    Raises Invalid where the plan cannot be had like that.
    """
    addons.check_base(plan)
    price = pricing.price_in(plan, request.currency)
    schedule.check(plan.interval, request.billing_anchor)
    schedule.check_start(plan.interval, request.starts_at, now=now, zone=buyer.entity.zone)
    taken = addons.taken(plan, price.currency, request.addons, beside)
    also = [(beside[each.plan], each.quantity) for each in request.addons]
    subscription = replace(_subscription(request, buyer, plan, price, offers, now=now), addons=taken)
    plans = [plan, *(addon for addon, _ in also)]
    untaxed = Untaxed(
        entity=buyer.entity,
        customer=buyer.customer,
        plan=plan,
        held=(),
        addons=also,
        charges=charging.setup_fees(subscription, plans, buyer.customer.language, now=now),
        stubs_by=stubs_by,
    )
    return Begun(subscription=subscription, untaxed=untaxed)


def _subscription(
    request: NewSubscription,
    buyer: Found,
    plan: Plan,
    price: Price,
    offers: Iterable[Offer],
    *,
    now: datetime,
) -> Subscription:
    starts_at, zone = request.starts_at or now, buyer.entity.zone
    starts = schedule.start(
        plan.interval,
        request.billing_anchor,
        free_days=max((engine.free_days(offer) for offer in offers), default=0) or plan.trial_days,
        at=starts_at,
        zone=zone,
    )
    if starts_at > now:
        starts = schedule.until(starts, now=now)
    status = Status.TRIALING if starts.trial_ends_at else Status.ACTIVE
    paid_from = starts.trial_ends_at or starts_at
    term = request.minimum_term or plan.minimum_term
    return Subscription(
        id=SubscriptionId.new(),
        customer_id=buyer.customer.id,
        plan_id=plan.id,
        version=plan.version,
        currency=price.currency,
        quantity=pricing.billed_quantity(price, request.quantity),
        status=status if starts_at <= now else Status.INCOMPLETE,
        collection=request.collection,
        anchor_at=starts.anchor_at,
        period_number=starts.period_number,
        current_period=starts.period,
        trial_ends_at=starts.trial_ends_at,
        next_billing_at=starts.period.end,
        term_ends_at=nth_boundary(paid_from, term, 1, zone) if term else None,
        billing_anchor=request.billing_anchor,
        cancel_at=None,
        cancelled_at=None,
        ended_at=None,
        metadata=request.metadata,
        created_at=now,
    )
