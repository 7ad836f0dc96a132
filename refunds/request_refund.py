"""Writing down that money is to go back over a payment, and what will carry it out.

An event now, or a job on its day. A blocked refund has neither: the end of a dispute sends it.
"""

from datetime import datetime, time
from zoneinfo import ZoneInfo

from billing.payments import store as payments
from kernel import jobs, outbox
from kernel.database import Tx
from kernel.errors import Conflict
from refunds import store
from refunds.events import RefundRequested, RefundScheduled
from refunds.model import Refund, Status

SENDING = "send_refund"


async def request_refund(tx: Tx, refund: Refund, *, zone: ZoneInfo) -> Refund:
    """Raises Conflict `payment_refunded_meanwhile`."""
    assert refund.payment_id is not None, "what goes back past us is recorded"
    if not await payments.take_back(tx, refund.payment_id, refund.amount, undisputed=not refund.blocked):
        raise Conflict(
            "payment_refunded_meanwhile", "Another refund or a dispute took this money. Try again."
        )

    await store.insert(tx, refund)
    if refund.status is Status.PENDING:
        outbox.publish(tx, RefundRequested.of(refund))
        return refund
    if not refund.blocked:
        await schedule(tx, refund, zone=zone)
    outbox.publish(tx, RefundScheduled.of(refund))
    return refund


async def schedule(tx: Tx, refund: Refund, *, zone: ZoneInfo) -> None:
    """Due at the first minute of its day, where the seller is."""
    due = datetime.combine(refund.due_on, time(), tzinfo=zone)
    await jobs.schedule(tx, SENDING, {"refund_id": str(refund.id)}, due=due)
