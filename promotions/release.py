"""Taking back what was reserved or redeemed: with its slot, or, from who cheated, without.

A reservation lapses by itself at its time, by a job or by whoever comes across it first.
"""

from collections.abc import Sequence

from billing.parties import store as parties
from billing.parties.model import CustomerId
from kernel import outbox
from kernel.database import Tx
from promotions import store
from promotions.basket import Held
from promotions.events import RedemptionExpired, RedemptionReleased, RedemptionRevoked
from promotions.model import Redemption, RedemptionId, Status
from promotions.store import TakenBack

LAPSING = "lapse_reservation"


async def release(tx: Tx, redemption_ids: Sequence[RedemptionId]) -> None:
    """Its slot, its use of the code, what it spent of the budget and who had it are free again."""
    released = await _take_back(tx, redemption_ids, to=Status.RELEASED)

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


async def release_redemption(tx: Tx, redemption_id: RedemptionId) -> Redemption:
    found = await _locked(tx, redemption_id)

    released = found.to(Status.RELEASED)

    await release(tx, [redemption_id])
    return released


async def revoke_redemption(tx: Tx, redemption_id: RedemptionId) -> Redemption:
    found = await _locked(tx, redemption_id)

    revoked = found.to(Status.REVOKED)

    await revoke(tx, [redemption_id])
    return revoked


async def reservations(tx: Tx, customer_id: CustomerId) -> list[Held]:
    """What is kept for a customer, who is locked, now."""
    found = await store.lock_reservations(tx, customer_id)

    over = [each.redemption.id for each in found if each.redemption.has_lapsed(now=tx.now)]

    await _lapse(tx, over)
    return [each for each in found if each.redemption.id not in over]


async def lapse_due(tx: Tx, redemption_id: RedemptionId) -> None:
    found = await _locked(tx, redemption_id)

    if found.status is Status.RESERVED and found.has_lapsed(now=tx.now):
        await _lapse(tx, [redemption_id])


async def _lapse(tx: Tx, redemption_ids: Sequence[RedemptionId]) -> None:
    lapsed = await _take_back(tx, redemption_ids, to=Status.EXPIRED)

    outbox.publish(
        tx,
        *(
            RedemptionExpired(offer_id=each.offer_id, redemption_id=each.id, customer_id=each.customer_id)
            for each in lapsed
        ),
    )


async def _take_back(tx: Tx, redemption_ids: Sequence[RedemptionId], *, to: Status) -> list[TakenBack]:
    """With all that they counted for.

    One after the other, and of each the offer before the code before the identity: in the order in which they
    are taken, so that nobody waits for who waits for them.
    """
    taken = []
    for redemption_id in redemption_ids:
        each = await store.take_back(tx, redemption_id, to=to)
        if each is None:
            continue
        if each.coupon_id is not None:
            await store.give_back_use(tx, each.coupon_id)
        await store.forget_identities(tx, each.offer_id, each.customer_id)
        taken.append(each)
    return taken


async def _locked(tx: Tx, redemption_id: RedemptionId) -> Redemption:
    """Its customer is: whoever takes over, gives or takes back what is theirs locks them first."""
    found = await store.redemption(tx, redemption_id)
    await parties.lock_customer(tx, found.customer_id)
    return await store.redemption(tx, redemption_id)
