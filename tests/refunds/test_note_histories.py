"""Whatever is credited on invoices and on none, applied, taken back and reversed: the books stay sound."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeAlias

from hypothesis import given, settings
from hypothesis import strategies as st

from billing.credit_notes import store as credit_notes
from billing.credit_notes.model import CreditNote, NewCreditLine, NewCreditNote, NewReversal, Reason
from billing.invoices import store as invoices
from billing.invoices.model import Invoice
from billing.parties import store as parties
from billing.parties.model import RefundMode, VatDue
from billing.payments.model import OutsideMeans
from billing.settlement.apply import apply_note
from billing.settlement.mark_used import mark_used
from billing.settlement.model import NewUse
from billing.settlement.reverse import reverse_note
from billing.tax.model import TaxBehavior
from kernel.database import Pool, Tx
from kernel.decimals import Rate
from kernel.errors import Conflict, Invalid
from kernel.money import Money
from kernel.paging import Window
from kernel.text import Note
from refunds.credit_invoice import credit_invoice
from refunds.model import NewManualRefund
from refunds.record_refund import record_refund
from tests.books import assert_sound
from tests.makers import a_line, euros, vat
from tests.refunds.test_credit_customer import credited, free
from tests.shop import a_payment, a_shop, a_transaction, an_issued_invoice

Act: TypeAlias = Callable[[Tx, st.DataObject], Awaitable[object]]


async def any_invoice(tx: Tx, data: st.DataObject) -> Invoice:
    found = (await invoices.page(tx, Window(limit=100), customer_id=None)).data
    return data.draw(st.sampled_from(found))


async def any_note(tx: Tx, data: st.DataObject) -> CreditNote:
    found = (await credit_notes.page(tx, Window(limit=100), customer_id=None, invoice_id=None)).data
    return data.draw(st.sampled_from(found))


def a_part(data: st.DataObject, most: Money) -> Money:
    """All of it, or a share that is seldom round."""
    return euros(max(most.minor * data.draw(st.sampled_from([100, 53, 29, 7])) // 100, 1))


async def pay(tx: Tx, data: st.DataObject) -> None:
    invoice = await any_invoice(tx, data)
    if invoice.settlement.due:
        await a_payment(tx, invoice, a_part(data, invoice.settlement.due).minor)


async def credit(tx: Tx, data: st.DataObject) -> None:
    invoice = await any_invoice(tx, data)
    line = data.draw(st.sampled_from(invoice.lines))
    minor = data.draw(st.sampled_from([10_01, 33_33, 1, 60_00]))
    asked = data.draw(
        st.sampled_from(
            [
                {},
                {"total": euros(minor)},
                {"percent": Rate(data.draw(st.integers(1, 500_000)))},
                {"lines": [NewCreditLine(line=line.id, amount=euros(minor))]},
            ]
        )
    )
    request = NewCreditNote(
        reason=data.draw(st.sampled_from([Reason.CANCELLATION, Reason.EARLY_PAYMENT])),
        net_of_tax=data.draw(st.sampled_from([False, False, True])),
        refund=data.draw(st.sampled_from([RefundMode.NONE, RefundMode.MANUAL])),
        **asked,  # type: ignore[arg-type]
    )
    before = invoice.settlement.credited
    note = (await credit_invoice(tx, invoice.id, request)).credit_note
    assert note.total == request.total or request.total is None
    assert (await invoices.get(tx, invoice.id)).settlement.credited == before + note.total


async def credit_alone(tx: Tx, data: st.DataObject) -> None:
    await credited(
        tx,
        await parties.customer(tx, "user-42"),
        free(data.draw(PRICES), data.draw(st.sampled_from(["3", "1"]))),
        refund=data.draw(st.sampled_from([RefundMode.NONE, RefundMode.NONE, RefundMode.MANUAL])),
        net_of_tax=data.draw(st.sampled_from([False, False, False, True])),
    )


async def apply(tx: Tx, data: st.DataObject) -> None:
    note, invoice = await any_note(tx, data), await any_invoice(tx, data)
    most = min(note.settlement.left, invoice.settlement.due)
    if most and note.invoice_id != invoice.id:
        await apply_note(tx, note, invoice, a_part(data, most))


async def mark(tx: Tx, data: st.DataObject) -> None:
    note = await any_note(tx, data)
    if note.settlement.left:
        use = NewUse(amount=a_part(data, note.settlement.left), reason=Note("Settled elsewhere"))
        await mark_used(tx, note.id, use)


async def give_back(tx: Tx, data: st.DataObject) -> None:
    note = await any_note(tx, data)
    if note.settlement.promised:
        amount = a_part(data, note.settlement.promised)
        await record_refund(tx, note.id, NewManualRefund(means=OutsideMeans.CASH, amount=amount))


async def reverse(tx: Tx, data: st.DataObject) -> None:
    note = await any_note(tx, data)
    invoice = (await reverse_note(tx, note.id, NewReversal())).invoice
    assert (invoice.net, invoice.tax, invoice.taxes) == (note.net, note.tax, note.taxes)


PRICES = st.sampled_from(["33.33", "99.99", "7.01", "0.05"])
ACTS: list[Act] = [mark, credit, apply, credit_alone, pay, reverse, give_back, credit, apply]


@settings(max_examples=30)
@given(data=st.data(), behavior=st.sampled_from(TaxBehavior), vat_due=st.sampled_from(VatDue))
async def test_any_history_of_notes_leaves_the_books_sound(
    pool: Pool, data: st.DataObject, behavior: TaxBehavior, vat_due: VatDue
) -> None:
    async with a_transaction(pool) as tx:
        customer = await a_shop(tx, vat_due=vat_due)
        for _ in range(2):  # one at each rate, or some at both
            lines = [
                a_line(price=data.draw(PRICES), tax=vat(rate))
                for rate in data.draw(st.lists(st.sampled_from(["20", "5.5"]), min_size=1, max_size=3))
            ]
            await an_issued_invoice(tx, customer, lines, tax_behavior=behavior)
        await credit_alone(tx, data)
        for act in data.draw(st.lists(st.sampled_from(ACTS), min_size=8, max_size=14)):
            with suppress(Conflict, Invalid):  # nothing is left of that, or its prices are gross
                await act(tx, data)
            await assert_sound(tx)
