"""Giving a connection another key to its account."""

from msgspec.structs import replace

from billing.gateways.connections import rules, store
from billing.gateways.connections.events import PaymentConnectionKeyChanged
from billing.gateways.connections.model import (
    PaymentConnection,
    PaymentConnectionChange,
    PaymentConnectionId,
    Status,
)
from billing.gateways.connections.vault import Vault
from kernel import outbox
from kernel.database import Tx


async def change_key(
    tx: Tx, connection_id: PaymentConnectionId, change: PaymentConnectionChange, vault: Vault
) -> PaymentConnection:
    """The key before goes on working until the provider has let the new one in."""
    keys = await store.lock(tx, connection_id)
    is_live = await store.is_live(tx)

    rules.check_not_disconnected(keys)
    rules.check_mode(change.secret_key, is_live=is_live)
    sealed = vault.seal(change.secret_key, tenant=tx.tenant, row=keys.id)
    status = Status.CONNECTED if keys.status is Status.CONNECTED else Status.CHECKING

    changed = replace(keys, status=status, next_secret_key=sealed)
    await store.update(tx, changed, key_hint=change.secret_key.hint)
    outbox.publish(tx, PaymentConnectionKeyChanged(payment_connection_id=connection_id))
    return await store.get(tx, connection_id)
