"""Our dispute follows the provider's: opened when we hear of it, closed when it is won or lost, for good."""

from billing.gateways.model import DisputeMade
from billing.gateways.model import DisputeStatus as Theirs
from billing.payments import store as payments
from kernel.database import Tx
from kernel.text import Name
from refunds.dispute import close_dispute, find_dispute, open_dispute
from refunds.disputes.model import Dispute, DisputeStatus, NewDispute, NewVerdict, Verdict
from webhooks.drift.model import Done, Finding, Kind


async def follow_dispute(tx: Tx, provider: str, made: DisputeMade) -> Finding:
    """Raises what opening it raises."""
    ours = await find_dispute(tx, made.reference)
    found = decide(ours, made) if ours else await _open(tx, provider, made)

    if made.status is not Theirs.OPEN and found.done in (Done.MOVED, Done.RECORDED):
        known = await find_dispute(tx, made.reference)
        assert known is not None, "it was opened"
        await close_dispute(tx, known.id, NewVerdict(outcome=Verdict(made.status)))
    return found


def decide(ours: Dispute, made: DisputeMade) -> Finding:
    """Pure: what differs, and whether ours follows."""
    if made.status.value == ours.status.value:
        done = Done.AGREED
    elif ours.status is DisputeStatus.OPEN:
        done = Done.MOVED
    else:
        done = Done.LEFT
    return Finding(
        kind=Kind.DISPUTE_STATUS,
        done=done,
        reference=made.reference,
        our_id=str(ours.id),
        ours=ours.amount,
        theirs=made.amount,
    )


async def _open(tx: Tx, provider: str, made: DisputeMade) -> Finding:
    payment_id = await payments.of_gateway(tx, provider, made.charge)
    if payment_id is None:
        return Finding(
            kind=Kind.DISPUTE_OF_NOBODY, done=Done.LEFT, reference=made.reference, theirs=made.amount
        )
    opened = await open_dispute(
        tx,
        payment_id,
        NewDispute(amount=made.amount, reason=Name(made.reason), reference=Name(made.reference)),
    )
    return Finding(
        kind=Kind.DISPUTE_UNKNOWN,
        done=Done.RECORDED,
        reference=made.reference,
        our_id=str(opened.id),
        ours=opened.amount,
        theirs=made.amount,
    )
