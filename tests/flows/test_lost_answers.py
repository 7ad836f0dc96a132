"""Calls to a provider, one in five carried out and not answered: none doubled, none lost, none unknown.

A small number here; LOST=5000 for as many charges and as many refunds, as `make torture` does.
"""

import asyncio
import os
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TypeVar

import pytest

from billing.credit_notes.model import NewCreditNote, Reason
from billing.gateways.model import GatewayRefused, GatewayTimeout
from billing.gateways.stripe import Stripe
from billing.gateways.stripe_http import StripeHttp
from billing.invoices.model import InvoiceId
from billing.parties.model import RefundMode
from billing.payments import resume as payments
from billing.payments.collect import collect_payment
from billing.payments.model import PaymentId
from kernel import jobs
from kernel.database import Door, Pool, Tx, transaction
from kernel.ids import EventId, TenantId
from refunds import resume as refunds
from refunds.credit_invoice import credit_invoice
from refunds.model import RefundId
from refunds.send_refund import send_refund
from tests.books import assert_balanced, assert_sound
from tests.makers import NOON, a_line
from tests.shop import a_door, a_shop, an_issued_invoice, another_customer
from tests.stripe_server import Account, Fault, StripeServer

T = TypeVar("T")

EACH = int(os.environ.get("LOST", "150"))
AT_ONCE = 8
A_CUSTOMER_HAS = 10
KEY = "sk_test_lossy123"
# One in five is carried out and not answered; others never arrive, or are answered by nonsense.
FAULTS = {
    Fault.LOST: 0.18,
    Fault.BROKEN_AFTER: 0.02,
    Fault.DROPPED: 0.03,
    Fault.BROKEN_BEFORE: 0.01,
    Fault.BUSY: 0.02,
    Fault.IN_USE: 0.01,
}


class Story:
    """A tenant whose account at Stripe does not always answer."""

    def __init__(self, pool: Pool, tenant: TenantId, server: StripeServer, http: StripeHttp) -> None:
        self.pool = pool
        self.tenant = tenant
        self.server = server
        self.account: Account = server.account(KEY)
        self.gateway = Stripe(KEY, http, name="stripe", api="http://stripe")

    @property
    def door(self) -> Door:
        return a_door(self.pool, self.tenant)

    async def sell(self, how_many: int) -> list[InvoiceId]:
        async with transaction(self.pool, self.tenant, now=NOON) as tx:
            await a_shop(tx)
        sold: list[InvoiceId] = []
        while len(sold) < how_many:
            method = self.account.save_method(self.account.create_customer({})["id"])
            async with transaction(self.pool, self.tenant, now=NOON) as tx:
                customer = await another_customer(tx, f"user-{len(sold)}", payment_method=method)
                sold += [
                    (await an_issued_invoice(tx, customer, [a_line()])).id for _ in range(A_CUSTOMER_HAS)
                ]
        return sold[:how_many]

    async def credit(self, invoices: Sequence[InvoiceId]) -> list[RefundId]:
        request = NewCreditNote(reason=Reason.CANCELLATION, refund=RefundMode.AUTOMATIC)
        credited = []
        for invoice_id in invoices:
            async with transaction(self.pool, self.tenant, now=NOON) as tx:
                (refund,) = (await credit_invoice(tx, invoice_id, request)).refunds
            credited.append(refund.id)
        return credited

    async def charge(self, invoice_id: InvoiceId) -> None:
        await collect_payment(self.door, self.gateway, EventId.new(), invoice_id)

    async def refund(self, refund_id: RefundId) -> None:
        await send_refund(self.door, self.gateway, refund_id)

    async def give_up_jobs(self) -> None:
        """What was lost is looked after by nobody: the worst that can happen to it."""
        async with transaction(self.pool, self.tenant, now=NOON) as tx:
            await tx.conn.execute("DELETE FROM jobs WHERE tenant_id = $1", tx.tenant)

    async def reconcile(self) -> int:
        """Once over all that is unknown, as the daily tidying has it done. Returns how many there were."""
        later = datetime.now(UTC) + timedelta(days=2)
        async with transaction(self.pool, self.tenant, now=later) as tx:
            found = await payments.resume_unattended(tx) + await refunds.resume_unattended(tx)
        done = 0
        while (job := await self._claim(later)) is not None:
            if job.kind == payments.RESUMING:
                payment_id = PaymentId.parse(str(job.data["payment_id"]))
                await payments.resume_payment(self.door, self.gateway, payment_id)
            else:
                await self.refund(RefundId.parse(str(job.data["refund_id"])))
            async with transaction(self.pool, self.tenant, now=later) as tx:
                await jobs.finish(tx, job)
            done += 1
        assert done == found, "one job for each that is unknown"
        return found

    async def _claim(self, now: datetime) -> jobs.Job | None:
        async with transaction(self.pool, self.tenant, now=now) as tx:
            return await jobs.claim(tx)

    async def statuses(self, table: str) -> Counter[str]:
        async with transaction(self.pool, self.tenant, now=NOON) as tx:
            rows = await tx.conn.fetch(f"SELECT status FROM {table} WHERE tenant_id = $1", tx.tenant)
        return Counter(row["status"] for row in rows)

    def made(self, kind: str) -> Counter[str]:
        """How often the provider did what carries an id of ours."""
        return Counter(each["metadata"]["ristourne_id"] for each in self.account.of_kind(kind))

    def moved(self, kind: str) -> int:
        return sum(each["amount"] for each in self.account.of_kind(kind))


@pytest.fixture
def server() -> StripeServer:
    return StripeServer(seed=6)


@pytest.fixture
async def story(pool: Pool, tenant: TenantId, server: StripeServer) -> Story:
    return Story(pool, tenant, server, StripeHttp(server.transport()))


async def each(act: Callable[[T], Awaitable[None]], things: Sequence[T]) -> int:
    """Once for each, some at a time; whoever hears nothing leaves it. Returns how many that were."""
    left = list(things)
    unheard = 0

    async def work() -> None:
        nonlocal unheard
        while left:
            try:
                await act(left.pop())
            except (GatewayTimeout, GatewayRefused):
                unheard += 1

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    return unheard


@pytest.mark.timeout(3000)
async def test_none_is_doubled_none_lost_and_none_unknown_after_one_reconciliation(
    story: Story, server: StripeServer
) -> None:
    invoices = await story.sell(EACH)

    server.chance = FAULTS
    unheard = await each(story.charge, invoices)
    carried_out = server.executed_and_not_answered
    await story.give_up_jobs()
    story.account.forward(hours=25)  # no idempotency key is known any more
    assert (await story.statuses("payments"))["pending"] == unheard
    assert carried_out >= EACH * 0.15

    server.chance = {}
    sent_before = server.requests["POST /v1/payment_intents"]
    assert await story.reconcile() == unheard
    sent_again = server.requests["POST /v1/payment_intents"] - sent_before
    assert sent_again == unheard - carried_out, "what was carried out is found, not sent"
    assert await story.statuses("payments") == {"succeeded": EACH}
    assert set(story.made("payment_intent").values()) == {1}
    assert len(story.made("payment_intent")) == EACH

    credited = await story.credit(invoices)
    server.chance = FAULTS
    unheard_refunds = await each(story.refund, credited)
    await story.give_up_jobs()
    story.account.forward(hours=25)
    server.chance = {}
    assert await story.reconcile() == unheard_refunds
    assert await story.reconcile() == 0
    assert await story.statuses("refunds") == {"succeeded": EACH}
    assert set(story.made("refund").values()) == {1}
    assert len(story.made("refund")) == EACH

    moved = {
        kind: sum(made["amount"] for made in story.account.of_kind(kind))
        for kind in ("payment_intent", "refund")
    }
    assert moved["payment_intent"] == moved["refund"]
    await _sound(story, assert_sound if EACH <= 500 else assert_balanced)
    calls = server.requests["POST /v1/payment_intents"] + server.requests["POST /v1/refunds"]
    lost = server.executed_and_not_answered
    print(f"{calls} calls: {lost} carried out and not answered, {unheard + unheard_refunds - lost} not")


async def _sound(story: Story, sound: Callable[[Tx], Awaitable[None]]) -> None:
    async with transaction(story.pool, story.tenant, now=NOON) as tx:
        await sound(tx)


@pytest.mark.timeout(3000)
async def test_whoever_tries_again_at_once_does_nothing_twice(story: Story, server: StripeServer) -> None:
    """While the key is known, and while the provider goes on misbehaving: jobs as they are."""
    invoices = await story.sell(max(EACH // 10, 20))
    server.chance = FAULTS
    for invoice_id in invoices:
        event_id = EventId.new()
        tries = partial(collect_payment, story.door, story.gateway, event_id, invoice_id)
        for _ in range(50):
            try:
                await asyncio.gather(tries(), tries())
                break
            except (GatewayTimeout, GatewayRefused):
                story.account.forward(hours=6)

    assert await story.statuses("payments") == {"succeeded": len(invoices)}
    assert set(story.made("payment_intent").values()) == {1}
