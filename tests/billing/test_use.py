"""What is left of credit notes pays invoices by itself, when and as far as the settings say."""

import asyncio

import pytest

from billing.credit_notes.model import CreditNote, NewCreditNote, Reason
from billing.credit_notes.model import Status as NoteStatus
from billing.invoices import draft as drafts
from billing.invoices.model import Invoice, NewDraft, NewLine, Status
from billing.parties.change_settings import change_settings
from billing.parties.model import Customer, RefundMode, SettingsChange, SettleCreditNotes
from billing.settlement import store
from billing.settlement.match import match_documents
from kernel.database import Pool, Tx, commit, transaction
from kernel.decimals import UnitPrice
from kernel.ids import TenantId
from kernel.text import Name
from refunds.credit_invoice import credit_invoice
from tests.billing.test_apply import a_note, another, left_of
from tests.billing.test_match import named
from tests.books import assert_sound
from tests.makers import EUR, NOON, euros
from tests.refunds.cases import an_intent, settlement_of
from tests.refunds.test_credit_customer import credited as global_credit
from tests.shop import (
    a_payment,
    a_shop,
    a_transaction,
    an_issued_invoice,
    another_customer,
    by_amount,
    until_it_waits,
)


async def settling(tx: Tx, when: SettleCreditNotes) -> None:
    await change_settings(tx, SettingsChange(settle_credit_notes=when))


async def credited(tx: Tx, customer: Customer, net: int = 43_06) -> CreditNote:
    """As `a_note`, by the verb: what is left of it may pay other invoices at once."""
    invoice = await an_issued_invoice(tx, customer)
    await a_payment(tx, invoice)
    request = NewCreditNote(
        reason=Reason.CANCELLATION, lines=[by_amount(invoice.lines[0], net)], refund=RefundMode.NONE
    )
    return (await credit_invoice(tx, invoice.id, request)).credit_note


# ── On the next invoice ─────────────────────────────────────────────────────────────────────────────────


async def test_unless_it_is_said_otherwise_the_next_invoice_is_paid_with_it(tx: Tx) -> None:
    customer = await a_shop(tx)
    open_one = await another(tx, customer)
    note = await credited(tx, customer)  # 51.67
    assert (note.settlement.status, note.settlement.left) == (NoteStatus.UNUSED, euros(51_67))

    invoice = await another(tx, customer)

    assert (invoice.settlement.status, invoice.settlement.due) == (Status.PARTLY_SETTLED, euros(68_33))
    assert invoice.settlement == await settlement_of(tx, invoice)
    assert await left_of(tx, note) == 0
    assert (await settlement_of(tx, open_one)).due == euros(120_00)  # it was there before
    assert [(each.number, each.amount) for each in await store.deducted_at_issue(tx, invoice)] == [
        (note.number, euros(51_67))
    ]
    await assert_sound(tx)


async def test_the_oldest_note_pays_first_and_what_is_over_waits_for_the_invoice_after(tx: Tx) -> None:
    customer = await a_shop(tx)
    first = await a_note(tx, customer)  # 51.67
    await change_settings(tx, SettingsChange(settle_credit_notes=SettleCreditNotes.NEVER))
    second = await a_note(tx, customer, 20_00)  # 24.00
    await change_settings(tx, SettingsChange(settle_credit_notes=SettleCreditNotes.ON_NEXT_INVOICE))

    small = await another(tx, customer, "50.00")  # 60.00
    assert small.settlement.status is Status.SETTLED
    assert (await left_of(tx, first), await left_of(tx, second)) == (0, 15_67)

    large = await another(tx, customer)
    assert (large.settlement.due, await left_of(tx, second)) == (euros(104_33), 0)
    await assert_sound(tx)


async def test_an_invoice_of_another_customer_is_left_alone(tx: Tx) -> None:
    customer = await a_shop(tx)
    note = await a_note(tx, customer)

    theirs = await another(tx, await another_customer(tx))

    assert (theirs.settlement.due, await left_of(tx, note)) == (theirs.total, 51_67)


async def test_where_it_is_never_a_note_waits_for_somebody_to_apply_it(tx: Tx) -> None:
    customer = await a_shop(tx)
    await settling(tx, SettleCreditNotes.NEVER)
    open_one = await another(tx, customer)
    note = await credited(tx, customer)

    invoice = await another(tx, customer)

    assert (invoice.settlement.due, await left_of(tx, note)) == (euros(120_00), 51_67)
    assert (await settlement_of(tx, open_one)).due == euros(120_00)


async def test_never_still_takes_off_what_is_due_on_the_notes_own_invoice(tx: Tx) -> None:
    customer = await a_shop(tx)
    await settling(tx, SettleCreditNotes.NEVER)
    invoice = await another(tx, customer)

    given_back = await credit_invoice(tx, invoice.id, NewCreditNote(reason=Reason.DUPLICATE))

    assert given_back.credit_note.settlement.status is NoteStatus.USED
    assert (await settlement_of(tx, invoice)).status is Status.SETTLED


# ── At issue ────────────────────────────────────────────────────────────────────────────────────────────


async def test_at_issue_it_pays_the_oldest_open_invoices_and_then_later_ones(tx: Tx) -> None:
    customer = await a_shop(tx)
    await settling(tx, SettleCreditNotes.ON_ISSUE)
    oldest, newer = await another(tx, customer, "10.00"), await another(tx, customer, "20.00")  # 12.00, 24.00
    theirs = await another(tx, await another_customer(tx))

    note = await credited(tx, customer)  # 51.67

    assert (note.settlement.applied, note.settlement.left) == (euros(36_00), euros(15_67))
    for paid in (oldest, newer):
        assert (await settlement_of(tx, paid)).status is Status.SETTLED
    assert (await settlement_of(tx, theirs)).due == euros(120_00)
    assert (await another(tx, customer)).settlement.due == euros(104_33)
    await assert_sound(tx)


async def test_at_issue_a_note_on_no_invoice_pays_what_is_due_too(tx: Tx) -> None:
    customer = await a_shop(tx)
    await settling(tx, SettleCreditNotes.ON_ISSUE)
    open_one = await another(tx, customer)

    note = (await global_credit(tx, customer)).credit_note  # 120.00

    assert (note.settlement.status, note.settlement.left) == (NoteStatus.USED, euros(0))
    assert (await settlement_of(tx, open_one)).status is Status.SETTLED
    await assert_sound(tx)


async def test_at_issue_what_a_payment_under_way_will_settle_is_left_to_it(tx: Tx) -> None:
    customer = await a_shop(tx)
    await settling(tx, SettleCreditNotes.ON_ISSUE)
    await an_intent(tx, under_way := await another(tx, customer), 1_00)
    free = await another(tx, customer)

    note = await credited(tx, customer)

    assert note.settlement.left == euros(0)
    assert (await settlement_of(tx, under_way)).offset == euros(0)
    assert (await settlement_of(tx, free)).due == euros(68_33)


async def test_at_issue_nobody_is_waited_for(pool: Pool, tenant: TenantId) -> None:
    """What somebody else is busy with is left to them: the number series is locked by then."""
    async with transaction(pool, tenant, now=NOON) as tx:
        customer = await a_shop(tx)
        await settling(tx, SettleCreditNotes.ON_ISSUE)
        busy, free = await another(tx, customer), await another(tx, customer)

    async with a_transaction(pool, tenant=tenant) as one:
        await a_payment(one, busy, 1_00)
        async with asyncio.timeout(5), transaction(pool, tenant, now=NOON) as tx:
            note = await credited(tx, customer)
        await commit(one)
    async with transaction(pool, tenant, now=NOON) as tx:
        assert (await settlement_of(tx, busy)).offset == euros(0)
        assert (await settlement_of(tx, free)).offset == note.total
        await assert_sound(tx)


# ── At the same time ────────────────────────────────────────────────────────────────────────────────────


async def a_draft(tx: Tx) -> Invoice:
    line = NewLine(description=Name("Conseil"), unit_price=UnitPrice.parse("100.00"))
    draft = await drafts.draft_invoice(tx, NewDraft(customer="user-42", currency=EUR, lines=[line]))
    return await drafts.issue_draft(tx, draft.id)


@pytest.mark.parametrize("first_is", ["an invoice", "by hand"])
async def test_an_invoice_that_is_issued_while_the_note_is_used_takes_what_is_left(
    pool: Pool, tenant: TenantId, first_is: str
) -> None:
    async with transaction(pool, tenant, now=NOON) as tx:
        customer = await a_shop(tx)
        open_one = await another(tx, customer)
        note = await a_note(tx, customer)

    async with a_transaction(pool, tenant=tenant) as one, a_transaction(pool, tenant=tenant) as two:
        if first_is == "by hand":
            await match_documents(one, named([(note, 50_00)], [open_one]))
        else:
            await another(one, customer, "41.66")  # 49.99
        other = asyncio.create_task(a_draft(two))
        await until_it_waits(pool, other)
        await commit(one)
        invoice = await other
        await commit(two)
    assert invoice.settlement.offset == euros(1_67 if first_is == "by hand" else 1_68)
    async with transaction(pool, tenant, now=NOON) as tx:
        assert await left_of(tx, note) == 0
        await assert_sound(tx)
