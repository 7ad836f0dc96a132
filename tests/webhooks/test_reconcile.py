"""Comparing a provider's books with ours: what only one of us knows is found, and most of it mended."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from msgspec.structs import replace

from billing.gateways.connections.model import Keys, PaymentConnectionId, Provider
from billing.gateways.connections.model import Status as ConnectionStatus
from billing.gateways.model import DisputeStatus, Status
from billing.payments import store as payments
from billing.payments.model import Status as PaymentStatus
from kernel import jobs
from kernel.database import Tx
from kernel.errors import Conflict, Invalid, NotFound
from kernel.paging import Window
from refunds import store as refunds
from refunds.model import Status as RefundStatus
from tests.makers import NOON, euros
from tests.shop import a_door, at
from tests.webhooks.provider import HERE
from tests.webhooks.shop import PI, RE, TOTAL, Shop
from webhooks.drift import store
from webhooks.drift.model import ADVICE, Done, DriftItem, DriftReport, Kind, NewReconciliation
from webhooks.drift.model import Status as ReportStatus
from webhooks.drift.reconcile import reconcile
from webhooks.drift.request import (
    FIRST,
    OVERLAP,
    RECONCILING,
    compare,
    compare_nightly,
    request_reconciliation,
)

ALL = Window(limit=100)


def a_connection() -> Keys:
    return Keys(
        id=HERE,
        provider=Provider.STRIPE,
        status=ConnectionStatus.CONNECTED,
        account="acct_1",
        secret_key=b"",
        next_secret_key=None,
    )


async def connected(tx: Tx, *, status: str = "connected") -> PaymentConnectionId:
    """In a tenant that is there."""
    account_id, connection_id = uuid4(), PaymentConnectionId.new()
    if not await tx.conn.fetchval("SELECT count(*) FROM tenants WHERE id = $1", tx.tenant):
        await tx.conn.execute("INSERT INTO accounts VALUES ($1, 'x', $2)", account_id, tx.now)
        await tx.conn.execute(
            "INSERT INTO tenants VALUES ($1, $2, 'x', 'test', $3)", tx.tenant, account_id, tx.now
        )
    await tx.conn.execute(
        """
        INSERT INTO payment_connections (tenant_id, id, provider, status, key_hint, secret_key, created_at)
        VALUES ($1, $2, 'stripe', $3, 'x', $4, $5)
        """,
        tx.tenant,
        connection_id,
        status,
        None if status == "disconnected" else b"",
        tx.now,
    )
    return connection_id


async def compared(shop: Shop, *, now: datetime = NOON, runs: int = 1) -> DriftReport:
    report = await shop.inside(lambda tx: compare(tx, a_connection()))
    for _ in range(runs):
        await reconcile(a_door(shop.pool, shop.tenant, now=now), shop.books.provider, report.id)
    return await shop.inside(lambda tx: store.get(tx, report.id))


async def items(shop: Shop, report: DriftReport) -> list[DriftItem]:
    return (await shop.inside(lambda tx: store.items(tx, ALL, report_id=report.id, done=None))).data


async def item(shop: Shop, report: DriftReport) -> DriftItem:
    (only,) = await items(shop, report)
    return only


async def test_books_that_agree_have_nothing_to_report(shop: Shop) -> None:
    await shop.refunded()
    shop.books.decide(RE, Status.SUCCEEDED)
    await compared(shop)

    report = await compared(shop)
    assert (report.status, report.compared) == (ReportStatus.DONE, 2)
    assert (report.moved, report.recorded, report.left) == (0, 0, 0)
    assert await items(shop, report) == []


async def test_what_nobody_told_us_of_is_followed(shop: Shop) -> None:
    refund = await shop.refunded()
    shop.books.decide(RE, Status.SUCCEEDED)

    report = await compared(shop)
    assert (report.moved, report.left) == (1, 0)
    found = await item(shop, report)
    assert (found.kind, found.done, found.our_id) == (Kind.REFUND_STATUS, Done.MOVED, str(refund.id))
    assert (found.reference, found.ours, found.theirs, found.advice) == (RE, TOTAL, TOTAL, None)
    assert (await shop.inside(lambda tx: refunds.get(tx, refund.id))).status is RefundStatus.SUCCEEDED


async def test_what_cannot_be_mended_says_what_a_person_can_do(shop: Shop) -> None:
    shop.charged(minor=1_00)

    report = await compared(shop)
    found = await item(shop, report)
    assert (found.kind, found.done) == (Kind.CHARGE_AMOUNT, Done.LEFT)
    assert (found.ours, found.theirs) == (TOTAL, euros(1_00))
    assert found.advice == ADVICE[Kind.CHARGE_AMOUNT]
    assert await shop.inside(lambda tx: store.items(tx, ALL, report_id=report.id, done=Done.MOVED)) == (
        await shop.inside(lambda tx: store.items(tx, ALL, report_id=report.id, done=Done.RECORDED))
    )


def test_whatever_may_be_left_has_advice() -> None:
    assert set(ADVICE) == set(Kind) - {Kind.CHARGE_STATUS, Kind.REFUND_STATUS}


async def test_a_payment_whose_answer_was_lost_is_looked_up(shop: Shop) -> None:
    """It is older than what is listed: it is asked for by our name."""
    shop.charged()
    old = replace(shop.books.charges[PI], created_at=NOON - timedelta(days=100))
    shop.books.charges[PI] = old

    report = await compared(shop)
    assert (report.moved, report.left) == (1, 0)
    assert await shop.status() is PaymentStatus.SUCCEEDED


async def test_a_refund_whose_answer_was_lost_is_looked_up(shop: Shop) -> None:
    refund = await shop.refunded()
    shop.books.decide(RE, Status.SUCCEEDED)
    shop.books.refunds[RE] = replace(shop.books.refunds[RE], created_at=NOON - timedelta(days=100))

    report = await compared(shop)
    assert (report.moved, report.left) == (1, 0)
    assert (await shop.inside(lambda tx: refunds.get(tx, refund.id))).status is RefundStatus.SUCCEEDED


async def test_a_payment_that_was_never_sent_is_reported_once_it_is_late(shop: Shop) -> None:
    assert await items(shop, await compared(shop)) == []

    later = datetime.now(UTC) + timedelta(hours=2)
    found = await item(shop, await compared(shop, now=later))
    assert (found.kind, found.our_id) == (Kind.CHARGE_NOT_SENT, str(shop.payment.id))


async def test_a_payment_that_the_provider_never_had_is_reported(shop: Shop) -> None:
    shop.charged()
    await shop.follow()
    shop.books.charges.clear()

    found = await item(shop, await compared(shop))
    assert (found.kind, found.done, found.reference) == (Kind.CHARGE_MISSING, Done.LEFT, PI)


async def test_a_refund_that_the_provider_never_had_is_reported(shop: Shop) -> None:
    await shop.refunded()
    shop.books.decide(RE, Status.SUCCEEDED)
    await compared(shop)
    shop.books.refunds.clear()

    found = await item(shop, await compared(shop))
    assert (found.kind, found.done, found.reference) == (Kind.REFUND_MISSING, Done.LEFT, RE)


async def test_more_given_back_than_we_know_of_is_reported(shop: Shop) -> None:
    """By refunds that are too old to be listed."""
    shop.charged()
    await shop.follow()
    shop.books.charges[PI] = replace(shop.books.charges[PI], refunded=euros(20_00))

    found = await item(shop, await compared(shop))
    assert (found.kind, found.ours, found.theirs) == (Kind.CHARGE_REFUNDED, euros(0), euros(20_00))


async def test_money_of_nobody_is_reported(shop: Shop) -> None:
    await shop.refunded()
    shop.books.charged("pi_theirs", euros(10_00))
    shop.books.refunded("re_theirs", "pi_theirs", euros(10_00))

    found = await items(shop, await compared(shop))
    assert {each.kind for each in found} == {Kind.CHARGE_OF_NOBODY, Kind.REFUND_OF_NOBODY}


async def test_a_dispute_is_found_and_one_that_is_open_is_looked_up(shop: Shop) -> None:
    shop.charged()
    shop.books.dispute("dp_1", PI, TOTAL)
    report = await compared(shop)
    assert (report.moved, report.recorded) == (1, 1)

    shop.books.dispute("dp_1", PI, TOTAL, DisputeStatus.LOST)
    old = replace(shop.books.disputes["dp_1"], created_at=NOON - timedelta(days=100))
    shop.books.disputes["dp_1"] = old
    found = await item(shop, await compared(shop))
    assert (found.kind, found.done) == (Kind.DISPUTE_STATUS, Done.MOVED)
    assert await shop.due() == TOTAL.minor


async def test_what_cannot_be_recorded_is_left_with_the_code_of_the_refusal(shop: Shop) -> None:
    """More is disputed than was paid."""
    shop.charged()
    shop.books.dispute("dp_1", PI, euros(500_00))

    report = await compared(shop)
    assert (report.moved, report.left) == (1, 1)
    left = [each for each in await items(shop, report) if each.done is Done.LEFT]
    assert [(each.kind, each.detail) for each in left] == [(Kind.DISPUTE_UNKNOWN, "dispute_exceeds_payment")]


async def test_comparing_again_reports_the_same_once(shop: Shop) -> None:
    """A worker may die at any point, and another begin anew."""
    shop.charged(minor=1_00)
    shop.books.charged("pi_theirs", euros(10_00))

    report = await compared(shop, runs=3)
    assert (report.left, len(await items(shop, report))) == (2, 2)


async def test_a_comparison_that_died_on_its_way_keeps_what_it_found(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.charged()
    report = await shop.inside(lambda tx: compare(tx, a_connection()))
    door = a_door(shop.pool, shop.tenant)

    with monkeypatch.context() as dying:
        dying.setattr(shop.books, "refunds_since", None)
        with pytest.raises(TypeError):
            await reconcile(door, shop.books.provider, report.id)
    await reconcile(door, shop.books.provider, report.id)

    ended = await shop.inside(lambda tx: store.get(tx, report.id))
    assert (ended.status, ended.moved) == (ReportStatus.DONE, 1)


async def test_it_is_told_when_it_is_done_and_once(shop: Shop) -> None:
    await compared(shop, runs=2)
    told = await shop.inside(
        lambda tx: tx.conn.fetchval("SELECT count(*) FROM events WHERE type = 'drift_report.done'")
    )
    assert told == 1


# ── asking for it ────────────────────────────────────────────────────────────────────────────────


async def test_the_next_begins_a_little_before_the_last(tx: Tx) -> None:
    first = await compare(tx, a_connection())
    assert first.since == NOON - FIRST
    again = await compare(tx, a_connection())
    assert again.since == NOON - FIRST, "the first has not come to an end"

    await store.end(tx, first.id, compared=0)
    later = at(tx, NOON + timedelta(days=1))
    assert (await compare(later, a_connection())).since == NOON - OVERLAP


async def test_a_connection_has_its_own_comparisons(tx: Tx) -> None:
    first = await compare(tx, a_connection())
    await store.end(tx, first.id, compared=0)

    other = PaymentConnectionId.new()
    assert (await compare(tx, replace(a_connection(), id=other))).since == NOON - FIRST


async def test_it_may_begin_as_far_back_as_a_year(tx: Tx) -> None:
    asked = NOON - timedelta(days=365)
    assert (await compare(tx, a_connection(), since=asked)).since == asked
    for since in (NOON - timedelta(days=367), NOON + timedelta(seconds=1)):
        with pytest.raises(Invalid, match="past year"):
            await compare(tx, a_connection(), since=since)


async def test_a_night_has_one_comparison_of_each_connection_that_works(tx: Tx) -> None:
    working = [await connected(tx) for _ in range(2)]
    await connected(tx, status="checking")
    for hours in (0, 1, 11, 24):
        await compare_nightly(at(tx, NOON + timedelta(hours=hours)))

    reports = (await store.page(tx, ALL)).data
    assert Counter(report.payment_connection_id for report in reports) == dict.fromkeys(working, 2)


async def test_it_is_of_the_newest_connection_that_works_unless_one_is_named(tx: Tx) -> None:
    with pytest.raises(Conflict, match="No payment provider"):
        await request_reconciliation(tx, NewReconciliation())
    first, second = [await connected(tx) for _ in range(2)]
    await connected(tx, status="checking")

    assert (await request_reconciliation(tx, NewReconciliation())).payment_connection_id == second
    named = await request_reconciliation(tx, NewReconciliation(payment_connection=first))
    assert named.payment_connection_id == first


async def test_a_connection_that_has_ended_or_never_was_is_not_compared(tx: Tx) -> None:
    ended = await connected(tx, status="disconnected")
    with pytest.raises(Conflict, match="has ended"):
        await request_reconciliation(tx, NewReconciliation(payment_connection=ended))
    with pytest.raises(NotFound):
        await request_reconciliation(tx, NewReconciliation(payment_connection=HERE))


async def test_one_that_was_given_up_has_failed_and_says_why(tx: Tx) -> None:
    report = await compare(tx, a_connection())
    while (await store.get(tx, report.id)).status is not ReportStatus.FAILED:
        tx.wall += timedelta(days=1)
        job = await jobs.claim(tx)
        assert job is not None
        assert job.kind == RECONCILING
        await jobs.retry(tx, job, error="GatewayRefused key_invalid")

    assert (await store.get(tx, report.id)).last_error == "GatewayRefused key_invalid"


async def test_a_payment_moves_in_the_transaction_that_reports_it(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.charged()
    with monkeypatch.context() as dying:
        dying.setattr(store, "insert_item", None)
        with pytest.raises(TypeError):
            await compared(shop)
    payment = await shop.inside(lambda tx: payments.get(tx, shop.payment.id))
    assert payment.status is PaymentStatus.PENDING
