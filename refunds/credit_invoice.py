"""Crediting an invoice and giving the money back, in one act."""

from billing.credit_notes.issue import issue_credit_note
from billing.credit_notes.model import NewCreditNote
from billing.invoices.model import InvoiceId
from billing.parties import store as parties
from billing.parties.model import RefundMode, Settings
from billing.payments import store as payments
from billing.settlement.apply import lock_with_sources
from kernel.database import Tx
from kernel.periods import local_date
from refunds import rules
from refunds.give_back import give_back
from refunds.model import GivenBack


async def credit_invoice(tx: Tx, invoice_id: InvoiceId, request: NewCreditNote) -> GivenBack:
    """The note takes off what is due on the invoice; what was paid goes back in the refund mode."""
    (invoice,) = await lock_with_sources(tx, [invoice_id])
    entity = await parties.legal_entity(tx, invoice.legal_entity_id)
    settings = await parties.settings(tx) if rules.asks_settings(request.refund) else Settings()
    terms = rules.terms_of(
        settings,
        asked=request.refund,
        refund_on=request.refund_on,
        today=local_date(tx.now, entity.zone),
    )
    goes_back = terms.mode is not RefundMode.NONE and invoice.settlement.paid
    paid_by = await payments.of_invoice(tx, invoice_id) if goes_back else []

    refund = rules.refunding(terms, paid_by, invoice.currency)

    note = await issue_credit_note(tx, invoice, request, refund=refund, entity=entity)
    return await give_back(tx, note, terms, paid_by, entity)
