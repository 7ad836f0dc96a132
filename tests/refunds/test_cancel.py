"""Cancelling: what was not used is credited, and goes back in the way that was asked for."""

from datetime import UTC, date, datetime, timedelta
from itertools import product

import pytest

from billing.credit_notes.model import CreditNote, Reason
from billing.gateways.model import Outcome
from billing.gateways.model import Status as OutcomeStatus
from billing.invoices.model import Invoice, InvoiceId, Status
from billing.parties.change_settings import change_settings
from billing.parties.model import Proration, RefundMode, SettingsChange
from billing.payments.model import OutsideMeans
from kernel.database import Pool, Tx, leave_behind, transaction
from kernel.errors import Conflict, Invalid
from kernel.ids import TenantId
from promotions.model import AtEnd, Forever, Periods
from refunds import store
from refunds.cancel_subscription import cancel_subscription
from refunds.model import Cancellation, Credit, NewCancellation, NewManualRefund
from refunds.model import Status as RefundStatus
from refunds.record_refund import record_refund
from refunds.send_refund import finish_refund, start_refund
from subscriptions import store as subscriptions
from subscriptions.entitlements import grants_of
from subscriptions.model import Status as SubscriptionStatus
from subscriptions.model import Subscription
from subscriptions.renew import renew
from tests.books import accounts_of, assert_sound
from tests.makers import NOON, euros
from tests.promotions.offers import a_new_offer, days, percent
from tests.refunds.cases import TENTH_DAY, an_intent, billed, paid_by_provider, settlement_of
from tests.shop import a_credit, a_payment, at, by_amount, while_open
from tests.subscriptions.plans import renewed, signed_up

CREDITED = {Credit.NONE: 0, Credit.PRORATED: 23_58, Credit.FULL: 34_80}  # 29.00 × 21 / 31 is 19.65


async def cancel(
    tx: Tx,
    subscription: Subscription,
    *,
    credit: Credit = Credit.PRORATED,
    refund: RefundMode | None = None,
    on: date | None = None,
    now: datetime = TENTH_DAY,
) -> Cancellation:
    request = NewCancellation(credit=credit, refund=refund, refund_on=on)
    return await cancel_subscription(at(tx, now), subscription.id, request)


async def pay(tx: Tx, invoice: Invoice, way: str) -> tuple[int, int]:
    """What was paid through the provider, and past it."""
    match way:
        case "by provider":
            await paid_by_provider(tx, invoice)
            return 34_80, 0
        case "by transfer":
            await a_payment(tx, invoice)
            return 0, 34_80
        case "by both":
            await a_payment(tx, invoice, 20_00)
            await paid_by_provider(tx, invoice)
            return 14_80, 20_00
        case "partly":
            await paid_by_provider(tx, invoice, 10_00)
            return 10_00, 0
        case _:
            return 0, 0


def note_of(cancellation: Cancellation) -> CreditNote:
    (note,) = cancellation.credit_notes
    return note


async def bring_to_its_end(tx: Tx, cancellation: Cancellation) -> None:
    """The provider says yes, and what was promised goes by hand."""
    for refund in cancellation.refunds:
        on_its_day = at(tx, datetime.combine(refund.due_on, NOON.timetz()))
        await start_refund(on_its_day, refund.id)
        await finish_refund(on_its_day, refund.id, Outcome(status=OutcomeStatus.SUCCEEDED, reference="re_1"))
    if cancellation.to_refund_by_hand:
        await record_refund(tx, note_of(cancellation).id, NewManualRefund(means=OutsideMeans.TRANSFER))


@pytest.mark.parametrize(
    ("mode", "way", "credit"),
    list(product(RefundMode, ["by provider", "by transfer", "by both", "partly", "not"], Credit)),
)
async def test_in_each_mode_however_it_was_paid_every_cent_has_its_place(
    tx: Tx, mode: RefundMode, way: str, credit: Credit
) -> None:
    case = await billed(tx)
    by_provider, by_transfer = await pay(tx, case.invoice, way)
    unpaid = 34_80 - by_provider - by_transfer
    applied = min(CREDITED[credit], unpaid)
    given_back = CREDITED[credit] - applied
    carried = min(given_back, by_provider) if mode in (RefundMode.AUTOMATIC, RefundMode.DEFERRED) else 0
    by_hand = 0 if mode is RefundMode.NONE else given_back - carried

    cancellation = await cancel(tx, case.subscription, credit=credit, refund=mode)
    settlement = await settlement_of(tx, case.invoice)

    assert cancellation.subscription.status is SubscriptionStatus.CANCELLED
    assert (not cancellation.credit_notes) == (credit is Credit.NONE)
    assert sum(refund.amount.minor for refund in cancellation.refunds) == carried
    assert cancellation.to_refund_by_hand == euros(by_hand)
    assert (settlement.due, settlement.offset) == (euros(unpaid - applied), euros(applied))
    assert (settlement.status is Status.SETTLED) == (unpaid == applied)
    if cancellation.credit_notes:
        note = note_of(cancellation).settlement
        assert (note.applied, note.held, note.promised) == (euros(applied), euros(carried), euros(by_hand))
        assert note.left == euros(given_back - carried - by_hand)
    await assert_sound(at(tx, TENTH_DAY))

    await bring_to_its_end(at(tx, TENTH_DAY), cancellation)
    await assert_sound(tx)
    kept = given_back if mode is RefundMode.NONE else 0
    receivable = (await accounts_of(tx)).get("411", 0)
    assert receivable == unpaid - applied - kept
    if credit is Credit.FULL and not kept:
        assert await accounts_of(tx) == {}


# ── How much ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("now", "net"),
    [
        (NOON, 29_00),  # the first day is not used either
        (NOON + timedelta(hours=11, minutes=59), 29_00),
        (NOON + timedelta(hours=13), 28_06),  # 30 of 31 days: midnight is where the seller is
        (TENTH_DAY, 19_65),
        (datetime(2026, 2, 14, 22, 59, tzinfo=UTC), 94),
    ],
)
async def test_the_day_of_the_cancellation_is_credited(tx: Tx, now: datetime, net: int) -> None:
    case = await billed(tx)
    note = note_of(await cancel(tx, case.subscription, now=now))

    assert (note.net, note.reason) == (euros(net), Reason.CANCELLATION)
    await assert_sound(tx)


@pytest.mark.parametrize(
    ("by", "net"),
    [
        (Proration.DAY, 19_65),  # 21 of 31 days
        (Proration.SECOND, 19_41),  # 20 days and 18 hours: 29.00 × 20.75 / 31
        (Proration.NONE, 19_65),  # that is for changes: a cancellation says itself what it credits
    ],
)
async def test_it_is_counted_as_the_tenant_prorates(tx: Tx, by: Proration, net: int) -> None:
    case = await billed(tx)
    await change_settings(tx, SettingsChange(proration=by))

    note = note_of(await cancel(tx, case.subscription, now=TENTH_DAY + timedelta(hours=6)))

    assert note.net == euros(net)
    await assert_sound(tx)


async def test_on_the_day_the_period_ends_nothing_is_left_to_credit(tx: Tx) -> None:
    case = await billed(tx)
    cancellation = await cancel(tx, case.subscription, now=datetime(2026, 2, 15, 8, tzinfo=UTC))

    assert (cancellation.credit_notes, cancellation.refunds) == ((), ())
    assert cancellation.to_refund_by_hand == euros(0)


async def test_what_is_credited_is_the_line_as_billed(tx: Tx) -> None:
    signup = await signed_up(tx, offer=a_new_offer(percent("50"), duration=Forever()))

    assert note_of(await cancel(tx, signup.subscription)).net == euros(9_82)  # of 14.50


async def test_what_was_credited_before_is_not_credited_again(tx: Tx) -> None:
    case = await billed(tx)
    await a_credit(tx, case.invoice, by_amount(case.invoice.lines[0], 20_00))

    assert note_of(await cancel(tx, case.subscription)).net == euros(9_00)
    await assert_sound(tx)


async def test_the_current_period_is_credited_and_not_the_one_before(tx: Tx) -> None:
    case = await billed(tx)
    renewal = await renewed(tx, case.subscription)
    assert renewal.invoice is not None

    note = note_of(
        await cancel(tx, case.subscription, credit=Credit.FULL, now=datetime(2026, 2, 20, tzinfo=UTC))
    )

    assert note.invoice_id == renewal.invoice.id
    assert (await settlement_of(tx, case.invoice)).credited == euros(0)


@pytest.mark.parametrize("offer", [a_new_offer(days(30)), a_new_offer(percent("100"))])
async def test_what_cost_nothing_gives_nothing_back(tx: Tx, offer: object) -> None:
    signup = await signed_up(tx, offer=offer)  # type: ignore[arg-type]
    cancellation = await cancel(tx, signup.subscription, credit=Credit.FULL)

    assert (cancellation.credit_notes, cancellation.refunds) == ((), ())


# ── Overdue ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_period_that_nobody_had_billed_is_billed_and_its_rest_credited(tx: Tx) -> None:
    """Nineteen days of it were used: the nine that are left are credited, the day of the call among them."""
    case = await billed(tx)
    now = case.subscription.current_period.end + timedelta(days=19)
    cancellation = await cancel(tx, case.subscription, now=now)

    first, second = await invoices_of(tx, case.subscription)
    note = note_of(cancellation)
    assert first == case.invoice.id
    assert (note.invoice_id, note.net) == (second, euros(9_32))  # 29.00 × 9 / 28
    assert note.settlement.applied == note.total
    assert (cancellation.subscription.status, cancellation.subscription.period_number) == (
        SubscriptionStatus.CANCELLED,
        1,
    )
    assert (await settlement_of(tx, case.invoice)).credited == euros(0)
    await assert_sound(tx)


async def test_all_periods_that_nobody_had_billed_are_billed(tx: Tx) -> None:
    case = await billed(tx)
    now = datetime(2026, 4, 20, 11, tzinfo=UTC)
    cancellation = await cancel(tx, case.subscription, credit=Credit.FULL, now=now)

    *earlier, last = await invoices_of(tx, case.subscription)
    assert len(earlier) == 3
    assert note_of(cancellation).invoice_id == last
    assert (await tx.conn.fetchval("SELECT sum(net_minor)::int FROM invoices")) == 4 * 29_00
    assert cancellation.subscription.current_period.end == datetime(2026, 5, 15, 10, tzinfo=UTC)
    with pytest.raises(Conflict):
        await renew(at(tx, now), case.subscription.id)
    await assert_sound(tx)


async def test_at_the_moment_the_period_ends_the_next_has_begun(tx: Tx) -> None:
    case = await billed(tx)
    end = case.subscription.current_period.end

    assert note_of(await cancel(tx, case.subscription, now=end)).net == euros(29_00)
    assert len(await invoices_of(tx, case.subscription)) == 2


async def test_a_trial_that_is_over_is_billed_before_it_is_cancelled(tx: Tx) -> None:
    signup = await signed_up(tx, offer=a_new_offer(days(10)))
    cancellation = await cancel(tx, signup.subscription, now=NOON + timedelta(days=10))

    assert note_of(cancellation).net == euros(29_00)


@pytest.mark.parametrize("overdue", [0, 19, 100])
async def test_what_had_to_end_with_its_offer_has_ended(tx: Tx, overdue: int) -> None:
    signup = await signed_up(tx, offer=a_new_offer(percent("50"), at_end=AtEnd.END))
    now = signup.subscription.current_period.end + timedelta(days=overdue)
    cancellation = await cancel(tx, signup.subscription, credit=Credit.FULL, now=now)

    assert cancellation.subscription.status is SubscriptionStatus.ENDED
    assert cancellation.subscription == await subscriptions.get(tx, signup.subscription.id)
    assert (cancellation.credit_notes, cancellation.refunds) == ((), ())
    assert len(await invoices_of(tx, signup.subscription)) == 1
    await leave_behind(tx)
    events = await tx.conn.fetch("SELECT type FROM events WHERE type LIKE 'subscription.%' ORDER BY id")
    assert [event["type"] for event in events] == ["subscription.started", "subscription.ended"]


async def test_an_offer_of_two_periods_ends_after_the_second(tx: Tx) -> None:
    offer = a_new_offer(percent("50"), duration=Periods(count=2), at_end=AtEnd.END)
    signup = await signed_up(tx, offer=offer)
    cancellation = await cancel(tx, signup.subscription, now=datetime(2026, 4, 20, tzinfo=UTC))

    assert cancellation.subscription.status is SubscriptionStatus.ENDED
    assert len(await invoices_of(tx, signup.subscription)) == 2


async def invoices_of(tx: Tx, subscription: Subscription) -> list[InvoiceId]:
    rows = await tx.conn.fetch(
        "SELECT invoice_id FROM subscription_invoices WHERE subscription_id = $1 ORDER BY period_start",
        subscription.id,
    )
    return [InvoiceId.of(row["invoice_id"]) for row in rows]


# ── When ────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_cancelled_subscription_entitles_to_nothing_and_is_not_billed(tx: Tx) -> None:
    case = await billed(tx)
    cancellation = await cancel(tx, case.subscription)

    stored = await subscriptions.get(tx, case.subscription.id)
    assert stored == cancellation.subscription
    assert (stored.next_billing_at, stored.cancelled_at, stored.ended_at) == (None, TENTH_DAY, TENTH_DAY)
    assert (await grants_of(tx, "user-77")).features == {}
    with pytest.raises(Conflict):
        await renewed(tx, case.subscription)


async def test_a_subscription_is_cancelled_once(tx: Tx) -> None:
    case = await billed(tx)
    await cancel(tx, case.subscription)

    with pytest.raises(Conflict) as refused:
        await cancel(tx, case.subscription)
    assert refused.value.code == "subscription_over"


async def test_cancelling_twice_at_once_credits_once(pool: Pool, tenant: TenantId) -> None:
    async with transaction(pool, tenant, now=NOON) as tx:
        case = await billed(tx)

    with pytest.raises(Conflict) as refused:
        await while_open(
            pool, tenant, lambda tx: cancel(tx, case.subscription), lambda tx: cancel(tx, case.subscription)
        )
    assert refused.value.code == "subscription_over"


async def test_a_renewal_that_comes_while_it_is_cancelled_bills_nothing(pool: Pool, tenant: TenantId) -> None:
    async with transaction(pool, tenant, now=NOON) as tx:
        case = await billed(tx)
    end = case.subscription.current_period.end

    with pytest.raises(Conflict, match="The subscription is cancelled"):
        await while_open(
            pool,
            tenant,
            lambda tx: cancel(tx, case.subscription, now=end),
            lambda tx: renew(tx, case.subscription.id),
            now=end,
        )


async def test_while_a_payment_is_under_way_nothing_is_cancelled(tx: Tx) -> None:
    case = await billed(tx)
    await paid_by_provider(tx, case.invoice, 10_00)
    await an_intent(tx, case.invoice, None)

    with pytest.raises(Conflict) as refused:
        await cancel(tx, case.subscription)
    assert refused.value.code == "payment_in_flight"


async def test_a_refund_on_a_day_to_come_is_scheduled_for_it(tx: Tx) -> None:
    case = await billed(tx)
    await paid_by_provider(tx, case.invoice)
    day = date(2026, 3, 31)
    cancellation = await cancel(tx, case.subscription, refund=RefundMode.DEFERRED, on=day)

    (refund,) = cancellation.refunds
    assert (refund.status, refund.due_on) == (RefundStatus.SCHEDULED, day)
    assert note_of(cancellation).refund_on == day
    assert await store.get(tx, refund.id) == refund


async def test_a_day_for_a_refund_that_is_not_deferred_is_refused(tx: Tx) -> None:
    case = await billed(tx)

    with pytest.raises(Invalid) as refused:
        await cancel(tx, case.subscription, refund=RefundMode.AUTOMATIC, on=date(2026, 3, 31))
    assert refused.value.code == "refund_on_not_deferred"


async def test_several_payments_are_given_back_newest_first(tx: Tx) -> None:
    case = await billed(tx)
    older = await paid_by_provider(tx, case.invoice, 20_00)
    newer = await paid_by_provider(tx, case.invoice, now=NOON + timedelta(days=1))

    cancellation = await cancel(tx, case.subscription, refund=RefundMode.AUTOMATIC)

    assert [(refund.payment_id, refund.amount.minor) for refund in cancellation.refunds] == [
        (newer.id, 14_80),
        (older.id, 8_78),
    ]
    await assert_sound(tx)
