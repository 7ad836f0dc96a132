"""Not giving back after all: what was held stays on the credit note, as balance."""

from billing.credit_notes import store as credit_notes
from billing.payments import store as payments
from billing.settlement.apply import take_off_first
from kernel import outbox
from kernel.database import Tx
from refunds import store
from refunds.events import RefundCancelled, RefundConverted, RefundEvent
from refunds.give_back import check_disputed
from refunds.locked import Locked, lock_refund, use_note
from refunds.model import Refund, RefundId, Status


async def cancel_refund(tx: Tx, refund_id: RefundId) -> Refund:
    """One that is scheduled or has failed. Its amount is left on the note, its payment free."""
    locked = await lock_refund(tx, refund_id)
    cancelled = await cancel_locked(tx, locked)
    await _take_off_first(tx, locked)
    await _check_disputed(tx, locked)
    return cancelled


async def cancel_locked(tx: Tx, locked: Locked) -> Refund:
    cancelled = locked.refund.waiting(blocked=False).to(Status.CANCELLED)
    return await _keep(tx, locked, cancelled, RefundCancelled)


async def convert_refund(tx: Tx, refund_id: RefundId) -> Refund:
    """One that has failed: the customer keeps the amount as balance, and is told so."""
    locked = await lock_refund(tx, refund_id)
    converted = await _keep(tx, locked, locked.refund.to(Status.CONVERTED_TO_BALANCE), RefundConverted)
    await _take_off_first(tx, locked)
    await _check_disputed(tx, locked)
    return converted


async def _check_disputed(tx: Tx, locked: Locked) -> None:
    """What may yet be taken from us does not become balance."""
    payment = await payments.get(tx, locked.refund.payment_id) if locked.refund.payment_id else None
    if payment is not None and payment.in_dispute and locked.note is not None:
        await check_disputed(tx, locked.note)


async def _keep(tx: Tx, locked: Locked, after: Refund, event: type[RefundEvent]) -> Refund:
    await store.update(tx, after)
    await let_go(tx, locked)
    outbox.publish(tx, event.of(after))
    return after


async def _take_off_first(tx: Tx, locked: Locked) -> None:
    """What its invoice is due again, after a dispute was lost, is no balance."""
    if locked.note is not None and locked.invoice is not None:
        await take_off_first(tx, await credit_notes.get(tx, locked.note.id), locked.invoice)


async def let_go(tx: Tx, locked: Locked) -> None:
    """The note holds the amount no longer, and its payment may carry another refund."""
    refund = locked.refund
    await use_note(tx, locked, held=-refund.amount)
    if refund.of_rest and refund.payment_id is not None:
        await payments.allocate(tx, refund.payment_id, -refund.amount)
    await free_payment(tx, refund)


async def free_payment(tx: Tx, refund: Refund) -> None:
    assert refund.payment_id is not None, "only a refund on a payment waits or fails"
    freed = await payments.take_back(tx, refund.payment_id, -refund.amount)
    assert freed, "what a refund set aside is there to be freed"
