"""A credit note before its number: decided, and ready to be booked. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from billing.credit_notes import crediting
from billing.credit_notes.crediting import Credit, Credited
from billing.credit_notes.model import (
    CreditLine,
    CreditNote,
    CreditNoteId,
    CreditNoteLineId,
    CreditNoteSettlement,
    CreditNoteSource,
    Destination,
    Modality,
    NewCreditNote,
    Reason,
    Refunding,
)
from billing.deposits.rules import check_not_deducted
from billing.invoices.model import Invoice, InvoiceId, InvoiceKind, LineId, Status
from billing.ledger import postings
from billing.ledger.model import Balance, Booked, holder_of
from billing.parties.model import LegalEntity, RefundMode, VatDue
from billing.released.rules import check_release
from billing.settlement import rules
from billing.settlement.model import Application
from billing.tax.model import GroupTax, TaxGroup
from kernel.errors import Conflict, Invalid
from kernel.money import Money, total, zero
from kernel.structs import Value


class SoFar(Value, frozen=True, kw_only=True):
    """What has happened to an invoice until now; only certain under its lock.

    `balances` are read where VAT falls due on payment, `applied` is what notes of other invoices pay on it.
    """

    lines: Mapping[LineId, Credited]
    taxes: Mapping[TaxGroup, GroupTax]
    balances: Sequence[Balance]
    applied: Sequence[Application]


class Ready(Value, frozen=True, kw_only=True):
    """A note that wants nothing but its number and its date, and what is written with it.

    `note` has neither yet; `entity` numbers it. `before` and `after` are the invoices it is on, in the order
    of its sources, with their settlements: of one on no invoice there are none. `taxes` is what it takes off
    each of them. `fallen_due` is the VAT that is no longer due, or now is. `freed` goes back to notes of
    others, which pay that much less on its invoice.
    """

    entity: LegalEntity
    note: CreditNote
    booked: Sequence[Booked]
    before: tuple[Invoice, ...] = ()
    after: tuple[Invoice, ...] = ()
    taxes: tuple[tuple[InvoiceId, GroupTax], ...] = ()
    fallen_due: Sequence[Booked] = ()
    freed: Money

    @property
    def settled(self) -> list[Invoice]:
        """Those of which nothing is due any more, and something was."""
        return [
            after
            for before, after in zip(self.before, self.after, strict=True)
            if after.settlement.status is Status.SETTLED and before.settlement.status is not Status.SETTLED
        ]


def ready_on_invoice(
    invoice: Invoice,
    request: NewCreditNote,
    so_far: SoFar,
    *,
    refund: Refunding,
    entity: LegalEntity,
    now: datetime,
    note_id: CreditNoteId | None = None,
) -> Ready:
    """What is still due on the invoice is taken off it first. Raises Invalid or Conflict."""
    check_creditable(invoice, request)
    credit = crediting.work_out(
        invoice.lines,
        request,
        earlier=so_far.lines,
        earlier_taxes=so_far.taxes,
        billed=invoice.taxes,
        currency=invoice.currency,
        behavior=invoice.tax_behavior,
    )
    by_notes = total((each.amount for each in so_far.applied), invoice.currency)
    destination = destination_of(credit.total, invoice.settlement.due + by_notes, refund)
    freed = max(destination.to_invoice - invoice.settlement.due, zero(invoice.currency))
    note = note_on(note_id or CreditNoteId.new(), invoice, request, credit, destination, refund, now)
    after = rules.settled_with(invoice, offset=destination.to_invoice - freed, credited=note.total, now=now)
    return Ready(
        entity=entity,
        note=note,
        booked=booked(note, invoice.kind),
        before=(invoice,),
        after=(after,),
        taxes=tuple((invoice.id, tax) for tax in note.taxes),
        fallen_due=_fallen_due(after, note, so_far, freed),
        freed=freed,
    )


def booked(note: CreditNote, kind: InvoiceKind = InvoiceKind.STANDARD) -> list[Booked]:
    """Its issue, in the books of its invoice or its own."""
    issued = [posting for posting in postings.credit_note_issued(note, kind) if posting.amount]
    assert not total((each.amount for each in issued), note.currency), "a credit note balances"
    return postings.in_one_transaction((holder_of(note), posting) for posting in issued)


def destination_of(amount: Money, unpaid: Money, refund: Refunding) -> Destination:
    """What was not paid with money first; the rest goes back as far as the refund mode carries it."""
    to_invoice = min(amount, unpaid)
    paid = amount - to_invoice
    kept = min(paid, refund.keep) if refund.keep else zero(amount.currency)
    back = zero(amount.currency) if refund.mode is RefundMode.NONE else paid - kept
    to_provider = min(back, refund.by_provider)
    return Destination(
        to_invoice=to_invoice,
        to_provider=to_provider,
        by_hand=back - to_provider,
        to_balance=paid - back,
    )


def modality_of(asked: Modality | None, destination: Destination) -> Modality:
    """What is asked for, where it is not contradicted by where the note goes; or what follows from that."""
    goes_back = destination.to_provider + destination.by_hand
    if asked is None:
        if destination.to_provider:
            return Modality.CARD
        return Modality.TRANSFER if destination.by_hand else Modality.DEDUCTION
    possible = {
        Modality.TRANSFER: bool(goes_back),
        Modality.CARD: bool(goes_back),
        Modality.DEDUCTION: not goes_back,
        Modality.VOUCHER: not destination.to_provider,
    }
    if not possible[asked]:
        raise Conflict(
            "modality_contradicted",
            f"The note would say {asked}, and {goes_back} of it goes back to the customer as `refund` says. "
            "Choose another refund mode, or leave `modality` out.",
            param="modality",
        )
    return asked


def unused(note_total: Money, *, to_invoice: Money) -> CreditNoteSettlement:
    """Of a note at its issue: nothing is used of it but what it takes off its own invoice."""
    nothing = zero(note_total.currency)
    return CreditNoteSettlement(
        status=rules.status_of(used=to_invoice, total=note_total),
        applied=to_invoice,
        refunded=nothing,
        held=nothing,
        promised=nothing,
        marked=nothing,
        left=note_total - to_invoice,
    )


def check_reason(reason: Reason, text: str | None) -> None:
    if reason is Reason.OTHER and text is None:
        raise Invalid("reason_text_required", "Say what the other reason is.", param="reason_text")


def check_creditable(invoice: Invoice, request: NewCreditNote) -> None:
    check_reason(request.reason, request.reason_text)
    check_not_deducted(invoice)
    check_release(invoice, request)
    if invoice.kind is InvoiceKind.DEPOSIT and request.net_of_tax:
        raise Invalid(
            "net_of_tax_deposit",
            "The final invoice deducts a deposit with its VAT: credit it with its VAT too.",
            param="net_of_tax",
        )
    if invoice.settlement.pending:
        raise Conflict(
            "payment_in_flight",
            f"A payment of {invoice.settlement.pending} on {invoice.number} is under way. "
            "Credit the invoice when it has succeeded or failed.",
        )


def _fallen_due(after: Invoice, note: CreditNote, so_far: SoFar, freed: Money) -> list[Booked]:
    if after.vat_due is not VatDue.ON_PAYMENT:
        return []
    fallen_due = postings.fallen_due(after, so_far.balances, _with(so_far.taxes, note.taxes), freed=freed)
    return postings.in_one_transaction((holder_of(after), posting) for posting in fallen_due)


def _with(earlier: Mapping[TaxGroup, GroupTax], taxes: Sequence[GroupTax]) -> dict[TaxGroup, GroupTax]:
    credited = dict(earlier)
    for tax in taxes:
        before = credited.get(tax.group)
        credited[tax.group] = (
            GroupTax(group=tax.group, base=before.base + tax.base, tax=before.tax + tax.tax)
            if before
            else tax
        )
    return credited


def note_on(
    note_id: CreditNoteId,
    invoice: Invoice,
    request: NewCreditNote,
    credit: Credit,
    destination: Destination,
    refund: Refunding,
    now: datetime,
) -> CreditNote:
    """Without its number, and nothing is used of it but what it takes off the invoice."""
    return CreditNote(
        id=note_id,
        number="",
        legal_entity_id=invoice.legal_entity_id,
        customer_id=invoice.customer_id,
        invoice_id=invoice.id,
        invoice_number=invoice.number,
        invoice_issued_on=invoice.issued_on,
        sources=(
            CreditNoteSource(
                invoice_id=invoice.id,
                number=invoice.number,
                issued_on=invoice.issued_on,
                net=credit.net,
                tax=credit.tax,
                total=credit.total,
                to_invoice=destination.to_invoice,
            ),
        ),
        rebate=None,
        modality=modality_of(request.modality, destination),
        currency=invoice.currency,
        language=invoice.language,
        issued_on=now.date(),
        seller=invoice.seller,
        buyer=invoice.buyer,
        vat_due=invoice.vat_due,
        time_zone=invoice.time_zone,
        reason=request.reason,
        reason_text=request.reason_text,
        refund_mode=refund.mode,
        refund_on=refund.due_on if refund.mode is RefundMode.DEFERRED and destination.to_provider else None,
        destination=destination,
        tax_behavior=invoice.tax_behavior,
        lines=tuple(
            CreditLine(
                id=CreditNoteLineId.new(),
                invoice_line_id=line_credit.line.id,
                description=line_credit.line.description,
                quantity=line_credit.quantity,
                period=line_credit.line.period,
                included_tax=included_tax,
                net=line_credit.amount - included_tax,
                volume=line_credit.volume,
                rebate_ended=line_credit.rebate_ended,
                tax=line_credit.tax,
            )
            for line_credit, included_tax in zip(credit.lines, credit.included_tax, strict=True)
        ),
        taxes=credit.taxes,
        net=credit.net,
        tax=credit.tax,
        total=credit.total,
        metadata=request.metadata,
        issued_at=now,
        settlement=unused(credit.total, to_invoice=destination.to_invoice),
        corrected_by=refund.kept_for,
    )
