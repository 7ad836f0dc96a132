"""Another secret by which the provider may sign its events. Two overlap while one replaces the other."""

from billing.gateways.connections import rules, store
from billing.gateways.connections.events import WebhookSecretAdded, WebhookSecretRemoved
from billing.gateways.connections.model import (
    NewWebhookSecret,
    PaymentConnection,
    PaymentConnectionId,
    WebhookSecret,
    WebhookSecretId,
    WebhookSigningSecret,
)
from billing.gateways.connections.vault import Vault
from kernel import outbox
from kernel.database import Tx


async def add_webhook_secret(
    tx: Tx, connection_id: PaymentConnectionId, request: NewWebhookSecret, vault: Vault
) -> PaymentConnection:
    keys = await store.lock(tx, connection_id)
    secrets = await store.secrets_of(tx, connection_id)

    rules.check_not_disconnected(keys)
    rules.check_room(len(secrets))

    await keep_secret(tx, connection_id, request.secret, vault)
    return await store.get(tx, connection_id)


async def keep_secret(
    tx: Tx, connection_id: PaymentConnectionId, secret: WebhookSigningSecret, vault: Vault
) -> None:
    kept = WebhookSecret(id=WebhookSecretId.new(), hint=secret.hint, created_at=tx.now)
    sealed = vault.seal(secret, tenant=tx.tenant, row=kept.id)
    await store.insert_secret(tx, connection_id, kept, sealed)
    outbox.publish(tx, WebhookSecretAdded(payment_connection_id=connection_id, webhook_secret_id=kept.id))


async def remove_webhook_secret(
    tx: Tx, connection_id: PaymentConnectionId, secret_id: WebhookSecretId
) -> PaymentConnection:
    """What is signed by it is refused from here on."""
    await store.lock(tx, connection_id)
    await store.delete_secret(tx, connection_id, secret_id)
    outbox.publish(tx, WebhookSecretRemoved(payment_connection_id=connection_id, webhook_secret_id=secret_id))
    return await store.get(tx, connection_id)
