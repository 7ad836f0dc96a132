"""Crediting an invoice and giving the money back, in one act."""

from collections.abc import Sequence

from msgspec.structs import replace

from billing.credit_notes.issue import issue_credit_note
from billing.credit_notes.model import CreditNoteId, NewCreditNote, Refunding
from billing.invoices.model import Invoice, InvoiceId
from billing.parties import store as parties
from billing.parties.model import LegalEntity, Settings
from billing.payments import store as payments
from billing.payments.model import Payment
from billing.settlement import store as settlements
from billing.settlement.apply import lock_with_sources
from billing.settlement.use import settle_at_issue
from kernel.database import Tx
from kernel.periods import local_date
from kernel.structs import Value
from refunds import rules
from refunds.give_back import give_back
from refunds.model import GivenBack, NewCredit
from refunds.record_earlier import record_earlier
from refunds.rules import Terms


class Asked(Value, frozen=True, kw_only=True):
    """How what was paid on an invoice is to go back, and over what."""

    entity: LegalEntity
    terms: Terms
    paid_by: Sequence[Payment]
    refund: Refunding


async def credit_invoice(
    tx: Tx,
    invoice_id: InvoiceId,
    request: NewCreditNote,
    *,
    note_id: CreditNoteId | None = None,
    settles: bool = True,
) -> GivenBack:
    """The note takes off what is due on the invoice; what was paid goes back in the refund mode.

    `note_id` is that of a draft. What is left pays other invoices at once, if the settings say so and not
    the caller.
    """
    (invoice,) = await lock_with_sources(tx, [invoice_id])
    asked = await asked_of(tx, invoice, request)

    note = await issue_credit_note(
        tx, invoice, request, refund=asked.refund, entity=asked.entity, note_id=note_id
    )
    given_back = await give_back(tx, note, asked.terms, asked.paid_by, asked.entity)
    if not settles:
        return given_back
    return replace(given_back, credit_note=await settle_at_issue(tx, given_back.credit_note))


async def asked_of(tx: Tx, invoice: Invoice, request: NewCreditNote) -> Asked:
    """Only certain under the invoice's lock."""
    entity = await parties.legal_entity(tx, invoice.legal_entity_id)
    settings = await parties.settings(tx) if rules.asks_settings(request.refund) else Settings()
    terms = rules.terms_of(
        settings,
        asked=request.refund,
        refund_on=request.refund_on,
        today=local_date(tx.now, entity.zone),
    )
    # One that refers to others may have been paid with what was paid on those.
    was_paid = invoice.settlement.paid or invoice.references
    paid_by = await payments.of_invoice(tx, invoice.id) if was_paid else []
    refund = rules.refunding(terms, paid_by, invoice.currency)
    if invoice.deductions:  # what no money is there for stays on the note, as balance
        refund = replace(refund, keep=await settlements.not_in_money(tx, invoice.id))
    return Asked(entity=entity, terms=terms, paid_by=paid_by, refund=refund)


async def credit_and_record(
    tx: Tx, invoice_id: InvoiceId, request: NewCredit, *, note_id: CreditNoteId | None = None
) -> GivenBack:
    """Crediting it, when some of the money has gone back past us before."""
    given = await credit_invoice(tx, invoice_id, request, note_id=note_id)
    return await record_earlier(tx, given, request.already_refunded)
