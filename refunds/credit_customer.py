"""Crediting a customer on no one invoice: balance to be applied, or money promised by hand."""

from msgspec.structs import replace

from billing.credit_notes.issue import issue
from billing.credit_notes.model import CreditNoteId, NewGlobalCreditNote
from billing.credit_notes.on_no_invoice import behavior_of, ready_on_no_invoice
from billing.credit_notes.ready import Ready
from billing.parties import store as parties
from billing.settlement.use import settle_at_issue
from kernel.database import Tx
from kernel.periods import local_date
from refunds import rules
from refunds.credit_lines import priced_lines
from refunds.give_back import give_back
from refunds.model import GivenBack, NewCustomerCredit
from refunds.record_earlier import record_earlier
from refunds.rules import Terms


async def credit_customer(
    tx: Tx, request: NewGlobalCreditNote, *, note_id: CreditNoteId | None = None
) -> GivenBack:
    """Nothing of it was paid on an invoice, so that no provider can carry it back. `note_id`: of a draft."""
    ready, terms = await ready_for(tx, request, note_id=note_id)

    note = await issue(tx, ready)
    given_back = await give_back(tx, note, terms, [], ready.entity)
    return replace(given_back, credit_note=await settle_at_issue(tx, given_back.credit_note))


async def credit_customer_and_record(
    tx: Tx, request: NewCustomerCredit, *, note_id: CreditNoteId | None = None
) -> GivenBack:
    """Crediting them, when some of the money has gone back past us before."""
    given = await credit_customer(tx, request, note_id=note_id)
    return await record_earlier(tx, given, request.already_refunded)


async def ready_for(
    tx: Tx, request: NewGlobalCreditNote, *, note_id: CreditNoteId | None = None
) -> tuple[Ready, Terms]:
    """The note as it would be issued now, and how it is given back."""
    customer = await parties.customer(tx, request.customer)
    entity = await parties.legal_entity(tx, customer.legal_entity_id)
    settings = await parties.settings(tx)
    behavior = behavior_of(request, settings.tax_behavior)
    lines = await priced_lines(tx, request, behavior, customer, entity)

    terms = Terms(mode=request.refund, due_on=local_date(tx.now, entity.zone))
    ready = ready_on_no_invoice(
        request,
        lines,
        behavior,
        customer=customer,
        entity=entity,
        refund=rules.refunding(terms, [], request.currency),
        now=tx.now,
        note_id=note_id,
    )
    return ready, terms
