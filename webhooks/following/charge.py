"""Our payment follows the provider's charge, and only forward."""

from billing.gateways.model import Charge, Outcome, Status
from billing.payments import store as payments
from billing.payments.collect import finish_payment, moves
from billing.payments.model import Payment, PaymentId
from billing.payments.model import Status as PaymentStatus
from kernel.database import Tx
from webhooks.drift.model import Done, Finding, Kind


async def follow_charge(tx: Tx, provider: str, charge: Charge) -> Finding:
    payment = await payment_of(tx, provider, charge)
    if payment is None:
        return _unknown(charge)

    done = decide(payment, charge)

    if done.done is Done.MOVED:
        await finish_payment(tx, payment, _outcome(charge))
    return done


async def payment_of(tx: Tx, provider: str, charge: Charge) -> Payment | None:
    """By its name there, or by ours that it carries, if the answer with its name was lost."""
    known = await payments.of_gateway(tx, provider, charge.reference)
    if known is not None:
        return await payments.get(tx, known)
    our_id = PaymentId.read(charge.our_id or "")
    payment = await payments.find(tx, our_id) if our_id else None
    same = payment is not None and payment.gateway == provider and not payment.gateway_reference
    return payment if same else None


def decide(payment: Payment, charge: Charge) -> Finding:
    """Pure: what differs, and whether ours follows."""
    kind, done = Kind.CHARGE_STATUS, Done.AGREED
    if charge.status is Status.SUCCEEDED and charge.amount != payment.amount:
        kind, done = Kind.CHARGE_AMOUNT, Done.LEFT
    elif payment.status is PaymentStatus.SUCCEEDED and charge.status is Status.FAILED:
        kind, done = Kind.CHARGE_UNDONE, Done.LEFT
    elif moves(payment.status, charge.status):
        done = Done.MOVED
    return Finding(
        kind=kind,
        done=done,
        reference=charge.reference,
        our_id=str(payment.id),
        ours=payment.amount,
        theirs=charge.amount,
    )


def _unknown(charge: Charge) -> Finding:
    """An attempt that came to nothing is nobody's affair."""
    came_in = charge.status is Status.SUCCEEDED
    return Finding(
        kind=Kind.CHARGE_OF_NOBODY,
        done=Done.LEFT if came_in else Done.AGREED,
        reference=charge.reference,
        theirs=charge.amount,
    )


def _outcome(charge: Charge) -> Outcome:
    return Outcome(status=charge.status, reference=charge.reference, failure_code=charge.failure_code)
