"""Drafts of credit notes, when two act on one at once."""

import pytest

from billing.credit_notes import store
from billing.credit_notes.model import Reason
from kernel.database import Pool, transaction
from kernel.errors import NotFound
from kernel.ids import TenantId
from refunds.drafts.edit import draft_credit_note
from refunds.drafts.issue import issue_draft
from refunds.drafts.model import CreditOnInvoice, NewDraftCreditNote
from tests.books import assert_sound
from tests.makers import NOON, euros
from tests.shop import a_shop, a_transaction, an_issued_invoice, while_open


async def test_a_draft_is_issued_once(pool: Pool, tenant: TenantId) -> None:
    async with transaction(pool, tenant, now=NOON) as tx:
        invoice = await an_issued_invoice(tx, await a_shop(tx))
        credit = CreditOnInvoice(invoice=invoice.id, reason=Reason.CANCELLATION, total=euros(10_00))
        draft = await draft_credit_note(tx, NewDraftCreditNote(on_invoice=credit))

    with pytest.raises(NotFound):
        await while_open(
            pool, tenant, lambda tx: issue_draft(tx, draft.id), lambda tx: issue_draft(tx, draft.id)
        )

    async with a_transaction(pool, tenant=tenant) as tx:
        assert (await store.get(tx, draft.id)).total == euros(10_00)
        await assert_sound(tx)
