"""Giving back what a credit note leaves, in the mode asked for.

automatic   sent to the provider at once, over one or several payments
deferred    the same, on its day
manual      promised: it goes back past us, and each part is recorded as it goes
none        it stays on the note, as balance

What provider payments cannot carry back is promised by hand, and listed in the answer.
"""

from collections.abc import Sequence

from billing.credit_notes import store as credit_notes
from billing.credit_notes.model import CreditNote
from billing.parties.model import LegalEntity, RefundMode
from billing.payments.model import Means, Payment
from billing.settlement.rules import used_with
from kernel.database import Tx
from kernel.errors import Conflict
from kernel.money import Money
from refunds import rules
from refunds.disputes import store as disputes
from refunds.model import GivenBack, Refund, RefundId, Status
from refunds.request_refund import request_refund
from refunds.rules import Part, Terms


async def give_back(
    tx: Tx, note: CreditNote, terms: Terms, paid_by: Sequence[Payment], entity: LegalEntity
) -> GivenBack:
    """Start what the note says of where it goes. Its invoice has been locked by the caller."""
    spread = rules.spread(note.destination.to_provider, paid_by)
    assert not spread.by_hand, "the note was told how much the provider can carry"

    refunds = await send_parts(tx, note, spread.parts, terms, entity)
    after = used_with(note, held=note.destination.to_provider, promised=note.destination.by_hand)

    if after != note:
        await credit_notes.update_settlement(tx, after)
    if any(payment.in_dispute for payment in paid_by):
        await check_disputed(tx, note)
    return GivenBack(credit_note=after, refunds=refunds, to_refund_by_hand=note.destination.by_hand)


async def check_disputed(tx: Tx, note: CreditNote) -> None:
    """What may yet be taken from us is no balance, and does not go back by hand."""
    if note.invoice_id is None:
        return
    standing = await disputes.standing(tx, note.invoice_id)
    if standing.held and standing.given > standing.paid - standing.held:
        raise Conflict(
            "payment_disputed",
            f"{Money(standing.held, note.currency)} of what paid {note.invoice_number} is disputed: it is no "
            "balance and does not go back by hand. In the refund mode automatic its refund waits, and goes "
            "once the dispute is won.",
            param="refund",
        )


async def send_parts(
    tx: Tx, note: CreditNote, parts: Sequence[Part], terms: Terms, entity: LegalEntity
) -> tuple[Refund, ...]:
    """A refund for each; the note has to hold them."""
    refunds = [_refund(tx, note, part, terms) for part in parts]
    return tuple([await request_refund(tx, refund, zone=entity.zone) for refund in refunds])


def _refund(tx: Tx, note: CreditNote, part: Part, terms: Terms) -> Refund:
    waits = part.blocked or terms.mode is RefundMode.DEFERRED
    return Refund(
        id=RefundId.new(),
        credit_note_id=note.id,
        payment_id=part.payment.id,
        customer_id=note.customer_id,
        invoice_id=note.invoice_id,
        currency=note.currency,
        amount=part.amount,
        mode=terms.mode,
        status=Status.SCHEDULED if waits else Status.PENDING,
        due_on=terms.due_on,
        means=Means.PROVIDER,
        reference=None,
        gateway_reference=None,
        failure_code=None,
        created_at=tx.now,
        succeeded_on=None,
        blocked=part.blocked,
    )
