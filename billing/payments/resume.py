"""Payments that nobody looks after any more: their job was given up, or is gone.

Each is looked up under our id, and sent only if the provider knows nothing of it, as a first try is.
"""

from datetime import timedelta

from billing.gateways.model import Gateway
from billing.payments import store
from billing.payments.collect import carry_out
from billing.payments.model import PaymentId, Status
from kernel import jobs
from kernel.database import Door, Tx
from kernel.ids import JobId

RESUMING = "resume_payment"
# What waits for less has a job that tries again.
PATIENCE = timedelta(days=1)


async def resume_unattended(tx: Tx) -> int:
    """A job for each, under the id of the payment: one at a time, however often this is called."""
    unattended = await store.unattended(tx, before=PaymentId.before(tx.wall - PATIENCE))
    for payment_id in unattended:
        data = {"payment_id": str(payment_id)}
        await jobs.ensure(tx, RESUMING, data, job_id=JobId(payment_id.bytes))
    return len(unattended)


async def resume_payment(door: Door, gateway: Gateway, payment_id: PaymentId) -> bool:
    """False while the gateway has not decided yet: ask again later."""
    async with door.open() as tx:
        payment = await store.get(tx, payment_id)
    if payment.status is not Status.PENDING:
        return True
    return await carry_out(door, gateway, payment)
