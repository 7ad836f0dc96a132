"""Customers. Your own reference works wherever a customer's id does."""

from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from api.checkout import Links
from api.operations import command, query
from billing.gateways.checkouts import store as sessions
from billing.gateways.checkouts.create_session import create_session, shown
from billing.gateways.checkouts.model import CheckoutSession, CheckoutSessionId, NewCheckoutSession
from billing.parties import store
from billing.parties.add_customer import add_customer
from billing.parties.change_customer import change_customer
from billing.parties.model import Customer, CustomerChange, NewCustomer
from billing.settlement.balance import balance_of
from billing.settlement.model import Balance
from kernel.database import Tx
from kernel.paging import Page, Window
from subscriptions.entitlements import grants_of
from subscriptions.model import Grants


@query("/v1/customers", scope="customers:read")
async def list_customers(tx: NamedDependency[Tx], window: NamedDependency[Window]) -> Page[Customer]:
    """List customers, newest first."""
    return await store.customers(tx, window)


@query("/v1/customers/{customer}", scope="customers:read")
async def get_customer(tx: NamedDependency[Tx], customer: FromPath[str]) -> Customer:
    """Read a customer, by id or reference."""
    return await store.customer(tx, customer)


@query("/v1/customers/{customer}/entitlements", scope="entitlements:read")
async def get_entitlements(tx: NamedDependency[Tx], customer: FromPath[str]) -> Grants:
    """What a customer may use now, over all their subscriptions."""
    return await grants_of(tx, customer)


@query("/v1/customers/{customer}/balance", scope="customers:read")
async def get_balance(tx: NamedDependency[Tx], customer: FromPath[str]) -> Balance:
    """What we hold for a customer, per currency."""
    return await balance_of(tx, customer)


@command("/v1/customers", scope="customers:write", status=201)
async def create_customer(tx: NamedDependency[Tx], data: JSONBody[NewCustomer]) -> Customer:
    """Register a customer, without a subscription. `POST /v1/signups` does both."""
    return await add_customer(tx, data)


@command("/v1/customers/{customer}", scope="customers:write", method="PATCH")
async def patch_customer(
    tx: NamedDependency[Tx], customer: FromPath[str], data: JSONBody[CustomerChange]
) -> Customer:
    """Change a customer. Documents already issued stay as they are."""
    return await change_customer(tx, customer, data)


@command("/v1/customers/{customer}/checkout_sessions", scope="customers:write", status=201)
async def create_checkout_session(
    tx: NamedDependency[Tx],
    customer: FromPath[str],
    data: JSONBody[NewCheckoutSession],
    links: NamedDependency[Links],
) -> CheckoutSession:
    """Make a link on which a customer leaves a payment method.

    Send them to its `url` within the day: it leads to a page of Stripe's, so that nothing of their card
    passes through your systems or ours. What they leave there becomes the customer's payment method.
    """
    session = await create_session(tx, customer, data)
    return shown(session, url=links.of(tx.tenant, session))


@query("/v1/checkout_sessions/{checkout_session_id}", scope="customers:read")
async def get_checkout_session(
    tx: NamedDependency[Tx],
    checkout_session_id: FromPath[CheckoutSessionId],
    links: NamedDependency[Links],
) -> CheckoutSession:
    """Read a checkout session: whether the customer has left a payment method."""
    session = await sessions.get(tx, checkout_session_id)
    return shown(session, url=links.of(tx.tenant, session))


ROUTES = [
    list_customers,
    get_customer,
    get_entitlements,
    get_balance,
    create_customer,
    patch_customer,
    create_checkout_session,
    get_checkout_session,
]
