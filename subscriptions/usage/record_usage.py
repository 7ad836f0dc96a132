"""Recording usage, one record or a thousand: each event counts once, in the bill that is still to come."""

from collections.abc import Sequence

from billing.parties import store as parties
from billing.parties.model import CustomerId
from kernel.database import Tx
from kernel.errors import not_found
from subscriptions import plan_store
from subscriptions.meters import store as meters
from subscriptions.model import Plan, PlanId, SubscriptionId
from subscriptions.usage import rules, store
from subscriptions.usage.model import NewRecord, NewUsage, Recorded, Report
from subscriptions.usage.rules import Decision, Sent, Target


async def record_usage(tx: Tx, request: NewUsage) -> Report:
    """Bills and records of one subscription take turns: what is recorded after a bill is in the next one.

    Raises Invalid or NotFound, and records nothing, where a record could never be right.
    """
    sent = await _with_what_they_name(tx, request.records)
    targets = await store.lock_subscriptions(
        tx,
        [each.subscription_id for each in sent if each.subscription_id],
        [each.customer_id for each in sent if each.customer_id],
    )
    _check_found(sent, targets)
    earlier = await store.of_events(tx, {each.record.event_id for each in sent})
    plans = await _plans_of_several(tx, targets)

    for place, each in enumerate(sent):
        rules.check(place, each, now=tx.now)
    decided = rules.decide(sent, targets, earlier, plans, now=tx.now)

    return rules.report(await _record(tx, sent, decided))


async def _record(tx: Tx, sent: Sequence[Sent], decided: Decision) -> list[Recorded]:
    """Somebody else may have recorded the same event a moment ago: then that one counts."""
    written = await store.insert(tx, list(decided.new.values())) if decided.new else set()
    beaten = {record.event_id for record in decided.new.values() if record.id not in written}
    theirs = await store.of_events(tx, beaten) if beaten else {}

    return [
        rules.repeated(each, theirs[each.record.event_id])
        if each.record.event_id in theirs
        else rules.answer(decided, place)
        for place, each in enumerate(sent)
    ]


async def _with_what_they_name(tx: Tx, records: Sequence[NewRecord]) -> list[Sent]:
    named_meters = await meters.find(tx, {record.meter for record in records})
    customers = await parties.find_customers(tx, {record.customer for record in records if record.customer})
    sent = []
    for place, record in enumerate(records):
        rules.check_whose(place, record)
        if record.meter not in named_meters:
            raise rules.at_place(not_found("meter", record.meter), place, "meter")
        if record.customer is not None and record.customer not in customers:
            raise rules.at_place(not_found("customer", record.customer), place, "customer")
        sent.append(
            Sent(
                record=record,
                meter=named_meters[record.meter],
                customer_id=_customer_of(record, customers),
                subscription_id=_subscription_of(place, record),
            )
        )
    return sent


def _customer_of(record: NewRecord, customers: dict[str, CustomerId]) -> CustomerId | None:
    return None if record.customer is None else customers[record.customer]


def _subscription_of(place: int, record: NewRecord) -> SubscriptionId | None:
    if record.subscription is None:
        return None
    subscription_id = SubscriptionId.read(record.subscription)
    if subscription_id is None:
        raise rules.at_place(not_found("subscription", record.subscription), place, "subscription")
    return subscription_id


def _check_found(sent: Sequence[Sent], targets: Sequence[Target]) -> None:
    there = {target.id for target in targets}
    for place, each in enumerate(sent):
        if each.subscription_id is not None and each.subscription_id not in there:
            raise rules.at_place(not_found("subscription", each.subscription_id), place, "subscription")


async def _plans_of_several(tx: Tx, targets: Sequence[Target]) -> dict[tuple[PlanId, int], Plan]:
    """Only where a customer has more than one subscription that runs does the plan matter."""
    running = [target for target in targets if not target.is_over]
    customers = [target.customer_id for target in running]
    several = [target for target in running if customers.count(target.customer_id) > 1]
    keys = {(target.plan_id, target.version) for target in several}
    return await plan_store.versions_of(tx, keys) if keys else {}
