"""Issuing a rebate: one credit note over as many invoices as there are."""

import msgspec

from billing.credit_notes import store as credit_notes
from billing.credit_notes.events import CreditNoteIssued
from billing.credit_notes.model import (
    CreditNote,
    CreditNoteId,
    CreditNoteSettlement,
    Destination,
    Reason,
    Refunding,
)
from billing.credit_notes.ready import modality_of
from billing.invoices import store as invoices
from billing.invoices.model import Invoice
from billing.ledger import postings
from billing.ledger import store as ledger
from billing.ledger.book import release_vat_of
from billing.ledger.model import Booked, Source, TransactionId, holder_of
from billing.numbering import Numbered, Series, take_number
from billing.parties.model import RefundMode
from billing.rebates import rules, store
from billing.rebates.model import ToRebate
from billing.rebates.store import Sums
from billing.settlement import rules as settling
from billing.settlement import store as settlements
from billing.settlement.apply import dissociate
from billing.settlement.settle import settle
from billing.tax.model import GroupTax, TaxBehavior
from kernel import outbox
from kernel.database import Tx, leave_behind
from kernel.errors import Conflict
from kernel.money import zero

# So many invoices are in memory at once.
CHUNK = 1000


async def check_nothing_in_flight(tx: Tx, request: ToRebate) -> None:
    number = await store.with_payment_in_flight(tx, request.scope)
    if number is not None:
        raise Conflict(
            "payment_in_flight",
            f"A payment on {number} is under way. Settle the rebate when it has succeeded or failed.",
        )


async def issue_rebate(tx: Tx, request: ToRebate, *, refund: Refunding) -> CreditNote:
    """The invoices in its scope have been locked by the caller, and `net` is at most what is left of them.

    Of each invoice it takes off first what is still due, then what notes of others paid, which goes back to
    them. What is left was paid: it leaves the invoices, and `refund` says where it is to go.
    """
    await check_nothing_in_flight(tx, request)
    note_id = CreditNoteId.new()

    await store.insert_lines(tx, note_id, request.scope, request.net)
    earlier = await store.taxes_given(tx, request.scope.given)
    wanted = rules.taxes_of(await store.bases(tx, note_id), earlier)
    await store.insert_source_taxes(tx, note_id, {group: tax.tax for group, tax in wanted.items()})
    await store.insert_sources(tx, note_id)
    sums = await store.sums(tx, note_id)
    taxes = await store.taxes(tx, note_id)
    numbered = await take_number(tx, request.entity, Series.CREDIT_NOTE)
    note = _note(note_id, request, sums, taxes, refund, numbered, tx)

    await credit_notes.insert_over_many(tx, note)
    await store.check_references(tx)
    outbox.publish(
        tx, CreditNoteIssued(credit_note_id=note.id, invoice_id=None, customer_id=note.customer_id)
    )
    await _take_off(tx, note)
    return await credit_notes.get(tx, note.id)


def _note(
    note_id: CreditNoteId,
    request: ToRebate,
    sums: Sums,
    taxes: tuple[GroupTax, ...],
    refund: Refunding,
    numbered: Numbered,
    tx: Tx,
) -> CreditNote:
    nothing = zero(sums.net.currency)
    customer, entity = request.customer, request.entity
    destination = destination_of(sums, refund)
    return CreditNote(
        id=note_id,
        number=numbered.number,
        legal_entity_id=entity.id,
        customer_id=customer.id,
        invoice_id=None,
        invoice_number=None,
        invoice_issued_on=None,
        sources=(),
        modality=modality_of(None, destination),
        rebate=msgspec.structs.replace(request.why, invoices=sums.invoices, lines=sums.lines),
        currency=sums.net.currency,
        language=customer.language,
        issued_on=numbered.issued_on,
        seller=entity.seller,
        buyer=customer.buyer,
        vat_due=entity.vat_due,
        time_zone=entity.time_zone,
        reason=Reason.REBATE,
        reason_text=None,
        refund_mode=refund.mode,
        refund_on=refund.due_on if refund.mode is RefundMode.DEFERRED and destination.to_provider else None,
        destination=destination,
        tax_behavior=TaxBehavior.EXCLUSIVE,
        lines=(),
        taxes=taxes,
        net=sums.net,
        tax=sums.tax,
        total=sums.total,
        metadata=request.metadata,
        issued_at=tx.now,
        settlement=CreditNoteSettlement(
            status=settling.status_of(used=destination.to_invoice, total=sums.total),
            applied=destination.to_invoice,
            refunded=nothing,
            held=nothing,
            promised=nothing,
            marked=nothing,
            left=sums.total - destination.to_invoice,
        ),
    )


def destination_of(sums: Sums, refund: Refunding) -> Destination:
    """Invoice by invoice it is known what had not been paid; the rest goes as the refund mode says."""
    paid = sums.total - sums.to_invoice
    back = zero(paid.currency) if refund.mode is RefundMode.NONE else paid
    to_provider = min(back, refund.by_provider)
    return Destination(
        to_invoice=sums.to_invoice,
        to_provider=to_provider,
        by_hand=back - to_provider,
        to_balance=paid - back,
    )


async def _take_off(tx: Tx, note: CreditNote) -> None:
    """Move the settlement, the ledger and the VAT of each invoice, a thousand at a time."""
    transaction_id = TransactionId.new()
    position = 1
    while sources := await store.sources_from(tx, note.id, position, limit=CHUNK):
        found = await invoices.find_many(tx, [each.invoice_id for each in sources], with_lines=False)
        invoice_of = {invoice.id: invoice for invoice in found}
        taxes = await store.source_taxes(tx, note.id, list(invoice_of))
        after = await _settle(tx, note, sources, found)
        booked = [
            Booked(
                transaction_id=transaction_id, holder=holder_of(invoice_of[each.invoice_id]), posting=posting
            )
            for each in sources
            for posting in postings.rebate_taken_off(
                each.net,
                taxes[each.invoice_id],
                paid=each.total - each.to_invoice,
                vat_due=invoice_of[each.invoice_id].vat_due,
            )
        ]
        await _book(tx, note, booked)
        await release_vat_of(tx, after, Source.CREDIT_NOTE, note.id, booked_on=note.issued_on)
        await leave_behind(tx)
        position += CHUNK
    left = note.total - note.destination.to_invoice
    if left:
        [own] = postings.in_one_transaction(
            [(holder_of(note), posting) for posting in postings.customer_owes(-left)]
        )
        await _book(tx, note, [msgspec.structs.replace(own, transaction_id=transaction_id)])


async def _book(tx: Tx, note: CreditNote, booked: list[Booked]) -> None:
    label = f"Credit note {note.number}"
    await ledger.insert(tx, booked, Source.CREDIT_NOTE, note.id, label=label, booked_on=note.issued_on)


async def _settle(
    tx: Tx, note: CreditNote, sources: list[store.Source], found: list[Invoice]
) -> list[Invoice]:
    """The invoices after it. Those that are paid are credited together, the others one by one."""
    source_of = {source.invoice_id: source for source in sources}
    await store.add_credited(tx, [source for source in sources if not source.to_invoice])
    after = []
    for invoice in found:
        source = source_of[invoice.id]
        if source.to_invoice:
            after.append(await _offset(tx, note, invoice, source))
        else:
            after.append(settling.settled_with(invoice, credited=source.total, now=tx.now))
    return after


async def _offset(tx: Tx, note: CreditNote, invoice: Invoice, source: store.Source) -> Invoice:
    applied = await settlements.lock_applications(tx, invoice.id) if invoice.settlement.offset else []
    freed = max(source.to_invoice - invoice.settlement.due, zero(note.currency))
    await settlements.insert(tx, invoice.id, source.to_invoice, credit_note_id=note.id, is_own=True)
    await dissociate(tx, invoice, applied, freed)
    return await settle(tx, invoice, offset=source.to_invoice - freed, credited=source.total)
