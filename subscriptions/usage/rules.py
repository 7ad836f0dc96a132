"""What becomes of each record that is reported. Pure.

A request that can never be right is refused as a whole, and nothing of it is recorded. What only the state of
things stands against (a subscription that is over, an event that was another) is told record by record, so
that one of them does not hold up the others.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from billing.parties.model import CustomerId
from kernel.decimals import Measure
from kernel.errors import Conflict, DomainError, Invalid
from kernel.structs import Value
from subscriptions.meters.model import Aggregation, Meter
from subscriptions.model import Plan, PlanId, Quota, SubscriptionId
from subscriptions.usage.model import NewRecord, Outcome, Recorded, Report, UsageId, UsageRecord

# How far the clocks of others may be ahead of ours.
AHEAD = timedelta(minutes=5)

ONE = Measure(1)


class Target(Value, frozen=True, kw_only=True):
    """A subscription that usage may be of, locked."""

    id: SubscriptionId
    customer_id: CustomerId
    plan_id: PlanId
    version: int
    is_over: bool
    began_at: datetime


class Sent(Value, frozen=True, kw_only=True):
    """A record with what it names."""

    record: NewRecord
    meter: Meter
    customer_id: CustomerId | None
    subscription_id: SubscriptionId | None

    @property
    def quantity(self) -> Measure | None:
        is_counted = self.meter.aggregation is Aggregation.SUM and self.record.quantity is None
        return ONE if is_counted else self.record.quantity

    def at(self, now: datetime) -> datetime:
        return self.record.at or now

    def is_of(self, target: Target) -> bool:
        if self.subscription_id is not None:
            return target.id == self.subscription_id
        return target.customer_id == self.customer_id and not target.is_over


class Decision(Value, frozen=True, kw_only=True):
    """What to record, and for the others what to answer, by their place in the request."""

    new: dict[int, UsageRecord]
    answers: dict[int, Recorded]


# ── The request as a whole ──────────────────────────────────────────────────────────────────────────────


def check(place: int, sent: Sent, *, now: datetime) -> None:
    record, by_value = sent.record, sent.meter.aggregation is Aggregation.UNIQUE
    if by_value != (record.value is not None) or (sent.quantity is None) != by_value:
        raise Invalid(
            "usage_form",
            f"The meter {sent.meter.reference!r} ({sent.meter.aggregation}) takes a "
            f"{'value, and no quantity' if by_value else 'quantity, and no value'}.",
            param=_place(place, "value" if by_value else "quantity"),
        )
    if sent.at(now) > now + AHEAD:
        raise Invalid(
            "usage_in_future",
            f"Usage is reported when it has happened: it is {now.isoformat()} now.",
            param=_place(place, "at"),
        )


def check_whose(place: int, record: NewRecord) -> None:
    if (record.customer is None) == (record.subscription is None):
        raise Invalid(
            "usage_of_one", "Usage is of a customer or of a subscription: name one.", param=_place(place)
        )


def at_place(refusal: DomainError, place: int, field: str) -> DomainError:
    refusal.param = _place(place, field)
    return refusal


def _place(place: int, field: str | None = None) -> str:
    return f"records[{place}].{field}" if field else f"records[{place}]"


# ── Record by record ────────────────────────────────────────────────────────────────────────────────────


def decide(
    sent: Sequence[Sent],
    targets: Sequence[Target],
    earlier: Mapping[str, UsageRecord],
    plans: Mapping[tuple[PlanId, int], Plan],
    *,
    now: datetime,
) -> Decision:
    """`plans` are those of customers who have several subscriptions: there the meter decides which it is."""
    seen, new, answers = dict(earlier), {}, {}
    for place, each in enumerate(sent):
        event_id = each.record.event_id
        if event_id in seen:
            answers[place] = repeated(each, seen[event_id])
            continue
        try:
            target = target_of(each, targets, plans)
            seen[event_id] = new[place] = _record(each, target, now=now)
        except Conflict as refusal:
            answers[place] = _refused(each, refusal)
    return Decision(new=new, answers=answers)


def repeated(sent: Sent, earlier: UsageRecord) -> Recorded:
    """What was recorded under the name of an event stays; the same again is nothing new."""
    if not _is_same(sent, earlier):
        return _refused(
            sent,
            Conflict("usage_differs", f"{sent.record.event_id!r} was recorded with other content."),
        )
    return Recorded(event_id=earlier.event_id, outcome=Outcome.DUPLICATE, id=earlier.id)


def _is_same(sent: Sent, earlier: UsageRecord) -> bool:
    """As far as it says anything: without a time it is the same at any."""
    return (
        (earlier.meter_id, earlier.quantity, earlier.value)
        == (sent.meter.id, sent.quantity, sent.record.value)
        and sent.record.at in (None, earlier.at)
        and sent.customer_id in (None, earlier.customer_id)
        and sent.subscription_id in (None, earlier.subscription_id)
    )


def target_of(sent: Sent, targets: Iterable[Target], plans: Mapping[tuple[PlanId, int], Plan]) -> Target:
    """The subscription named, or the one that runs; of several, the only one whose plan uses the meter."""
    found = [target for target in targets if sent.is_of(target)]
    if len(found) > 1:
        found = [target for target in found if uses(plans[target.plan_id, target.version], sent.meter)]
        if len(found) != 1:
            raise Conflict(
                "usage_ambiguous",
                f"The customer has several subscriptions, {len(found) or 'none'} of which on a plan with the "
                f"meter {sent.meter.reference!r}: name the subscription.",
            )
    if not found:
        raise Conflict("usage_without_subscription", "The customer has no subscription that runs.")
    [target] = found
    if target.is_over:
        raise Conflict("subscription_over", "The subscription is over, and its usage has been billed.")
    return target


def uses(plan: Plan, meter: Meter) -> bool:
    """Whether it has a price or a quota of it."""
    quotas = (grant.meter for grant in plan.entitlements.values() if isinstance(grant, Quota))
    return meter.reference in quotas or any(each.meter_id == meter.id for each in plan.meters)


def _record(sent: Sent, target: Target, *, now: datetime) -> UsageRecord:
    """When it counts is known once it is written: what has been billed may keep it for the next bill."""
    at = sent.at(now)
    if at < target.began_at:
        raise Conflict("usage_too_early", f"The subscription began at {target.began_at.isoformat()}.")
    return UsageRecord(
        id=UsageId.new(),
        event_id=sent.record.event_id,
        customer_id=target.customer_id,
        subscription_id=target.id,
        meter_id=sent.meter.id,
        quantity=sent.quantity,
        value=sent.record.value,
        at=at,
        counts_at=at,
        created_at=now,
    )


def _refused(sent: Sent, refusal: DomainError) -> Recorded:
    return Recorded(
        event_id=sent.record.event_id,
        outcome=Outcome.REFUSED,
        id=None,
        code=refusal.code,
        detail=refusal.detail,
    )


def answer(decided: Decision, place: int) -> Recorded:
    if place in decided.answers:
        return decided.answers[place]
    record = decided.new[place]
    return Recorded(event_id=record.event_id, outcome=Outcome.RECORDED, id=record.id)


def report(answers: Iterable[Recorded]) -> Report:
    records = tuple(answers)
    outcomes = [each.outcome for each in records]
    return Report(
        recorded=outcomes.count(Outcome.RECORDED),
        duplicates=outcomes.count(Outcome.DUPLICATE),
        refused=outcomes.count(Outcome.REFUSED),
        records=records,
    )
