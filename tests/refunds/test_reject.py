"""What the e-invoicing platform rejected is taken back by a note, once, and may be corrected at once."""

import pytest

from billing.credit_notes import store as credit_notes
from billing.credit_notes.model import Reason
from billing.invoices import store as invoices
from billing.invoices.model import CorrectedLine, InvoiceKind, Status
from billing.parties.model import RefundMode
from kernel.database import Tx
from kernel.decimals import Quantity
from kernel.errors import Conflict
from kernel.text import Name, Note
from refunds.model import NewCorrection, NewRejection, RejectedInvoice
from refunds.reject_invoice import reject_invoice
from tests.books import assert_sound
from tests.makers import NOON, euros
from tests.shop import a_credit, a_payment, a_shop, an_issued_invoice

WHY = Note("The buyer is not registered under this SIREN.")


def a_rejection(correct: NewCorrection | None = None, refund: RefundMode | None = None) -> NewRejection:
    return NewRejection(reason_text=WHY, reason_code=Name("DEST_INC"), correct=correct, refund=refund)


async def test_an_unpaid_one_is_taken_back_whole_and_says_why(tx: Tx) -> None:
    invoice = await an_issued_invoice(tx, await a_shop(tx))

    rejected = await reject_invoice(tx, invoice.id, a_rejection())

    note = rejected.credit_note
    assert note is not None
    assert (note.total, note.reason, note.reason_text) == (invoice.total, Reason.BILLING_ERROR, WHY)
    after = await invoices.get(tx, invoice.id)
    assert (after.settlement.status, after.settlement.due) == (Status.SETTLED, euros(0))
    assert after.rejection is not None
    assert (after.rejection.reason_code, after.rejection.rejected_on) == ("DEST_INC", NOON.date())
    assert after.rejection.credit_note_id == str(note.id)
    assert rejected.invoice == after
    await assert_sound(tx)


async def test_what_was_paid_pays_the_invoice_in_its_place(tx: Tx) -> None:
    invoice = await an_issued_invoice(tx, await a_shop(tx))
    await a_payment(tx, invoice)
    again = NewCorrection(lines=[CorrectedLine(line=line.id) for line in invoice.lines])

    rejected = await reject_invoice(tx, invoice.id, a_rejection(again))

    corrected = rejected.corrected
    assert corrected is not None
    assert (corrected.kind, corrected.total) == (InvoiceKind.CORRECTED, invoice.total)
    assert corrected.settlement.status is Status.SETTLED
    assert rejected.to_refund_by_hand == euros(0)
    assert rejected.invoice.corrected_by == corrected.id
    await assert_sound(tx)


async def test_only_what_is_over_goes_back(tx: Tx) -> None:
    invoice = await an_issued_invoice(tx, await a_shop(tx))
    await a_payment(tx, invoice)
    less = NewCorrection(lines=[CorrectedLine(line=invoice.lines[0].id, quantity=Quantity(1))])

    rejected = await reject_invoice(tx, invoice.id, a_rejection(less, RefundMode.MANUAL))

    assert rejected.corrected is not None
    assert rejected.to_refund_by_hand == invoice.total - rejected.corrected.total
    await assert_sound(tx)


async def test_one_that_is_credited_whole_keeps_the_record_alone(tx: Tx) -> None:
    invoice = await an_issued_invoice(tx, await a_shop(tx))
    await a_credit(tx, invoice)

    rejected = await reject_invoice(tx, invoice.id, a_rejection())

    assert rejected.credit_note is None
    assert rejected.invoice.rejection is not None
    assert rejected.invoice.rejection.credit_note_id is None
    await assert_sound(tx)


async def test_it_is_rejected_once(tx: Tx) -> None:
    invoice = await an_issued_invoice(tx, await a_shop(tx))
    first: RejectedInvoice = await reject_invoice(tx, invoice.id, a_rejection())

    with pytest.raises(Conflict) as refused:
        await reject_invoice(tx, invoice.id, a_rejection())

    assert refused.value.code == "already_rejected"
    assert first.credit_note is not None
    assert (await credit_notes.get(tx, first.credit_note.id)).total == invoice.total
