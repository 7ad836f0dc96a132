"""The customer's bank takes a payment back, or may: a dispute is opened, and won or lost.

While it is open nothing of its amount goes back to the customer another way: a refund of it waits, blocked,
and is sent once the dispute is won. Lost, the money has gone: what it paid is due again, and the notes on
that invoice take it off first, before anything of them may be spent.
"""

from collections.abc import Sequence

from billing.credit_notes import store as credit_notes
from billing.credit_notes.model import CreditNoteId
from billing.invoices import store as invoices
from billing.invoices.model import Invoice, InvoiceId
from billing.ledger import postings
from billing.ledger.book import book, release_vat
from billing.ledger.model import Source
from billing.payments import store as payments
from billing.payments.model import Payment, PaymentId
from billing.payments.model import Status as PaymentStatus
from billing.payments.unallocated import lose
from billing.settlement import store as settlements
from billing.settlement.apply import apply_note, day_of
from billing.settlement.model import Settlement
from billing.settlement.rules import used_with
from billing.settlement.settle import settle
from kernel import outbox
from kernel.database import Tx
from kernel.errors import Conflict, Invalid
from kernel.money import Money, total
from kernel.periods import local_date
from refunds import store as refunds
from refunds.cancel_refund import cancel_locked
from refunds.disputes import store
from refunds.disputes.events import DisputeLost, DisputeOpened, DisputeWon
from refunds.disputes.model import Dispute, DisputeId, DisputeStatus, NewDispute, NewVerdict, Verdict
from refunds.events import RefundBlocked, RefundRequested, RefundScheduled
from refunds.locked import Locked, lock_refund
from refunds.model import Status
from refunds.request_refund import schedule


async def open_dispute(tx: Tx, payment_id: PaymentId, request: NewDispute) -> Dispute:
    """Told of again by the same reference, it is the same dispute."""
    known = await store.of_reference(tx, request.reference) if request.reference else None
    if known is not None and known.payment_id == payment_id:
        return known
    payment = await payments.get(tx, payment_id)
    edges = await settlements.of_payment(tx, payment_id)
    await _lock(tx, edges)

    amount = check(payment, request)
    dispute = Dispute(
        id=DisputeId.new(),
        payment_id=payment.id,
        customer_id=payment.customer_id,
        currency=payment.currency,
        amount=amount,
        status=DisputeStatus.OPEN,
        reason=request.reason,
        reference=request.reference,
        opened_at=tx.now,
        closed_at=None,
    )

    if not await store.take(tx, payment.id, amount):
        raise Conflict("dispute_exceeds_payment", "Another dispute took this amount. Look, and try again.")
    await store.insert(tx, dispute)
    await _block(tx, payment.id)
    outbox.publish(tx, DisputeOpened.of(dispute, payment.invoice_id))
    return dispute


def check(payment: Payment, request: NewDispute) -> Money:
    """How much of the payment is disputed: all that is not yet, unless it says."""
    left = payment.amount - payment.disputed
    amount = left if request.amount is None else request.amount
    if payment.status is not PaymentStatus.SUCCEEDED:
        raise Conflict("payment_state", f"A {payment.status} payment cannot be disputed.")
    if amount.currency != payment.currency:
        raise Invalid(
            "currency_mismatch",
            f"The dispute is in {amount.currency}, the payment in {payment.currency}.",
            param="amount",
        )
    if amount.minor <= 0 and request.amount is not None:
        raise Invalid("dispute_not_positive", "A dispute is about more than zero.", param="amount")
    if amount > left or not amount:
        raise Conflict(
            "dispute_exceeds_payment", f"{left} of the payment is not disputed yet.", param="amount"
        )
    return amount


async def close_dispute(tx: Tx, dispute_id: DisputeId, request: NewVerdict) -> Dispute:
    """Closed again the same way, nothing more happens."""
    found = await store.get(tx, dispute_id)
    payment = await payments.get(tx, found.payment_id)
    edges = await settlements.of_payment(tx, payment.id)
    locked = await _lock(tx, edges)
    dispute = await store.lock(tx, dispute_id)

    verdict = DisputeStatus(request.outcome)
    if dispute.status is verdict:
        return dispute
    closed = dispute.to(verdict, at=tx.now)

    await store.update(tx, closed)
    if request.outcome is Verdict.WON:
        await store.take(tx, payment.id, -dispute.amount)
        await _unblock(tx, payment.id)
        outbox.publish(tx, DisputeWon.of(closed, payment.invoice_id))
    else:
        await _lose(tx, closed, edges, locked)
        outbox.publish(tx, DisputeLost.of(closed, payment.invoice_id))
    return closed


async def _lock(tx: Tx, edges: Sequence[Settlement]) -> dict[InvoiceId, Invoice]:
    """The invoices that the payment paid: whoever gives back or credits takes turns with us.

    What a deposit was paid with goes back by credit notes on the final invoice, which is locked after it.
    """
    ids = [edge.invoice_id for edge in edges]
    locked = await invoices.lock_many(tx, ids) if ids else []
    finals = [each.settlement.deducted_by for each in locked if each.settlement.deducted_by is not None]
    if finals:
        await invoices.lock_many(tx, finals)
    return {invoice.id: invoice for invoice in locked}


async def _block(tx: Tx, payment_id: PaymentId) -> None:
    """Of refunds that are scheduled, those that the undisputed part cannot carry, the newest first."""
    payment = await payments.get(tx, payment_id)
    over = payment.refunded + payment.disputed - payment.amount
    for refund_id in await refunds.waiting_on(tx, payment_id):
        refund = (await lock_refund(tx, refund_id)).refund
        if over.minor > 0 and refund.status is Status.SCHEDULED and not refund.blocked:
            blocked = refund.waiting(blocked=True)
            await refunds.update(tx, blocked)
            outbox.publish(tx, RefundBlocked.of(blocked))
        over -= refund.amount


async def _unblock(tx: Tx, payment_id: PaymentId) -> None:
    """What the payment can carry again is sent, or waits for its day: the oldest first."""
    payment = await payments.get(tx, payment_id)
    locked = [await lock_refund(tx, refund_id) for refund_id in await refunds.waiting_on(tx, payment_id)]
    blocked = [each for each in reversed(locked) if each.refund.blocked]
    held = total((each.refund.amount for each in blocked), payment.currency)
    room = payment.amount - payment.disputed - payment.refunded + held
    for each in blocked:
        if each.refund.amount <= room:
            room -= each.refund.amount
            await _send(tx, each)


async def _send(tx: Tx, locked: Locked) -> None:
    zone = locked.entity.zone
    freed = locked.refund.waiting(blocked=False)
    if freed.due_on <= local_date(tx.now, zone):
        freed = freed.to(Status.PENDING)
        outbox.publish(tx, RefundRequested.of(freed))
    else:
        await schedule(tx, freed, zone=zone)
        outbox.publish(tx, RefundScheduled.of(freed))
    await refunds.update(tx, freed)


async def _lose(
    tx: Tx, dispute: Dispute, edges: Sequence[Settlement], locked: dict[InvoiceId, Invoice]
) -> None:
    """The newest match with an invoice goes first; its own notes take off what is due again."""
    left = dispute.amount
    for edge in edges:
        part = min(left, edge.amount)
        if part:
            after = await _unpay(tx, dispute, edge, locked[edge.invoice_id], part)
            locked[after.id] = after
            left -= part
    await store.charge_back(tx, dispute.payment_id, dispute.amount)
    await _cancel_blocked(tx, await payments.get(tx, dispute.payment_id))
    if left:
        await lose(tx, await payments.get(tx, dispute.payment_id), left, dispute.id)
    for invoice_id, final in [(each.id, each.settlement.deducted_by) for each in locked.values()]:
        for note_id in await store.notes_of(tx, [final or invoice_id]):
            await _take_off_first(tx, note_id, invoice_id, locked)


async def _unpay(tx: Tx, dispute: Dispute, edge: Settlement, invoice: Invoice, part: Money) -> Invoice:
    day = day_of(tx, invoice)
    await settlements.undo(tx, edge.id)
    if edge.amount > part:
        await settlements.insert(tx, invoice.id, edge.amount - part, payment_id=dispute.payment_id)
    after = await settle(tx, invoice, paid=-part)
    label = f"Dispute lost on {invoice.number}"
    gone = postings.money_given_back(part)
    await book(tx, invoice, Source.DISPUTE, dispute.id, gone, label=label, booked_on=day)
    await release_vat(tx, after, Source.DISPUTE, dispute.id, booked_on=day)
    return after


async def _cancel_blocked(tx: Tx, payment: Payment) -> None:
    """Those that waited for this dispute: what other disputes still hold may wait for them."""
    locked = [await lock_refund(tx, refund_id) for refund_id in await refunds.waiting_on(tx, payment.id)]
    blocked = [each for each in locked if each.refund.blocked]
    over = total((each.refund.amount for each in blocked), payment.currency) - payment.in_dispute
    for each in blocked:
        if over.minor > 0:
            await cancel_locked(tx, each)
            over -= each.refund.amount


async def _take_off_first(
    tx: Tx, note_id: CreditNoteId, invoice_id: InvoiceId, locked: dict[InvoiceId, Invoice]
) -> None:
    """What a note promised or leaves was not paid after all: it goes to its own invoice.

    Or to the deposit that its invoice deducted: that is due again.
    """
    note = await credit_notes.lock(tx, note_id)
    invoice = locked[invoice_id]
    amount = min(note.settlement.left + note.settlement.promised, invoice.settlement.due)
    if amount.minor <= 0:
        return
    taken = max(amount - note.settlement.left, Money(0, note.currency))
    note = used_with(note, promised=-taken)
    _, locked[invoice.id] = await apply_note(tx, note, invoice, amount)


async def find_dispute(tx: Tx, reference: str) -> Dispute | None:
    """By what the provider calls it."""
    return await store.of_reference(tx, reference)
