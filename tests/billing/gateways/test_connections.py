"""A connection is used once its key was let in; a key that works is not lost to one that does not."""

from collections.abc import Awaitable, Callable

import pytest

from billing.gateways.connections import store
from billing.gateways.connections.add_webhook_secret import add_webhook_secret, remove_webhook_secret
from billing.gateways.connections.change_key import change_key
from billing.gateways.connections.check import check_connection
from billing.gateways.connections.connect import connect
from billing.gateways.connections.disconnect import disconnect
from billing.gateways.connections.model import (
    MOST_WEBHOOK_SECRETS,
    NEXT,
    NewPaymentConnection,
    NewWebhookSecret,
    PaymentConnection,
    PaymentConnectionChange,
    SecretKey,
    Status,
    WebhookSigningSecret,
)
from billing.gateways.connections.reseal import reseal
from billing.gateways.connections.vault import Vault
from billing.gateways.model import GatewayRefused, GatewayTimeout
from kernel.database import Pool, Tx, transaction
from kernel.errors import Conflict, Invalid, NotFound
from kernel.ids import TenantId
from tests.gateways import VAULT
from tests.makers import NOON
from tests.servers import SECRET_KEY
from tests.shop import a_door

KEY = SecretKey("sk_test_12345678")
OTHER = SecretKey("sk_test_87654321")
WEBHOOK = WebhookSigningSecret("whsec_12345678")


def opens(**accounts: str) -> Callable[[str], Awaitable[str]]:
    """A provider that lets in these keys alone."""

    async def account_of(secret_key: str) -> str:
        if secret_key not in accounts:
            raise GatewayRefused("gateway_key_refused")
        return accounts[secret_key]

    return account_of


async def connected(tx: Tx, key: SecretKey = KEY) -> PaymentConnection:
    return await connect(tx, NewPaymentConnection(secret_key=key, webhook_secret=WEBHOOK), VAULT)


async def check(pool: Pool, tenant: TenantId, made: PaymentConnection, **accounts: str) -> PaymentConnection:
    await check_connection(a_door(pool, tenant), made.id, VAULT, opens(**accounts))
    async with transaction(pool, tenant, now=NOON) as tx:
        return await store.get(tx, made.id)


async def key_in_use(tx: Tx, made: PaymentConnection) -> str | None:
    keys = await store.find(tx, made.id)
    assert keys is not None
    return VAULT.open(keys.secret_key, tenant=tx.tenant, row=made.id) if keys.secret_key else None


@pytest.fixture
async def made(pool: Pool, tenant: TenantId) -> PaymentConnection:
    async with transaction(pool, tenant, now=NOON) as tx:
        return await connected(tx)


def test_the_states_lead_where_they_are_drawn_to() -> None:
    assert NEXT[Status.CHECKING] == {Status.CONNECTED, Status.REFUSED, Status.DISCONNECTED}
    assert NEXT[Status.CONNECTED] == {Status.DISCONNECTED}
    assert NEXT[Status.REFUSED] == {Status.CHECKING, Status.DISCONNECTED}
    assert not NEXT[Status.DISCONNECTED]


async def test_a_connection_shows_no_secret(tx: Tx) -> None:
    made = await connected(tx)

    assert (made.status, made.key_hint) == (Status.CHECKING, "sk_test_…5678")
    assert [secret.hint for secret in made.webhook_secrets] == ["…5678"]
    assert "12345678" not in repr(made)


async def test_the_database_has_no_secret_in_it(tx: Tx) -> None:
    made = await connected(tx)
    keys = await store.find(tx, made.id)
    (secret,) = await store.secrets_of(tx, made.id)

    assert keys is not None
    assert keys.next_secret_key is not None
    assert b"12345678" not in keys.next_secret_key + secret.secret
    assert VAULT.open(secret.secret, tenant=tx.tenant, row=secret.id) == WEBHOOK


async def test_a_key_that_is_let_in_is_used_from_then_on(
    pool: Pool, tenant: TenantId, made: PaymentConnection
) -> None:
    async with transaction(pool, tenant, now=NOON) as tx:
        assert await key_in_use(tx, made) is None
    after = await check(pool, tenant, made, **{KEY: "acct_1"})

    assert (after.status, after.account, after.problem) == (Status.CONNECTED, "acct_1", None)
    async with transaction(pool, tenant, now=NOON) as tx:
        assert await key_in_use(tx, made) == KEY


async def test_a_key_that_is_not_let_in_is_not_used(
    pool: Pool, tenant: TenantId, made: PaymentConnection
) -> None:
    after = await check(pool, tenant, made)

    assert (after.status, after.problem) == (Status.REFUSED, "gateway_key_refused")
    async with transaction(pool, tenant, now=NOON) as tx:
        assert await key_in_use(tx, made) is None
        again = await change_key(tx, made.id, PaymentConnectionChange(secret_key=OTHER), VAULT)
        assert (again.status, again.problem) == (Status.CHECKING, None)


async def test_that_the_provider_does_not_answer_says_nothing_of_the_key(
    pool: Pool, tenant: TenantId, made: PaymentConnection
) -> None:
    async def silent(secret_key: str) -> str:
        raise GatewayTimeout

    with pytest.raises(GatewayTimeout):
        await check_connection(a_door(pool, tenant), made.id, VAULT, silent)
    async with transaction(pool, tenant, now=NOON) as tx:
        assert (await store.get(tx, made.id)).status is Status.CHECKING


@pytest.mark.parametrize(
    ("account", "problem", "used"),
    [
        ("acct_1", None, OTHER),
        ("acct_2", "gateway_account_differs", KEY),
        (None, "gateway_key_refused", KEY),
    ],
)
async def test_a_key_works_until_the_next_one_is_let_in_for_the_same_account(
    pool: Pool,
    tenant: TenantId,
    made: PaymentConnection,
    account: str | None,
    problem: str | None,
    used: SecretKey,
) -> None:
    await check(pool, tenant, made, **{KEY: "acct_1"})
    async with transaction(pool, tenant, now=NOON) as tx:
        changed = await change_key(tx, made.id, PaymentConnectionChange(secret_key=OTHER), VAULT)
        assert changed.status is Status.CONNECTED
        assert await key_in_use(tx, made) == KEY

    after = await check(pool, tenant, made, **({OTHER: account} if account else {}))

    assert (after.status, after.account, after.problem) == (Status.CONNECTED, "acct_1", problem)
    async with transaction(pool, tenant, now=NOON) as tx:
        assert await key_in_use(tx, made) == used


async def test_a_key_that_was_replaced_while_it_was_checked_is_not_taken_for_the_new_one(
    pool: Pool, tenant: TenantId, made: PaymentConnection
) -> None:
    async def slow(secret_key: str) -> str:
        async with transaction(pool, tenant, now=NOON) as tx:
            await change_key(tx, made.id, PaymentConnectionChange(secret_key=OTHER), VAULT)
        return "acct_1"

    await check_connection(a_door(pool, tenant), made.id, VAULT, slow)

    async with transaction(pool, tenant, now=NOON) as tx:
        assert (await store.get(tx, made.id)).status is Status.CHECKING
        assert await key_in_use(tx, made) is None


async def test_a_test_tenant_takes_no_live_key(tx: Tx) -> None:
    with pytest.raises(Invalid) as refused:
        await connected(tx, SecretKey("sk_live_12345678"))

    assert (refused.value.code, refused.value.param) == ("payment_key_mode", "secret_key")
    assert "12345678" not in refused.value.detail


@pytest.mark.parametrize(
    "text", ["pk_test_12345678", "sk_test_1", "sk_test_12345678\n", "", "sk_test_1234567é"]
)
def test_what_is_no_secret_key_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(ValueError, match="begins with") as refused:
        SecretKey.parse(text)

    assert not text or text not in str(refused.value)


async def test_what_is_disconnected_has_no_keys_and_takes_none(tx: Tx) -> None:
    made = await connected(tx)
    ended = await disconnect(tx, made.id)

    assert (ended.status, ended.webhook_secrets) == (Status.DISCONNECTED, ())
    keys = await store.find(tx, made.id)
    assert keys is not None
    assert keys.secret_key is keys.next_secret_key is None
    for act in (
        disconnect(tx, made.id),
        change_key(tx, made.id, PaymentConnectionChange(secret_key=OTHER), VAULT),
        add_webhook_secret(tx, made.id, NewWebhookSecret(secret=WEBHOOK), VAULT),
    ):
        with pytest.raises(Conflict) as refused:
            await act
        assert refused.value.code == "payment_connection_disconnected"


async def test_webhook_secrets_overlap_and_are_few(tx: Tx) -> None:
    made = await connected(tx)
    for _ in range(MOST_WEBHOOK_SECRETS - 1):
        made = await add_webhook_secret(tx, made.id, NewWebhookSecret(secret=WEBHOOK), VAULT)
    with pytest.raises(Conflict) as refused:
        await add_webhook_secret(tx, made.id, NewWebhookSecret(secret=WEBHOOK), VAULT)
    assert refused.value.code == "webhook_secrets_too_many"

    first = made.webhook_secrets[0].id
    made = await remove_webhook_secret(tx, made.id, first)

    assert len(made.webhook_secrets) == MOST_WEBHOOK_SECRETS - 1
    with pytest.raises(NotFound) as missing:
        await remove_webhook_secret(tx, made.id, first)
    assert missing.value.code == "webhook_secret_not_found"


async def test_secrets_are_encrypted_anew_when_a_new_master_key_is_put_first(tx: Tx) -> None:
    made = await connected(tx)
    newer = Vault([bytes(32), SECRET_KEY])

    assert await reseal(tx, newer) == 2
    assert await reseal(tx, newer) == 0
    assert await reseal(tx, Vault([bytes(range(32))])) == 0, "what it cannot open it leaves alone"
    alone = Vault([bytes(32)])
    keys = await store.find(tx, made.id)
    (secret,) = await store.secrets_of(tx, made.id)
    assert keys is not None
    assert keys.next_secret_key is not None
    assert alone.open(keys.next_secret_key, tenant=tx.tenant, row=made.id) == KEY
    assert alone.open(secret.secret, tenant=tx.tenant, row=secret.id) == WEBHOOK
