"""Giving back money that is on no invoice: nothing was sold with it, so there is no credit note."""

from billing.parties import store as parties
from billing.parties.model import RefundMode
from billing.payments import store as payments
from billing.payments.model import Means, Payment, PaymentId
from billing.payments.record import check_day
from kernel import outbox
from kernel.database import Tx
from kernel.errors import Conflict, Invalid
from kernel.money import Money
from kernel.periods import local_date
from refunds import rules, store
from refunds.events import RefundSucceeded
from refunds.locked import Locked
from refunds.model import NewPaymentRefund, Refund, RefundId, Status
from refunds.request_refund import request_refund
from refunds.send_refund import book_refund


async def refund_payment(tx: Tx, payment_id: PaymentId, request: NewPaymentRefund) -> Refund:
    """What is asked for is out of the customer's balance from here on."""
    locked = await payments.lock_unallocated(tx, payment_id)
    payment = await payments.get(tx, payment_id)
    left = Money(locked[1] if locked else 0, payment.currency)
    customer = await parties.customer(tx, payment.customer_id)
    entity = await parties.legal_entity(tx, locked[0] if locked else customer.legal_entity_id)
    today = local_date(tx.now, entity.zone)

    amount = check(payment, left, request)
    due_on = request.refund_on or today
    rules.check_due(due_on, today=today, param="refund_on")
    day = request.refunded_on or today
    check_day(day, today=today, param="refunded_on")
    by_hand = request.means is not None
    mode = RefundMode.DEFERRED if due_on > today else RefundMode.AUTOMATIC
    refund = Refund(
        id=RefundId.new(),
        credit_note_id=None,
        payment_id=payment.id,
        customer_id=payment.customer_id,
        invoice_id=None,
        currency=payment.currency,
        amount=amount,
        mode=RefundMode.MANUAL if by_hand else mode,
        status=_status(by_hand=by_hand, deferred=due_on > today),
        due_on=day if by_hand else due_on,
        means=Means(request.means) if request.means else Means.PROVIDER,
        reference=request.reference,
        gateway_reference=None,
        failure_code=None,
        created_at=tx.now,
        succeeded_on=day if by_hand else None,
        of_rest=True,
    )

    await payments.allocate(tx, payment.id, amount)
    if not by_hand:
        return await request_refund(tx, refund, zone=entity.zone)
    taken = await payments.take_back(tx, payment.id, amount)
    assert taken, "what is on no invoice has not gone back"
    await store.insert(tx, refund)
    await book_refund(tx, Locked(refund=refund, note=None, invoice=None, entity=entity), refund)
    outbox.publish(tx, RefundSucceeded.of(refund))
    return refund


def check(payment: Payment, left: Money, request: NewPaymentRefund) -> Money:
    """How much of what is left goes back: all of it, unless it says."""
    amount = left if request.amount is None else request.amount
    if amount.currency != payment.currency:
        raise Invalid(
            "currency_mismatch",
            f"The refund is in {amount.currency}, the payment in {payment.currency}.",
            param="amount",
        )
    if amount.minor <= 0 and request.amount is not None:
        raise Invalid("refund_not_positive", "A refund is more than zero.", param="amount")
    if amount > left or not amount:
        raise Conflict(
            "refund_exceeds_rest",
            f"{left} of the payment is matched with no invoice. What paid an invoice goes back with a "
            "credit note on that.",
            param="amount",
        )
    if amount > payment.amount - payment.refunded - payment.disputed:
        raise Conflict("payment_disputed", "Part of the payment is disputed: refund the rest, or wait.")
    if request.means is None and amount > rules.refundable(payment):
        raise Conflict(
            "payments_cannot_carry",
            "This money came past us: say by which means it goes back.",
            param="means",
        )
    return amount


def _status(*, by_hand: bool, deferred: bool) -> Status:
    if by_hand:
        return Status.SUCCEEDED
    return Status.SCHEDULED if deferred else Status.PENDING
