"""Payments: never above what is due, charged once, and whatever the provider says written once."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta

import pytest

from billing.gateways.model import ChargeIntent, Gateway, GatewayTimeout, Outcome
from billing.gateways.sandbox import Sandbox
from billing.invoices import store as invoices
from billing.invoices.model import Invoice, InvoiceSettlement, Status
from billing.parties.change_customer import change_customer
from billing.parties.model import CustomerChange
from billing.payments import store
from billing.payments.collect import collect_payment, request_payment, start_payment
from billing.payments.model import NEXT, NewPayment, OutsideMeans, Payment, PaymentId
from billing.payments.model import Status as PaymentStatus
from billing.payments.record import record_payment
from kernel.database import Pool, Tx, leave_behind, transaction
from kernel.errors import Conflict, DomainError, Invalid
from kernel.ids import EventId, TenantId
from kernel.money import Currency, Money
from kernel.text import Name
from tests.books import assert_sound
from tests.makers import NOON, a_line, euros, with_discount
from tests.shop import a_door, a_payment, a_shop, an_issued_invoice, at, while_open

TODAY = date(2026, 1, 15)


async def sold(tx: Tx, method: str | None = None) -> Invoice:
    """179.76 EUR, unpaid."""
    return await an_issued_invoice(tx, await a_shop(tx, payment_method=method))


async def settlement_of(tx: Tx, invoice: Invoice) -> InvoiceSettlement:
    return (await invoices.get(tx, invoice.id)).settlement


async def events_of(tx: Tx, kind: str) -> int:
    await leave_behind(tx)
    return int(await tx.conn.fetchval("SELECT count(*) FROM events WHERE type = $1", kind))


def a_transfer(amount: Money | None = None, *, received_on: date | None = None) -> NewPayment:
    return NewPayment(means=OutsideMeans.TRANSFER, amount=amount, received_on=received_on)


def test_a_payment_that_is_decided_stays_decided() -> None:
    assert NEXT[PaymentStatus.PENDING] == {PaymentStatus.SUCCEEDED, PaymentStatus.FAILED}
    assert not NEXT[PaymentStatus.SUCCEEDED]
    assert NEXT[PaymentStatus.FAILED] == {PaymentStatus.SUCCEEDED}


# ── Recorded from outside ───────────────────────────────────────────────────────────────────────────────


async def test_without_an_amount_it_is_all_that_is_due(tx: Tx) -> None:
    invoice = await sold(tx)
    payment = await record_payment(tx, invoice.id, a_transfer())

    assert (payment.amount, payment.received_on) == (invoice.total, TODAY)
    assert (await settlement_of(tx, invoice)).status is Status.SETTLED
    assert await store.get(tx, payment.id) == payment
    await assert_sound(tx)


async def test_an_invoice_is_paid_in_parts(tx: Tx) -> None:
    invoice = await sold(tx)
    await a_payment(tx, invoice, 79_76)
    part = await settlement_of(tx, invoice)
    assert (part.status, part.paid, part.due, part.settled_at) == (
        Status.PARTLY_SETTLED,
        euros(79_76),
        euros(100_00),
        None,
    )

    await a_payment(tx, invoice)
    assert (await settlement_of(tx, invoice)).settled_at == NOON
    assert await events_of(tx, "invoice.settled") == 1
    assert await events_of(tx, "payment.succeeded") == 2
    await assert_sound(tx)


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (a_transfer(euros(179_77)), "payment_exceeds_due"),
        (a_transfer(euros(0)), "payment_not_positive"),
        (a_transfer(euros(-1)), "payment_not_positive"),
        (a_transfer(Money(1, Currency("USD"))), "currency_mismatch"),
        (a_transfer(received_on=TODAY + timedelta(days=1)), "day_in_future"),
    ],
)
async def test_money_that_cannot_have_come_is_refused(tx: Tx, request_: NewPayment, code: str) -> None:
    invoice = await sold(tx)
    with pytest.raises(DomainError) as refused:
        await record_payment(tx, invoice.id, request_)
    assert refused.value.code == code
    assert (await settlement_of(tx, invoice)).due == invoice.total


@pytest.mark.parametrize(
    ("day", "code"),
    [
        (TODAY, None),
        (date(2025, 1, 15), None),
        (TODAY - timedelta(days=366), None),  # a year, if it were a leap year
        (TODAY - timedelta(days=367), "day_too_far_back"),
        (date(1, 1, 1), "day_too_far_back"),
        (TODAY + timedelta(days=1), "day_in_future"),
        (date(9999, 12, 31), "day_in_future"),
    ],
)
async def test_money_came_in_the_year_before(tx: Tx, day: date, code: str | None) -> None:
    invoice = await sold(tx)
    if code is None:
        assert (await record_payment(tx, invoice.id, a_transfer(received_on=day))).received_on == day
        await assert_sound(tx)
        return
    with pytest.raises(Invalid) as refused:
        await record_payment(tx, invoice.id, a_transfer(received_on=day))
    assert (refused.value.code, refused.value.param) == (code, "received_on")
    assert (await settlement_of(tx, invoice)).due == invoice.total


async def test_today_is_where_the_seller_is(tx: Tx) -> None:
    """Half past eleven at night in London is tomorrow in Paris."""
    invoice = await sold(tx)
    late = at(tx, datetime(2026, 1, 15, 23, 30, tzinfo=UTC))

    payment = await record_payment(late, invoice.id, a_transfer(received_on=TODAY + timedelta(days=1)))
    assert payment.received_on == date(2026, 1, 16)


async def test_an_invoice_that_is_settled_takes_no_more_money(tx: Tx) -> None:
    invoice = await sold(tx)
    await a_payment(tx, invoice)

    with pytest.raises(Conflict, match=r"^0\.00 EUR is due") as refused:
        await a_payment(tx, invoice)
    assert refused.value.code == "payment_exceeds_due"


async def test_a_payment_under_way_holds_its_amount(tx: Tx) -> None:
    invoice = await sold(tx, "pm_sandbox_ok")
    await a_payment(tx, invoice, 100_00)
    await start_payment(tx, "sandbox", PaymentId.new(), invoice.id)

    with pytest.raises(Conflict, match=r"^0\.00 EUR is due"):
        await a_payment(tx, invoice, 1)
    assert (await settlement_of(tx, invoice)).pending == euros(79_76)
    await assert_sound(tx)


async def test_two_payments_for_the_same_invoice_take_turns(pool: Pool, tenant: TenantId) -> None:
    async with transaction(pool, tenant, now=NOON) as tx:
        invoice = await sold(tx)

    with pytest.raises(Conflict, match=r"79\.76 EUR is due"):
        await while_open(
            pool,
            tenant,
            lambda tx: a_payment(tx, invoice, 100_00),
            lambda tx: a_payment(tx, invoice, 100_00),
        )


async def test_an_invoice_of_nothing_is_settled_at_issue_and_says_so(tx: Tx) -> None:
    free = with_discount([a_line(price="29.00")], 29_00)
    invoice = await an_issued_invoice(tx, await a_shop(tx), free)

    assert invoice.settlement.status is Status.SETTLED
    assert await settlement_of(tx, invoice) == invoice.settlement
    assert await events_of(tx, "invoice.settled") == 1


# ── Charged through a gateway ───────────────────────────────────────────────────────────────────────────

Sell = Callable[[str | None], Awaitable[Invoice]]


@pytest.fixture
def sell(pool: Pool, tenant: TenantId) -> Sell:
    async def sell(method: str | None) -> Invoice:
        async with transaction(pool, tenant, now=NOON) as tx:
            return await sold(tx, method)

    return sell


async def collect(
    pool: Pool,
    tenant: TenantId,
    invoice: Invoice,
    *,
    event_id: EventId | None = None,
    gateway: Gateway | None = None,
    now: datetime = NOON,
) -> bool:
    return await collect_payment(
        a_door(pool, tenant, now=now), gateway or Sandbox(pool), event_id or EventId.new(), invoice.id
    )


async def payments_of(pool: Pool, tenant: TenantId, invoice: Invoice) -> list[Payment]:
    """With a look at whether the books are sound."""
    async with transaction(pool, tenant, now=NOON) as tx:
        await assert_sound(tx)
        return await store.of_invoice(tx, invoice.id)


async def settlement_after(pool: Pool, tenant: TenantId, invoice: Invoice) -> InvoiceSettlement:
    async with transaction(pool, tenant, now=NOON) as tx:
        return await settlement_of(tx, invoice)


async def charged(pool: Pool, payment_id: PaymentId) -> int:
    query = "SELECT count(*) FROM sandbox.charges WHERE our_id = $1"
    return int(await pool.fetchval(query, payment_id))


async def test_an_invoice_is_charged_to_the_customers_payment_method(
    pool: Pool, tenant: TenantId, sell: Sell
) -> None:
    invoice = await sell("pm_sandbox_ok")

    assert await collect(pool, tenant, invoice)
    (payment,) = await payments_of(pool, tenant, invoice)
    assert (payment.status, payment.amount, payment.received_on) == (
        PaymentStatus.SUCCEEDED,
        invoice.total,
        TODAY,
    )
    assert payment.gateway_reference
    assert (await settlement_after(pool, tenant, invoice)).status is Status.SETTLED


async def test_collecting_twice_is_one_payment(pool: Pool, tenant: TenantId, sell: Sell) -> None:
    invoice = await sell("pm_sandbox_ok")
    event_id = EventId.new()

    assert await collect(pool, tenant, invoice, event_id=event_id)
    assert await collect(pool, tenant, invoice, event_id=event_id)
    assert await collect(pool, tenant, invoice)  # because of another event
    (payment,) = await payments_of(pool, tenant, invoice)
    assert await charged(pool, payment.id) == 1


async def test_collecting_twice_at_once_is_one_payment(pool: Pool, tenant: TenantId, sell: Sell) -> None:
    invoice = await sell("pm_sandbox_ok")
    events = [EventId.new()] * 3 + [EventId.new()]

    await asyncio.gather(*(collect(pool, tenant, invoice, event_id=event_id) for event_id in events))

    (payment,) = await payments_of(pool, tenant, invoice)
    assert payment.amount == invoice.total


async def test_a_second_charge_waits_for_the_intent_of_the_first_and_finds_nothing_due(
    pool: Pool, tenant: TenantId, sell: Sell
) -> None:
    invoice = await sell("pm_sandbox_ok")

    second = await while_open(
        pool,
        tenant,
        lambda tx: start_payment(tx, "sandbox", PaymentId.new(), invoice.id),
        lambda tx: start_payment(tx, "sandbox", PaymentId.new(), invoice.id),
    )

    assert second is None


async def test_a_declined_charge_leaves_the_invoice_open(pool: Pool, tenant: TenantId, sell: Sell) -> None:
    invoice = await sell("pm_sandbox_declined")

    assert await collect(pool, tenant, invoice)
    (payment,) = await payments_of(pool, tenant, invoice)
    after = await settlement_after(pool, tenant, invoice)
    assert (payment.status, payment.failure_code) == (PaymentStatus.FAILED, "card_declined")
    assert (after.status, after.pending, after.due) == (Status.OPEN, euros(0), invoice.total)


async def test_after_a_decline_another_payment_method_can_be_charged(
    pool: Pool, tenant: TenantId, sell: Sell
) -> None:
    invoice = await sell("pm_sandbox_declined")
    await collect(pool, tenant, invoice)
    async with transaction(pool, tenant, now=NOON) as tx:
        await change_customer(tx, "user-42", CustomerChange(payment_method=Name("pm_sandbox_ok")))
        await request_payment(tx, invoice.id)

    await collect(pool, tenant, invoice)

    paid, failed = await payments_of(pool, tenant, invoice)
    assert (paid.status, failed.status) == (PaymentStatus.SUCCEEDED, PaymentStatus.FAILED)


async def test_a_charge_whose_answer_was_lost_is_looked_up_and_not_sent_again(
    pool: Pool, tenant: TenantId, sell: Sell
) -> None:
    invoice = await sell("pm_sandbox_timeout")
    event_id = EventId.new()
    with pytest.raises(GatewayTimeout):
        await collect(pool, tenant, invoice, event_id=event_id)
    assert (await settlement_after(pool, tenant, invoice)).pending == invoice.total

    assert await collect(pool, tenant, invoice, event_id=event_id)
    (payment,) = await payments_of(pool, tenant, invoice)
    assert payment.status is PaymentStatus.SUCCEEDED
    assert await charged(pool, payment.id) == 1


async def test_a_worker_that_died_after_the_call_finds_its_answer(
    pool: Pool, tenant: TenantId, sell: Sell
) -> None:
    class Dies(Sandbox):
        async def charge(self, intent: ChargeIntent) -> Outcome:
            await super().charge(intent)
            raise ConnectionError

    invoice = await sell("pm_sandbox_ok")
    event_id = EventId.new()
    with pytest.raises(ConnectionError):
        await collect(pool, tenant, invoice, event_id=event_id, gateway=Dies(pool))

    assert await collect(pool, tenant, invoice, event_id=event_id, gateway=Dies(pool))
    (payment,) = await payments_of(pool, tenant, invoice)
    assert payment.status is PaymentStatus.SUCCEEDED


async def test_a_late_charge_is_asked_for_again_until_it_is_decided(
    pool: Pool, tenant: TenantId, sell: Sell
) -> None:
    invoice = await sell("pm_sandbox_late")
    event_id = EventId.new()

    assert not await collect(pool, tenant, invoice, event_id=event_id)
    (payment,) = await payments_of(pool, tenant, invoice)
    assert payment.status is PaymentStatus.PENDING

    await pool.execute("UPDATE sandbox.charges SET settles_at = now() WHERE our_id = $1", payment.id)
    assert await collect(pool, tenant, invoice, event_id=event_id, now=NOON + timedelta(days=1))
    (payment,) = await payments_of(pool, tenant, invoice)
    assert (payment.status, payment.received_on) == (PaymentStatus.SUCCEEDED, TODAY + timedelta(days=1))


async def test_only_what_is_still_due_is_charged(pool: Pool, tenant: TenantId, sell: Sell) -> None:
    invoice = await sell("pm_sandbox_ok")
    async with transaction(pool, tenant, now=NOON) as tx:
        await a_payment(tx, invoice, 79_76)

    await collect(pool, tenant, invoice)

    newest = (await payments_of(pool, tenant, invoice))[0]
    assert newest.amount == euros(100_00)


async def test_a_customer_without_a_payment_method_is_not_charged(
    pool: Pool, tenant: TenantId, sell: Sell
) -> None:
    invoice = await sell(None)

    assert await collect(pool, tenant, invoice)
    assert await payments_of(pool, tenant, invoice) == []


# ── Asked for by hand ───────────────────────────────────────────────────────────────────────────────────


async def test_a_charge_can_be_asked_for(tx: Tx) -> None:
    invoice = await sold(tx, "pm_sandbox_ok")
    await request_payment(tx, invoice.id)

    assert await events_of(tx, "payment.requested") == 1


async def test_a_charge_that_could_not_succeed_is_refused_at_once(tx: Tx) -> None:
    customer = await a_shop(tx)
    unpaid, paid, pending = [await an_issued_invoice(tx, customer) for _ in range(3)]
    await a_payment(tx, paid)

    async def refusal(invoice: Invoice) -> str:
        with pytest.raises(Conflict) as refused:
            await request_payment(tx, invoice.id)
        return refused.value.code

    assert await refusal(paid) == "nothing_due"
    assert await refusal(unpaid) == "payment_method_missing"
    await change_customer(tx, "user-42", CustomerChange(payment_method=Name("pm_sandbox_ok")))
    await start_payment(tx, "sandbox", PaymentId.new(), pending.id)
    assert await refusal(pending) == "payment_in_flight"
