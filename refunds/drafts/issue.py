"""Issuing a draft of a credit note: the note takes the draft's id, and the draft is gone."""

from billing.credit_notes.model import CreditNoteId
from kernel.database import Tx
from refunds.credit_customer import credit_customer_and_record
from refunds.credit_invoice import credit_and_record
from refunds.drafts import store
from refunds.model import GivenBack


async def issue_draft(tx: Tx, draft_id: CreditNoteId) -> GivenBack:
    draft = await store.lock(tx, draft_id)

    await store.delete(tx, draft_id)
    if draft.on_invoice is not None:
        return await credit_and_record(tx, draft.on_invoice.invoice, draft.on_invoice, note_id=draft.id)
    assert draft.on_customer is not None, "a draft is of one or the other"
    return await credit_customer_and_record(tx, draft.on_customer, note_id=draft.id)
