"""Refunds: every pair of states is allowed or refused."""

from datetime import date
from itertools import product

import pytest

from billing.credit_notes.model import CreditNoteId
from billing.invoices.model import InvoiceId
from billing.parties.model import CustomerId, RefundMode
from billing.payments.model import Means
from kernel.database import Pool
from kernel.errors import Conflict
from refunds.model import NEXT, Refund, RefundId, Status
from tests.makers import EUR, NOON, euros

DRAWN = """
scheduled -> pending cancelled
pending   -> succeeded failed
succeeded -> failed
failed    -> retried converted_to_balance recorded_external cancelled
"""
ALLOWED = {
    (Status(before.strip()), Status(after))
    for before, _, afters in (line.partition("->") for line in DRAWN.strip().splitlines())
    for after in afters.split()
}


def a_refund(status: Status) -> Refund:
    return Refund(
        id=RefundId.new(),
        credit_note_id=CreditNoteId.new(),
        payment_id=None,
        customer_id=CustomerId.new(),
        invoice_id=InvoiceId.new(),
        currency=EUR,
        amount=euros(1),
        mode=RefundMode.AUTOMATIC,
        status=status,
        due_on=date(2026, 1, 15),
        means=Means.TRANSFER,
        reference=None,
        gateway_reference=None,
        failure_code=None,
        created_at=NOON,
        succeeded_on=None,
    )


@pytest.mark.parametrize(("before", "after"), list(product(Status, Status)))
def test_every_pair_of_states_is_allowed_or_refused(before: Status, after: Status) -> None:
    if (before, after) in ALLOWED:
        assert a_refund(before).to(after).status is after
    else:
        with pytest.raises(Conflict, match=f"A {before} refund cannot be {after}") as refused:
            a_refund(before).to(after)
        assert refused.value.code == "refund_state"


def test_the_table_says_what_is_drawn() -> None:
    assert {(before, after) for before, afters in NEXT.items() for after in afters} == ALLOWED


async def test_the_database_knows_the_same_states(pool: Pool) -> None:
    definition = await pool.fetchval(
        """
        SELECT pg_get_constraintdef(oid)
        FROM pg_constraint
        WHERE conname = 'refunds_status' AND connamespace = 'public'::regnamespace
        """
    )

    assert all(f"'{status}'" in definition for status in Status)
