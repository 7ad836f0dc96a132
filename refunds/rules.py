"""How money goes back. Pure."""

from collections.abc import Sequence
from datetime import date, timedelta

from billing.credit_notes.model import CreditNote, Refunding
from billing.parties.model import RefundMode, Settings
from billing.payments.model import Means, Payment
from billing.payments.model import Status as PaymentStatus
from kernel.errors import Conflict, Invalid
from kernel.money import Currency, Money, total, zero
from kernel.structs import Value


class Part(Value, frozen=True, kw_only=True):
    """What goes back over one payment; `blocked` until a dispute about it is won."""

    payment: Payment
    amount: Money
    blocked: bool = False


class Spread(Value, frozen=True, kw_only=True):
    """What goes back over payments, and what no provider payment can carry."""

    parts: tuple[Part, ...]
    by_hand: Money


class Terms(Value, frozen=True, kw_only=True):
    """The refund mode that holds, and the day it is due."""

    mode: RefundMode
    due_on: date


def asks_settings(asked: RefundMode | None) -> bool:
    """Whether the tenant's settings decide anything: which mode, or when a deferred refund is due."""
    return asked is None or asked is RefundMode.DEFERRED


def terms_of(settings: Settings, *, asked: RefundMode | None, refund_on: date | None, today: date) -> Terms:
    """What the call says, or else the tenant's settings."""
    mode = asked or settings.refund_mode
    if mode is not RefundMode.DEFERRED:
        if refund_on is not None:
            raise Invalid(
                "refund_on_not_deferred",
                f"A day belongs to a deferred refund; this one is {mode}.",
                param="refund_on",
            )
        return Terms(mode=mode, due_on=today)
    due_on = refund_on or today + timedelta(days=settings.refund_after_days)
    check_due(due_on, today=today, param="refund_on")
    return Terms(mode=mode, due_on=due_on)


def check_due(due_on: date, *, today: date, param: str) -> None:
    if due_on < today:
        raise Invalid("refund_on_past", "A deferred refund is due today or on a day to come.", param=param)
    if due_on > today + timedelta(days=366):
        raise Invalid("refund_on_far", "A refund is deferred by a year at most.", param=param)


def through_provider(mode: RefundMode) -> bool:
    return mode in (RefundMode.AUTOMATIC, RefundMode.DEFERRED)


def refunding(terms: Terms, payments: Sequence[Payment], currency: Currency) -> Refunding:
    """In the manual mode nothing goes through the provider."""
    carried = total((refundable(payment) + waitable(payment) for payment in payments), currency)
    return Refunding(
        mode=terms.mode,
        due_on=terms.due_on,
        by_provider=carried if through_provider(terms.mode) else zero(currency),
    )


def to_give(note: CreditNote, mode: RefundMode, asked: Money | None) -> Money:
    """What of a note is to go another way than it went so far. All that can, unless an amount is asked for.

    Raises Invalid `currency_mismatch`, `refund_not_positive`, Conflict `refund_exceeds_note`.
    """
    settlement = note.settlement
    match mode:
        case RefundMode.AUTOMATIC | RefundMode.DEFERRED:
            most = settlement.promised + settlement.left
        case RefundMode.MANUAL:
            most = settlement.left
        case RefundMode.NONE:
            most = settlement.promised
    amount = most if asked is None else asked
    if amount.currency != note.currency:
        raise Invalid(
            "currency_mismatch",
            f"The refund is in {amount.currency}, the credit note in {note.currency}.",
            param="amount",
        )
    if amount.minor <= 0 and asked is not None:
        raise Invalid("refund_not_positive", "A refund is more than zero.", param="amount")
    if amount > most or not amount:
        raise Conflict(
            "refund_exceeds_note",
            f"{most} of {note.number} can go back in the mode {mode}; {settlement.held} is held by refunds "
            f"that are under way or have failed, {settlement.promised} promised by hand.",
            param="amount",
        )
    return amount


def promised_by(note: CreditNote, mode: RefundMode, amount: Money, spread: Spread) -> Money:
    """How what is promised by hand moves: what payments carry was promised first, what they cannot is."""
    match mode:
        case RefundMode.AUTOMATIC | RefundMode.DEFERRED:
            return spread.by_hand - min(note.settlement.promised, amount)
        case RefundMode.MANUAL:
            return amount
        case RefundMode.NONE:
            return -amount


def spread(amount: Money, payments: Sequence[Payment]) -> Spread:
    """Over the payments in the order given (newest first), each within what is left of it.

    What is disputed comes after everything else: it waits.
    """
    parts = []
    left = amount
    for room, blocked in ((refundable, False), (waitable, True)):
        for payment in payments:
            part = min(left, room(payment))
            if part:
                parts.append(Part(payment=payment, amount=part, blocked=blocked))
                left -= part
    return Spread(parts=tuple(parts), by_hand=left)


def refundable(payment: Payment) -> Money:
    """What a provider can still carry back: nothing of what is disputed, or came past it."""
    free = payment.amount - payment.refunded - payment.disputed
    return max(free, zero(payment.currency)) if _by_provider(payment) else zero(payment.currency)


def waitable(payment: Payment) -> Money:
    """What could go back if the disputes about it were won."""
    in_dispute = min(payment.in_dispute, payment.amount - payment.charged_back - payment.refunded)
    return max(in_dispute, zero(payment.currency)) if _by_provider(payment) else zero(payment.currency)


def _by_provider(payment: Payment) -> bool:
    return payment.status is PaymentStatus.SUCCEEDED and payment.means is Means.PROVIDER
