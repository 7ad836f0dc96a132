"""A refund that is due on a day to come: moved to another day, or sent now."""

from datetime import date

from kernel import outbox
from kernel.database import Tx
from kernel.errors import Conflict
from kernel.periods import local_date
from refunds import rules, store
from refunds.events import RefundRequested, RefundRescheduled
from refunds.locked import lock_refund
from refunds.model import NewDay, Refund, RefundId, Status
from refunds.request_refund import schedule


async def reschedule_refund(tx: Tx, refund_id: RefundId, request: NewDay) -> Refund:
    """The job of the day before finds that the refund is no longer due, and leaves it alone."""
    locked = await lock_refund(tx, refund_id)
    zone = locked.entity.zone

    _check_waits(locked.refund)
    rules.check_due(request.due_on, today=local_date(tx.now, zone), param="due_on")
    moved = locked.refund.on(request.due_on)

    await store.update(tx, moved)
    if not moved.blocked:
        await schedule(tx, moved, zone=zone)
    outbox.publish(tx, RefundRescheduled.of(moved, due_on=moved.due_on))
    return moved


async def send_refund_now(tx: Tx, refund_id: RefundId) -> Refund:
    """It is sent as soon as this is committed."""
    locked = await lock_refund(tx, refund_id)

    _check_waits(locked.refund)
    if locked.refund.blocked:
        raise Conflict(
            "payment_disputed",
            f"The payment is disputed: {locked.refund.amount} of it can go back once the dispute is won.",
        )
    today: date = local_date(tx.now, locked.entity.zone)
    sent = locked.refund.on(today).to(Status.PENDING)

    await store.update(tx, sent)
    outbox.publish(tx, RefundRequested.of(sent))
    return sent


def _check_waits(refund: Refund) -> None:
    if refund.status is not Status.SCHEDULED:
        raise Conflict(
            "refund_state", f"A {refund.status} refund has no day any more; only a scheduled one has."
        )
