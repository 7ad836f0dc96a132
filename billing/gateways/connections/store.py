"""Every SQL statement about payment connections."""

from collections.abc import Sequence

from billing.gateways.connections.model import (
    Choice,
    Keys,
    PaymentConnection,
    PaymentConnectionId,
    WebhookSecret,
    WebhookSecretId,
)
from billing.payments.model import PaymentId
from kernel.database import Conn, Tx
from kernel.errors import not_found
from kernel.ids import TenantId
from kernel.paging import Page, Window, next_cursor
from kernel.structs import Row, Value, load


class Sealed(Value, frozen=True, kw_only=True):
    """An encrypted webhook secret."""

    id: WebhookSecretId
    secret: bytes


async def insert(tx: Tx, connection: PaymentConnection, *, next_secret_key: bytes) -> None:
    await tx.conn.execute(
        """
        INSERT INTO payment_connections
            (tenant_id, id, provider, status, key_hint, next_secret_key, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        """,
        tx.tenant,
        connection.id,
        connection.provider,
        connection.status,
        connection.key_hint,
        next_secret_key,
        connection.created_at,
    )


async def enter(tx: Tx, connection_id: PaymentConnectionId) -> None:
    """Into the directory that leads from a connection to its tenant."""
    await tx.conn.execute(
        """
        INSERT INTO payment_connection_directory (connection_id, tenant_id)
        VALUES ($2, $1)
        """,
        tx.tenant,
        connection_id,
    )


async def tenant_of(conn: Conn, connection_id: PaymentConnectionId) -> TenantId | None:
    found = await conn.fetchval(
        """
        SELECT tenant_id
        FROM payment_connection_directory
        WHERE connection_id = $1
        """,
        connection_id,
    )
    return TenantId.of(found) if found else None


async def is_live(tx: Tx) -> bool:
    mode: str | None = await tx.conn.fetchval("SELECT mode FROM tenants WHERE id = $1", tx.tenant)
    return mode == "live"


async def get(tx: Tx, connection_id: PaymentConnectionId) -> PaymentConnection:
    row = await tx.conn.fetchrow(
        """
        SELECT c.id, c.provider, c.status, c.account, c.key_hint, c.problem, c.created_at, c.checked_at,
               s.secret_ids, s.hints, s.added_at
        FROM payment_connections c
        CROSS JOIN LATERAL (
            SELECT COALESCE(array_agg(id ORDER BY id), '{}') AS secret_ids,
                   COALESCE(array_agg(hint ORDER BY id), '{}') AS hints,
                   COALESCE(array_agg(created_at ORDER BY id), '{}') AS added_at
            FROM payment_webhook_secrets
            WHERE tenant_id = $1 AND connection_id = c.id
        ) s
        WHERE c.tenant_id = $1 AND c.id = $2
        """,
        tx.tenant,
        connection_id,
    )
    if row is None:
        raise not_found("payment connection", connection_id)
    return _connection(row)


async def page(tx: Tx, window: Window) -> Page[PaymentConnection]:
    rows = await tx.conn.fetch(
        """
        SELECT c.id, c.provider, c.status, c.account, c.key_hint, c.problem, c.created_at, c.checked_at,
               s.secret_ids, s.hints, s.added_at
        FROM payment_connections c
        CROSS JOIN LATERAL (
            SELECT COALESCE(array_agg(id ORDER BY id), '{}') AS secret_ids,
                   COALESCE(array_agg(hint ORDER BY id), '{}') AS hints,
                   COALESCE(array_agg(created_at ORDER BY id), '{}') AS added_at
            FROM payment_webhook_secrets
            WHERE tenant_id = $1 AND connection_id = c.id
        ) s
        WHERE c.tenant_id = $1 AND c.id < $2
        ORDER BY c.id DESC
        LIMIT $3
        """,
        tx.tenant,
        window.before,
        window.rows,
    )
    return Page(
        data=[_connection(row) for row in rows[: window.limit]], next_cursor=next_cursor(rows, window)
    )


def _connection(row: Row) -> PaymentConnection:
    """The webhook secrets come as three lists side by side."""
    values = dict(row.items())
    secrets = zip(values.pop("secret_ids"), values.pop("hints"), values.pop("added_at"), strict=True)
    return load(
        values,
        PaymentConnection,
        webhook_path=path_of(PaymentConnectionId.of(values["id"])),
        webhook_secrets=tuple(
            WebhookSecret(id=WebhookSecretId.of(each), hint=hint, created_at=at) for each, hint, at in secrets
        ),
    )


def path_of(connection_id: PaymentConnectionId) -> str:
    return f"/webhooks/stripe/{connection_id}"


async def lock(tx: Tx, connection_id: PaymentConnectionId) -> Keys:
    row = await tx.conn.fetchrow(
        """
        SELECT id, provider, status, account, secret_key, next_secret_key
        FROM payment_connections
        WHERE tenant_id = $1 AND id = $2
        FOR NO KEY UPDATE
        """,
        tx.tenant,
        connection_id,
    )
    if row is None:
        raise not_found("payment connection", connection_id)
    return load(row, Keys)


async def update(tx: Tx, keys: Keys, *, key_hint: str | None = None, problem: str | None = None) -> None:
    await tx.conn.execute(
        """
        UPDATE payment_connections
        SET status = $3, account = $4, secret_key = $5, next_secret_key = $6, problem = $7,
            key_hint = COALESCE($8, key_hint), checked_at = $9
        WHERE tenant_id = $1 AND id = $2
        """,
        tx.tenant,
        keys.id,
        keys.status,
        keys.account,
        keys.secret_key,
        keys.next_secret_key,
        problem,
        key_hint,
        None if keys.next_secret_key else tx.now,
    )


async def under_way(tx: Tx, connection_id: PaymentConnectionId) -> int:
    """Charges and refunds through it that the provider has not decided."""
    found: int = await tx.conn.fetchval(
        """
        SELECT (SELECT count(*) FROM payments
                WHERE tenant_id = $1 AND gateway = $2 AND status = 'pending')
             + (SELECT count(*)
                FROM refunds r
                JOIN payments p ON p.tenant_id = $1 AND p.id = r.payment_id
                WHERE r.tenant_id = $1 AND r.status = 'pending' AND p.gateway = $2)
        """,
        tx.tenant,
        str(connection_id),
    )
    return found


async def every_key(tx: Tx) -> list[Keys]:
    rows = await tx.conn.fetch(
        """
        SELECT id, provider, status, account, secret_key, next_secret_key
        FROM payment_connections
        WHERE tenant_id = $1 AND status <> 'disconnected'
        ORDER BY id
        FOR NO KEY UPDATE
        """,
        tx.tenant,
    )
    return [load(row, Keys) for row in rows]


async def replace_keys(tx: Tx, keys: Keys) -> None:
    """The same keys, encrypted anew."""
    await tx.conn.execute(
        """
        UPDATE payment_connections
        SET secret_key = $3, next_secret_key = $4
        WHERE tenant_id = $1 AND id = $2
        """,
        tx.tenant,
        keys.id,
        keys.secret_key,
        keys.next_secret_key,
    )


# ── What a charge or refund goes through ────────────────────────────────────────────────────────────────


async def choice_for_charge(tx: Tx, payment_id: PaymentId | None) -> Choice:
    """What took the payment already, or else the newest connection that works, or else any."""
    row = await tx.conn.fetchrow(
        """
        WITH newest AS (
            SELECT id, provider, status, account, secret_key, next_secret_key
            FROM payment_connections
            WHERE tenant_id = $1 AND status <> 'disconnected'
            ORDER BY status = 'connected' DESC, id DESC
            LIMIT 1
        )
        SELECT COALESCE((SELECT mode = 'live' FROM tenants WHERE id = $1), false) AS is_live,
               (SELECT gateway FROM payments WHERE tenant_id = $1 AND id = $2) AS gateway,
               n.id, n.provider, n.status, n.account, n.secret_key, n.next_secret_key
        FROM (SELECT 1 AS one) AS always
        LEFT JOIN newest n ON true
        """,
        tx.tenant,
        payment_id,
    )
    assert row is not None, "an outer join keeps its left side"
    return _choice(row)


def _choice(row: Row) -> Choice:
    values = dict(row.items())
    is_live, gateway = values.pop("is_live"), values.pop("gateway")
    return Choice(is_live=is_live, gateway=gateway, keys=load(values, Keys) if values["id"] else None)


async def find(tx: Tx, connection_id: PaymentConnectionId) -> Keys | None:
    row = await tx.conn.fetchrow(
        """
        SELECT id, provider, status, account, secret_key, next_secret_key
        FROM payment_connections
        WHERE tenant_id = $1 AND id = $2
        """,
        tx.tenant,
        connection_id,
    )
    return load(row, Keys) if row else None


async def connected(tx: Tx) -> list[Keys]:
    """Those that work, newest first."""
    rows = await tx.conn.fetch(
        """
        SELECT id, provider, status, account, secret_key, next_secret_key
        FROM payment_connections
        WHERE tenant_id = $1 AND status = 'connected'
        ORDER BY id DESC
        """,
        tx.tenant,
    )
    return [load(row, Keys) for row in rows]


# ── Webhook secrets ─────────────────────────────────────────────────────────────────────────────────────


async def insert_secret(
    tx: Tx, connection_id: PaymentConnectionId, secret: WebhookSecret, sealed: bytes
) -> None:
    await tx.conn.execute(
        """
        INSERT INTO payment_webhook_secrets (tenant_id, id, connection_id, hint, secret, created_at)
        VALUES ($1, $2, $3, $4, $5, $6)
        """,
        tx.tenant,
        secret.id,
        connection_id,
        secret.hint,
        sealed,
        secret.created_at,
    )


async def delete_secret(tx: Tx, connection_id: PaymentConnectionId, secret_id: WebhookSecretId) -> None:
    deleted = await tx.conn.fetchval(
        """
        DELETE FROM payment_webhook_secrets
        WHERE tenant_id = $1 AND connection_id = $2 AND id = $3
        RETURNING id
        """,
        tx.tenant,
        connection_id,
        secret_id,
    )
    if deleted is None:
        raise not_found("webhook secret", secret_id)


async def delete_secrets(tx: Tx, connection_id: PaymentConnectionId) -> None:
    await tx.conn.execute(
        """
        DELETE FROM payment_webhook_secrets
        WHERE tenant_id = $1 AND connection_id = $2
        """,
        tx.tenant,
        connection_id,
    )


async def secrets_of(tx: Tx, connection_id: PaymentConnectionId) -> Sequence[Sealed]:
    """Newest first: most events are signed by it."""
    rows = await tx.conn.fetch(
        """
        SELECT id, secret
        FROM payment_webhook_secrets
        WHERE tenant_id = $1 AND connection_id = $2
        ORDER BY id DESC
        """,
        tx.tenant,
        connection_id,
    )
    return [load(row, Sealed) for row in rows]


async def every_secret(tx: Tx) -> list[Sealed]:
    rows = await tx.conn.fetch(
        """
        SELECT id, secret
        FROM payment_webhook_secrets
        WHERE tenant_id = $1
        ORDER BY id
        FOR NO KEY UPDATE
        """,
        tx.tenant,
    )
    return [load(row, Sealed) for row in rows]


async def replace_secret(tx: Tx, secret: Sealed) -> None:
    """The same secret, encrypted anew."""
    await tx.conn.execute(
        """
        UPDATE payment_webhook_secrets
        SET secret = $3
        WHERE tenant_id = $1 AND id = $2
        """,
        tx.tenant,
        secret.id,
        secret.secret,
    )
