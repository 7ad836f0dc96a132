"""Crediting a customer on no one invoice: balance to be applied, or money promised by hand."""

from billing.credit_notes.issue import issue
from billing.credit_notes.model import NewGlobalCreditNote, Refunding
from billing.credit_notes.on_no_invoice import behavior_of, ready_on_no_invoice
from billing.parties import store as parties
from kernel.database import Tx
from kernel.money import zero
from kernel.periods import local_date
from refunds.credit_lines import priced_lines
from refunds.give_back import give_back
from refunds.model import GivenBack
from refunds.rules import Terms


async def credit_customer(tx: Tx, request: NewGlobalCreditNote) -> GivenBack:
    """Nothing of it was paid on an invoice, so that no provider can carry it back."""
    customer = await parties.customer(tx, request.customer)
    entity = await parties.legal_entity(tx, customer.legal_entity_id)
    settings = await parties.settings(tx)
    behavior = behavior_of(request, settings.tax_behavior)
    lines = await priced_lines(tx, request, behavior, customer, entity)

    terms = Terms(mode=request.refund, due_on=local_date(tx.now, entity.zone))
    refund = Refunding(mode=terms.mode, due_on=terms.due_on, by_provider=zero(request.currency))
    ready = ready_on_no_invoice(
        request, lines, behavior, customer=customer, entity=entity, refund=refund, now=tx.now
    )

    note = await issue(tx, ready)
    return await give_back(tx, note, terms, [], entity)
