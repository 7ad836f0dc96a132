"""Trying again to give back what a refund that failed could not, over the same payment or others."""

import msgspec

from billing.credit_notes.model import CreditNote
from billing.parties.model import RefundMode
from billing.payments import store as payments
from billing.payments.model import Payment
from kernel import outbox
from kernel.database import Tx
from kernel.errors import Conflict, Invalid
from kernel.periods import local_date
from refunds import rules, store
from refunds.cancel_refund import free_payment
from refunds.events import RefundRetried
from refunds.locked import lock_refund
from refunds.model import NewRetry, Refund, RefundId, RetriedRefund, Status
from refunds.request_refund import request_refund
from refunds.rules import Part


async def retry_refund(tx: Tx, refund_id: RefundId, request: NewRetry) -> RetriedRefund:
    """Other refunds take its place: the note goes on holding the amount."""
    locked = await lock_refund(tx, refund_id)
    today = local_date(tx.now, locked.entity.zone)

    retried = locked.refund.to(Status.RETRIED)
    spread = rules.spread(retried.amount, await _asked_for(tx, locked.note, retried, request))
    if spread.by_hand:
        raise Conflict(
            "payments_cannot_carry",
            f"{spread.by_hand} is more than these payments can still carry back. Name others of the "
            "invoice, record what went back past us, or convert it to balance.",
            param="payments",
        )

    await store.update(tx, retried)
    await free_payment(tx, retried)
    outbox.publish(tx, RefundRetried.of(retried))
    refunds = [
        await request_refund(tx, _another(tx, retried, part).on(today), zone=locked.entity.zone)
        for part in spread.parts
    ]
    return RetriedRefund(retried=retried, refunds=tuple(refunds))


async def _asked_for(tx: Tx, note: CreditNote | None, refund: Refund, request: NewRetry) -> list[Payment]:
    """In the order they are named in; that of the refund that failed is free of it."""
    assert refund.payment_id is not None, "only a refund on a payment fails"
    wanted = request.payments or [refund.payment_id]
    paid_by = await payments.of_credit_note(tx, note.id) if note is not None else []
    known = {payment.id: payment for payment in paid_by}
    known.setdefault(refund.payment_id, await payments.get(tx, refund.payment_id))
    for position, payment_id in enumerate(wanted):
        if payment_id not in known:
            raise Invalid(
                "payment_not_of_note",
                f"{payment_id} did not pay for what is given back.",
                param=f"payments[{position}]",
            )
    own = known[refund.payment_id]
    known[own.id] = msgspec.structs.replace(own, refunded=own.refunded - refund.amount)
    return [known[payment_id] for payment_id in dict.fromkeys(wanted)]


def _another(tx: Tx, retried: Refund, part: Part) -> Refund:
    return msgspec.structs.replace(
        retried,
        id=RefundId.new(),
        payment_id=part.payment.id,
        amount=part.amount,
        mode=RefundMode.AUTOMATIC,
        status=Status.SCHEDULED if part.blocked else Status.PENDING,
        blocked=part.blocked,
        gateway_reference=None,
        failure_code=None,
        created_at=tx.now,
        succeeded_on=None,
        retry_of=retried.id,
    )
