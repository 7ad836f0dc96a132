"""Recording that what a refund could not carry back went back past us."""

import msgspec

from billing.parties.model import RefundMode
from billing.payments.model import Means
from billing.payments.record import check_day
from kernel import outbox
from kernel.database import Tx
from kernel.periods import local_date
from refunds import store
from refunds.cancel_refund import free_payment
from refunds.events import RefundRecordedExternal, RefundSucceeded
from refunds.locked import lock_refund, use_note
from refunds.model import NewExternalRefund, Refund, RefundId, Status
from refunds.send_refund import book_refund


async def record_external(tx: Tx, refund_id: RefundId, request: NewExternalRefund) -> Refund:
    """The refund that says so is born succeeded, in place of the one that failed."""
    locked = await lock_refund(tx, refund_id)
    today = local_date(tx.now, locked.entity.zone)

    failed = locked.refund.to(Status.RECORDED_EXTERNAL)
    day = request.refunded_on or today
    check_day(day, today=today, param="refunded_on")
    recorded = msgspec.structs.replace(
        failed,
        id=RefundId.new(),
        payment_id=None if locked.note is not None else failed.payment_id,
        mode=RefundMode.MANUAL,
        status=Status.SUCCEEDED,
        due_on=day,
        means=Means(request.means),
        reference=request.reference,
        gateway_reference=None,
        failure_code=None,
        created_at=tx.now,
        succeeded_on=day,
        retry_of=failed.id,
    )

    await store.update(tx, failed)
    await store.insert(tx, recorded)
    if locked.note is not None:
        await free_payment(tx, failed)
    locked = await use_note(tx, locked, held=-failed.amount, refunded=failed.amount)
    await book_refund(tx, locked, recorded)
    outbox.publish(tx, RefundRecordedExternal.of(failed), RefundSucceeded.of(recorded))
    return recorded
