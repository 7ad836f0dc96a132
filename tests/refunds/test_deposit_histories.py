"""Deposits, final invoices, documents issued elsewhere: whatever is paid, deducted, applied and credited."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from hypothesis import given, settings
from hypothesis import strategies as st

from billing.credit_notes import store as credit_notes
from billing.credit_notes.model import CreditNote, NewCreditNote, Reason
from billing.imports.import_credit_notes import import_credit_notes
from billing.imports.import_invoices import import_invoices
from billing.imports.model import NewImportedCreditNotes, NewImportedInvoices
from billing.invoices import draft as drafts
from billing.invoices import store as invoices
from billing.invoices.model import DraftKind, Invoice, InvoiceId, InvoiceKind, NewDraft, NewLine, Status
from billing.parties.change_settings import change_settings
from billing.parties.model import RefundMode, SettingsChange, VatDue
from billing.payments import store as payments
from billing.payments.model import Means, OutsideMeans
from billing.settlement.apply import apply_note
from billing.tax.add_tax_rate import add_tax_rate
from billing.tax.model import NewTaxRate, TaxBehavior
from kernel.database import Pool, Tx
from kernel.decimals import Rate, UnitPrice
from kernel.errors import Conflict
from kernel.paging import Window
from kernel.text import Name, Reference
from refunds import store as refunds
from refunds.credit_invoice import credit_invoice
from refunds.dispute import close_dispute, open_dispute
from refunds.disputes.model import NewDispute, NewVerdict, Verdict
from refunds.model import NewManualRefund, Refund
from refunds.model import Status as RefundStatus
from refunds.record_refund import record_refund
from refunds.send_refund import finish_refund, start_refund
from tests.billing.test_imported_notes import on
from tests.billing.test_imports import a_line as an_imported_line
from tests.billing.test_imports import a_payment as paid_elsewhere
from tests.billing.test_imports import an_import
from tests.books import accounts_of, assert_sound
from tests.makers import EUR, euros
from tests.refunds.cases import gone, paid_by_provider
from tests.shop import a_payment, a_shop, a_transaction, by_amount

Act: TypeAlias = "Callable[[Tx, st.DataObject], Awaitable[None]]"

CENTS = st.integers(1, 300_00)


async def issue(
    tx: Tx,
    data: st.DataObject,
    *,
    kind: DraftKind = DraftKind.STANDARD,
    deposits: Sequence[InvoiceId] = (),
    dearer: int = 0,
) -> None:
    rates: list[str | None] = data.draw(st.sampled_from([[None], ["vat-5.5"], [None, "vat-5.5"]]))
    lines = [
        NewLine(
            description=Name("Conseil"),
            unit_price=UnitPrice.parse(euros(data.draw(CENTS) + dearer * 300_00).decimal),
            tax_rate=rate,
        )
        for rate in rates
    ]
    request = NewDraft(customer="user-42", currency=EUR, lines=lines, kind=kind, deposits=list(deposits))
    draft = await drafts.draft_invoice(tx, request)
    await drafts.issue_draft(tx, draft.id)


async def issue_deposit(tx: Tx, data: st.DataObject) -> None:
    await issue(tx, data, kind=DraftKind.DEPOSIT)


async def settle_deposits(tx: Tx, data: st.DataObject) -> None:
    """With what is left of notes, or with money."""
    for deposit in await issued(tx):
        if deposit.kind is not InvoiceKind.DEPOSIT or not deposit.settlement.due:
            continue
        if data.draw(st.booleans()):
            await apply(tx, data)
        left = (await invoices.get(tx, deposit.id)).settlement.due
        if left and data.draw(st.booleans()):
            await a_payment(tx, deposit, left.minor)
        elif left:
            await paid_by_provider(tx, deposit, left.minor)


async def issue_final(tx: Tx, data: st.DataObject) -> None:
    """Of all deposits that may be deducted: those that are settled, and of which something is left."""
    ready = [
        each.id
        for each in await issued(tx)
        if each.kind is InvoiceKind.DEPOSIT
        and each.settlement.status is Status.SETTLED
        and each.settlement.deducted_by is None
        and each.settlement.credited < each.total
    ]
    try:
        await issue(tx, data, deposits=ready, dearer=len(ready))
    except Conflict as refusal:
        assert refusal.code == "deposits_exceed_invoice"  # noqa: PT017


async def import_one(tx: Tx, data: st.DataObject) -> None:
    minor = data.draw(CENTS)
    lines = [an_imported_line(minor), an_imported_line(1, "5.5")]
    request = an_import(f"E-{len(await issued(tx))}", lines=lines)
    if data.draw(st.booleans()):
        request = an_import(request.number, lines=lines, payments=[paid_elsewhere(minor)])
    await import_invoices(tx, NewImportedInvoices(invoices=[request]))


async def import_note(tx: Tx, data: st.DataObject) -> None:
    invoice, minor = await a_part(tx, data)
    if invoice is None:
        return
    notes = await of_customer(tx)
    used = euros(data.draw(st.integers(0, minor)))
    request = on(invoice, minor, f"N-{len(notes)}", used=used)
    await import_credit_notes(tx, NewImportedCreditNotes(credit_notes=[request]))


async def pay(tx: Tx, data: st.DataObject) -> None:
    due = [each for each in await issued(tx) if each.settlement.due]
    if not due:
        return
    invoice = data.draw(st.sampled_from(due))
    minor = data.draw(st.sampled_from([invoice.settlement.due.minor, 1, invoice.settlement.due.minor]))
    if data.draw(st.booleans()):
        await a_payment(tx, invoice, minor)
    else:
        await paid_by_provider(tx, invoice, minor)


async def credit(tx: Tx, data: st.DataObject) -> None:
    invoice, minor = await a_part(tx, data)
    if invoice is None:
        return
    request = NewCreditNote(
        reason=data.draw(st.sampled_from([Reason.CANCELLATION, Reason.EARLY_PAYMENT])),
        lines=[by_amount(invoice.lines[0], minor)],
        refund=data.draw(st.sampled_from([RefundMode.AUTOMATIC, RefundMode.MANUAL, RefundMode.NONE])),
    )
    try:
        given_back = await credit_invoice(tx, invoice.id, request)
    except Conflict as refusal:
        assert refusal.code == "payment_disputed"  # noqa: PT017
        return
    for refund in given_back.refunds:
        if not refund.blocked and data.draw(st.booleans()):
            await carry_out(tx, refund)


async def a_part(tx: Tx, data: st.DataObject) -> tuple[Invoice | None, int]:
    """Of the first line of an invoice that can be credited: how much."""
    open_ = [each for each in await issued(tx) if each.settlement.deducted_by is None]
    if not open_:
        return None, 0
    invoice = data.draw(st.sampled_from(open_))
    line, earlier = invoice.lines[0], await credit_notes.credited_lines(tx, invoice.id)
    left = line.billed - earlier[line.id].amount if line.id in earlier else line.billed
    if not left:
        return None, 0
    return invoice, data.draw(st.sampled_from([left.minor, data.draw(st.integers(1, left.minor))]))


async def apply(tx: Tx, data: st.DataObject) -> None:
    due = [each for each in await issued(tx) if each.settlement.due]
    notes = [each for each in await of_customer(tx) if each.settlement.left]
    if not due or not notes:
        return
    note, invoice = data.draw(st.sampled_from(notes)), data.draw(st.sampled_from(due))
    amount = min(note.settlement.left, invoice.settlement.due)
    await apply_note(tx, note, await invoices.lock(tx, invoice.id), amount)


async def dispute(tx: Tx, data: st.DataObject) -> None:
    """What a card had paid, until it is won or lost; a note may be issued meanwhile."""
    page = await payments.page(tx, Window(limit=100), customer_id=None, invoice_id=None)
    paid = [
        each
        for each in page.data
        if each.means is Means.PROVIDER and each.amount > each.disputed and not each.refunded
    ]
    if not paid:
        return
    payment = data.draw(st.sampled_from(paid))
    opened = await open_dispute(tx, payment.id, NewDispute())
    await credit(tx, data)
    await close_dispute(tx, opened.id, NewVerdict(outcome=data.draw(st.sampled_from(Verdict))))


async def carry_out(tx: Tx, refund: Refund) -> None:
    await start_refund(tx, refund.id)
    await finish_refund(tx, refund.id, gone(str(refund.id)))


async def issued(tx: Tx) -> list[Invoice]:
    return list((await invoices.page(tx, Window(limit=100), customer_id=None)).data)


async def of_customer(tx: Tx) -> list[CreditNote]:
    page = await credit_notes.page(tx, Window(limit=100), customer_id=None, invoice_id=None)
    return list(page.data)


ACTS: list[Act] = [
    issue_deposit,
    issue_deposit,
    pay,
    settle_deposits,
    settle_deposits,
    issue_final,
    issue_final,
    import_one,
    import_note,
    credit,
    credit,
    apply,
    dispute,
]


@settings(max_examples=20)
@given(vat_due=st.sampled_from(VatDue), prices=st.sampled_from(TaxBehavior), data=st.data())
async def test_after_every_step_the_books_hold_and_given_back_nothing_is_left(
    pool: Pool, vat_due: VatDue, prices: TaxBehavior, data: st.DataObject
) -> None:
    async with a_transaction(pool) as tx:
        await a_shop(tx, vat_due=vat_due)
        reduced = NewTaxRate(reference=Reference("vat-5.5"), name=Name("TVA 5,5 %"), rate=Rate.parse("5.5"))
        await add_tax_rate(tx, reduced)
        await change_settings(tx, SettingsChange(tax_behavior=prices))
        for act in data.draw(st.lists(st.sampled_from(ACTS), min_size=8, max_size=20)):
            await act(tx, data)
            await assert_sound(tx)

        await undo_it_all(tx)

        await assert_sound(tx)
        held = {"411", "4191", "44571", "4458"}
        assert not held & (await accounts_of(tx)).keys()
        for invoice in await issued(tx):
            whole = invoice.settlement.deducted_by is None
            assert invoice.settlement.status is Status.SETTLED
            assert not whole or invoice.settlement.credited == invoice.total


async def undo_it_all(tx: Tx) -> None:
    """Credit what is left of every invoice, and give back what is left of every note."""
    for invoice in await issued(tx):
        if invoice.settlement.due and invoice.settlement.deducted_by is not None:
            await a_payment(tx, invoice)
        if invoice.settlement.credited < invoice.total and invoice.settlement.deducted_by is None:
            request = NewCreditNote(reason=Reason.CANCELLATION, refund=RefundMode.AUTOMATIC)
            await credit_invoice(tx, invoice.id, request)
    for note in await of_customer(tx):
        for refund in await under_way(tx, note):
            await carry_out(tx, refund)
        again = await credit_notes.get(tx, note.id)
        rest = again.settlement.promised + again.settlement.left
        if rest:
            await record_refund(tx, note.id, NewManualRefund(means=OutsideMeans.TRANSFER, amount=rest))


async def under_way(tx: Tx, note: CreditNote) -> list[Refund]:
    page = await refunds.page(tx, Window(limit=100), customer_id=None, credit_note_id=note.id)
    return [refund for refund in page.data if refund.status is RefundStatus.PENDING]
