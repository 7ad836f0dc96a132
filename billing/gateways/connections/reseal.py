"""Encrypting anew what an older master key encrypted, so that the older one can be taken away."""

from msgspec.structs import replace

from billing.gateways.connections import store
from billing.gateways.connections.model import PaymentConnectionId, WebhookSecretId
from billing.gateways.connections.vault import SecretLost, Vault
from kernel.database import Tx


async def reseal(tx: Tx, vault: Vault) -> int:
    """How many secrets were encrypted anew. The second time there are none."""
    renewed = 0
    for keys in await store.every_key(tx):
        after = replace(
            keys,
            secret_key=_newest(tx, vault, keys.secret_key, keys.id),
            next_secret_key=_newest(tx, vault, keys.next_secret_key, keys.id),
        )
        if after != keys:
            await store.replace_keys(tx, after)
            renewed += 1
    for secret in await store.every_secret(tx):
        sealed = _newest(tx, vault, secret.secret, secret.id)
        if sealed is not None and sealed != secret.secret:
            await store.replace_secret(tx, replace(secret, secret=sealed))
            renewed += 1
    return renewed


def _newest(
    tx: Tx, vault: Vault, sealed: bytes | None, row: PaymentConnectionId | WebhookSecretId
) -> bytes | None:
    """What no key opens stays as it is: whoever needs it is told."""
    if sealed is None or vault.is_newest(sealed):
        return sealed
    try:
        secret = vault.open(sealed, tenant=tx.tenant, row=row)
    except SecretLost:
        return sealed
    return vault.seal(secret, tenant=tx.tenant, row=row)
