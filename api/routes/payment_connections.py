"""Payment connections: the tenant's own account at a payment provider."""

from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from api.operations import command, query
from billing.gateways.connections import store
from billing.gateways.connections.add_webhook_secret import add_webhook_secret, remove_webhook_secret
from billing.gateways.connections.change_key import change_key
from billing.gateways.connections.connect import connect
from billing.gateways.connections.disconnect import disconnect
from billing.gateways.connections.model import (
    NewPaymentConnection,
    NewWebhookSecret,
    PaymentConnection,
    PaymentConnectionChange,
    PaymentConnectionId,
    WebhookSecretId,
)
from billing.gateways.connections.vault import Vault
from kernel.database import Tx
from kernel.paging import Page, Window


@query("/v1/payment_connections", scope="payment_connections:read")
async def list_payment_connections(
    tx: NamedDependency[Tx], window: NamedDependency[Window]
) -> Page[PaymentConnection]:
    """List payment connections, newest first."""
    return await store.page(tx, window)


@query("/v1/payment_connections/{payment_connection_id}", scope="payment_connections:read")
async def get_payment_connection(
    tx: NamedDependency[Tx], payment_connection_id: FromPath[PaymentConnectionId]
) -> PaymentConnection:
    """Read a payment connection, without its secrets."""
    return await store.get(tx, payment_connection_id)


@command("/v1/payment_connections", scope="payment_connections:write", status=201)
async def create_payment_connection(
    tx: NamedDependency[Tx], data: JSONBody[NewPaymentConnection], vault: NamedDependency[Vault]
) -> PaymentConnection:
    """Connect your account at Stripe.

    The key is checked within seconds: `status` says what came of it. From then on charges go through it;
    refunds go to whatever took the payment. Let Stripe post its events to `webhook_path` of this API.
    """
    return await connect(tx, data, vault)


@command("/v1/payment_connections/{payment_connection_id}", scope="payment_connections:write", method="PATCH")
async def patch_payment_connection(
    tx: NamedDependency[Tx],
    payment_connection_id: FromPath[PaymentConnectionId],
    data: JSONBody[PaymentConnectionChange],
    vault: NamedDependency[Vault],
) -> PaymentConnection:
    """Give a payment connection a new key to the same account.

    The one before goes on working until the new one was let in; `problem` says why it was not.
    """
    return await change_key(tx, payment_connection_id, data, vault)


@command("/v1/payment_connections/{payment_connection_id}/disconnect", scope="payment_connections:write")
async def disconnect_payment_connection(
    tx: NamedDependency[Tx], payment_connection_id: FromPath[PaymentConnectionId]
) -> PaymentConnection:
    """End a payment connection.

    Its keys are forgotten. What was paid through it can no longer be refunded through it.
    """
    return await disconnect(tx, payment_connection_id)


@command(
    "/v1/payment_connections/{payment_connection_id}/webhook_secrets",
    scope="payment_connections:write",
    status=201,
)
async def create_webhook_secret(
    tx: NamedDependency[Tx],
    payment_connection_id: FromPath[PaymentConnectionId],
    data: JSONBody[NewWebhookSecret],
    vault: NamedDependency[Vault],
) -> PaymentConnection:
    """Add a secret by which Stripe may sign its events.

    To rotate, add the new one, change it at Stripe, and delete the old one.
    """
    return await add_webhook_secret(tx, payment_connection_id, data, vault)


@command(
    "/v1/payment_connections/{payment_connection_id}/webhook_secrets/{webhook_secret_id}",
    scope="payment_connections:write",
    method="DELETE",
)
async def delete_webhook_secret(
    tx: NamedDependency[Tx],
    payment_connection_id: FromPath[PaymentConnectionId],
    webhook_secret_id: FromPath[WebhookSecretId],
) -> PaymentConnection:
    """Delete a webhook secret: what is signed by it is refused from the next event on."""
    return await remove_webhook_secret(tx, payment_connection_id, webhook_secret_id)


ROUTES = [
    list_payment_connections,
    get_payment_connection,
    create_payment_connection,
    patch_payment_connection,
    disconnect_payment_connection,
    create_webhook_secret,
    delete_webhook_secret,
]
