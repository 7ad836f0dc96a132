"""Every SQL statement about checkout sessions, and customers at the provider."""

from billing.gateways.checkouts.model import CheckoutSessionId, Session
from billing.gateways.connections.model import PaymentConnectionId
from billing.parties.model import CustomerId
from kernel.database import Tx
from kernel.errors import not_found
from kernel.structs import load


async def insert(tx: Tx, session: Session) -> None:
    await tx.conn.execute(
        """
        INSERT INTO checkout_sessions
            (tenant_id, id, customer_id, connection_id, currency, success_url, cancel_url, status,
             created_at, expires_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
        """,
        tx.tenant,
        session.id,
        session.customer_id,
        session.connection_id,
        session.currency,
        session.success_url,
        session.cancel_url,
        session.status,
        session.created_at,
        session.expires_at,
    )


async def get(tx: Tx, session_id: CheckoutSessionId) -> Session:
    """As it stands at this time of the world."""
    row = await tx.conn.fetchrow(
        """
        SELECT id, customer_id, connection_id, currency, success_url, cancel_url, reference, payment_method,
               created_at, expires_at, completed_at,
               CASE WHEN status = 'open' AND expires_at <= $3 THEN 'expired' ELSE status END AS status
        FROM checkout_sessions
        WHERE tenant_id = $1 AND id = $2
        """,
        tx.tenant,
        session_id,
        tx.wall,
    )
    if row is None:
        raise not_found("checkout session", session_id)
    return load(row, Session)


async def of_reference(tx: Tx, reference: str) -> Session | None:
    row = await tx.conn.fetchrow(
        """
        SELECT id, customer_id, connection_id, currency, success_url, cancel_url, reference, payment_method,
               created_at, expires_at, completed_at, status
        FROM checkout_sessions
        WHERE tenant_id = $1 AND reference = $2
        """,
        tx.tenant,
        reference,
    )
    return load(row, Session) if row else None


async def has_newer_method(tx: Tx, session: Session) -> bool:
    """Whether the customer has left a payment method on a page that was made later."""
    newer: bool = await tx.conn.fetchval(
        """
        SELECT EXISTS (
            SELECT FROM checkout_sessions
            WHERE tenant_id = $1 AND customer_id = $2 AND id > $3 AND status = 'completed'
        )
        """,
        tx.tenant,
        session.customer_id,
        session.id,
    )
    return newer


async def update(tx: Tx, session: Session) -> None:
    await tx.conn.execute(
        """
        UPDATE checkout_sessions
        SET status = $3, reference = $4, payment_method = $5, completed_at = $6
        WHERE tenant_id = $1 AND id = $2
        """,
        tx.tenant,
        session.id,
        session.status,
        session.reference,
        session.payment_method,
        session.completed_at,
    )


async def set_reference(tx: Tx, session_id: CheckoutSessionId, reference: str) -> None:
    await tx.conn.execute(
        """
        UPDATE checkout_sessions
        SET reference = $3
        WHERE tenant_id = $1 AND id = $2 AND status = 'open'
        """,
        tx.tenant,
        session_id,
        reference,
    )


# ── Customers at the provider ───────────────────────────────────────────────────────────────────────────


async def payer_of(tx: Tx, customer_id: CustomerId, connection_id: PaymentConnectionId) -> str | None:
    found: str | None = await tx.conn.fetchval(
        """
        SELECT reference
        FROM provider_customers
        WHERE tenant_id = $1 AND customer_id = $2 AND connection_id = $3
        """,
        tx.tenant,
        customer_id,
        connection_id,
    )
    return found


async def keep_payer(
    tx: Tx, customer_id: CustomerId, connection_id: PaymentConnectionId, reference: str
) -> None:
    """The first that was kept stays."""
    await tx.conn.execute(
        """
        INSERT INTO provider_customers (tenant_id, customer_id, connection_id, reference, created_at)
        VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT DO NOTHING
        """,
        tx.tenant,
        customer_id,
        connection_id,
        reference,
        tx.now,
    )


async def customer_of(tx: Tx, connection_id: PaymentConnectionId, reference: str) -> CustomerId | None:
    """Whose charges carry this customer of the provider's."""
    found = await tx.conn.fetchval(
        """
        SELECT customer_id
        FROM provider_customers
        WHERE tenant_id = $1 AND connection_id = $2 AND reference = $3
        """,
        tx.tenant,
        connection_id,
        reference,
    )
    return CustomerId.of(found) if found else None
