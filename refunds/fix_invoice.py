"""Putting a wrong invoice right in one act: a note for all that is left of it, and another in its place.

What was paid on it is kept for the other as far as that goes, by money first and then by the notes that had
paid it; only what is over goes back, and only what is missing is due. The other takes the place of the first
for the subscription that it bills, and for what is given back later: over the payments of the first.
"""

from collections.abc import Iterable

import msgspec

from billing.credit_notes import store as credit_notes
from billing.credit_notes.issue import issue_credit_note
from billing.credit_notes.model import CreditNote, CreditNoteId, NewCreditNote
from billing.invoices import store as invoices
from billing.invoices.corrected import corrected_lines
from billing.invoices.free_lines import treatments_named
from billing.invoices.issue import issue_invoices
from billing.invoices.model import (
    Collection,
    DocumentKind,
    DocumentReference,
    Invoice,
    InvoiceId,
    InvoiceKind,
    PricedLine,
)
from billing.invoices.ready import Ready, ToIssue, ready_to_issue
from billing.numbering import Series, hold
from billing.parties import store as parties
from billing.parties.model import Customer, LegalEntity
from billing.payments import store as payments
from billing.settlement import store as settlements
from billing.settlement.apply import apply_note, lock_with_sources
from kernel import outbox
from kernel.database import Tx
from kernel.errors import Conflict, Invalid
from kernel.money import Money
from kernel.periods import local_date
from refunds import rules
from refunds.events import InvoiceCorrected
from refunds.give_back import give_back
from refunds.model import FixedInvoice, NewFix
from subscriptions import store as subscriptions

# What these are for would be lost: a deposit is booked as one, and a final invoice deducts its deposits.
NOT_FIXED = frozenset({InvoiceKind.DEPOSIT, InvoiceKind.FINAL})


async def fix_invoice(tx: Tx, invoice_id: InvoiceId, request: NewFix) -> FixedInvoice:
    """The invoice series is held while the note is numbered: the other invoice names the note."""
    found = await invoices.get(tx, invoice_id)
    customer = await parties.lock_customer(tx, found.customer_id)
    subscription_id = await subscriptions.of_invoice(tx, invoice_id)
    if subscription_id is not None:
        await subscriptions.lock(tx, subscription_id)
    (invoice,) = await lock_with_sources(tx, [invoice_id])
    applied = await settlements.lock_applications(tx, invoice.id)
    entity = await parties.legal_entity(tx, invoice.legal_entity_id)
    settings = await parties.settings(tx)
    paid_by = await payments.of_invoice(tx, invoice.id)

    check(invoice, request)
    other = _ready(invoice, request, await _lines(tx, invoice, request, customer, entity), customer, entity)
    today = local_date(tx.now, entity.zone)
    terms = rules.terms_of(settings, asked=request.refund, refund_on=request.refund_on, today=today)
    refund = msgspec.structs.replace(
        rules.refunding(terms, paid_by, invoice.currency), keep=other.sums.total, kept_for=other.id
    )

    await hold(tx, entity, Series.INVOICE)
    note = await issue_credit_note(tx, invoice, _credit(request), refund=refund)
    back = await give_back(tx, note, terms, paid_by, entity)
    (corrected,) = await issue_invoices(tx, [_naming(other, invoice, note)])
    await invoices.mark_corrected(tx, invoice.id, by=corrected.id)
    if subscription_id is not None:
        await subscriptions.link_in_place_of(tx, invoice.id, corrected.id)
    paid_with = [(note.id, note.total), *((each.credit_note_id, each.amount) for each in applied)]
    corrected = await _pay_with(tx, corrected, paid_with)
    outbox.publish(
        tx,
        InvoiceCorrected(
            invoice_id=invoice.id,
            credit_note_id=note.id,
            corrected_invoice_id=corrected.id,
            customer_id=customer.id,
        ),
    )
    return FixedInvoice(
        invoice=corrected,
        credit_note=await credit_notes.get(tx, note.id),
        refunds=back.refunds,
        to_refund_by_hand=back.to_refund_by_hand,
    )


def check(invoice: Invoice, request: NewFix) -> None:
    if invoice.kind in NOT_FIXED:
        raise Conflict(
            "invoice_not_fixable",
            f"{invoice.number} is a {invoice.kind} invoice. Credit it, and issue another.",
        )
    if request.lines is None and invoice.settlement.credited:
        raise Invalid(
            "corrected_lines_missing",
            f"Part of {invoice.number} has been credited: say what is to be billed in its place.",
            param="lines",
        )


async def _lines(
    tx: Tx, invoice: Invoice, request: NewFix, customer: Customer, entity: LegalEntity
) -> list[PricedLine]:
    named = {line.tax_rate for line in request.lines or () if line.tax_rate is not None}
    treatments = await treatments_named(tx, named, customer, entity)
    return corrected_lines(invoice, request.lines, request.discounts, treatments)


def _ready(
    invoice: Invoice, request: NewFix, lines: list[PricedLine], customer: Customer, entity: LegalEntity
) -> Ready:
    """To the customer as they are now, with the prices, the note and the metadata of the first."""
    collected = invoice.collection if customer.payment_method else Collection.SEND_INVOICE
    return ready_to_issue(
        ToIssue(
            id=InvoiceId.new(),
            entity=entity,
            customer=customer,
            currency=invoice.currency,
            tax_behavior=invoice.tax_behavior,
            lines=lines,
            collection=collected,
            note=invoice.note if isinstance(request.note, msgspec.UnsetType) else request.note,
            metadata=invoice.metadata if request.metadata is None else request.metadata,
            kind=InvoiceKind.CORRECTED,
        )
    )


def _credit(request: NewFix) -> NewCreditNote:
    return NewCreditNote(reason=request.reason, reason_text=request.reason_text)


def _naming(other: Ready, invoice: Invoice, note: CreditNote) -> Ready:
    """With the invoice that it stands in place of, and the note that took that back."""
    first = DocumentReference(
        kind=DocumentKind.INVOICE, id=str(invoice.id), number=invoice.number, issued_on=invoice.issued_on
    )
    took_back = DocumentReference(
        kind=DocumentKind.CREDIT_NOTE, id=str(note.id), number=note.number, issued_on=note.issued_on
    )
    return msgspec.structs.replace(other, references=(first, took_back))


async def _pay_with(tx: Tx, invoice: Invoice, notes: Iterable[tuple[CreditNoteId, Money]]) -> Invoice:
    """With what was paid on the first: money, kept on its note, and then what other notes had paid."""
    for note_id, at_most in notes:
        note = await credit_notes.get(tx, note_id)
        amount = min(at_most, note.settlement.left, invoice.settlement.due)
        if amount:
            _, invoice = await apply_note(tx, note, invoice, amount)
    return invoice
