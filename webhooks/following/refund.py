"""Our refund follows the provider's, and only forward; one that only they know of is recorded."""

from msgspec.structs import replace

from billing.gateways.model import Outcome, RefundMade
from billing.gateways.model import Status as OutcomeStatus
from billing.payments import store as payments
from kernel.database import Tx
from kernel.errors import NotFound
from refunds import store as refunds
from refunds.made_elsewhere import refund_made_elsewhere
from refunds.model import Refund, RefundId, Status
from refunds.send_refund import finish_refund
from webhooks.drift.model import Done, Finding, Kind


async def follow_refund(tx: Tx, provider: str, made: RefundMade) -> Finding:
    """Raises what recording it raises."""
    refund = await refund_of(tx, made)
    if refund is None:
        return await _record(tx, provider, made)

    found = decide(refund, made)

    if found.done is Done.MOVED:
        await finish_refund(tx, refund.id, _outcome(made))
    return found


async def refund_of(tx: Tx, made: RefundMade) -> Refund | None:
    """By its name there, or by ours that it carries, if the answer with its name was lost."""
    known = await refunds.of_gateway(tx, made.reference)
    if known is not None:
        return await refunds.get(tx, known)
    our_id = RefundId.read(made.our_id or "")
    if our_id is None:
        return None
    try:
        refund = await refunds.get(tx, our_id)
    except NotFound:
        return None
    return None if refund.gateway_reference else refund


def decide(refund: Refund, made: RefundMade) -> Finding:
    """Pure: what differs, and whether ours follows."""
    kind, done = Kind.REFUND_STATUS, Done.AGREED
    went_back = made.status is OutcomeStatus.SUCCEEDED
    match refund.status:
        case _ if went_back and made.amount != refund.amount:
            kind, done = Kind.REFUND_AMOUNT, Done.LEFT
        case Status.PENDING if made.status is not OutcomeStatus.PENDING:
            done = Done.MOVED
        case Status.SUCCEEDED if made.status is OutcomeStatus.FAILED:
            done = Done.MOVED
        case Status.PENDING | Status.SUCCEEDED:
            pass
        case _ if went_back:
            kind, done = Kind.REFUND_MADE_ANYWAY, Done.LEFT
    return Finding(
        kind=kind,
        done=done,
        reference=made.reference,
        our_id=str(refund.id),
        ours=refund.amount,
        theirs=made.amount,
    )


async def _record(tx: Tx, provider: str, made: RefundMade) -> Finding:
    """Somebody made it at the provider. It is recorded once the money went back."""
    if made.status is not OutcomeStatus.SUCCEEDED:
        return _unknown(made, Kind.REFUND_OF_NOBODY, Done.AGREED)
    payment_id = await payments.of_gateway(tx, provider, made.charge)
    if payment_id is None:
        return _unknown(made, Kind.REFUND_OF_NOBODY, Done.LEFT)
    recorded = await refund_made_elsewhere(tx, await payments.get(tx, payment_id), made)
    return replace(_unknown(made, Kind.REFUND_UNKNOWN, Done.RECORDED), our_id=str(recorded.id))


def _unknown(made: RefundMade, kind: Kind, done: Done) -> Finding:
    return Finding(kind=kind, done=done, reference=made.reference, theirs=made.amount)


def _outcome(made: RefundMade) -> Outcome:
    return Outcome(status=made.status, reference=made.reference, failure_code=made.failure_code)
