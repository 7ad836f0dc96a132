"""Pausing a subscription, now or with the end of its period; what it has paid for may be credited."""

from collections.abc import Sequence
from datetime import datetime

from msgspec.structs import replace

from billing.parties import store as parties
from billing.parties.model import LegalEntity
from kernel import jobs, outbox
from kernel.database import Tx
from kernel.errors import Invalid
from kernel.money import total
from kernel.periods import local_date
from refunds.cancel_subscription import credit_unused, locked
from refunds.model import (
    Credit,
    GivenBack,
    NewCancellation,
    NewSubscriptionPause,
    PauseCredit,
    PauseWhen,
    SubscriptionPause,
)
from refunds.rules import terms_of
from subscriptions import pausing, store
from subscriptions.caught_up import caught_up
from subscriptions.events import PauseScheduled, SubscriptionPaused
from subscriptions.model import Status, Subscription, SubscriptionId
from subscriptions.resume import RESUMING


async def pause_subscription(
    tx: Tx, subscription_id: SubscriptionId, request: NewSubscriptionPause
) -> SubscriptionPause:
    """Of one that is paused, or will be, the call sets anew when it is resumed."""
    subscription, entity = await locked(tx, subscription_id)
    subscription = await caught_up(tx, subscription, at=tx.now)
    at = subscription.current_period.end if request.when is PauseWhen.PERIOD_END else tx.now

    pausing.check(subscription, at=at, resume_at=request.resume_at)
    await _check_credit(tx, subscription, request, entity)

    if request.resume_at is not None:
        await jobs.schedule(tx, RESUMING, {"subscription_id": str(subscription.id)}, due=request.resume_at)
    if request.when is PauseWhen.PERIOD_END and subscription.status is not Status.PAUSED:
        return await _schedule(tx, subscription, request, at=at)
    return await _pause(tx, subscription, request, entity)


async def _check_credit(
    tx: Tx, subscription: Subscription, request: NewSubscriptionPause, entity: LegalEntity
) -> None:
    is_credited = request.credit is not PauseCredit.NONE
    if is_credited and (request.when is PauseWhen.PERIOD_END or subscription.status is Status.PAUSED):
        raise Invalid(
            "pause_credit",
            "Only the rest of a period that runs can be credited: pause it now, or leave out credit.",
            param="credit",
        )
    if not is_credited and (request.refund or request.refund_on):
        raise Invalid("pause_credit", "Nothing is credited that could be refunded.", param="refund")
    terms_of(
        await parties.settings(tx),
        asked=request.refund,
        refund_on=request.refund_on,
        today=local_date(tx.now, entity.zone),
    )


async def _schedule(
    tx: Tx, subscription: Subscription, request: NewSubscriptionPause, *, at: datetime
) -> SubscriptionPause:
    to_be = replace(subscription, pause_at=at, resume_at=request.resume_at)

    await store.update(tx, to_be)
    outbox.publish(tx, PauseScheduled(subscription_id=to_be.id, customer_id=to_be.customer_id, pause_at=at))
    return _answer(to_be)


async def _pause(
    tx: Tx, subscription: Subscription, request: NewSubscriptionPause, entity: LegalEntity
) -> SubscriptionPause:
    at = subscription.paused_at or tx.now
    paused = pausing.paused(subscription, at=at, resume_at=request.resume_at)

    await store.update(tx, paused)
    given_back = []
    if request.credit is PauseCredit.PRORATED:
        unused = NewCancellation(
            credit=Credit.PRORATED,
            refund=request.refund,
            refund_on=request.refund_on,
            reason_text=request.reason_text,
        )
        given_back = await credit_unused(tx, subscription, unused, at=at, zone=entity.zone)
        await store.stop_lines(tx, subscription)
    outbox.publish(
        tx,
        SubscriptionPaused(
            subscription_id=paused.id, customer_id=paused.customer_id, resume_at=paused.resume_at
        ),
    )
    return _answer(paused, given_back)


def _answer(subscription: Subscription, given_back: Sequence[GivenBack] = ()) -> SubscriptionPause:
    return SubscriptionPause(
        subscription=subscription,
        credit_notes=tuple(each.credit_note for each in given_back),
        refunds=tuple(refund for each in given_back for refund in each.refunds),
        to_refund_by_hand=total((each.to_refund_by_hand for each in given_back), subscription.currency),
    )
