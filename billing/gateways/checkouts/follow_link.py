"""Somebody has followed the link of a checkout session: where they are to go, in three steps.

What stands here is read; the provider is asked for its customer and its page, under ids of ours, so that
asking twice is one of each; and what it called them is written.
"""

import hashlib

from billing.gateways.checkouts import store
from billing.gateways.checkouts.model import CheckoutSessionId, Session, Status
from billing.gateways.model import CheckoutIntent, Payer, Saving
from billing.parties import store as parties
from billing.parties.model import Customer
from kernel.database import Door, Tx
from kernel.structs import Value


class Visit(Value, frozen=True, kw_only=True):
    """`payer` is the customer as the provider knows them, if it does."""

    session: Session
    customer: Customer
    payer: str | None


async def read_visit(tx: Tx, session_id: CheckoutSessionId) -> Visit:
    session = await store.get(tx, session_id)
    return Visit(
        session=session,
        customer=await parties.customer(tx, session.customer_id),
        payer=await store.payer_of(tx, session.customer_id, session.connection_id),
    )


def settled(session: Session) -> str | None:
    """Where to, when there is nothing left to do on the page."""
    if session.status is Status.COMPLETED:
        return session.success_url
    return session.cancel_url if session.status is Status.EXPIRED else None


async def page_for(door: Door, provider: Saving, visit: Visit) -> str:
    """The provider's page. Raises GatewayTimeout and GatewayRefused."""
    session = visit.session

    payer = visit.payer or await provider.create_payer(_payer(visit.customer))
    checkout = await provider.open_checkout(
        CheckoutIntent(
            id=session.id,
            customer_id=session.customer_id,
            payer=payer,
            currency=session.currency,
            success_url=session.success_url,
            cancel_url=session.cancel_url,
        )
    )

    async with door.open() as tx:
        await store.keep_payer(tx, session.customer_id, session.connection_id, payer)
        await store.set_reference(tx, session.id, checkout.reference)
    return checkout.url


def _payer(customer: Customer) -> Payer:
    """What was changed meanwhile is another request, and needs another key."""
    told = f"{customer.id}\0{customer.name}\0{customer.email}"
    return Payer(
        id=customer.id,
        key=f"{customer.id}-{hashlib.sha256(told.encode()).hexdigest()[:16]}",
        name=customer.name,
        email=customer.email,
    )
