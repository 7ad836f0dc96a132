"""What a tenant's money goes through: the sandbox, or its account at a payment provider.

    test tenant, no connection     the sandbox
    live tenant, no connection     nothing yet: what is to be charged waits, with `gateway_missing`
    a connection                   the newest that works; while none does, what is to be charged waits
    one that was ended             nothing: what goes back on its payments fails, for a person to decide

A payment keeps what took it in `gateway`: `sandbox`, or the id of the connection. What goes back goes there.
"""

from collections.abc import Sequence

import structlog

from api.provider_webhooks import Connection
from api.settings import Settings
from billing.gateways.connections import store
from billing.gateways.connections.check import check_connection
from billing.gateways.connections.model import Choice, Keys, PaymentConnectionId, Status
from billing.gateways.connections.store import Sealed
from billing.gateways.connections.vault import SecretLost, Vault
from billing.gateways.model import (
    NOWHERE,
    ChargeIntent,
    Gateway,
    GatewayRefused,
    Outcome,
    RefundIntent,
)
from billing.gateways.model import Status as OutcomeStatus
from billing.gateways.stripe import Stripe
from billing.gateways.stripe_http import StripeHttp
from billing.payments.model import PaymentId
from kernel.database import Door, Pool, Tx
from kernel.ids import TenantId
from refunds import store as refunds
from refunds.model import RefundId

SANDBOX = "sandbox"

log = structlog.get_logger("gateways")
MOST_REMEMBERED = 1_000


class Waiting:
    """A gateway that nothing goes through, and the code that says why. What waits is tried again."""

    def __init__(self, name: str, code: str) -> None:
        self.name = name
        self._code = code

    async def charge(self, intent: ChargeIntent) -> Outcome:  # noqa: ARG002 (the protocol names it)
        raise GatewayRefused(self._code)

    async def find_charge(self, intent: ChargeIntent) -> Outcome | None:  # noqa: ARG002 (the protocol names it)
        raise GatewayRefused(self._code)

    async def refund(self, intent: RefundIntent) -> Outcome:  # noqa: ARG002 (the protocol names it)
        raise GatewayRefused(self._code)

    async def find_refund(self, intent: RefundIntent) -> Outcome | None:  # noqa: ARG002 (the protocol names it)
        raise GatewayRefused(self._code)


class Gone:
    """A connection that was ended, with nothing under way: what is begun through it now cannot be done."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def charge(self, intent: ChargeIntent) -> Outcome:  # noqa: ARG002 (the protocol names it)
        return _DISCONNECTED

    async def find_charge(self, intent: ChargeIntent) -> Outcome | None:  # noqa: ARG002 (the protocol names it)
        return None

    async def refund(self, intent: RefundIntent) -> Outcome:  # noqa: ARG002 (the protocol names it)
        return _DISCONNECTED

    async def find_refund(self, intent: RefundIntent) -> Outcome | None:  # noqa: ARG002 (the protocol names it)
        return None


_DISCONNECTED = Outcome(
    status=OutcomeStatus.FAILED, reference="", failure_code="payment_connection_disconnected"
)


class Gateways:
    """Make it inside the loop that uses it."""

    def __init__(self, *, sandbox: Gateway, vault: Vault, http: StripeHttp, stripe_url: str) -> None:
        self._sandbox = sandbox
        self._vault = vault
        self._http = http
        self._stripe_url = stripe_url
        self._accounts: dict[bytes, Stripe] = {}  # by key as it is stored: another key is another entry

    async def to_charge(self, door: Door, payment_id: PaymentId | None = None) -> Gateway:
        """What a payment was begun with, or else what the next one goes through."""
        async with door.open() as tx:
            choice = await store.choice_for_charge(tx, payment_id)
            begun = _connection_of(choice.gateway)
            if begun is not None and (choice.keys is None or choice.keys.id != begun):
                choice = Choice(
                    gateway=choice.gateway, is_live=choice.is_live, keys=await store.find(tx, begun)
                )
        return self._chosen(door.tenant, choice)

    async def to_refund(self, door: Door, refund_id: RefundId) -> Gateway:
        """What took the payment that is given back."""
        async with door.open() as tx:
            payment_id = (await refunds.get(tx, refund_id)).payment_id
        return await self.to_charge(door, payment_id)

    async def stripe(self, door: Door, connection_id: PaymentConnectionId) -> Stripe | None:
        """An account at Stripe, with its books; None while no key to it works."""
        async with door.open() as tx:
            keys = await store.find(tx, connection_id)
        return self._stripe(door.tenant, keys) if keys else None

    async def check(self, door: Door, connection_id: PaymentConnectionId) -> None:
        await check_connection(door, connection_id, self._vault, self._account_of)

    def _chosen(self, tenant: TenantId, choice: Choice) -> Gateway:
        if choice.gateway == SANDBOX or (choice.keys is None and not choice.is_live):
            return self._sandbox
        if choice.keys is None:
            return Waiting(NOWHERE, "gateway_missing")
        if choice.keys.status is Status.DISCONNECTED:
            return Gone(str(choice.keys.id))
        return self._stripe(tenant, choice.keys) or Waiting(
            str(choice.keys.id), f"gateway_{choice.keys.status}"
        )

    def _stripe(self, tenant: TenantId, keys: Keys) -> Stripe | None:
        if keys.secret_key is None:
            return None
        if keys.secret_key not in self._accounts:
            if len(self._accounts) >= MOST_REMEMBERED:
                self._accounts.clear()
            secret_key = self._vault.open(keys.secret_key, tenant=tenant, row=keys.id)
            self._accounts[keys.secret_key] = Stripe(
                secret_key, self._http, name=str(keys.id), api=self._stripe_url
            )
        return self._accounts[keys.secret_key]

    async def _account_of(self, secret_key: str) -> str:
        return await Stripe(secret_key, self._http, api=self._stripe_url).account()


def _connection_of(gateway: str | None) -> PaymentConnectionId | None:
    return PaymentConnectionId.read(gateway) if gateway else None


class StoredConnections:
    """Whose a connection is, and by which secrets its provider signs: what the webhook endpoint asks."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    async def find(self, pool: Pool, connection_id: str) -> Connection | None:
        known = PaymentConnectionId.read(connection_id)
        if known is None:
            return None
        async with pool.acquire() as conn:
            tenant = await store.tenant_of(conn, known)
        return Connection(id=known, tenant=tenant) if tenant else None

    async def secrets_of(self, tx: Tx, connection_id: PaymentConnectionId) -> Sequence[str]:
        sealed = await store.secrets_of(tx, connection_id)
        return [secret for each in sealed if (secret := self._open(tx, each)) is not None]

    def _open(self, tx: Tx, sealed: Sealed) -> str | None:
        """What no key of ours opens signs nothing; a line in the log says so."""
        try:
            return self._vault.open(sealed.secret, tenant=tx.tenant, row=sealed.id)
        except SecretLost:
            log.warning("webhook secret lost", tenant=str(tx.tenant), secret=str(sealed.id))
            return None


def vault_of(settings: Settings) -> Vault:
    """What `VAULT_KEYS` names, newest first; the key that derives from `SECRET_KEY` comes last, always."""
    return Vault([*settings.vault_keys, settings.subkey("payment connections")])
