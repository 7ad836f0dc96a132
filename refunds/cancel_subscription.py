"""Cancelling a subscription: it stops, and what it billed in advance is credited and given back.

Now, or at a time to come: then it is kept as it was asked for, and a job carries it out.
"""

from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

import msgspec

from billing.credit_notes.model import Reason
from billing.invoices.model import Invoice
from billing.parties import store as parties
from billing.parties.model import LegalEntity, Proration
from kernel import jobs, outbox
from kernel.database import Tx
from kernel.errors import Conflict, Invalid
from kernel.money import total
from kernel.periods import local_date
from kernel.structs import from_wire
from refunds.credit_period import Unused, credit_invoices, to_credit
from refunds.model import Cancellation, Credit, GivenBack, NewCancellation, When
from refunds.rules import terms_of
from subscriptions import store as subscriptions
from subscriptions.caught_up import caught_up
from subscriptions.end_charges import end_charges
from subscriptions.events import CancellationScheduled, CancellationUndone, SubscriptionCancelled
from subscriptions.model import Status, Subscription, SubscriptionId
from subscriptions.usage.bill_usage import bill_usage

CANCELLING = "cancel_subscription"


async def cancel_subscription(
    tx: Tx, subscription_id: SubscriptionId, request: NewCancellation
) -> Cancellation:
    """Asked for again with another time, the new one counts."""
    subscription, entity = await locked(tx, subscription_id)

    if subscription.is_over:
        raise Conflict("subscription_over", f"The subscription is {subscription.status} already.")
    at = time_of(request, subscription, now=tx.now)
    check_term(request, subscription, at=at)
    terms_of(
        await parties.settings(tx),
        asked=request.refund,
        refund_on=request.refund_on,
        today=local_date(at, entity.zone),
    )

    if at <= tx.now:
        return await _cancel(tx, subscription, request, at=tx.now, zone=entity.zone)
    return await _schedule(tx, subscription, request, at=at)


async def cancel_due(tx: Tx, subscription_id: SubscriptionId) -> None:
    """Carry out the cancellation whose time has come, as of that time. One that was undone is gone."""
    subscription, entity = await locked(tx, subscription_id)
    asked = await subscriptions.cancellation(tx, subscription_id)

    if subscription.is_over or subscription.cancel_at is None or subscription.cancel_at > tx.now:
        return
    request = msgspec.convert(asked, NewCancellation, dec_hook=from_wire)

    await _cancel(tx, subscription, request, at=subscription.cancel_at, zone=entity.zone)


async def undo_cancellation(tx: Tx, subscription_id: SubscriptionId) -> Subscription:
    """Before it takes effect. The subscription goes on as if nothing had been asked."""
    subscription, _ = await locked(tx, subscription_id)

    if subscription.is_over or subscription.cancel_at is None:
        raise Conflict("cancellation_not_scheduled", "No cancellation of this subscription is to come.")

    await subscriptions.put_cancellation(tx, subscription.id, None, None)
    outbox.publish(
        tx, CancellationUndone(subscription_id=subscription.id, customer_id=subscription.customer_id)
    )
    return msgspec.structs.replace(subscription, cancel_at=None)


def time_of(request: NewCancellation, subscription: Subscription, *, now: datetime) -> datetime:
    """When it takes effect. Raises Invalid `cancellation_time`."""
    if (request.when is When.AT) != (request.at is not None):
        raise Invalid("cancellation_time", "Send `at` with when: at, and only with it.", param="at")
    match request.when:
        case When.NOW:
            return now
        case When.PERIOD_END:
            return max(now, subscription.current_period.end)
        case When.AT:
            assert request.at is not None, "checked above"
            if request.at < now:
                raise Invalid(
                    "cancellation_time", "A cancellation cannot take effect before now.", param="at"
                )
            return request.at
        case When.TERM_END:
            if subscription.term_ends_at is None:
                raise Invalid("cancellation_time", "The subscription has no minimum term.", param="when")
            return max(now, subscription.term_ends_at)


def check_term(request: NewCancellation, subscription: Subscription, *, at: datetime) -> None:
    term_ends_at = subscription.term_ends_at
    if term_ends_at is not None and at < term_ends_at and not request.override_term:
        raise Conflict(
            "minimum_term",
            f"The subscription runs until {term_ends_at.isoformat()} at least. Cancel it with "
            "when: term_end, or with override_term.",
            param="when",
        )


async def _schedule(
    tx: Tx, subscription: Subscription, request: NewCancellation, *, at: datetime
) -> Cancellation:
    await subscriptions.put_cancellation(tx, subscription.id, at, request)
    await jobs.schedule(tx, CANCELLING, {"subscription_id": str(subscription.id)}, due=at)
    outbox.publish(
        tx,
        CancellationScheduled(
            subscription_id=subscription.id, customer_id=subscription.customer_id, cancel_at=at
        ),
    )
    return _answer(msgspec.structs.replace(subscription, cancel_at=at))


async def _cancel(
    tx: Tx, subscription: Subscription, request: NewCancellation, *, at: datetime, zone: ZoneInfo
) -> Cancellation:
    subscription = await caught_up(tx, subscription, at=at)
    if subscription.is_over:
        return _answer(subscription)
    cancelled = subscription.to(
        Status.CANCELLED,
        next_billing_at=None,
        pending_change=None,
        phases=(),
        pause_at=None,
        resume_at=None,
        cancelled_at=at,
        ended_at=at,
    )

    # What was used is billed and stays billed, whatever is credited of the invoices that were there before.
    usage = await bill_usage(tx, subscription, until=at, is_last=True)
    await subscriptions.update(tx, cancelled)
    await end_charges(tx, subscription, all_forgone=request.credit is Credit.FULL)
    given_back = await credit_unused(tx, subscription, request, at=at, zone=zone)
    if usage is not None:
        await subscriptions.link_change(tx, subscription, usage.invoice.id, usage.decided)
    outbox.publish(tx, SubscriptionCancelled(subscription_id=cancelled.id, customer_id=cancelled.customer_id))
    return _answer(cancelled, usage.invoice if usage else None, given_back)


def _answer(
    subscription: Subscription, invoice: Invoice | None = None, given_back: Sequence[GivenBack] = ()
) -> Cancellation:
    return Cancellation(
        subscription=subscription,
        invoice=invoice,
        credit_notes=tuple(each.credit_note for each in given_back),
        refunds=tuple(refund for each in given_back for refund in each.refunds),
        to_refund_by_hand=total((each.to_refund_by_hand for each in given_back), subscription.currency),
    )


async def locked(tx: Tx, subscription_id: SubscriptionId) -> tuple[Subscription, LegalEntity]:
    found = await subscriptions.get(tx, subscription_id)
    customer = await parties.lock_customer(tx, found.customer_id)
    subscription = await subscriptions.lock(tx, subscription_id)
    return subscription, await parties.legal_entity(tx, customer.legal_entity_id)


async def credit_unused(
    tx: Tx, subscription: Subscription, request: NewCancellation, *, at: datetime, zone: ZoneInfo
) -> list[GivenBack]:
    """In seconds where the tenant prorates by them, otherwise in days; whether at all, the call says."""
    settings = await parties.settings(tx)
    by = Proration.SECOND if settings.proration is Proration.SECOND else Proration.DAY
    unused = Unused(
        at=at,
        zone=zone,
        by=by,
        credit=request.credit,
        reason=Reason.CANCELLATION,
        reason_text=request.reason_text,
        refund=request.refund,
        refund_on=request.refund_on,
    )
    billed = await subscriptions.invoices_of_period(tx, subscription)
    return await credit_invoices(tx, to_credit(billed, request.credit), unused)
