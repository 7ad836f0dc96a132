"""Stripe keeps the promises of a gateway: the real SDK against a server of our own."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
import stripe
from msgspec.structs import replace

from billing.gateways.checkouts.model import CheckoutSessionId
from billing.gateways.model import (
    Charge,
    CheckoutIntent,
    DisputeStatus,
    GatewayRefused,
    GatewayTimeout,
    MethodSaved,
    Payer,
    Status,
)
from billing.gateways.stripe import Stripe
from billing.gateways.stripe_http import StripeHttp
from billing.parties.model import CustomerId
from kernel.ids import Id
from kernel.money import Currency, Money
from tests.billing.gateways.contract import Behaviour, GatewayContract, back
from tests.makers import euros
from tests.stripe_server import Account, Card, Fault, StripeServer
from tests.stripe_server.shapes import Object

KEY = "sk_test_contract"
EUR = Currency("EUR")


class StripeBehaviour(Behaviour):
    ok = Card.OK
    declined = Card.DECLINED
    timeout = Card.LOST
    late = Card.PROCESSING
    refund_declined = Card.REFUND_FAILS
    refund_timeout = Card.REFUND_LOST
    refund_late = Card.REFUND_PENDING

    def __init__(self, server: StripeServer, http: StripeHttp) -> None:
        self.server = server
        self.account = server.account(KEY)
        self.stripe = Stripe(KEY, http, api="http://stripe")
        self.customer = str(self.account.create_customer({})["id"])
        super().__init__(self.stripe)

    async def method_of(self, how: str) -> tuple[str, str | None]:
        known = how in list(Card)
        return self.account.save_method(self.customer, Card(how)) if known else how, self.customer

    async def decide(self, our_id: Id) -> None:
        for intent in self._ours("payment_intent", our_id):
            self.account.decide_charge(intent["id"])
        for refund in self._ours("refund", our_id):
            self.account.decide_refund(refund["id"])

    async def charges(self, our_id: Id) -> list[int]:
        return [intent["amount"] for intent in self._ours("payment_intent", our_id)]

    async def refunds(self, our_id: Id) -> list[int]:
        return [refund["amount"] for refund in self._ours("refund", our_id)]

    def _ours(self, kind: str, our_id: Id) -> list[Object]:
        return [
            each for each in self.account.of_kind(kind) if each["metadata"].get("ristourne_id") == str(our_id)
        ]


@pytest.fixture
async def http(server: StripeServer) -> AsyncIterator[StripeHttp]:
    http = StripeHttp(server.transport())
    yield http
    await http.close_async()


@pytest.fixture
def server() -> StripeServer:
    return StripeServer()


@pytest.fixture
def provider(server: StripeServer, http: StripeHttp) -> StripeBehaviour:
    return StripeBehaviour(server, http)


@pytest.fixture
def account(provider: StripeBehaviour) -> Account:
    return provider.account


class TestStripe(GatewayContract):
    """Every test of the contract."""


# ── charges ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("card", "status", "code"),
    [
        (Card.DECLINED, Status.FAILED, "generic_decline"),
        (Card.INSUFFICIENT_FUNDS, Status.FAILED, "insufficient_funds"),
        (Card.AUTHENTICATION_REQUIRED, Status.FAILED, "authentication_required"),
        (Card.REQUIRES_ACTION, Status.FAILED, "authentication_required"),
        (Card.PROCESSING, Status.PENDING, None),
        (Card.OK, Status.SUCCEEDED, None),
    ],
)
async def test_what_a_card_does_is_what_is_said_of_it(
    provider: StripeBehaviour, card: Card, status: Status, code: str | None
) -> None:
    intent = await provider.intent(card)
    outcome = await provider.gateway.charge(intent)

    assert (outcome.status, outcome.failure_code) == (status, code)
    assert outcome.reference.startswith("pi_")
    assert await provider.gateway.find_charge(intent) == outcome


async def test_a_direct_debit_that_bounces_has_failed(provider: StripeBehaviour, account: Account) -> None:
    intent = await provider.intent(Card.PROCESSING)
    outcome = await provider.gateway.charge(intent)
    account.decide_charge(outcome.reference, succeeded=False)

    found = await provider.gateway.find_charge(intent)
    assert found is not None
    assert (found.status, found.failure_code) == (Status.FAILED, "payment_method_provider_decline")


async def test_a_payment_method_it_does_not_know_fails(provider: StripeBehaviour) -> None:
    intent = await provider.intent("pm_elsewhere")
    outcome = await provider.gateway.charge(intent)

    assert (outcome.status, outcome.reference, outcome.failure_code) == (
        Status.FAILED,
        "",
        "payment_method_unknown",
    )
    assert await provider.gateway.find_charge(intent) is None


async def test_a_charge_it_finds_too_small_fails(provider: StripeBehaviour) -> None:
    assert (await provider.charge(Card.OK, 49)).failure_code == "amount_too_small"


async def test_a_customer_it_does_not_know_has_no_charges(provider: StripeBehaviour) -> None:
    intent = replace(await provider.intent(Card.OK), customer="cus_gone")

    assert await provider.gateway.find_charge(intent) is None


async def test_a_charge_is_found_behind_a_hundred_others(provider: StripeBehaviour) -> None:
    intent = await provider.intent(Card.OK)
    outcome = await provider.gateway.charge(intent)
    for _ in range(110):
        await provider.charge(Card.OK)

    assert await provider.gateway.find_charge(intent) == outcome


async def test_a_charge_is_found_when_the_clocks_differ(provider: StripeBehaviour) -> None:
    intent = await provider.intent(Card.OK)
    ahead = replace(intent, requested_at=intent.requested_at + timedelta(minutes=9))
    outcome = await provider.gateway.charge(ahead)

    assert await provider.gateway.find_charge(ahead) == outcome


@pytest.mark.parametrize(
    ("amount", "units"),
    [
        (Money(29_00, EUR), 29_00),
        (Money(2900, Currency("JPY")), 2900),
        (Money(5000, Currency("ISK")), 5000_00),
        (Money(29_000, Currency("KWD")), 29_000),
        (Money(290_000, Currency("MGA")), 2900),
    ],
)
async def test_an_amount_is_sent_as_stripe_counts_it(
    provider: StripeBehaviour, account: Account, amount: Money, units: int
) -> None:
    outcome = await provider.gateway.charge(replace(await provider.intent(Card.OK), amount=amount))

    assert account.find(outcome.reference)["amount"] == units
    charge = await provider.stripe.charge_of(outcome.reference)
    assert charge is not None
    assert charge.amount == amount


async def test_an_amount_stripe_cannot_move_is_not_sent(provider: StripeBehaviour, account: Account) -> None:
    fils = Money(29_001, Currency("KWD"))
    outcome = await provider.gateway.charge(replace(await provider.intent(Card.OK), amount=fils))

    assert (outcome.status, outcome.failure_code) == (Status.FAILED, "amount_not_chargeable")
    assert list(account.of_kind("payment_intent")) == []


# ── when something goes wrong ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("fault", [fault for fault in Fault if fault is not Fault.BUSY])
async def test_an_answer_that_says_nothing_is_a_timeout(
    provider: StripeBehaviour, server: StripeServer, fault: Fault
) -> None:
    server.ordered.append(fault)
    with pytest.raises(GatewayTimeout):
        await provider.charge(Card.OK)


async def test_when_it_is_busy_nothing_was_done(provider: StripeBehaviour, server: StripeServer) -> None:
    intent = await provider.intent(Card.OK)
    server.ordered.append(Fault.BUSY)
    with pytest.raises(GatewayRefused) as refused:
        await provider.gateway.charge(intent)

    assert refused.value.code == "gateway_busy"
    assert await provider.charges(intent.id) == []


async def test_a_key_that_is_not_let_in_is_a_refusal(server: StripeServer, http: StripeHttp) -> None:
    stranger = Stripe("sk_test_revoked", http, api="http://stripe")
    with pytest.raises(GatewayRefused) as refused:
        await stranger.account()

    assert refused.value.code == "gateway_key_refused"


async def test_errors_hold_no_key_and_nothing_of_the_sdk(
    provider: StripeBehaviour, server: StripeServer, http: StripeHttp
) -> None:
    server.ordered.append(Fault.BROKEN_AFTER)
    with pytest.raises(GatewayTimeout) as lost:
        await provider.charge(Card.OK)
    with pytest.raises(GatewayRefused) as refused:
        await Stripe("sk_live_verysecret", http, api="http://stripe").account()

    for error in (lost.value, refused.value):
        assert "sk_" not in repr(error)
        assert error.__cause__ is None
        assert not isinstance(error.__context__, stripe.StripeError)
    assert "sk_" not in repr(provider.stripe)


async def test_the_machine_is_not_described_to_stripe(server: StripeServer) -> None:
    seen: list[httpx.Headers] = []

    class Listening(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            seen.append(request.headers)
            return await server.transport().handle_async_request(request)

    http = StripeHttp(Listening())
    server.account(KEY)
    for _ in range(2):
        await Stripe(KEY, http, api="http://stripe").account()
    await http.close_async()

    assert len(seen) == 2
    assert not [name for headers in seen for name in headers if name.startswith("x-stripe-client")]


async def test_over_a_socket_it_waits_for_as_long_as_it_was_told(server: StripeServer) -> None:
    account = server.account(KEY)
    async with server.listening() as url:
        http = StripeHttp(timeout=httpx.Timeout(0.5))
        provider = StripeBehaviour(server, http)
        provider.gateway = Stripe(KEY, http, api=url)
        intent = await provider.intent(Card.LOST)
        with pytest.raises(GatewayTimeout):
            await provider.gateway.charge(intent)
        found = await provider.gateway.find_charge(intent)
        await http.close_async()

    assert found is not None
    assert account.find(found.reference)["status"] == "succeeded"


# ── refunds ──────────────────────────────────────────────────────────────────────────────────────────


async def test_a_refund_that_bounces_weeks_later_is_found_failed(
    provider: StripeBehaviour, account: Account
) -> None:
    refund = back(await provider.charge(Card.OK))
    outcome = await provider.gateway.refund(refund)
    account.forward(days=20)
    account.decide_refund(outcome.reference, succeeded=False)

    found = await provider.gateway.find_refund(refund)
    assert found is not None
    assert (found.status, found.failure_code) == (Status.FAILED, "declined")


async def test_money_in_dispute_is_not_given_back(provider: StripeBehaviour, account: Account) -> None:
    charge = await provider.charge(Card.OK)
    account.dispute(charge.reference)
    outcome = await provider.gateway.refund(back(charge))

    assert (outcome.status, outcome.failure_code) == (Status.FAILED, "charge_disputed")


async def test_a_charge_it_does_not_know_cannot_be_given_back(provider: StripeBehaviour) -> None:
    refund = replace(back(await provider.charge(Card.OK)), charge="pi_elsewhere")

    assert (await provider.gateway.refund(refund)).failure_code == "resource_missing"
    assert await provider.gateway.find_refund(refund) is None


# ── payment methods ──────────────────────────────────────────────────────────────────────────────────


async def test_a_customer_leaves_a_card_at_stripe_and_it_is_charged(
    provider: StripeBehaviour, account: Account
) -> None:
    customer_id = CustomerId.new()
    payer = Payer(id=customer_id, key="a", name="Nuage Clair", email="a@nuage.example")
    customer = await provider.stripe.create_payer(payer)
    assert await provider.stripe.create_payer(payer) == customer
    checkout = await provider.stripe.open_checkout(
        CheckoutIntent(
            id=CheckoutSessionId.new(),
            customer_id=customer_id,
            payer=customer,
            currency=EUR,
            success_url="https://app.example/thanks",
            cancel_url="https://app.example/back",
        )
    )
    assert checkout.url.startswith("https://")
    assert await provider.stripe.method_of(checkout.reference) is None

    method = account.complete_checkout(checkout.reference, fingerprint="fp_1")

    saved = await provider.stripe.method_of(checkout.reference)
    assert saved == MethodSaved(
        reference=checkout.reference,
        our_id=str(customer_id),
        customer=customer,
        payment_method=method,
        fingerprint="fp_1",
    )
    intent = replace(await provider.intent(Card.OK), payment_method=method, customer=customer)
    assert (await provider.gateway.charge(intent)).status is Status.SUCCEEDED


# ── its books ────────────────────────────────────────────────────────────────────────────────────────


async def test_a_charge_is_read_with_what_was_given_back_of_it(provider: StripeBehaviour) -> None:
    intent = await provider.intent(Card.OK)
    outcome = await provider.gateway.charge(intent)
    await provider.gateway.refund(back(outcome, 10_00))

    charge = await provider.stripe.charge_of(outcome.reference)
    assert charge is not None
    assert charge == Charge(
        reference=outcome.reference,
        our_id=str(intent.id),
        customer=provider.customer,
        payment_method=intent.payment_method,
        amount=euros(29_00),
        refunded=euros(10_00),
        status=Status.SUCCEEDED,
        failure_code=None,
        created_at=charge.created_at,
    )
    latest = provider.account.find(outcome.reference)["latest_charge"]
    assert await provider.stripe.charge_of(latest) == charge


async def test_what_was_done_in_the_dashboard_is_in_the_books_and_not_ours(
    provider: StripeBehaviour, account: Account
) -> None:
    charge = account.charge_in_dashboard(provider.customer, 50_00)["id"]
    refund = account.refund_in_dashboard(charge, 20_00)["id"]
    dispute = account.dispute(charge, 30_00)["id"]
    since = datetime.now(UTC)

    charges = [each async for each in provider.stripe.charges_since(since)]
    refunds = [each async for each in provider.stripe.refunds_since(since)]
    disputes = [each async for each in provider.stripe.disputes_since(since)]

    assert [(each.reference, each.our_id, each.refunded) for each in charges] == [
        (charge, None, euros(20_00))
    ]
    assert [(each.reference, each.our_id, each.charge) for each in refunds] == [(refund, None, charge)]
    assert [(each.reference, each.status, each.charge) for each in disputes] == [
        (dispute, DisputeStatus.OPEN, charge)
    ]
    assert await provider.stripe.refund_of(refund) == refunds[0]
    assert await provider.stripe.dispute_of(dispute) == disputes[0]


@pytest.mark.parametrize("won", [True, False])
async def test_a_dispute_is_won_or_lost(provider: StripeBehaviour, account: Account, won: bool) -> None:
    dispute = account.dispute((await provider.charge(Card.OK)).reference)["id"]
    account.close_dispute(dispute, won=won)

    found = await provider.stripe.dispute_of(dispute)
    assert found is not None
    assert found.status is (DisputeStatus.WON if won else DisputeStatus.LOST)


async def test_an_inquiry_is_no_dispute(provider: StripeBehaviour, account: Account) -> None:
    dispute = account.dispute((await provider.charge(Card.OK)).reference)
    dispute["status"] = "warning_needs_response"

    assert await provider.stripe.dispute_of(dispute["id"]) is None


async def test_what_is_not_in_the_books_is_none(provider: StripeBehaviour) -> None:
    books = provider.stripe

    assert await books.charge_of("pi_elsewhere") is None
    assert await books.charge_of("ch_elsewhere") is None
    assert await books.refund_of("re_elsewhere") is None
    assert await books.dispute_of("dp_elsewhere") is None
    assert await books.method_of("cs_elsewhere") is None


async def test_what_is_older_is_not_read(provider: StripeBehaviour, account: Account) -> None:
    await provider.charge(Card.OK)
    account.forward(days=1)

    assert [each async for each in provider.stripe.charges_since(account.now)] == []
