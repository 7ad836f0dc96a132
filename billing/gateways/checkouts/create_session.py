"""Making a link on which a customer leaves a payment method."""

from billing.gateways.checkouts import store
from billing.gateways.checkouts.events import CheckoutSessionCreated
from billing.gateways.checkouts.model import (
    LASTS,
    CheckoutSession,
    CheckoutSessionId,
    NewCheckoutSession,
    Session,
    Status,
)
from billing.gateways.connections import store as connections
from billing.parties import store as parties
from kernel import outbox
from kernel.database import Tx
from kernel.errors import Conflict


async def create_session(tx: Tx, customer_key: str, request: NewCheckoutSession) -> Session:
    customer = await parties.customer(tx, customer_key)
    choice = await connections.choice_for_charge(tx, None)

    if choice.keys is None:
        raise Conflict(
            "gateway_missing",
            "No payment provider is connected. Connect one with POST /v1/payment_connections.",
        )
    session = Session(
        id=CheckoutSessionId.new(),
        customer_id=customer.id,
        connection_id=choice.keys.id,
        currency=request.currency,
        success_url=request.success_url,
        cancel_url=request.cancel_url,
        status=Status.OPEN,
        reference=None,
        payment_method=None,
        created_at=tx.now,
        expires_at=tx.wall + LASTS,
        completed_at=None,
    )

    await store.insert(tx, session)
    outbox.publish(tx, CheckoutSessionCreated(checkout_session_id=session.id, customer_id=customer.id))
    return session


def shown(session: Session, *, url: str) -> CheckoutSession:
    return CheckoutSession(
        id=session.id,
        customer_id=session.customer_id,
        url=url,
        status=session.status,
        success_url=session.success_url,
        cancel_url=session.cancel_url,
        payment_method=session.payment_method,
        created_at=session.created_at,
        expires_at=session.expires_at,
        completed_at=session.completed_at,
    )
