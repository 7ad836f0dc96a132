"""A credit note applied to another invoice: a refund on its own, a receipt on the other."""

from datetime import date, timedelta

import pytest

from billing.credit_notes import store as credit_notes
from billing.credit_notes.model import CreditNote, NewCreditNote, Reason
from billing.credit_notes.model import Status as NoteStatus
from billing.invoices import store as invoices
from billing.invoices.model import Invoice, InvoiceId, Status
from billing.parties.model import Customer, RefundMode, VatDue
from billing.settlement.apply import apply_note, lock_with_sources
from kernel.database import Tx, leave_behind
from kernel.errors import NotFound
from refunds.credit_invoice import credit_invoice
from refunds.model import GivenBack
from tests.books import accounts_of, assert_sound
from tests.makers import NOON, a_line, euros
from tests.refunds.cases import paid_by_provider, settlement_of
from tests.shop import a_credit, a_payment, a_shop_by_hand, an_issued_invoice, at, by_amount


async def a_note(tx: Tx, customer: Customer, net: int = 43_06) -> CreditNote:
    """Of a part of an invoice of 179.76 that was paid by transfer: the first line is 86.11 at 20 %."""
    invoice = await an_issued_invoice(tx, customer)
    await a_payment(tx, invoice)
    return await a_credit(tx, invoice, by_amount(invoice.lines[0], net))


async def another(tx: Tx, customer: Customer, price: str = "100.00") -> Invoice:
    """100.00 and 20.00 of VAT."""
    return await an_issued_invoice(tx, customer, [a_line(price=price)])


async def applied(
    tx: Tx, note: CreditNote, invoice: Invoice, minor: int | None = None
) -> tuple[CreditNote, Invoice]:
    note, invoice = await credit_notes.get(tx, note.id), await invoices.get(tx, invoice.id)
    most = min(note.settlement.left, invoice.settlement.due)
    return await apply_note(tx, note, invoice, most if minor is None else euros(minor))


async def credited(
    tx: Tx, invoice: Invoice, minor: int, mode: RefundMode = RefundMode.AUTOMATIC
) -> GivenBack:
    """Of its only line."""
    lines = [by_amount(invoice.lines[0], minor)]
    request = NewCreditNote(reason=Reason.CANCELLATION, lines=lines, refund=mode)
    return await credit_invoice(tx, invoice.id, request)


async def left_of(tx: Tx, note: CreditNote) -> int:
    return (await credit_notes.get(tx, note.id)).settlement.left.minor


# ── Applying ────────────────────────────────────────────────────────────────────────────────────────────


async def test_what_a_note_leaves_pays_on_another_invoice_and_vat_follows(tx: Tx) -> None:
    customer = await a_shop_by_hand(tx)
    note = await a_note(tx, customer)  # 43.06 + 8.61
    invoice = await another(tx, customer)
    before = await accounts_of(tx)

    used, settled = await applied(tx, note, invoice)

    assert (used.settlement.status, used.settlement.applied) == (NoteStatus.USED, euros(51_67))
    assert (settled.settlement.status, settled.settlement.due) == (Status.PARTLY_SETTLED, euros(68_33))
    assert (used, settled) == (
        await credit_notes.get(tx, note.id),
        await invoices.get(tx, invoice.id),
    )
    # Of the 20.00, 20.00 × 51.67 / 120.00 = 8.61 fall due. On the other, all that is left of it was paid.
    after = await accounts_of(tx)
    assert after["44571"] - before["44571"] == -8_61
    assert after["4458"] - before["4458"] == 8_61
    assert (after["411"], after["512"]) == (before["411"], before["512"])
    await assert_sound(tx)


async def test_vat_that_had_fallen_due_on_its_own_invoice_goes_along(tx: Tx) -> None:
    """Paid and then credited whole in two notes: what the first takes elsewhere was not received there."""
    customer = await a_shop_by_hand(tx)
    invoice = await another(tx, customer)
    await a_payment(tx, invoice, 90_00)
    note = await a_credit(tx, invoice, by_amount(invoice.lines[0], 50_00))  # 60.00: 30.00 due, 30.00 left
    assert note.settlement.left == euros(30_00)

    await applied(tx, note, other := await another(tx, customer, "10.00"))  # 12.00
    # Its own: (90.00 - 12.00) / 60.00 is all of 10.00; the other: all of 2.00.
    assert (await accounts_of(tx))["44571"] == -12_00
    assert (await settlement_of(tx, other)).status is Status.SETTLED
    await assert_sound(tx)


async def test_an_invoice_that_a_note_settles_says_so_once(tx: Tx) -> None:
    customer = await a_shop_by_hand(tx)
    note = await a_note(tx, customer)
    invoice = await another(tx, customer, "30.00")

    await applied(tx, note, invoice, 20_00)
    await applied(at(tx, NOON + timedelta(days=1)), note, invoice)  # the other 16.00

    settlement = await settlement_of(tx, invoice)
    assert (settlement.status, settlement.settled_at) == (Status.SETTLED, NOON + timedelta(days=1))
    assert await left_of(tx, note) == 15_67
    await leave_behind(tx)
    events = await tx.conn.fetch(
        "SELECT type FROM events WHERE data->>'invoice_id' = $1 ORDER BY id", str(invoice.id)
    )
    assert [event["type"] for event in events] == [
        "invoice.issued",
        "credit_note.applied",
        "invoice.settled",
        "credit_note.applied",
    ]
    await assert_sound(tx)


async def test_several_notes_pay_one_invoice_and_one_note_several(tx: Tx) -> None:
    customer = await a_shop_by_hand(tx)
    first, second = [await a_note(tx, customer) for _ in range(2)]
    small, large = await another(tx, customer, "20.00"), await another(tx, customer)

    for note, invoice in ((first, small), (first, large), (second, large)):
        await applied(tx, note, invoice)
        await assert_sound(tx)

    assert (await settlement_of(tx, small)).status is Status.SETTLED
    assert (await settlement_of(tx, large)).due == euros(120_00 - 27_67 - 51_67)
    assert (await left_of(tx, first), await left_of(tx, second)) == (0, 0)


async def test_a_seller_on_debits_books_no_vat_for_it(tx: Tx) -> None:
    customer = await a_shop_by_hand(tx, vat_due=VatDue.ON_INVOICE)
    note = await a_note(tx, customer)
    invoice = await another(tx, customer)
    before = await accounts_of(tx)

    await applied(tx, note, invoice)

    assert await accounts_of(tx) == before
    await assert_sound(tx)


async def test_it_is_booked_once_as_what_it_is(tx: Tx) -> None:
    customer = await a_shop_by_hand(tx)
    note = await a_note(tx, customer)
    invoice = await another(tx, customer)
    await applied(at(tx, NOON + timedelta(days=3)), note, invoice)

    entries = await tx.conn.fetch(
        """
        SELECT invoice_id, account, amount_minor, booked_on, label
        FROM ledger_entries
        WHERE document = 'application'
        ORDER BY account, amount_minor
        """
    )
    assert [(entry["account"], entry["amount_minor"]) for entry in entries] == [
        ("411", -51_67),
        ("411", 51_67),
        ("44571", -8_61),
        ("4458", 8_61),
    ]
    assert [InvoiceId.of(entry["invoice_id"]) for entry in entries[:2]] == [invoice.id, note.invoice_id]
    assert {entry["booked_on"] for entry in entries} == {date(2026, 1, 18)}
    assert entries[0]["label"] == f"{note.number} applied to {invoice.number}"


@pytest.mark.parametrize("minor", [51_68, 120_01])
async def test_no_more_is_applied_than_there_is(tx: Tx, minor: int) -> None:
    customer = await a_shop_by_hand(tx)
    note = await a_note(tx, customer, 43_06 if minor < 120_00 else 86_11)

    with pytest.raises(AssertionError, match="no more than there is"):
        await applied(tx, note, await another(tx, customer), minor)


# ── Crediting an invoice that a note has paid ───────────────────────────────────────────────────────────


async def test_what_a_note_paid_goes_back_to_its_balance_and_never_becomes_cash(tx: Tx) -> None:
    customer = await a_shop_by_hand(tx)
    note = await a_note(tx, customer)
    invoice = await another(tx, customer)
    await applied(tx, note, invoice)  # 51.67
    await paid_by_provider(tx, invoice)  # 68.33

    given_back = await credited(tx, invoice, 50_00)  # 60.00

    assert given_back.credit_note.destination.to_invoice == euros(51_67)
    assert [refund.amount for refund in given_back.refunds] == [euros(8_33)]
    assert await left_of(tx, note) == 51_67
    settlement = await settlement_of(tx, invoice)
    assert (settlement.status, settlement.offset, settlement.due) == (
        Status.SETTLED,
        euros(51_67),
        euros(0),
    )
    await assert_sound(tx)


async def test_what_is_due_is_taken_off_first_and_only_the_rest_is_taken_back(tx: Tx) -> None:
    customer = await a_shop_by_hand(tx)
    note = await a_note(tx, customer)
    invoice = await another(tx, customer)
    await applied(tx, note, invoice)  # 68.33 are due

    await credited(tx, invoice, 50_00)  # 60.00
    assert (await left_of(tx, note), (await settlement_of(tx, invoice)).due) == (0, euros(8_33))

    await credited(tx, invoice, 30_00)  # 36.00: 8.33 are due, 27.67 come back
    assert (await left_of(tx, note), (await settlement_of(tx, invoice)).due) == (27_67, euros(0))
    await assert_sound(tx)

    await credited(tx, invoice, 20_00)  # the last 24.00
    assert await left_of(tx, note) == 51_67
    await assert_sound(tx)


async def test_the_note_that_paid_last_gets_its_own_first(tx: Tx) -> None:
    customer = await a_shop_by_hand(tx)
    first, second = [await a_note(tx, customer) for _ in range(2)]
    invoice = await another(tx, customer)
    await applied(tx, first, invoice, 50_00)
    await applied(tx, second, invoice, 40_00)
    await a_payment(tx, invoice)

    await credited(tx, invoice, 40_00, RefundMode.NONE)  # 48.00

    assert (await left_of(tx, first), await left_of(tx, second)) == (51_67 - 50_00 + 8_00, 51_67)
    await assert_sound(tx)


async def test_what_was_taken_back_can_be_applied_again(tx: Tx) -> None:
    customer = await a_shop_by_hand(tx)
    note = await a_note(tx, customer)
    invoice = await another(tx, customer, "30.00")
    await applied(tx, note, invoice)
    await credited(tx, invoice, 30_00)

    await applied(tx, note, again := await another(tx, customer, "30.00"))

    assert (await settlement_of(tx, again)).status is Status.SETTLED
    await assert_sound(tx)


async def test_an_invoice_settled_before_stays_settled_at_its_time(tx: Tx) -> None:
    customer = await a_shop_by_hand(tx)
    note = await a_note(tx, customer)
    invoice = await another(tx, customer, "30.00")
    await applied(tx, note, invoice)

    await credited(at(tx, NOON + timedelta(days=5)), invoice, 10_00)

    assert (await settlement_of(tx, invoice)).settled_at == NOON


async def test_invoices_are_locked_with_those_whose_notes_pay_them(tx: Tx) -> None:
    customer = await a_shop_by_hand(tx)
    note = await a_note(tx, customer)
    invoice = await another(tx, customer)
    await applied(tx, note, invoice)

    assert note.invoice_id is not None
    locked = await invoices.lock_many(tx, [invoice.id], with_sources=True)
    assert [each.id for each in locked] == [invoice.id, note.invoice_id]
    locked = await invoices.lock_many(tx, [note.invoice_id], with_sources=True)
    assert [each.id for each in locked] == [note.invoice_id]
    assert [each.id for each in await lock_with_sources(tx, [invoice.id])] == [invoice.id]
    with pytest.raises(NotFound):
        await lock_with_sources(tx, [type(invoice.id).new()])
