"""Taking back what was redeemed: with its slot, or, from who cheated, without."""

from collections.abc import Sequence

from kernel import outbox
from kernel.database import Tx
from promotions import store
from promotions.events import RedemptionReleased, RedemptionRevoked
from promotions.model import RedemptionId


async def release(tx: Tx, redemption_ids: Sequence[RedemptionId]) -> None:
    """Its slot, its use of the code, what it spent of the budget and who had it are free again."""
    released = await store.release(tx, redemption_ids) if redemption_ids else []

    outbox.publish(
        tx,
        *(
            RedemptionReleased(offer_id=each.offer_id, redemption_id=each.id, customer_id=each.customer_id)
            for each in released
        ),
    )


async def revoke(tx: Tx, redemption_ids: Sequence[RedemptionId]) -> None:
    """It gives nothing any more, and stays counted."""
    revoked = await store.revoke(tx, redemption_ids) if redemption_ids else []

    outbox.publish(
        tx,
        *(
            RedemptionRevoked(offer_id=each.offer_id, redemption_id=each.id, customer_id=each.customer_id)
            for each in revoked
        ),
    )
