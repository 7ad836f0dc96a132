"""Ending a connection, once nothing is under way: without its keys nobody could ask what became of it."""

from msgspec.structs import replace

from billing.gateways.connections import rules, store
from billing.gateways.connections.events import PaymentConnectionDisconnected
from billing.gateways.connections.model import PaymentConnection, PaymentConnectionId, Status
from kernel import outbox
from kernel.database import Tx


async def disconnect(tx: Tx, connection_id: PaymentConnectionId) -> PaymentConnection:
    """Its keys and webhook secrets are forgotten: nothing is charged or refunded through it from here on."""
    keys = await store.lock(tx, connection_id)
    under_way = await store.under_way(tx, connection_id)

    rules.check_not_disconnected(keys)
    rules.check_nothing_under_way(under_way)

    ended = replace(keys, status=Status.DISCONNECTED, secret_key=None, next_secret_key=None)
    await store.update(tx, ended)
    await store.delete_secrets(tx, connection_id)
    outbox.publish(tx, PaymentConnectionDisconnected(payment_connection_id=connection_id))
    return await store.get(tx, connection_id)
