"""Our payment follows the provider's charge, and only forward."""

from msgspec.structs import replace

from billing.gateways.checkouts import store as checkouts
from billing.gateways.model import Charge, Outcome, Status
from billing.parties import store as parties
from billing.payments import store as payments
from billing.payments.collect import finish_payment, moves
from billing.payments.model import Payment, PaymentId
from billing.payments.model import Status as PaymentStatus
from billing.payments.unallocated import keep_from_provider
from kernel.database import Tx
from webhooks.drift.model import Done, Finding, Kind
from webhooks.provider import Provider


async def follow_charge(tx: Tx, provider: Provider, charge: Charge) -> Finding:
    payment = await payment_of(tx, provider.name, charge)
    if payment is None:
        return await _record(tx, provider, charge)

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


async def _record(tx: Tx, provider: Provider, charge: Charge) -> Finding:
    """Only they know of it. An attempt that came to nothing is nobody's affair."""
    if charge.status is not Status.SUCCEEDED:
        return _unknown(charge, Kind.CHARGE_OF_NOBODY, Done.AGREED)
    customer_id = await checkouts.customer_of(tx, provider.connection_id, charge.customer or "")
    if customer_id is None:
        return _unknown(charge, Kind.CHARGE_OF_NOBODY, Done.LEFT)
    # Two looks at the same charge take turns here.
    customer = await parties.lock_customer(tx, customer_id)
    known = await payment_of(tx, provider.name, charge)
    if known is not None:
        return decide(known, charge)
    payment = await keep_from_provider(tx, customer, charge, gateway=provider.name)
    return replace(_unknown(charge, Kind.CHARGE_UNKNOWN, Done.RECORDED), our_id=str(payment.id))


def _unknown(charge: Charge, kind: Kind, done: Done) -> Finding:
    return Finding(kind=kind, done=done, reference=charge.reference, theirs=charge.amount)


def _outcome(charge: Charge) -> Outcome:
    return Outcome(status=charge.status, reference=charge.reference, failure_code=charge.failure_code)
