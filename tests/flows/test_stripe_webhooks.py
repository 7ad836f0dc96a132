"""What happens at Stripe is known here: by its events, and by comparing books where none came."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import httpx
import pytest
from litestar import Litestar

from api.house import House
from api.work import drain
from tests.flows.backend import Backend, Json, line
from tests.flows.conftest import Time
from tests.stripe_server import Card, StripeServer

KEY, SECRET = "sk_test_webhooks1", "whsec_of_the_endpoint"
PAGES = {"success_url": "https://app.example/thanks", "cancel_url": "https://app.example/back"}


@pytest.fixture(autouse=True)
def one_stripe(app: Litestar, house: House) -> Iterator[None]:
    """The API, which leads customers to Stripe's page, reaches the same Stripe as workers do."""
    before = app.state.gateways
    app.state.gateways = house.gateways
    yield
    app.state.gateways = before


class Shop:
    """A tenant that is connected, and the events that Stripe has not posted yet."""

    def __init__(
        self, backend: Backend, house: House, stripe: StripeServer, anonymous: httpx.AsyncClient, time: Time
    ) -> None:
        self.backend = backend
        self.house = house
        self.stripe = stripe
        self.account = stripe.account(KEY)
        self.anonymous = anonymous
        self.time = time
        self.posted = 0
        self.connection: Json

    async def open(self) -> None:
        await self.backend.open_shop()
        self.connection = await self.backend.post(
            "/v1/payment_connections", {"secret_key": KEY, "webhook_secret": SECRET}
        )
        await drain(self.house)

    async def post_events(self) -> None:
        """Everything that has happened since, and let it be worked."""
        for event in self.account.events[self.posted :]:
            body = self.stripe.payload(event)
            headers = {"stripe-signature": self.stripe.sign(body, SECRET, self.time.at)}
            answer = await self.anonymous.post(self.connection["webhook_path"], content=body, headers=headers)
            assert answer.status_code == 200, answer.text
        self.posted = len(self.account.events)
        await drain(self.house)

    async def leave_a_card(self, card: Card = Card.OK) -> None:
        link = await self.backend.post("/v1/customers/user-42/checkout_sessions", PAGES)
        answer = await self.anonymous.get(urlsplit(link["url"]).path)
        self.account.complete_checkout(answer.headers["location"].rpartition("/")[2], card)
        await self.post_events()

    async def charged(self) -> Json:
        invoice = await self.backend.issue(line("100.00"))
        await self.backend.post(f"/v1/invoices/{invoice['id']}/pay")
        await drain(self.house)
        return invoice

    async def only(self, what: str) -> Json:
        (one,) = (await self.backend.get(f"/v1/{what}"))["data"]
        found: Json = one
        return found

    def last(self, kind: str) -> str:
        return str(next(self.account.of_kind(kind))["id"])


@pytest.fixture
async def shop(
    backend: Backend, house: House, stripe: StripeServer, anonymous: httpx.AsyncClient, time: Time
) -> Shop:
    # Stripe's objects are of today: by which clock they came is of no matter here.
    time.at = datetime.now(UTC)
    shop = Shop(backend, house, stripe, anonymous, time)
    await shop.open()
    return shop


async def test_a_card_that_was_left_at_stripe_is_charged_from_then_on(shop: Shop) -> None:
    await shop.leave_a_card()
    buyer = await shop.backend.get("/v1/customers/user-42")
    assert buyer["payment_method"] == shop.last("payment_method")

    await shop.charged()
    assert (await shop.only("payments"))["status"] == "succeeded"
    handled = await shop.backend.get("/v1/provider_events", status="handled")
    assert [event["type"] for event in handled["data"]] == ["checkout.session.completed"]


async def test_of_two_cards_the_one_of_the_newer_page_is_charged_whichever_is_told_of_first(
    shop: Shop,
) -> None:
    pages = []
    for _ in range(2):
        link = await shop.backend.post("/v1/customers/user-42/checkout_sessions", PAGES)
        answer = await shop.anonymous.get(urlsplit(link["url"]).path)
        pages.append(answer.headers["location"].rpartition("/")[2])
    older, newer = [shop.account.complete_checkout(page) for page in pages]

    shop.account.events.reverse()
    await shop.post_events()

    assert older != newer
    assert (await shop.backend.get("/v1/customers/user-42"))["payment_method"] == newer
    assert len((await shop.backend.get("/v1/provider_events", status="handled"))["data"]) == 2


async def test_a_bank_that_takes_days_is_heard_of(shop: Shop) -> None:
    await shop.leave_a_card(Card.PROCESSING)
    invoice = await shop.charged()
    assert (await shop.only("payments"))["status"] == "pending"

    shop.account.decide_charge(shop.last("payment_intent"))
    await shop.post_events()

    assert (await shop.only("payments"))["status"] == "succeeded"
    paid = await shop.backend.get(f"/v1/invoices/{invoice['id']}")
    assert paid["settlement"]["status"] == "settled"


async def test_a_refund_that_comes_back_weeks_later_is_heard_of(shop: Shop) -> None:
    await shop.leave_a_card()
    invoice = await shop.charged()
    await shop.backend.credit(invoice, refund="automatic")
    await drain(shop.house)
    assert (await shop.only("refunds"))["status"] == "succeeded"

    shop.account.decide_refund(shop.last("refund"), succeeded=False)
    shop.time.at += timedelta(days=20)
    await shop.post_events()

    assert (await shop.only("refunds"))["status"] == "failed"


async def test_what_no_event_told_of_is_found_by_comparing(shop: Shop) -> None:
    await shop.leave_a_card(Card.PROCESSING)
    await shop.charged()
    shop.account.decide_charge(shop.last("payment_intent"))

    report = await shop.backend.post("/v1/reconciliations", {})
    assert report["status"] == "running"
    await drain(shop.house)

    done = await shop.backend.get(f"/v1/drift_reports/{report['id']}")
    assert (done["status"], done["moved"], done["left"]) == ("done", 1, 0)
    item = await shop.only("drift_items")
    assert (item["kind"], item["done"]) == ("charge_status", "moved")
    payment = await shop.only("payments")
    assert (payment["status"], payment["id"]) == ("succeeded", item["our_id"])


async def test_a_key_that_stripe_takes_away_leaves_events_waiting(shop: Shop) -> None:
    await shop.leave_a_card(Card.PROCESSING)
    await shop.charged()
    shop.account.decide_charge(shop.last("payment_intent"))
    account = shop.stripe.accounts.pop(KEY)

    shop.account = account
    await shop.post_events()
    waiting = await shop.backend.get("/v1/provider_events", status="waiting")
    assert {event["last_error"] for event in waiting["data"]} == {"GatewayRefused gateway_key_refused"}
    assert all(event["next_try_at"] for event in waiting["data"])

    shop.stripe.accounts[KEY] = account
    shop.time.at += timedelta(hours=1)
    await drain(shop.house)
    assert (await shop.only("payments"))["status"] == "succeeded"
