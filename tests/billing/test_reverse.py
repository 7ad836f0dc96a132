"""A wrong credit note is answered by an invoice: its lines, exactly its VAT, paid by what is left of it."""

import pytest

from billing.credit_notes import store
from billing.credit_notes.model import CreditNote, NewCreditNote, NewReversal, Reason, Status
from billing.documents import page
from billing.invoices import store as invoices
from billing.invoices.model import Invoice, InvoiceKind
from billing.invoices.model import Status as InvoiceStatus
from billing.parties.model import RefundMode
from billing.settlement.apply import apply_note
from billing.settlement.model import Reversal
from billing.settlement.reverse import reverse_note
from billing.tax.model import TaxBehavior
from kernel.database import Pool, Tx, transaction
from kernel.decimals import Rate
from kernel.errors import Conflict
from kernel.ids import TenantId
from refunds.credit_invoice import credit_invoice
from refunds.model import GivenBack
from tests.books import accounts_of, assert_sound
from tests.makers import NOON, a_line, euros
from tests.refunds.cases import paid_by_provider
from tests.refunds.test_credit_customer import credited
from tests.shop import (
    a_credit,
    a_payment,
    a_shop,
    a_shop_by_hand,
    a_transaction,
    an_issued_invoice,
    by_amount,
    the_rest_of,
    while_open,
)


async def reversed_(tx: Tx, note: CreditNote) -> Reversal:
    return await reverse_note(tx, note.id, NewReversal())


async def credited_with(tx: Tx, invoice: Invoice, **fields: object) -> GivenBack:
    request = NewCreditNote(**{"reason": Reason.CANCELLATION, **fields})  # type: ignore[arg-type]
    return await credit_invoice(tx, invoice.id, request)


async def test_what_is_left_of_a_note_pays_its_reversal(tx: Tx) -> None:
    invoice = await an_issued_invoice(tx, await a_shop(tx))
    await a_payment(tx, invoice)
    before = await accounts_of(tx)
    note = await a_credit(tx, invoice)

    done = await reversed_(tx, note)

    other = done.invoice
    assert (other.kind, other.total, other.taxes) == (InvoiceKind.REVERSAL, note.total, note.taxes)
    assert [line.item for line in other.lines] == [line.item for line in invoice.lines]
    assert (other.settlement.status, other.settlement.due) == (InvoiceStatus.SETTLED, euros(0))
    assert (done.credit_note.settlement.status, done.credit_note.reversed_by) == (Status.USED, other.id)
    assert [each.number for each in other.references] == [invoice.number, note.number]
    assert await invoices.get(tx, other.id) == other
    assert await accounts_of(tx) == before
    await assert_sound(tx)


async def test_what_the_note_took_off_its_unpaid_invoice_is_due_on_the_reversal(tx: Tx) -> None:
    invoice = await an_issued_invoice(tx, await a_shop(tx))
    note = await a_credit(tx, invoice, by_amount(invoice.lines[0], 43_06))

    done = await reversed_(tx, note)

    assert done.invoice.settlement.due == note.total == euros(51_67)
    await assert_sound(tx)


async def test_the_vat_of_a_third_note_is_charged_again_as_it_was_credited(tx: Tx) -> None:
    """Of three lines of 33.33 the second credits 6.66: no rate comes to that."""
    invoice = await an_issued_invoice(tx, await a_shop(tx), [a_line(price="33.33")] * 3)
    notes = [await a_credit(tx, invoice, the_rest_of(line)) for line in invoice.lines]

    again = [(await reversed_(tx, note)).invoice for note in notes]

    assert [each.tax.minor for each in again] == [6_67, 6_66, 6_67]
    await assert_sound(tx)
    for each in again:
        assert (await a_credit(tx, each)).total == each.total
    await assert_sound(tx)


async def test_a_note_of_nothing_but_a_cent_of_vat_comes_back_and_is_credited_again(tx: Tx) -> None:
    """The third cent of 0.06: nothing comes to it net, so that its base waits for the next."""
    invoice = await an_issued_invoice(tx, await a_shop(tx), [a_line(price="0.05")])
    notes = [(await credited_with(tx, invoice, total=euros(1))).credit_note for _ in range(3)]
    assert (notes[2].net, notes[2].tax, len(notes[2].lines)) == (euros(0), euros(1), 1)

    again = (await reversed_(tx, notes[2])).invoice

    assert (again.net, again.tax) == (euros(0), euros(1))
    assert (await a_credit(tx, again)).total == euros(1)
    with pytest.raises(Conflict, match="nothing left"):
        await a_credit(tx, again)
    await assert_sound(tx)


@pytest.mark.parametrize("behavior", TaxBehavior)
async def test_a_part_by_total_net_or_gross_comes_back_to_the_cent(tx: Tx, behavior: TaxBehavior) -> None:
    customer = await a_shop(tx)
    invoice = await an_issued_invoice(tx, customer, tax_behavior=behavior)
    await a_payment(tx, invoice)
    note = (await credited_with(tx, invoice, total=euros(77_77), refund=RefundMode.NONE)).credit_note

    done = await reversed_(tx, note)

    assert (done.invoice.net, done.invoice.tax) == (note.net, note.tax)
    assert done.invoice.tax_behavior is behavior
    await assert_sound(tx)


async def test_what_was_promised_by_hand_pays_it_too_and_what_went_back_is_due(tx: Tx) -> None:
    invoice = await an_issued_invoice(tx, await a_shop(tx), [a_line(price="100.00")])
    await a_payment(tx, invoice)
    note = (await credited_with(tx, invoice, refund=RefundMode.MANUAL)).credit_note
    assert note.settlement.promised == euros(120_00)

    done = await reversed_(tx, note)

    assert done.credit_note.settlement.promised == euros(0)
    assert done.invoice.settlement.status is InvoiceStatus.SETTLED
    await assert_sound(tx)


async def test_a_note_is_reversed_once_and_not_while_money_is_on_its_way(tx: Tx) -> None:
    invoice = await an_issued_invoice(tx, await a_shop(tx, payment_method="pm_sandbox_ok"))
    await paid_by_provider(tx, invoice)
    part = (await credited_with(tx, invoice, total=euros(50_00), refund=RefundMode.NONE)).credit_note
    sent = (await credited_with(tx, invoice, refund=RefundMode.AUTOMATIC)).credit_note

    await reversed_(tx, part)
    for note, code in ((part, "already_reversed"), (sent, "refund_under_way")):
        with pytest.raises(Conflict) as refused:
            await reversed_(tx, note)
        assert refused.value.code == code
    await assert_sound(tx)


async def test_a_discount_for_early_payment_comes_back_where_it_was_booked(tx: Tx) -> None:
    invoice = await an_issued_invoice(tx, await a_shop(tx))
    await a_payment(tx, invoice)
    before = await accounts_of(tx)
    fields = {"reason": Reason.EARLY_PAYMENT, "percent": Rate.parse("2"), "refund": RefundMode.NONE}
    note = (await credited_with(tx, invoice, **fields)).credit_note
    assert (await accounts_of(tx))["665"] == 3_10

    await reversed_(tx, note)

    assert await accounts_of(tx) == before
    await assert_sound(tx)


async def test_a_note_on_no_invoice_is_reversed_as_far_as_it_is_left(tx: Tx) -> None:
    customer = await a_shop_by_hand(tx)
    note = (await credited(tx, customer)).credit_note
    invoice = await an_issued_invoice(tx, customer, [a_line(price="30.00")])
    await apply_note(tx, note, invoice, euros(36_00))

    done = await reversed_(tx, await store.get(tx, note.id))

    assert (done.invoice.total, done.invoice.settlement.due) == (euros(120_00), euros(36_00))
    assert [each.number for each in done.invoice.references] == [note.number]
    assert done.invoice.lines[0].unit_price == note.lines[0].unit_price
    await assert_sound(tx)


async def test_its_page_names_the_note_it_takes_back(tx: Tx) -> None:
    invoice = await an_issued_invoice(tx, await a_shop(tx))
    note = await a_credit(tx, invoice)

    printed = page.of_invoice((await reversed_(tx, note)).invoice)

    told = str(printed)
    assert "Annule l’avoir" in told
    assert note.number in told


async def test_two_reversals_of_a_note_take_turns(pool: Pool, tenant: TenantId) -> None:
    async with transaction(pool, tenant, now=NOON) as tx:
        note = await a_credit(tx, await an_issued_invoice(tx, await a_shop(tx)))

    with pytest.raises(Conflict) as refused:
        await while_open(pool, tenant, lambda tx: reversed_(tx, note), lambda tx: reversed_(tx, note))

    assert refused.value.code == "already_reversed"
    async with a_transaction(pool, tenant=tenant) as tx:
        await assert_sound(tx)
