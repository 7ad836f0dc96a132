"""Connecting a tenant to its account at a payment provider."""

from billing.gateways.connections import rules, store
from billing.gateways.connections.add_webhook_secret import keep_secret
from billing.gateways.connections.events import PaymentConnectionCreated
from billing.gateways.connections.model import (
    NewPaymentConnection,
    PaymentConnection,
    PaymentConnectionId,
    Status,
)
from billing.gateways.connections.vault import Vault
from kernel import outbox
from kernel.database import Tx


async def connect(tx: Tx, request: NewPaymentConnection, vault: Vault) -> PaymentConnection:
    """The key is checked with the provider afterwards: nothing foreign happens in here."""
    is_live = await store.is_live(tx)

    rules.check_mode(request.secret_key, is_live=is_live)
    connection_id = PaymentConnectionId.new()
    connection = PaymentConnection(
        id=connection_id,
        provider=request.provider,
        status=Status.CHECKING,
        account=None,
        key_hint=request.secret_key.hint,
        problem=None,
        webhook_path=store.path_of(connection_id),
        webhook_secrets=(),
        created_at=tx.now,
        checked_at=None,
    )

    sealed = vault.seal(request.secret_key, tenant=tx.tenant, row=connection.id)
    await store.insert(tx, connection, next_secret_key=sealed)
    await store.enter(tx, connection.id)
    if request.webhook_secret is not None:
        await keep_secret(tx, connection.id, request.webhook_secret, vault)
    outbox.publish(tx, PaymentConnectionCreated(payment_connection_id=connection.id))
    return await store.get(tx, connection.id)
