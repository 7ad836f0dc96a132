"""Changing a customer. Documents already issued keep the buyer they were issued to."""

import msgspec

from billing.parties import rules, store
from billing.parties.events import CustomerChanged
from billing.parties.model import Customer, CustomerChange
from billing.tax import store as tax_rates
from kernel import outbox
from kernel.database import Tx
from kernel.structs import sent_fields


async def change_customer(tx: Tx, key: str, change: CustomerChange) -> Customer:
    customer = await store.lock_customer(tx, key)
    sent = sent_fields(change)
    if "tax_rate" in sent:
        tax_rate = sent.pop("tax_rate")
        sent["tax_rate_id"] = (await tax_rates.get(tx, tax_rate)).id if tax_rate else None

    paying = customer.paying_with(sent.get("payment_method", customer.payment_method))
    changed = rules.checked_customer(
        msgspec.structs.replace(paying, **sent), has_gateway=await store.has_gateway(tx)
    )

    await store.update_customer(tx, changed)
    outbox.publish(tx, CustomerChanged(customer_id=customer.id))
    return changed
