"""Refunds that were to be sent and that nobody looks after any more: their job was given up, or is gone.

Each is looked up under our id, and sent only if the provider knows nothing of it, as a first try is.
"""

from billing.payments.resume import PATIENCE
from kernel import jobs
from kernel.database import Tx
from kernel.ids import JobId
from refunds import store
from refunds.model import RefundId
from refunds.request_refund import SENDING


async def resume_unattended(tx: Tx) -> int:
    """A job for each, under the id of the refund: one at a time, however often this is called."""
    pending = await store.pending(tx, before=RefundId.before(tx.wall - PATIENCE))
    attended = await jobs.attended(tx, "refund_id", [str(refund_id) for refund_id in pending])
    unattended = [refund_id for refund_id in pending if str(refund_id) not in attended]
    for refund_id in unattended:
        await jobs.ensure(tx, SENDING, {"refund_id": str(refund_id)}, job_id=JobId(refund_id.bytes))
    return len(unattended)
