"""What a provider tells, three times, shuffled and partly days late, comes to what it comes to in order.

The same stories are played at two accounts of a provider for two tenants. One hears of each thing once, as
it happens. The other hears of everything three times, in any order, some of it 72 hours late. `make test`
plays a few, `make torture` ten thousand events (EVENTS=10000).
"""

import json
import os
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from random import Random
from typing import Any, TypeAlias

import httpx
import pytest
from litestar import Litestar

from api import clock
from api.app import create_app
from api.provider_webhooks import Connection
from api.settings import Settings
from billing.credit_notes.model import NewCreditNote, Reason
from billing.gateways.checkouts import store as checkouts
from billing.gateways.connections.model import PaymentConnectionId
from billing.gateways.model import ChargeIntent, GatewayTimeout, RefundIntent
from billing.gateways.stripe import Stripe
from billing.gateways.stripe_http import StripeHttp
from billing.invoices import store as invoices
from billing.invoices.model import Invoice
from billing.parties.model import Customer, RefundMode
from billing.payments import store as payments
from billing.payments.collect import finish_payment
from billing.payments.model import Means, Payment, PaymentId, Status
from billing.settlement.balance import balance_of
from billing.settlement.settle import settle
from kernel import jobs
from kernel.database import Door, Pool, Tx, transaction
from kernel.ids import TenantId
from kernel.money import Money
from kernel.structs import Value
from refunds.credit_invoice import credit_invoice
from refunds.send_refund import finish_refund
from tests.books import assert_sound
from tests.flows.conftest import Time
from tests.makers import NOON, a_line, euros
from tests.shop import a_shop, an_issued_invoice
from tests.stripe_server import Account, Card, StripeServer
from tests.stripe_server.shapes import Object
from webhooks.drift import store as drift
from webhooks.drift.model import NewReconciliation
from webhooks.drift.reconcile import reconcile
from webhooks.drift.request import request_reconciliation
from webhooks.follow import follow_waiting
from webhooks.model import ObjectKind, ProviderObject
from webhooks.provider import Provider
from webhooks.receive import FOLLOWING
from webhooks.signature import sign

EVENTS = int(os.environ.get("EVENTS", "200"))
SECRET = "whsec_of_the_storm"
TIMES = 3
LATE = timedelta(hours=72)
AT_ONCE = 100  # deliveries between two looks of a worker

Act: TypeAlias = Callable[[], object]
Story: TypeAlias = "Callable[[Town, int], Awaitable[list[Act]]]"


class Stand:
    """Connections in memory."""

    def __init__(self) -> None:
        self.tenants: dict[PaymentConnectionId, TenantId] = {}

    async def find(self, pool: Pool, connection_id: str) -> Connection | None:
        return next(
            (
                Connection(id=known, tenant=tenant)
                for known, tenant in self.tenants.items()
                if str(known) == connection_id
            ),
            None,
        )

    async def secrets_of(self, tx: Tx, connection_id: PaymentConnectionId) -> Sequence[str]:
        return (SECRET,)


@pytest.fixture(scope="module")
def stand() -> Stand:
    return Stand()


@pytest.fixture(scope="module")
def app(settings: Settings, stand: Stand) -> Litestar:
    return create_app(settings, connections=stand)


@pytest.fixture
async def stripe_http() -> AsyncIterator[tuple[StripeServer, StripeHttp]]:
    server = StripeServer()
    http = StripeHttp(server.transport())
    try:
        yield server, http
    finally:
        await http.close_async()


class Town:
    """A tenant, its account at the provider, and what is posted from there to here."""

    def __init__(self, pool: Pool, stripe: Stripe, account: Account, anonymous: httpx.AsyncClient) -> None:
        self.pool = pool
        self.tenant = TenantId.new()
        self.connection = PaymentConnectionId.new()  # any id will do
        self.provider = Provider(name=stripe.name, connection_id=self.connection, books=stripe)
        self.stripe = stripe
        self.account = account
        self.anonymous = anonymous
        self.payer = str(account.create_customer({})["id"])
        self.customer: Customer
        self.delivered = 0
        self.looks = 0

    async def open(self) -> None:
        async with self.transaction() as tx:
            self.customer = await a_shop(tx)
            await tx.conn.execute(
                """
                INSERT INTO payment_connections
                    (tenant_id, id, provider, status, key_hint, secret_key, created_at)
                VALUES ($1, $2, 'stripe', 'connected', 'x', '', $3)
                """,
                tx.tenant,
                self.connection,
                tx.now,
            )
            await checkouts.keep_payer(tx, self.customer.id, self.connection, self.payer)

    def transaction(self) -> AbstractAsyncContextManager[Tx]:
        return transaction(self.pool, self.tenant, now=clock.now())

    # ── the story so far ─────────────────────────────────────────────────────────────────────────

    async def charge(self, minor: int, card: Card) -> Payment:
        """An invoice, and a payment whose answer nobody has written down yet."""
        async with self.transaction() as tx:
            lines = [a_line(price=f"{minor // 100}.{minor % 100:02d}")]
            invoice = await an_issued_invoice(tx, self.customer, lines)
            payment = await self._intent(tx, invoice, self.account.save_method(self.payer, card))
        try:
            await self.stripe.charge(self._charge_intent(payment))
        except GatewayTimeout:
            assert card is Card.LOST
        return payment

    async def paid(self, minor: int, card: Card = Card.OK) -> Payment:
        payment = await self.charge(minor, card)
        outcome = await self.stripe.find_charge(self._charge_intent(payment))
        assert outcome is not None
        async with self.transaction() as tx:
            await finish_payment(tx, payment, outcome)
            return await payments.get(tx, payment.id)

    async def refunding(self, minor: int, card: Card) -> str:
        """Paid, credited as a whole, and the refund sent; returns its name at the provider."""
        payment = await self.paid(minor, card)
        async with self.transaction() as tx:
            request = NewCreditNote(reason=Reason.CANCELLATION, refund=RefundMode.AUTOMATIC)
            assert payment.invoice_id is not None
            (refund,) = (await credit_invoice(tx, payment.invoice_id, request)).refunds
        outcome = await self.stripe.refund(
            RefundIntent(
                id=refund.id,
                charge=payment.gateway_reference or "",
                amount=refund.amount,
                requested_at=refund.id.made_at,
            )
        )
        async with self.transaction() as tx:
            await finish_refund(tx, refund.id, outcome)
        return outcome.reference

    def at_provider(self, payment: Payment) -> str:
        """What the provider calls it."""
        found = self.account.of_kind("payment_intent", customer=self.payer)
        return next(str(each["id"]) for each in found if each["metadata"]["ristourne_id"] == str(payment.id))

    async def _intent(self, tx: Tx, invoice: Invoice, method: str) -> Payment:
        locked = await invoices.lock(tx, invoice.id)
        payment = Payment(
            id=PaymentId.new(),
            customer_id=invoice.customer_id,
            invoice_id=invoice.id,
            currency=invoice.currency,
            amount=locked.settlement.due,
            refunded=euros(0),
            disputed=euros(0),
            charged_back=euros(0),
            status=Status.PENDING,
            means=Means.PROVIDER,
            reference=None,
            received_on=None,
            gateway=self.stripe.name,
            gateway_reference=None,
            payment_method=method,
            failure_code=None,
            created_at=tx.now,
        )
        await payments.insert(tx, payment)
        await settle(tx, locked, pending=payment.amount)
        return payment

    def _charge_intent(self, payment: Payment) -> ChargeIntent:
        return ChargeIntent(
            id=payment.id,
            amount=payment.amount,
            payment_method=payment.payment_method or "",
            customer=self.payer,
            requested_at=payment.id.made_at,
        )

    # ── what is posted, and what a worker makes of it ────────────────────────────────────────────

    async def deliver(self, event: Object) -> None:
        body = json.dumps(event).encode()
        answer = await self.anonymous.post(
            f"/webhooks/stripe/{self.connection}",
            content=body,
            headers={b"stripe-signature": sign(body, SECRET, at=clock.now())},
        )
        assert answer.status_code == 200, answer.text
        self.delivered += 1

    async def work(self) -> None:
        door = Door(pool=self.pool, tenant=self.tenant, now=clock.now)
        while True:
            async with door.open() as tx:
                job = await jobs.claim(tx)
            if job is None:
                return
            if job.kind == FOLLOWING:
                about = ProviderObject(
                    kind=ObjectKind(str(job.data["kind"])), reference=str(job.data["reference"])
                )
                self.looks += await follow_waiting(door, self.provider, about) is not None
            async with door.open() as tx:
                await jobs.finish(tx, job)


# ── the stories ──────────────────────────────────────────────────────────────────────────────────


async def succeeds(town: Town, minor: int) -> list[Act]:
    intent = town.at_provider(await town.charge(minor, Card.PROCESSING))
    return [lambda: town.account.decide_charge(intent)]


async def fails(town: Town, minor: int) -> list[Act]:
    intent = town.at_provider(await town.charge(minor, Card.PROCESSING))
    return [lambda: town.account.decide_charge(intent, succeeded=False)]


async def fails_and_succeeds_after_all(town: Town, minor: int) -> list[Act]:
    intent = town.at_provider(await town.charge(minor, Card.PROCESSING))
    return [
        lambda: town.account.decide_charge(intent, succeeded=False),
        lambda: town.account.decide_charge(intent),
    ]


async def is_lost(town: Town, minor: int) -> list[Act]:
    """Charged, and the answer never came: only the event tells."""
    await town.charge(minor, Card.LOST)
    return []


async def is_declined(town: Town, minor: int) -> list[Act]:
    await town.charge(minor, Card.DECLINED)
    return []


async def is_refunded(town: Town, minor: int) -> list[Act]:
    refund = await town.refunding(minor, Card.REFUND_PENDING)
    return [lambda: town.account.decide_refund(refund)]


async def is_not_refunded(town: Town, minor: int) -> list[Act]:
    refund = await town.refunding(minor, Card.REFUND_PENDING)
    return [lambda: town.account.decide_refund(refund, succeeded=False)]


async def comes_back(town: Town, minor: int) -> list[Act]:
    """A refund that succeeds, and fails later."""
    refund = await town.refunding(minor, Card.REFUND_PENDING)
    return [
        lambda: town.account.decide_refund(refund),
        lambda: town.account.decide_refund(refund, succeeded=False),
    ]


async def is_refunded_in_the_dashboard(town: Town, minor: int) -> list[Act]:
    """In two parts, of a payment that was not heard of yet."""
    intent = town.at_provider(await town.charge(minor, Card.OK))
    return [
        lambda: town.account.refund_in_dashboard(intent, 50),
        lambda: town.account.refund_in_dashboard(intent, 50),
    ]


async def is_paid_in_the_dashboard(town: Town, minor: int) -> list[Act]:
    return [lambda: town.account.charge_in_dashboard(town.payer, minor)]


def disputed(*, won: bool | None) -> Story:
    async def is_disputed(town: Town, minor: int) -> list[Act]:
        """All of it, and closed as said."""
        intent = town.at_provider(await town.charge(minor, Card.OK))
        opened: list[str] = []
        acts: list[Act] = [lambda: opened.append(town.account.dispute(intent)["id"])]
        if won is not None:
            acts.append(lambda: town.account.close_dispute(opened[0], won=won))
        return acts

    return is_disputed


STORIES = (
    succeeds,
    fails,
    fails_and_succeeds_after_all,
    is_lost,
    is_declined,
    is_refunded,
    is_not_refunded,
    comes_back,
    is_refunded_in_the_dashboard,
    is_paid_in_the_dashboard,
    disputed(won=True),
    disputed(won=False),
    disputed(won=None),
)


async def begin(town: Town, count: int) -> list[Act]:
    """The beginnings of so many stories; what remains to happen, each one's in its order."""
    await town.open()
    dice = Random(7)  # noqa: S311 - the same stories every time
    rests = [await STORIES[n % len(STORIES)](town, dice.randrange(1_00, 900_00)) for n in range(count)]
    turns = [n for n, rest in enumerate(rests) for _ in rest]
    dice.shuffle(turns)
    return [rests[n].pop(0) for n in turns]


# ── the two towns ────────────────────────────────────────────────────────────────────────────────


async def in_order(town: Town, stories: int) -> None:
    """Each event once, as it happens, and looked at before the next thing does."""
    heard = 0
    for act in [lambda: None, *await begin(town, stories)]:
        act()
        for event in town.account.events[heard:]:
            await town.deliver(event)
            await town.work()
        heard = len(town.account.events)


async def in_a_storm(town: Town, stories: int, time: Time) -> None:
    """Each event three times, some soon, some when all is over, and some three days late."""
    dice = Random(11)  # noqa: S311 - the same storm every time
    acts = await begin(town, stories)
    waiting: list[tuple[float, Object]] = []
    heard = 0
    for turn, act in enumerate([lambda: None, *acts]):
        act()
        for event in town.account.events[heard:]:
            first = turn + _delay(dice)
            waiting += [(first, event), *((first + _delay(dice), event) for _ in range(1, TIMES))]
        heard = len(town.account.events)
        soon = [event for at, event in waiting if at <= turn]
        waiting = [each for each in waiting if each[0] > turn]
        dice.shuffle(soon)
        await _told(town, soon)

    late = [event for _, event in waiting]
    dice.shuffle(late)
    await _told(town, late[: len(late) // 2])
    time.at += LATE
    await _told(town, late[len(late) // 2 :])


def _delay(dice: Random) -> float:
    """In things that happen meanwhile: at once, soon, or when all is over."""
    return dice.choice((0, 1, 20, 500, 10**9)) * dice.random()


async def _told(town: Town, events: Sequence[Object]) -> None:
    for start in range(0, len(events), AT_ONCE):
        for event in events[start : start + AT_ONCE]:
            await town.deliver(event)
        await town.work()


class Ended(Value, frozen=True, kw_only=True):
    """All that matters of how it ended, an invoice at a time. Ids, numbers and days are each town's own."""

    invoices: list[tuple[Any, ...]]
    payments: list[tuple[Any, ...]]
    refunds: list[tuple[Any, ...]]
    notes: list[tuple[Any, ...]]
    dunnings: list[tuple[Any, ...]]
    disputes: list[tuple[Any, ...]]
    ledger: list[tuple[Any, ...]]
    balance: list[Money]
    waiting: int


async def nothing_differs(town: Town) -> bool:
    """A comparison of the books afterwards finds nothing to do."""
    async with town.transaction() as tx:
        asked = NewReconciliation(payment_connection=town.connection)
        report = await request_reconciliation(tx, asked)
    door = Door(pool=town.pool, tenant=town.tenant, now=clock.now)
    await reconcile(door, town.provider, report.id)
    async with town.transaction() as tx:
        done = await drift.get(tx, report.id)
    return (done.moved, done.recorded, done.left) == (0, 0, 0) and done.compared > 0


async def ended(town: Town) -> Ended:
    async with town.transaction() as tx:
        await assert_sound(tx)
        return Ended(
            invoices=await _rows(
                tx,
                """
                SELECT i.number, s.paid_minor, s.offset_minor, s.pending_minor, s.credited_minor, s.status
                FROM invoices i JOIN invoice_settlements s ON s.invoice_id = i.id
                ORDER BY i.number
                """,
            ),
            payments=await _rows(
                tx,
                """
                SELECT i.number, p.status, p.amount_minor, p.refunded_minor, p.failure_code,
                       p.disputed_minor, p.charged_back_minor, p.unallocated_minor, p.gateway_reference
                FROM payments p LEFT JOIN invoices i ON i.id = p.invoice_id
                ORDER BY i.number, p.gateway_reference
                """,
            ),
            refunds=await _rows(
                tx,
                """
                SELECT i.number, r.status, r.amount_minor, r.mode, r.failure_code, r.gateway_reference
                FROM refunds r LEFT JOIN invoices i ON i.id = r.invoice_id
                ORDER BY i.number, r.amount_minor, r.gateway_reference
                """,
            ),
            notes=await _rows(
                tx,
                """
                SELECT i.number, c.total_minor, s.applied_minor, s.refunded_minor, s.held_minor,
                       s.promised_minor, s.status
                FROM credit_notes c
                JOIN credit_note_settlements s ON s.credit_note_id = c.id
                LEFT JOIN invoices i ON i.id = c.invoice_id
                ORDER BY i.number, c.total_minor
                """,
            ),
            disputes=await _rows(
                tx,
                "SELECT reference, amount_minor, status, reason FROM disputes ORDER BY reference",
            ),
            balance=(await balance_of(tx, "user-42")).amounts,
            dunnings=await _rows(
                tx,
                """
                SELECT i.number, d.status
                FROM dunnings d JOIN invoices i ON i.id = d.invoice_id
                ORDER BY i.number
                """,
            ),
            ledger=await _rows(
                tx,
                """
                SELECT i.number, account, sum(amount_minor)::bigint
                FROM ledger_entries e LEFT JOIN invoices i ON i.id = e.invoice_id
                GROUP BY i.number, account
                HAVING sum(amount_minor) <> 0
                ORDER BY i.number, account
                """,
            ),
            waiting=await tx.conn.fetchval(
                "SELECT count(*) FROM provider_events WHERE kind IS NOT NULL AND handled_at IS NULL"
            ),
        )


async def _rows(tx: Tx, query: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in await tx.conn.fetch(query)]


Found: TypeAlias = Callable[[str], Awaitable[Town]]


@pytest.fixture
def found(
    pool: Pool, stripe_http: tuple[StripeServer, StripeHttp], anonymous: httpx.AsyncClient, stand: Stand
) -> Found:
    server, http = stripe_http

    async def found(key: str) -> Town:
        account = server.account(key)
        town = Town(pool, Stripe(key, http, api="http://stripe"), account, anonymous)
        stand.tenants[town.connection] = town.tenant
        return town

    return found


@pytest.mark.timeout(3600)
async def test_three_times_shuffled_and_late_is_as_in_order(found: Found, time: Time) -> None:
    assert clock.now() == NOON
    stories = EVENTS // EVENTS_OF_A_STORY
    calm, stormy = await found("sk_test_calm"), await found("sk_test_stormy")

    await in_order(calm, stories)
    time.at = NOON
    await in_a_storm(stormy, stories, time)

    told = len(calm.account.events)
    assert told == len(stormy.account.events) >= EVENTS
    assert (calm.delivered, stormy.delivered) == (told, TIMES * told)
    expected, came = await ended(calm), await ended(stormy)
    assert expected.waiting == came.waiting == 0
    for field in Ended.__struct_fields__:
        assert getattr(came, field) == getattr(expected, field), field
    assert len({row[1] for row in expected.payments}) == 2, "some succeeded, some failed"
    assert {row[2] for row in expected.disputes} == {"open", "won", "lost"}
    assert await nothing_differs(stormy)
    print(f"{told} events, {stormy.delivered} deliveries, {stormy.looks} looks; in order {calm.looks}")
    assert Counter(row[1] for row in expected.refunds).keys() >= {"succeeded", "failed"}


# On average, with those that nothing follows from.
EVENTS_OF_A_STORY = 6
