"""Applying credit notes to invoices by hand: one or several to one or several, now or later."""

from collections.abc import Mapping, Sequence

from billing.credit_notes import store as credit_notes
from billing.credit_notes.model import CreditNote, CreditNoteId
from billing.invoices import store as invoices
from billing.invoices.model import Invoice, InvoiceId
from billing.settlement import store
from billing.settlement.apply import apply_note
from billing.settlement.model import (
    InvoiceToSettle,
    NewSettlements,
    Settled,
    SettlementId,
)
from billing.settlement.spreading import Match, Side, spread
from kernel.database import Tx
from kernel.errors import Conflict, Invalid
from kernel.ids import Id
from kernel.money import Currency, Money


async def match_documents(tx: Tx, request: NewSettlements) -> Settled:
    """Every note and every invoice named is of one customer, one seller and one currency."""
    _once_each([each.credit_note for each in request.credit_notes], param="credit_notes")
    _once_each([each.invoice for each in request.invoices], param="invoices")
    found_invoices, found_notes = await _lock(
        tx,
        [each.invoice for each in request.invoices],
        [each.credit_note for each in request.credit_notes],
    )
    settled = [found_invoices[each.invoice] for each in request.invoices]
    notes = [found_notes[each.credit_note] for each in request.credit_notes]

    check_alike([*notes, *settled])
    await check_undisputed(tx, [note.id for note in notes])
    matches = spread(
        [
            amount_of_note(note, asked.amount, param="credit_notes")
            for note, asked in zip(notes, request.credit_notes, strict=True)
        ],
        [side_of_invoice(*each) for each in zip(settled, request.invoices, strict=True)],
    )

    return await _record(tx, notes, settled, matches)


async def _lock(
    tx: Tx, invoice_ids: Sequence[InvoiceId], note_ids: Sequence[CreditNoteId]
) -> tuple[Mapping[InvoiceId, Invoice], Mapping[CreditNoteId, CreditNote]]:
    """The invoices, with those that the notes are on, then the notes."""
    on = {each.id: each.invoice_id for each in await credit_notes.find_many(tx, note_ids)}
    own = [invoice_id for invoice_id in on.values() if invoice_id is not None]
    locked = await invoices.lock_many(tx, [*invoice_ids, *own])
    notes = await credit_notes.lock_many(tx, note_ids)
    return {each.id: each for each in locked}, {each.id: each for each in notes}


async def check_undisputed(tx: Tx, note_ids: Sequence[CreditNoteId]) -> None:
    """What may yet be taken from us is no balance: it pays nothing until the dispute is over."""
    disputed = await store.disputed_notes(tx, note_ids)
    if disputed:
        raise Conflict(
            "payment_disputed",
            f"What paid the invoice of {', '.join(disputed)} is disputed. Use what is left of it once the "
            "dispute is won.",
            param="credit_notes",
        )


async def _record(
    tx: Tx, notes: list[CreditNote], settled: list[Invoice], matches: Sequence[Match]
) -> Settled:
    ids = [SettlementId.new() for _ in matches]
    for settlement_id, each in zip(ids, matches, strict=True):
        notes[each.source], settled[each.invoice] = await apply_note(
            tx, notes[each.source], settled[each.invoice], each.amount, settlement_id=settlement_id
        )
    return Settled(settlements=tuple(await store.find_many(tx, ids)))


def check_alike(documents: Sequence[CreditNote | Invoice]) -> None:
    """A note pays on invoices of its own customer, seller and currency."""
    first, *others = documents
    for other in others:
        if other.currency != first.currency:
            raise Invalid(
                "currency_mismatch",
                f"{first.number} is in {first.currency}, {other.number} in {other.currency}.",
            )
        if other.customer_id != first.customer_id:
            raise Invalid(
                "customer_mismatch", f"{first.number} and {other.number} are not of the same customer."
            )
        if other.legal_entity_id != first.legal_entity_id:
            raise Invalid("seller_mismatch", f"{first.number} and {other.number} are not of the same seller.")


def amount_of_note(note: CreditNote, asked: Money | None, *, param: str) -> Side:
    """What is to be used of a note: at most what is left of it."""
    left = note.settlement.left
    if not left:
        raise Conflict(
            "nothing_left",
            f"Nothing is left of {note.number}: what is not used yet is held by refunds, or promised.",
            param=param,
        )
    side = _side(note.number, asked, left, param=param)
    if side.amount > left:
        raise Conflict(
            "settlement_exceeds_left", f"{left} is left of {note.number}, not {side.amount}.", param=param
        )
    return side


def side_of_invoice(invoice: Invoice, asked: InvoiceToSettle) -> Side:
    """What a payment under way will settle is not settled by something else meanwhile."""
    settlement = invoice.settlement
    if not settlement.due:
        raise Conflict("nothing_due", f"Nothing is due on {invoice.number}.", param="invoices")
    free = settlement.due - settlement.pending
    if not free:
        raise Conflict(
            "payment_in_flight",
            f"A payment of {settlement.pending} on {invoice.number} is under way. "
            "Try again when it has succeeded or failed.",
            param="invoices",
        )
    side = _side(invoice.number, asked.amount, free, param="invoices")
    if side.amount > free:
        raise Conflict(
            "settlement_exceeds_due",
            f"{free} is due on {invoice.number} and not already on its way.",
            param="invoices",
        )
    return side


def _side(number: str, asked: Money | None, most: Money, *, param: str) -> Side:
    if asked is None:
        return Side(number=number, amount=most, exactly=False)
    check_amount(asked, most.currency, number, param=param)
    return Side(number=number, amount=asked, exactly=True)


def check_amount(asked: Money, currency: Currency, number: str, *, param: str) -> None:
    if asked.currency != currency:
        raise Invalid(
            "currency_mismatch", f"The amount is in {asked.currency}, {number} in {currency}.", param=param
        )
    if asked.minor <= 0:
        raise Invalid("settlement_not_positive", "What is matched is more than zero.", param=param)


def _once_each(ids: Sequence[Id], *, param: str) -> None:
    if len(set(ids)) < len(ids):
        raise Invalid("settlement_twice", "Name each document once.", param=param)
