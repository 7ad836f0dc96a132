"""Keeping the payment method that a customer has left at the provider: it is charged from here on."""

from msgspec.structs import replace

from billing.gateways.checkouts import store
from billing.gateways.checkouts.events import PaymentMethodSaved
from billing.gateways.checkouts.model import Status
from billing.gateways.model import MethodSaved
from billing.parties import store as parties
from billing.parties.events import CustomerChanged
from billing.parties.model import Customer, CustomerId
from kernel import outbox
from kernel.database import Tx
from kernel.errors import NotFound
from kernel.text import Name


async def save_method(tx: Tx, saved: MethodSaved) -> Customer | None:
    """None when it is of no customer of ours. The second time is boring."""
    session = await store.of_reference(tx, saved.reference)
    ours = CustomerId.read(saved.our_id) if saved.our_id else None
    customer_id = session.customer_id if session else ours
    customer = await _locked(tx, customer_id)
    session = await store.of_reference(tx, saved.reference)  # as it stands under the lock

    if customer is None or (session is not None and session.status is Status.COMPLETED):
        return customer
    if session is None and customer.payment_method == saved.payment_method:
        return customer
    # Told of late, what was left on an older page does not take the place of what was left since.
    late = session is not None and await store.has_newer_method(tx, session)
    paying = customer.paying_with(Name.parse(saved.payment_method), fingerprint=saved.fingerprint)
    changed = customer if late else paying

    await parties.update_customer(tx, changed)
    if session is not None:
        await store.keep_payer(tx, customer.id, session.connection_id, saved.customer)
        await store.update(
            tx,
            replace(
                session,
                status=Status.COMPLETED,
                payment_method=saved.payment_method,
                completed_at=tx.now,
            ),
        )
    outbox.publish(
        tx,
        PaymentMethodSaved(
            customer_id=customer.id,
            checkout_session_id=session.id if session else None,
            payment_method=saved.payment_method,
        ),
        CustomerChanged(customer_id=customer.id),
    )
    return changed


async def _locked(tx: Tx, customer_id: CustomerId | None) -> Customer | None:
    try:
        return await parties.lock_customer(tx, customer_id) if customer_id else None
    except NotFound:
        return None
