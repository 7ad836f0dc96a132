"""What we hold for a customer."""

from billing.parties import store as parties
from billing.settlement import store
from billing.settlement.model import Balance
from kernel.database import Tx


async def balance_of(tx: Tx, key: str) -> Balance:
    customer = await parties.customer(tx, key)
    return Balance(customer_id=customer.id, amounts=await store.balances(tx, customer.id))
