"""Taking a charge back before it is billed."""

from billing.parties import store as parties
from kernel import outbox
from kernel.database import Tx
from kernel.errors import Conflict
from subscriptions import charge_store, store
from subscriptions.events import ChargeDeleted
from subscriptions.model import ChargeId


async def delete_charge(tx: Tx, charge_id: ChargeId) -> None:
    """What has been billed is credited instead."""
    found = await charge_store.get(tx, charge_id)
    subscription = await store.get(tx, found.subscription_id)
    await parties.lock_customer(tx, subscription.customer_id)
    await store.lock(tx, subscription.id)
    charge = await charge_store.get(tx, charge_id)

    if charge.invoice_id is not None:
        raise Conflict(
            "charge_billed", f"The charge stands on the invoice {charge.invoice_id}: credit it there."
        )

    await charge_store.delete_pending(tx, charge.id)
    outbox.publish(
        tx,
        ChargeDeleted(
            charge_id=charge.id, subscription_id=subscription.id, customer_id=subscription.customer_id
        ),
    )
