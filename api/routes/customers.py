"""Customers. Your own reference works wherever a customer's id does."""

from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from api.operations import command, query
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


ROUTES = [
    list_customers,
    get_customer,
    get_entitlements,
    get_balance,
    create_customer,
    patch_customer,
]
