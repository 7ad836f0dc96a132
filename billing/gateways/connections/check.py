"""Checking the newest key of a connection with its provider, in three steps: read, ask, write the answer."""

from collections.abc import Awaitable, Callable

from msgspec.structs import replace

from billing.gateways.connections import rules, store
from billing.gateways.connections.events import PaymentConnectionChecked
from billing.gateways.connections.model import PaymentConnectionId
from billing.gateways.connections.vault import Vault
from billing.gateways.model import GatewayRefused
from kernel import outbox
from kernel.database import Door, Tx

# Whose account a key opens. Raises GatewayRefused and GatewayTimeout.
AccountOf = Callable[[str], Awaitable[str]]


async def check_connection(
    door: Door, connection_id: PaymentConnectionId, vault: Vault, account_of: AccountOf
) -> None:
    async with door.open() as tx:
        keys = await store.find(tx, connection_id)
    if keys is None or keys.next_secret_key is None:
        return

    account = await _ask(vault.open(keys.next_secret_key, tenant=door.tenant, row=keys.id), account_of)

    async with door.open() as tx:
        await record_check(tx, connection_id, keys.next_secret_key, account)


async def _ask(secret_key: str, account_of: AccountOf) -> str | None:
    """None when the key opens nothing. That the provider is busy says nothing about the key."""
    try:
        return await account_of(secret_key)
    except GatewayRefused as refused:
        if refused.code != "gateway_key_refused":
            raise
        return None


async def record_check(
    tx: Tx, connection_id: PaymentConnectionId, checked_key: bytes, account: str | None
) -> None:
    keys = await store.lock(tx, connection_id)
    if keys.next_secret_key != checked_key:
        return  # another key has come meanwhile, and is looked at on its own

    status, problem = rules.checked(keys, account=account)
    works = problem is None

    checked = replace(
        keys,
        status=status,
        account=account if works else keys.account,
        secret_key=checked_key if works else keys.secret_key,
        next_secret_key=None,
    )
    await store.update(tx, checked, problem=problem)
    outbox.publish(
        tx, PaymentConnectionChecked(payment_connection_id=connection_id, status=status, problem=problem)
    )
