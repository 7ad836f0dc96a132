"""Sending a refund: one refund at the provider, whatever is lost on the way."""

import asyncio
from datetime import UTC, date, datetime, timedelta

import pytest

from billing.credit_notes import store as credit_notes
from billing.credit_notes.model import CreditNoteSettlement, NewCreditNote, Reason
from billing.gateways.model import Gateway, GatewayTimeout, Outcome, RefundIntent
from billing.gateways.sandbox import Sandbox
from billing.parties.model import RefundMode
from billing.payments import store as payments
from billing.payments.collect import collect_payment
from kernel import jobs
from kernel.database import Pool, Tx, transaction
from kernel.ids import EventId, TenantId
from refunds import store
from refunds.credit_invoice import credit_invoice
from refunds.model import Refund, Status
from refunds.request_refund import SENDING
from refunds.send_refund import ask_again, send_refund
from tests.books import accounts_of, assert_sound
from tests.makers import NOON, euros
from tests.shop import a_door, a_shop, an_issued_invoice, at

LATER = NOON + timedelta(days=1)


async def a_refund(
    pool: Pool,
    tenant: TenantId,
    method: str = "pm_sandbox_ok",
    *,
    mode: RefundMode = RefundMode.AUTOMATIC,
    on: date | None = None,
) -> Refund:
    """Of an invoice of 179.76 that was charged and then credited as a whole."""
    async with transaction(pool, tenant, now=NOON) as tx:
        invoice = await an_issued_invoice(tx, await a_shop(tx, payment_method=method))
    await collect_payment(a_door(pool, tenant), Sandbox(pool), EventId.new(), invoice.id)
    async with transaction(pool, tenant, now=NOON) as tx:
        request = NewCreditNote(reason=Reason.RETURN_OR_DISPUTE, refund=mode, refund_on=on)
        (refund,) = (await credit_invoice(tx, invoice.id, request)).refunds
    return refund


async def send(
    pool: Pool,
    tenant: TenantId,
    refund: Refund,
    gateway: Gateway | None = None,
    *,
    now: datetime = LATER,
) -> bool:
    return await send_refund(a_door(pool, tenant, now=now), gateway or Sandbox(pool), refund.id)


async def after(pool: Pool, tenant: TenantId, refund: Refund) -> tuple[Refund, CreditNoteSettlement]:
    """The refund and its note, with a look at whether the books are sound."""
    async with transaction(pool, tenant, now=LATER) as tx:
        await assert_sound(tx)
        assert refund.credit_note_id is not None
        note = await credit_notes.get(tx, refund.credit_note_id)
        return await store.get(tx, refund.id), note.settlement


async def at_the_provider(pool: Pool, refund: Refund) -> list[int]:
    rows = await pool.fetch("SELECT amount_minor FROM sandbox.refunds WHERE our_id = $1", refund.id)
    return [row["amount_minor"] for row in rows]


async def events_of(pool: Pool, tenant: TenantId, kind: str) -> int:
    async with transaction(pool, tenant, now=NOON) as tx:
        return int(await tx.conn.fetchval("SELECT count(*) FROM events WHERE type = $1", kind))


async def test_money_goes_back_and_nothing_is_left(pool: Pool, tenant: TenantId) -> None:
    refund = await a_refund(pool, tenant)
    assert refund.status is Status.PENDING

    assert await send(pool, tenant, refund)
    sent, note = await after(pool, tenant, refund)
    assert (sent.status, sent.succeeded_on) == (Status.SUCCEEDED, date(2026, 1, 16))
    assert sent.gateway_reference
    assert (note.held, note.refunded, note.left) == (euros(0), euros(179_76), euros(0))
    async with transaction(pool, tenant, now=NOON) as tx:
        assert await accounts_of(tx) == {}


async def test_sending_twice_is_one_refund(pool: Pool, tenant: TenantId) -> None:
    refund = await a_refund(pool, tenant)
    await send(pool, tenant, refund)
    await send(pool, tenant, refund)

    assert await at_the_provider(pool, refund) == [179_76]
    assert await events_of(pool, tenant, "refund.succeeded") == 1


async def test_sending_twice_at_once_is_one_refund(pool: Pool, tenant: TenantId) -> None:
    refund = await a_refund(pool, tenant)
    await asyncio.gather(*(send(pool, tenant, refund) for _ in range(4)))

    assert await at_the_provider(pool, refund) == [179_76]
    assert await events_of(pool, tenant, "refund.succeeded") == 1
    await after(pool, tenant, refund)


async def test_a_refund_whose_answer_was_lost_is_looked_up_and_not_sent_again(
    pool: Pool, tenant: TenantId
) -> None:
    refund = await a_refund(pool, tenant, "pm_sandbox_refund_timeout")
    with pytest.raises(GatewayTimeout):
        await send(pool, tenant, refund)
    waiting, note = await after(pool, tenant, refund)
    assert (waiting.status, note.held) == (Status.PENDING, euros(179_76))

    assert await send(pool, tenant, refund)
    sent, _ = await after(pool, tenant, refund)
    assert sent.status is Status.SUCCEEDED
    assert await at_the_provider(pool, refund) == [179_76]


async def test_a_worker_that_died_after_the_call_finds_its_answer(pool: Pool, tenant: TenantId) -> None:
    class Dies(Sandbox):
        async def refund(self, intent: RefundIntent) -> Outcome:
            await super().refund(intent)
            raise ConnectionError

    refund = await a_refund(pool, tenant)
    with pytest.raises(ConnectionError):
        await send(pool, tenant, refund, Dies(pool))

    assert await send(pool, tenant, refund, Dies(pool))
    assert (await after(pool, tenant, refund))[0].status is Status.SUCCEEDED


async def test_a_declined_refund_goes_on_holding_its_amount(pool: Pool, tenant: TenantId) -> None:
    refund = await a_refund(pool, tenant, "pm_sandbox_refund_declined")

    assert await send(pool, tenant, refund)
    failed, note = await after(pool, tenant, refund)
    assert (failed.status, failed.failure_code) == (Status.FAILED, "refund_declined")
    assert (note.held, note.left) == (euros(179_76), euros(0))
    assert await events_of(pool, tenant, "refund.failed") == 1
    async with transaction(pool, tenant, now=NOON) as tx:
        assert refund.invoice_id is not None
        (payment,) = await payments.of_invoice(tx, refund.invoice_id)
        assert payment.refunded == euros(179_76)


async def test_a_late_refund_is_asked_for_again_until_it_is_decided(pool: Pool, tenant: TenantId) -> None:
    refund = await a_refund(pool, tenant, "pm_sandbox_refund_late")
    assert not await send(pool, tenant, refund)
    assert (await after(pool, tenant, refund))[0].status is Status.PENDING

    await pool.execute("UPDATE sandbox.refunds SET settles_at = now() WHERE our_id = $1", refund.id)
    assert await send(pool, tenant, refund)
    assert (await after(pool, tenant, refund))[0].status is Status.SUCCEEDED


async def test_a_refund_that_fails_later_is_found_out_and_held_again(pool: Pool, tenant: TenantId) -> None:
    refund = await a_refund(pool, tenant, "pm_sandbox_refund_fails_later")
    assert await send(pool, tenant, refund)
    door = a_door(pool, tenant, now=LATER)

    await ask_again(door, Sandbox(pool), refund.id)
    assert (await after(pool, tenant, refund))[0].status is Status.SUCCEEDED

    await pool.execute("UPDATE sandbox.refunds SET settles_at = now() WHERE our_id = $1", refund.id)
    for _ in range(2):
        await ask_again(door, Sandbox(pool), refund.id)
        failed, note = await after(pool, tenant, refund)
        assert (failed.status, failed.failure_code) == (Status.FAILED, "account_closed")
        assert (note.held, note.refunded) == (euros(179_76), euros(0))
    assert await events_of(pool, tenant, "refund.failed") == 1


async def test_a_deferred_refund_is_sent_on_its_day_and_not_before(pool: Pool, tenant: TenantId) -> None:
    refund = await a_refund(pool, tenant, mode=RefundMode.DEFERRED, on=date(2026, 3, 31))
    midnight_in_paris = datetime(2026, 3, 30, 22, tzinfo=UTC)

    async with transaction(pool, tenant, now=NOON) as tx:
        job = await _claimed(tx, until=midnight_in_paris)
    assert job.data == {"refund_id": str(refund.id)}
    assert await send(pool, tenant, refund, now=midnight_in_paris - timedelta(seconds=1))
    assert await at_the_provider(pool, refund) == []

    assert await send(pool, tenant, refund, now=midnight_in_paris)
    assert (await after(pool, tenant, refund))[0].status is Status.SUCCEEDED


async def _claimed(tx: Tx, *, until: datetime) -> jobs.Job:
    assert await jobs.claim(at(tx, until - timedelta(seconds=1))) is None
    job = await jobs.claim(at(tx, until))
    assert job is not None
    assert job.kind == SENDING
    return job


async def test_only_a_refund_that_is_due_now_is_asked_for_at_once(pool: Pool, tenant: TenantId) -> None:
    await a_refund(pool, tenant, mode=RefundMode.DEFERRED)

    assert await events_of(pool, tenant, "refund.scheduled") == 1
    assert await events_of(pool, tenant, "refund.requested") == 0
