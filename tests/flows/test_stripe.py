"""A tenant's own account at Stripe: connected, a card left on Stripe's page, charged, given back."""

import io
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import httpx
import pytest
from litestar import Litestar

from api.gateways import vault_of
from api.house import House
from api.settings import Settings
from api.tidying import tidy_tenant
from api.work import drain
from billing.gateways.checkouts.save_method import save_method
from billing.gateways.connections.model import PaymentConnectionId
from kernel.database import Pool, transaction
from tests.flows.backend import Backend, Json, customer, euros, line
from tests.flows.conftest import OpenTenant, Time
from tests.makers import NOON
from tests.shop import a_door
from tests.stripe_server import Account, Card, Fault, StripeServer

KEY = "sk_test_flows123"
LIVE_KEY = "sk_live_flows123"
PAGES = {"success_url": "https://app.example/thanks", "cancel_url": "https://app.example/back"}


@pytest.fixture
def account(stripe: StripeServer) -> Account:
    return stripe.account(KEY)


@pytest.fixture(autouse=True)
def one_stripe(app: Litestar, house: House, anonymous: httpx.AsyncClient) -> Iterator[None]:
    """The API, which leads customers to Stripe's page, reaches the same Stripe as workers do."""
    before = app.state.gateways
    app.state.gateways = house.gateways
    yield
    app.state.gateways = before


async def connect(backend: Backend, house: House, key: str = KEY) -> Json:
    made = await backend.post("/v1/payment_connections", {"secret_key": key})
    await drain(house)
    return await backend.get(f"/v1/payment_connections/{made['id']}")


async def leave_a_card(
    backend: Backend, anonymous: httpx.AsyncClient, account: Account, card: Card = Card.OK
) -> Json:
    """The customer follows the link, fills in Stripe's page, and Stripe tells us."""
    link = await backend.post("/v1/customers/user-42/checkout_sessions", PAGES)
    answer = await anonymous.get(urlsplit(link["url"]).path)
    assert answer.status_code == 303, answer.text
    page = answer.headers["location"].rpartition("/")[2]
    account.complete_checkout(page, card)
    return link


async def told(backend: Backend, house: House, connection: Json, link: Json, page: str) -> None:
    """What follows when Stripe says that the page is done."""
    door = a_door(backend.pool, backend.tenant)
    books = await house.gateways.stripe(door, PaymentConnectionId.parse(connection["id"]))
    assert books is not None
    saved = await books.method_of(page)
    assert saved is not None
    for _ in range(2):  # the second time is boring
        async with transaction(backend.pool, backend.tenant, now=NOON) as tx:
            await save_method(tx, saved)


async def charged(backend: Backend, house: House) -> Json:
    """An invoice whose charge was asked for."""
    invoice = await backend.issue(line("100.00"))
    await backend.post(f"/v1/invoices/{invoice['id']}/pay")
    await drain(house)
    return invoice


async def page_of(pool: Pool, backend: Backend, link: Json) -> str:
    async with transaction(pool, backend.tenant, now=NOON) as tx:
        return str(await tx.conn.fetchval("SELECT reference FROM checkout_sessions"))


async def test_a_connection_that_stripe_lets_in_is_connected(
    backend: Backend, house: House, account: Account, time: Time
) -> None:
    connection = await connect(backend, house)

    assert (connection["status"], connection["account"]) == ("connected", account.shape["id"])
    assert KEY not in str(connection)


async def test_a_connection_that_stripe_does_not_let_in_is_refused(
    backend: Backend, house: House, time: Time
) -> None:
    connection = await connect(backend, house, "sk_test_nobodys1")

    assert (connection["status"], connection["problem"]) == ("refused", "gateway_key_refused")


@pytest.mark.parametrize("mode", ["test", "live"])
async def test_from_the_page_of_stripe_to_money_and_back(
    open_tenant: OpenTenant,
    open_live: OpenTenant,
    house: House,
    stripe: StripeServer,
    anonymous: httpx.AsyncClient,
    time: Time,
    mode: str,
) -> None:
    backend = await (open_live if mode == "live" else open_tenant)()
    account = stripe.account(LIVE_KEY if mode == "live" else KEY)
    await backend.open_shop()
    connection = await connect(backend, house, LIVE_KEY if mode == "live" else KEY)
    link = await leave_a_card(backend, anonymous, account)
    await told(backend, house, connection, link, await page_of(backend.pool, backend, link))

    done = await backend.get(f"/v1/checkout_sessions/{link['id']}")
    buyer = await backend.get("/v1/customers/user-42")
    assert done["status"] == "completed"
    assert buyer["payment_method"] == done["payment_method"]

    invoice = await charged(backend, house)
    (payment,) = (await backend.get("/v1/payments"))["data"]
    assert (payment["status"], payment["gateway"]) == ("succeeded", connection["id"])
    assert payment["amount"] == invoice["total"]
    assert account.find(payment["gateway_reference"])["customer"].startswith("cus_")

    await backend.credit(invoice, refund="automatic")
    await drain(house)
    (refund,) = (await backend.get("/v1/refunds"))["data"]
    assert refund["status"] == "succeeded"
    (made,) = account.of_kind("refund")
    assert euros(made["amount"]) == invoice["total"]


async def test_a_link_leads_to_one_page_and_back_when_it_is_done(
    backend: Backend, house: House, account: Account, anonymous: httpx.AsyncClient, time: Time
) -> None:
    await backend.open_shop()
    connection = await connect(backend, house)
    link = await backend.post("/v1/customers/user-42/checkout_sessions", PAGES)
    path = urlsplit(link["url"]).path

    one, other = await anonymous.get(path), await anonymous.get(path)
    assert one.headers["location"] == other.headers["location"]
    assert len(list(account.of_kind("customer"))) == 1

    page = await page_of(backend.pool, backend, link)
    account.complete_checkout(page)
    await told(backend, house, connection, link, page)
    assert (await anonymous.get(path)).headers["location"] == PAGES["success_url"]

    late = await backend.post("/v1/customers/user-42/checkout_sessions", PAGES)
    time.forward(days=1)
    assert (await anonymous.get(urlsplit(late["url"]).path)).headers["location"] == PAGES["cancel_url"]
    assert (await backend.get(f"/v1/checkout_sessions/{late['id']}"))["status"] == "expired"


async def test_while_stripe_is_away_the_link_says_so_and_works_later(
    backend: Backend,
    house: House,
    account: Account,
    stripe: StripeServer,
    anonymous: httpx.AsyncClient,
    time: Time,
) -> None:
    await backend.open_shop()
    await connect(backend, house)
    link = await backend.post("/v1/customers/user-42/checkout_sessions", PAGES)
    path = urlsplit(link["url"]).path

    stripe.ordered.extend([Fault.LOST, Fault.DROPPED])
    for _ in range(2):
        answer = await anonymous.get(path)
        assert (answer.status_code, answer.json()["code"]) == (503, "gateway_unavailable")

    assert (await anonymous.get(path)).status_code == 303
    assert len(list(account.of_kind("customer"))) == 1


async def test_a_link_that_nobody_made_leads_nowhere(
    backend: Backend, open_tenant: OpenTenant, house: House, anonymous: httpx.AsyncClient, time: Time
) -> None:
    await backend.open_shop()
    await connect(backend, house)
    link = await backend.post("/v1/customers/user-42/checkout_sessions", PAGES)
    other = await open_tenant()

    for path in (
        f"/checkout/{other.tenant}/{link['id']}",
        f"/checkout/{backend.tenant}/{link['id'][:-1]}x",
        "/checkout/nobody/nothing",
    ):
        answer = await anonymous.get(path)
        assert (answer.status_code, answer.json()["code"]) == (404, "checkout_session_not_found")


@pytest.mark.parametrize(
    "address", ["javascript:alert(1)", "https://", "https://a b", "https://me@x.example/", "ftp://x.example"]
)
async def test_a_customer_is_sent_back_to_an_address_of_the_web(
    backend: Backend, house: House, time: Time, address: str
) -> None:
    await backend.open_shop()
    await connect(backend, house)

    status, _ = await backend.refused(
        "/v1/customers/user-42/checkout_sessions", {**PAGES, "success_url": address}
    )
    assert status == 422


async def test_without_a_provider_there_is_no_page(backend: Backend, time: Time) -> None:
    await backend.open_shop()

    refused = await backend.refused("/v1/customers/user-42/checkout_sessions", PAGES)
    assert refused == (409, "gateway_missing")


async def test_a_card_that_was_collected_without_us_is_charged_for_its_owner(
    backend: Backend, house: House, account: Account, time: Time
) -> None:
    await connect(backend, house)
    owner = account.create_customer({})["id"]
    method = account.save_method(owner)
    await backend.open_shop(payment_method=method)
    await charged(backend, house)

    (payment,) = (await backend.get("/v1/payments"))["data"]
    assert payment["status"] == "succeeded"
    assert account.find(payment["gateway_reference"])["customer"] == owner


async def test_a_live_tenant_takes_a_payment_method_once_a_provider_is_connected(
    open_live: OpenTenant, house: House, stripe: StripeServer, time: Time
) -> None:
    backend = await open_live()
    account = stripe.account(LIVE_KEY)
    await backend.open_shop()
    method = account.save_method(account.create_customer({})["id"])
    paying = customer("user-43", payment_method=method)
    assert await backend.refused("/v1/customers", paying) == (409, "gateway_missing")

    await connect(backend, house, LIVE_KEY)

    assert (await backend.post("/v1/customers", paying))["payment_method"] == method


async def test_what_is_to_be_charged_waits_until_the_key_works(
    backend: Backend, house: House, stripe: StripeServer, time: Time
) -> None:
    account = stripe.account(KEY)
    method = account.save_method(account.create_customer({})["id"])
    connection = await connect(backend, house, "sk_test_revoked1")
    await backend.open_shop(payment_method=method)
    await charged(backend, house)
    (payment,) = (await backend.get("/v1/payments"))["data"]
    assert (payment["status"], payment["gateway"]) == ("pending", connection["id"])

    await backend.patch(f"/v1/payment_connections/{connection['id']}", {"secret_key": KEY})
    for _ in range(2):  # the key is checked, and then the charge tried again
        await drain(house)
        time.forward(seconds=120)

    (payment,) = (await backend.get("/v1/payments"))["data"]
    assert payment["status"] == "succeeded"


async def test_what_the_sandbox_took_goes_back_there_after_stripe_was_connected(
    backend: Backend, house: House, account: Account, time: Time
) -> None:
    await backend.open_shop(payment_method="pm_sandbox_ok")
    invoice = await charged(backend, house)
    await connect(backend, house)
    await backend.credit(invoice, refund="automatic")
    await drain(house)

    (refund,) = (await backend.get("/v1/refunds"))["data"]
    assert refund["status"] == "succeeded"
    assert list(account.of_kind("refund")) == []


async def test_a_connection_is_not_ended_while_money_is_under_way_and_nothing_goes_back_after(
    backend: Backend, house: House, account: Account, time: Time
) -> None:
    connection = await connect(backend, house)
    ending = f"/v1/payment_connections/{connection['id']}/disconnect"
    method = account.save_method(account.create_customer({})["id"], Card.PROCESSING)
    await backend.open_shop(payment_method=method)
    invoice = await charged(backend, house)
    assert await backend.refused(ending) == (409, "payment_connection_in_use")

    (intent,) = account.of_kind("payment_intent")
    account.decide_charge(intent["id"])
    time.at = datetime.now(UTC) + timedelta(days=1)
    await drain(house)
    await backend.post(ending)
    await backend.credit(invoice, refund="automatic")
    await drain(house)

    (refund,) = (await backend.get("/v1/refunds"))["data"]
    assert (refund["status"], refund["failure_code"]) == ("failed", "payment_connection_disconnected")


async def test_no_line_of_the_log_has_a_key_in_it(
    backend: Backend,
    house: House,
    account: Account,
    stripe: StripeServer,
    time: Time,
    logged: io.StringIO,
) -> None:
    await connect(backend, house)
    method = account.save_method(account.create_customer({})["id"])
    await backend.open_shop(payment_method=method)
    stripe.ordered.extend([Fault.BROKEN_AFTER, Fault.LOST])
    await charged(backend, house)
    await connect(backend, house, "sk_test_refused123")

    said = logged.getvalue()
    assert "job failed" in said
    assert "GatewayTimeout" in said
    assert not re.search("flows123|refused123|4242", said)


@pytest.mark.parametrize(
    ("fault", "that_night"),
    [
        (Fault.LOST, "succeeded"),  # found, as the provider's books are compared with ours
        (Fault.DROPPED, "pending"),  # nothing to find: sent again when it has waited for a day
    ],
)
async def test_a_charge_that_was_given_up_is_taken_up_again_by_night_and_made_once(
    backend: Backend,
    house: House,
    account: Account,
    stripe: StripeServer,
    settings: Settings,
    time: Time,
    fault: Fault,
    that_night: str,
) -> None:
    await connect(backend, house)
    method = account.save_method(account.create_customer({})["id"])
    await backend.open_shop(payment_method=method)
    stripe.ordered.append(fault)
    await charged(backend, house)
    async with transaction(backend.pool, backend.tenant, now=NOON) as tx:
        await tx.conn.execute("UPDATE jobs SET state = 'parked' WHERE tenant_id = $1", tx.tenant)
    account.forward(hours=30)

    for after, status in ((timedelta(hours=20), that_night), (timedelta(hours=44), "succeeded")):
        time.at = datetime.now(UTC) + after
        async with transaction(backend.pool, backend.tenant, now=time.at) as tx:
            await tidy_tenant(tx, vault_of(settings))
        await drain(house)
        (payment,) = (await backend.get("/v1/payments"))["data"]
        assert payment["status"] == status

    assert len(list(account.of_kind("payment_intent"))) == 1
