"""What the codes that somebody has put within their reach."""

from collections.abc import Sequence

from billing.parties.model import CustomerId
from kernel.database import Tx
from promotions.coupons import rules, store
from promotions.coupons.model import Reached, invalid


async def reach(tx: Tx, codes: Sequence[str], customer_id: CustomerId | None) -> list[Reached]:
    """In the order of the codes, each once; without a statement where there are none.

    Raises Conflict `coupon_invalid` when one of them cannot be used by this customer, or is nobody's code:
    which one, and why, is not for a stranger to know.
    """
    if not codes:
        return []
    found = await store.reached(tx, codes)

    held = {each.coupon.id: each for each in found.values()}
    if len(found) < len(set(codes)):
        raise invalid()
    if not all(rules.usable(each, customer_id, now=tx.now) for each in held.values()):
        raise invalid()
    return list(held.values())
