"""How settlements move: what is used, held, promised and left is always the whole."""

from datetime import timedelta

import pytest

from billing.credit_notes.model import Status as NoteStatus
from billing.invoices.model import Status
from billing.settlement.rules import settled_with, used_with
from tests.makers import NOON, a_credit_note, an_invoice, euros


def test_paid_and_offset_settle_and_pending_does_not() -> None:
    invoice = an_invoice()
    pending = settled_with(invoice, pending=invoice.total, now=NOON).settlement
    paid = settled_with(invoice, paid=euros(100_00), now=NOON)
    both = settled_with(paid, offset=euros(79_76), now=NOON).settlement

    assert (pending.status, pending.due) == (Status.OPEN, invoice.total)
    assert (paid.settlement.status, paid.settlement.due) == (Status.PARTLY_SETTLED, euros(79_76))
    assert (both.status, both.due) == (Status.SETTLED, euros(0))


def test_the_moment_of_settlement_stays() -> None:
    invoice = an_invoice()
    settled = settled_with(invoice, paid=invoice.total, now=NOON)
    credited = settled_with(settled, credited=euros(1), now=NOON + timedelta(days=1))

    assert credited.settlement.settled_at == NOON


def test_what_was_pending_is_no_longer() -> None:
    invoice = settled_with(an_invoice(), pending=euros(179_76), now=NOON)
    paid = settled_with(invoice, paid=euros(179_76), pending=euros(-179_76), now=NOON).settlement

    assert (paid.pending, paid.paid) == (euros(0), euros(179_76))


@pytest.mark.parametrize(
    ("applied", "refunded", "status"),
    [
        (0, 0, NoteStatus.UNUSED),
        (1, 0, NoteStatus.PARTLY_USED),
        (0, 1, NoteStatus.PARTLY_USED),
        (79_76, 100_00, NoteStatus.USED),
    ],
)
def test_a_note_is_used_by_what_was_applied_and_refunded(
    applied: int, refunded: int, status: NoteStatus
) -> None:
    note = used_with(a_credit_note(), applied=euros(applied), refunded=euros(refunded))

    assert note.settlement.status is status


def test_what_is_held_or_promised_is_neither_used_nor_left() -> None:
    note = used_with(a_credit_note(), held=euros(100_00), promised=euros(79_00))

    assert (note.settlement.status, note.settlement.left) == (NoteStatus.UNUSED, euros(76))


def test_what_was_held_is_refunded_in_the_end() -> None:
    held = used_with(a_credit_note(), held=euros(179_76))
    settlement = used_with(held, held=euros(-179_76), refunded=euros(179_76)).settlement

    assert (settlement.held, settlement.refunded, settlement.left) == (euros(0), euros(179_76), euros(0))
    assert settlement.status is NoteStatus.USED
