"""Giving back what a credit note leaves, in the mode asked for.

automatic   sent to the provider at once, over one or several payments
deferred    the same, on its day
manual      promised: it goes back past us, and each part is recorded as it goes
none        it stays on the note, as balance

What provider payments cannot carry back is promised by hand, and listed in the answer.
"""

from collections.abc import Sequence
from datetime import datetime, time

from billing.credit_notes import store as credit_notes
from billing.credit_notes.model import CreditNote
from billing.parties.model import LegalEntity, RefundMode
from billing.payments import store as payments
from billing.payments.model import Means, Payment
from billing.settlement.rules import used_with
from kernel import jobs, outbox
from kernel.database import Tx
from kernel.errors import Conflict
from refunds import rules, store
from refunds.events import RefundRequested, RefundScheduled
from refunds.model import GivenBack, Refund, RefundId, Status
from refunds.rules import Part, Terms

SENDING = "send_refund"


async def give_back(
    tx: Tx, note: CreditNote, terms: Terms, paid_by: Sequence[Payment], entity: LegalEntity
) -> GivenBack:
    """Start what the note says of where it goes. Its invoice has been locked by the caller."""
    spread = rules.spread(note.destination.to_provider, paid_by)
    assert not spread.by_hand, "the note was told how much the provider can carry"

    refunds = tuple([await _request(tx, note, part, terms, entity) for part in spread.parts])
    after = used_with(note, held=note.destination.to_provider, promised=note.destination.by_hand)

    if after != note:
        await credit_notes.update_settlement(tx, after)
    return GivenBack(credit_note=after, refunds=refunds, to_refund_by_hand=note.destination.by_hand)


async def _request(tx: Tx, note: CreditNote, part: Part, terms: Terms, entity: LegalEntity) -> Refund:
    """The intent, and what will carry it out: an event now, or a job on its day."""
    deferred = terms.mode is RefundMode.DEFERRED
    refund = Refund(
        id=RefundId.new(),
        credit_note_id=note.id,
        payment_id=part.payment.id,
        customer_id=note.customer_id,
        invoice_id=note.invoice_id,
        currency=note.currency,
        amount=part.amount,
        mode=terms.mode,
        status=Status.SCHEDULED if deferred else Status.PENDING,
        due_on=terms.due_on,
        means=Means.PROVIDER,
        reference=None,
        gateway_reference=None,
        failure_code=None,
        created_at=tx.now,
        succeeded_on=None,
    )

    if not await payments.take_back(tx, part.payment.id, part.amount):
        raise Conflict("payment_refunded_meanwhile", "Another refund took this money. Try again.")
    await store.insert(tx, refund)
    if deferred:
        await _schedule(tx, refund, entity)
    else:
        outbox.publish(tx, _said(RefundRequested, refund))
    return refund


async def _schedule(tx: Tx, refund: Refund, entity: LegalEntity) -> None:
    """Due at the first minute of its day, where the seller is."""
    due = datetime.combine(refund.due_on, time(), tzinfo=entity.zone)
    await jobs.schedule(tx, SENDING, {"refund_id": str(refund.id)}, due=due)
    outbox.publish(tx, _said(RefundScheduled, refund))


def _said(
    event: type[RefundRequested] | type[RefundScheduled], refund: Refund
) -> RefundRequested | RefundScheduled:
    return event(refund_id=refund.id, credit_note_id=refund.credit_note_id, customer_id=refund.customer_id)
