"""Renewing subscriptions: the next period begins and is billed, for one or for thousands."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from billing.invoices.issue import issue_invoices
from billing.parties import store as parties
from kernel import outbox
from kernel.database import Tx
from kernel.errors import Conflict
from kernel.events import Event
from kernel.periods import Period
from kernel.structs import Value
from promotions.engine import Held
from subscriptions import billing_store, charge_store, pausing, schedule, store
from subscriptions.bill import Bill, Terms, bill_of, bill_of_end, ended_with, ends
from subscriptions.billing_store import Begun
from subscriptions.changing import event_of, from_next_period
from subscriptions.events import (
    SubscriptionEnded,
    SubscriptionPaused,
    SubscriptionRenewed,
    SubscriptionStarted,
)
from subscriptions.model import Renewal, Status, Subscription, SubscriptionId
from subscriptions.serve_offers import serve_offers
from subscriptions.terms import terms_of
from subscriptions.usage import store as usage_store


class NextPeriod(Value, frozen=True, kw_only=True):
    """A subscription as its next period begins, and the bill of it; without, it ended, rests or is tried.

    One that has ended may have a bill of what was left: usage, and charges that waited.

    `had_change` when one was pending: it is carried out, or has come to nothing. `rewritten` when
    more than the period has moved. `ended` are the offers that no bill was the last of.
    """

    subscription: Subscription
    bill: Bill | None
    had_change: bool = False
    rewritten: bool = False
    starts: bool = False
    change_number: int = 0
    ended: tuple[Held, ...] = ()


async def renew(tx: Tx, subscription_id: SubscriptionId) -> Renewal:
    """Raises Conflict `renewal_not_due` before the current period is over, or when there is none."""
    found = await store.get(tx, subscription_id)
    await parties.lock_customer(tx, found.customer_id)
    subscription = await store.lock(tx, subscription_id)
    terms = await terms_of(tx, [from_next_period(subscription)])

    check(subscription, now=tx.now)
    decided = next_period(subscription, terms[subscription.id], now=tx.now)

    [renewal] = await record(tx, [decided])
    await billing_store.forget_failures(tx, [subscription.id])
    return renewal


def check(subscription: Subscription, *, now: datetime) -> None:
    if subscription.next_billing_at is None:
        raise Conflict("renewal_not_due", f"The subscription is {subscription.status}.")
    if subscription.next_billing_at > now:
        raise Conflict(
            "renewal_not_due",
            f"The current period ends at {subscription.next_billing_at.isoformat()}.",
        )
    if subscription.cancel_at is not None and subscription.cancel_at <= subscription.next_billing_at:
        raise Conflict(
            "renewal_not_due",
            f"The subscription is cancelled at {subscription.cancel_at.isoformat()}. Undo that first.",
        )


def next_period(subscription: Subscription, terms: Terms, *, now: datetime) -> NextPeriod:
    """Decides and writes nothing. Raises Conflict where the period cannot be billed.

    `terms` are those of the next period, of a pending change where there is one.
    """
    had_change = subscription.pending_change is not None
    if ends(subscription, terms):
        over = subscription.to(
            Status.ENDED, next_billing_at=None, pending_change=None, phases=(), ended_at=now
        )
        bill = bill_of_end(over, terms, now=now)
        rewritten = had_change or bool(subscription.phases)
        return NextPeriod(
            subscription=over,
            bill=bill,
            had_change=had_change,
            rewritten=rewritten,
            ended=ended_with(subscription, terms),
        )
    if subscription.pause_at is not None:
        paused = pausing.paused(subscription, at=subscription.pause_at, resume_at=subscription.resume_at)
        return NextPeriod(subscription=paused, bill=None)
    starts = subscription.status is Status.INCOMPLETE
    if starts and subscription.trial_ends_at is not None:
        return NextPeriod(
            subscription=_in_trial(subscription, subscription.trial_ends_at), bill=None, starts=True
        )
    begun = _next(subscription, terms)
    return NextPeriod(
        subscription=begun,
        bill=bill_of(begun, terms, now=now),
        starts=starts,
        had_change=had_change or len(begun.phases) < len(subscription.phases),
        rewritten=had_change
        or (begun.phases, begun.anchor_at) != (subscription.phases, subscription.anchor_at),
    )


def _in_trial(subscription: Subscription, ends_at: datetime) -> Subscription:
    """At a start that was to come."""
    trial = Period(subscription.current_period.end, ends_at)
    return subscription.to(Status.TRIALING, current_period=trial, next_billing_at=ends_at)


def _next(subscription: Subscription, terms: Terms) -> Subscription:
    """In its next period, which is the first that is counted or follows the one before."""
    due, zone = from_next_period(subscription), terms.entity.zone
    last, interval = due.current_period, terms.plan.interval
    anchor_at, number = due.anchor_at, due.period_number + 1
    if due.period_number == schedule.TRIAL and due.billing_anchor is not None:
        first = schedule.counted_from(interval, due.billing_anchor, at=last.end, zone=zone)
        anchor_at, number = first.anchor_at, first.period_number
    period = schedule.following(last, interval, anchor_at, number, zone)
    return due.to(
        Status.ACTIVE if due.status in (Status.INCOMPLETE, Status.TRIALING) else due.status,
        anchor_at=anchor_at,
        period_number=number,
        current_period=period,
        next_billing_at=period.end,
    )


async def record(tx: Tx, decided: Sequence[NextPeriod]) -> list[Renewal]:
    """In the same few statements, one or thousands of them. The invoices, which are numbered, come last."""
    bills = [each.bill for each in decided if each.bill]
    await billing_store.begin_pauses(tx, [each.subscription.id for each in decided if _is_paused(each)])
    await billing_store.advance(tx, [_begun(each) for each in decided])
    await billing_store.carry_out_changes(tx, [each.subscription for each in decided if each.rewritten])
    await usage_store.close(tx, [bill.usage for bill in bills if bill.usage])
    await serve_offers(tx, bills, ended=[held for each in decided for held in each.ended])
    await charge_store.bill(tx, bills)
    outbox.publish(tx, *(event for each in decided for event in _events(each)))
    issued = await issue_invoices(tx, [bill.invoice for bill in bills])

    invoices = {invoice.id: invoice for invoice in issued}
    return [
        Renewal(subscription=each.subscription, invoice=invoices[each.bill.invoice.id] if each.bill else None)
        for each in decided
    ]


def _is_paused(decided: NextPeriod) -> bool:
    return decided.subscription.status is Status.PAUSED


def _begun(decided: NextPeriod) -> Begun:
    return Begun(
        subscription=decided.subscription,
        invoice_id=decided.bill.invoice.id if decided.bill else None,
        change_number=decided.change_number,
        decided=decided.bill.decided if decided.bill else None,
    )


def _events(decided: NextPeriod) -> Iterator[Event]:
    subscription, bill = decided.subscription, decided.bill
    if decided.starts:
        yield SubscriptionStarted(subscription_id=subscription.id, customer_id=subscription.customer_id)
    if _is_paused(decided):
        yield SubscriptionPaused(
            subscription_id=subscription.id,
            customer_id=subscription.customer_id,
            resume_at=subscription.resume_at,
        )
        return
    if subscription.is_over:
        yield SubscriptionEnded(subscription_id=subscription.id, customer_id=subscription.customer_id)
    if bill is None or subscription.is_over:
        return
    yield SubscriptionRenewed(
        subscription_id=subscription.id,
        customer_id=subscription.customer_id,
        invoice_id=bill.invoice.id,
    )
    if decided.had_change:
        yield event_of(subscription)
