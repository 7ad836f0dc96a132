"""Applying notes to invoices by hand: many to many, in part, taken back again; and who may not meet."""

import asyncio
from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from billing.credit_notes.events import CreditNoteApplied, CreditNoteDissociated, CreditNoteMarkedUsed
from billing.credit_notes.model import CreditNote, CreditNoteId, NewCreditNote, NoteToApply, Reason
from billing.credit_notes.model import Status as NoteStatus
from billing.invoices.model import Invoice, Status
from billing.parties.add_legal_entity import add_legal_entity
from billing.parties.model import LegalEntity, NewLegalEntity, RefundMode
from billing.payments.model import NewPayment, OutsideMeans
from billing.payments.record import record_payment
from billing.settlement import store
from billing.settlement.applicable import invoices_for, notes_for
from billing.settlement.dissociate import take_back
from billing.settlement.mark_used import mark_used
from billing.settlement.match import match_documents
from billing.settlement.model import (
    InvoiceToSettle,
    NewDissociation,
    NewSettlements,
    NewUse,
    Settled,
    SettlementId,
)
from billing.settlement.spreading import Match, Side, spread
from kernel.database import Pool, Tx, commit, transaction
from kernel.errors import Conflict, DomainError, Invalid, NotFound
from kernel.ids import TenantId
from kernel.money import Currency, Money
from kernel.paging import Window
from kernel.text import Note, Reference
from refunds.credit_invoice import credit_invoice
from refunds.model import NewManualRefund
from refunds.record_refund import record_refund
from tests.billing.test_apply import a_note, another, credited, left_of
from tests.books import accounts_of, assert_sound
from tests.makers import NOON, REVERSE_CHARGE, a_line, a_seller, euros
from tests.refunds.cases import an_intent, paid_by_provider, settlement_of
from tests.shop import (
    a_credit,
    a_shop_by_hand,
    a_transaction,
    an_issued_invoice,
    another_customer,
    by_amount,
    until_it_waits,
)

ALL = Window(limit=100)


def named(
    notes: Sequence[CreditNote | tuple[CreditNote, int]], due: Sequence[Invoice | tuple[Invoice, int]]
) -> NewSettlements:
    """Those with an amount beside them exactly, the others as much as goes."""
    return NewSettlements(
        credit_notes=[
            NoteToApply(credit_note=each[0].id, amount=euros(each[1]))
            if isinstance(each, tuple)
            else NoteToApply(credit_note=each.id)
            for each in notes
        ],
        invoices=[
            InvoiceToSettle(invoice=each[0].id, amount=euros(each[1]))
            if isinstance(each, tuple)
            else InvoiceToSettle(invoice=each.id)
            for each in due
        ],
    )


def edges(settled: Settled) -> list[tuple[object, object, int]]:
    return [(each.credit_note_id, each.invoice_id, each.amount.minor) for each in settled.settlements]


async def another_seller(tx: Tx) -> LegalEntity:
    abroad = NewLegalEntity(reference=Reference("abroad"), seller=a_seller(), tax_rate="vat-20")
    return await add_legal_entity(tx, abroad)


async def refusal(tx: Tx, request: NewSettlements) -> str:
    with pytest.raises(DomainError) as refused:
        await match_documents(tx, request)
    return refused.value.code


# ── What goes where ─────────────────────────────────────────────────────────────────────────────────────


def sides(*amounts: int | tuple[int]) -> list[Side]:
    """A tuple says exactly."""
    return [
        Side(
            number=str(place),
            amount=euros(each[0] if isinstance(each, tuple) else each),
            exactly=isinstance(each, tuple),
        )
        for place, each in enumerate(amounts)
    ]


def spread_minor(sources: list[Side], due: list[Side]) -> list[tuple[int, int, int]]:
    return [(each.source, each.invoice, each.amount.minor) for each in spread(sources, due)]


def test_the_first_pays_the_first_as_far_as_both_reach() -> None:
    assert spread_minor(sides(50, 30), sides(20, 100)) == [(0, 0, 20), (0, 1, 30), (1, 1, 30)]


def test_what_is_asked_exactly_is_placed_first_and_whole() -> None:
    assert spread_minor(sides(50, (30,)), sides(40)) == [(1, 0, 30), (0, 0, 10)]
    assert spread_minor(sides(40), sides(50, (30,))) == [(0, 1, 30), (0, 0, 10)]


def test_as_much_is_matched_as_the_smaller_side_has() -> None:
    for sources, due in (((10, 20, 30), (25, 5)), ((25, 5), (10, 20, 30)), ((1,), (1,))):
        matched = spread(sides(*sources), sides(*due))
        assert sum(each.amount.minor for each in matched) == min(sum(sources), sum(due))


@pytest.mark.parametrize(("sources", "due"), [([(50,)], [30, 10]), ([30, 10], [(50,)]), ([(5,)], [(4,)])])
def test_what_is_asked_exactly_and_has_no_room_is_refused(sources: list[int], due: list[int]) -> None:
    with pytest.raises(Conflict) as refused:
        spread(sides(*sources), sides(*due))
    assert refused.value.code == "settlement_unplaced"


def test_a_match_says_which() -> None:
    assert spread(sides(7), sides(9)) == [Match(source=0, invoice=0, amount=euros(7))]


# ── Applying ────────────────────────────────────────────────────────────────────────────────────────────


async def test_several_notes_pay_several_invoices_in_one_act(tx: Tx) -> None:
    customer = await a_shop_by_hand(tx)
    first, second = [await a_note(tx, customer) for _ in range(2)]  # 51.67 each
    small, large = await another(tx, customer, "20.00"), await another(tx, customer)  # 24.00, 120.00

    settled = await match_documents(tx, named([first, second], [small, large]))

    assert edges(settled) == [
        (first.id, small.id, 24_00),
        (first.id, large.id, 27_67),
        (second.id, large.id, 51_67),
    ]
    assert (await settlement_of(tx, small)).status is Status.SETTLED
    assert (await settlement_of(tx, large)).due == euros(120_00 - 27_67 - 51_67)
    assert (await left_of(tx, first), await left_of(tx, second)) == (0, 0)
    await assert_sound(tx)


async def test_an_amount_is_applied_exactly(tx: Tx) -> None:
    customer = await a_shop_by_hand(tx)
    note = await a_note(tx, customer)
    first, second = await another(tx, customer), await another(tx, customer)

    settled = await match_documents(tx, named([(note, 30_00)], [first, (second, 25_00)]))

    assert edges(settled) == [(note.id, second.id, 25_00), (note.id, first.id, 5_00)]
    assert await left_of(tx, note) == 21_67
    await assert_sound(tx)


async def test_both_documents_are_named_with_the_amount(tx: Tx) -> None:
    customer = await a_shop_by_hand(tx)
    note, invoice = await a_note(tx, customer), await another(tx, customer)

    [edge] = (await match_documents(tx, named([(note, 30_00)], [invoice]))).settlements
    await take_back(tx, edge.id, NewDissociation(amount=euros(10_00)))

    applied, taken_back = [
        each for each in tx.events if isinstance(each, CreditNoteApplied | CreditNoteDissociated)
    ]
    assert isinstance(applied, CreditNoteApplied)
    assert isinstance(taken_back, CreditNoteDissociated)
    assert (applied.credit_note_id, applied.invoice_id, applied.amount) == (note.id, invoice.id, euros(30_00))
    assert (taken_back.credit_note_id, taken_back.invoice_id) == (note.id, invoice.id)
    assert taken_back.amount == euros(10_00)


# ── Refusals ────────────────────────────────────────────────────────────────────────────────────────────


async def test_documents_that_do_not_go_together_are_refused_by_name(tx: Tx) -> None:
    customer = await a_shop_by_hand(tx)
    note, invoice = await a_note(tx, customer), await another(tx, customer)
    in_dollars = NoteToApply(credit_note=note.id, amount=Money(1, Currency("USD")))

    assert await refusal(tx, named([note, note], [invoice])) == "settlement_twice"
    assert await refusal(tx, named([note], [invoice, invoice])) == "settlement_twice"
    assert await refusal(tx, named([(note, 0)], [invoice])) == "settlement_not_positive"
    assert await refusal(tx, named([(note, 51_68)], [invoice])) == "settlement_exceeds_left"
    assert await refusal(tx, named([note], [(invoice, 120_01)])) == "settlement_exceeds_due"
    assert await refusal(tx, named([note], [(invoice, 60_00)])) == "settlement_unplaced"
    with pytest.raises(Invalid, match="USD"):
        await match_documents(
            tx,
            NewSettlements(credit_notes=[in_dollars], invoices=[InvoiceToSettle(invoice=invoice.id)]),
        )
    with pytest.raises(NotFound):
        await match_documents(
            tx,
            NewSettlements(
                credit_notes=[NoteToApply(credit_note=CreditNoteId.new())],
                invoices=[InvoiceToSettle(invoice=invoice.id)],
            ),
        )


async def test_a_note_pays_on_invoices_of_its_own_customer_seller_and_currency(tx: Tx) -> None:
    customer = await a_shop_by_hand(tx)
    note = await a_note(tx, customer)
    in_dollars = [a_line(currency=Currency("USD"), tax=REVERSE_CHARGE)]
    abroad = replace(customer, legal_entity_id=(await another_seller(tx)).id)

    dollars = await an_issued_invoice(tx, customer, in_dollars, currency=Currency("USD"))
    assert await refusal(tx, named([note], [dollars])) == "currency_mismatch"
    theirs = await another(tx, await another_customer(tx))
    assert await refusal(tx, named([note], [theirs])) == "customer_mismatch"
    assert await refusal(tx, named([note], [await another(tx, abroad)])) == "seller_mismatch"
    assert await left_of(tx, note) == 51_67


async def test_nothing_is_applied_where_nothing_is_left_or_due(tx: Tx) -> None:
    customer = await a_shop_by_hand(tx)
    note, invoice = await a_note(tx, customer), await another(tx, customer)
    promised = await credited(tx, paid := await another(tx, customer), 100_00, RefundMode.NONE)
    assert not promised.credit_note.settlement.left  # it took off what was due

    assert await refusal(tx, named([promised.credit_note], [invoice])) == "nothing_left"
    assert await refusal(tx, named([note], [paid])) == "nothing_due"


async def test_what_a_payment_under_way_will_settle_is_left_to_it(tx: Tx) -> None:
    customer = await a_shop_by_hand(tx)
    note = await a_note(tx, customer)
    whole, part = await another(tx, customer), await another(tx, customer)
    await an_intent(tx, whole, None)
    await an_intent(tx, part, 100_00)

    assert await refusal(tx, named([note], [whole])) == "payment_in_flight"
    assert await refusal(tx, named([note], [(part, 20_01)])) == "settlement_exceeds_due"
    assert edges(await match_documents(tx, named([note], [part]))) == [(note.id, part.id, 20_00)]


async def test_what_is_promised_or_held_is_not_applied(tx: Tx) -> None:
    customer = await a_shop_by_hand(tx)
    invoice = await another(tx, customer)
    await paid_by_provider(tx, paid := await another(tx, customer))
    given_back = await credited(tx, paid, 100_00, RefundMode.AUTOMATIC)
    assert given_back.credit_note.settlement.held == euros(120_00)

    assert await refusal(tx, named([given_back.credit_note], [invoice])) == "nothing_left"


# ── Taking back ─────────────────────────────────────────────────────────────────────────────────────────


async def test_what_is_taken_back_is_due_and_spendable_again(tx: Tx) -> None:
    customer = await a_shop_by_hand(tx)
    note, invoice = await a_note(tx, customer), await another(tx, customer, "30.00")
    before = await accounts_of(tx)
    [edge] = (await match_documents(tx, named([note], [invoice]))).settlements
    assert (await settlement_of(tx, invoice)).status is Status.SETTLED

    answer = await take_back(tx, edge.id, NewDissociation())

    assert (answer.undone.id, answer.undone.undone_at, answer.stays) == (edge.id, NOON, None)
    settlement = await settlement_of(tx, invoice)
    assert (settlement.status, settlement.due, settlement.settled_at) == (Status.OPEN, euros(36_00), None)
    assert await left_of(tx, note) == 51_67
    assert await accounts_of(tx) == before
    await assert_sound(tx)


async def test_of_a_part_that_is_taken_back_the_rest_stays_as_another(tx: Tx) -> None:
    customer = await a_shop_by_hand(tx)
    note, invoice = await a_note(tx, customer), await another(tx, customer)
    [edge] = (await match_documents(tx, named([note], [invoice]))).settlements

    answer = await take_back(tx, edge.id, NewDissociation(amount=euros(50_00)))

    assert answer.stays is not None
    assert answer.stays.amount == euros(1_67)
    assert await left_of(tx, note) == 50_00
    page = await store.page(tx, Window(limit=10), invoice_id=invoice.id, credit_note_id=None, payment_id=None)
    assert {(each.id, each.undone_at is None) for each in page.data} == {
        (edge.id, False),
        (answer.stays.id, True),
    }
    await assert_sound(tx)


async def test_what_is_taken_back_is_refused_by_name(tx: Tx) -> None:
    customer = await a_shop_by_hand(tx)
    note, invoice = await a_note(tx, customer), await another(tx, customer)
    [edge] = (await match_documents(tx, named([note], [invoice]))).settlements
    own = await a_credit(tx, invoice, by_amount(invoice.lines[0], 10_00))

    async def code(settlement_id: SettlementId, minor: int | None = None) -> str:
        with pytest.raises(DomainError) as refused:
            await take_back(
                tx, settlement_id, NewDissociation(amount=None if minor is None else euros(minor))
            )
        return refused.value.code

    edges_of_own = await store.page(
        tx, Window(limit=1), invoice_id=None, credit_note_id=own.id, payment_id=None
    )
    assert await code(edges_of_own.data[0].id) == "settlement_is_own"
    assert await code(SettlementId.new()) == "settlement_not_found"
    assert await code(edge.id, 0) == "settlement_not_positive"
    assert await code(edge.id, 51_68) == "settlement_exceeds_amount"
    await take_back(tx, edge.id, NewDissociation())
    assert await code(edge.id) == "settlement_undone"
    await assert_sound(tx)


# ── What could be matched ───────────────────────────────────────────────────────────────────────────────


async def test_what_could_be_matched_is_proposed_both_ways(tx: Tx) -> None:
    customer = await a_shop_by_hand(tx)
    first, second = [await a_note(tx, customer) for _ in range(2)]
    small, large = await another(tx, customer, "20.00"), await another(tx, customer)
    await match_documents(tx, named([(second, 50_00)], [large]))
    await another(tx, await another_customer(tx))

    notes = (await notes_for(tx, small.id, ALL)).data
    assert [(each.credit_note_id, each.left, each.amount) for each in notes] == [
        (second.id, euros(1_67), euros(1_67)),
        (first.id, euros(51_67), euros(24_00)),
    ]
    due = (await invoices_for(tx, first.id, ALL)).data
    assert [(each.invoice_id, each.due, each.amount) for each in due] == [
        (large.id, euros(70_00), euros(51_67)),
        (small.id, euros(24_00), euros(24_00)),
    ]


async def test_what_is_used_settled_or_on_its_way_is_not_proposed(tx: Tx) -> None:
    customer = await a_shop_by_hand(tx)
    note, invoice = await a_note(tx, customer), await another(tx, customer, "20.00")
    await match_documents(tx, named([note], [invoice]))
    await an_intent(tx, under_way := await another(tx, customer), None)

    assert (await invoices_for(tx, note.id, ALL)).data == []
    assert (await notes_for(tx, invoice.id, ALL)).data == []
    assert (await notes_for(tx, under_way.id, ALL)).data == []
    await match_documents(tx, named([note], [await another(tx, customer)]))
    assert (await notes_for(tx, (await another(tx, customer)).id, ALL)).data == []


# ── A payment together with notes ───────────────────────────────────────────────────────────────────────


def with_notes(*notes: CreditNote, minor: int | None = None) -> NewPayment:
    return NewPayment(
        means=OutsideMeans.TRANSFER,
        amount=None if minor is None else euros(minor),
        credit_notes=[NoteToApply(credit_note=note.id) for note in notes],
    )


async def test_a_payment_comes_with_notes_and_is_what_they_leave_due(tx: Tx) -> None:
    customer = await a_shop_by_hand(tx)
    note, invoice = await a_note(tx, customer), await another(tx, customer)  # 51.67, 120.00

    payment = await record_payment(tx, invoice.id, with_notes(note))

    assert payment.amount == euros(68_33)
    settlement = await settlement_of(tx, invoice)
    assert (settlement.status, settlement.paid, settlement.offset) == (
        Status.SETTLED,
        euros(68_33),
        euros(51_67),
    )
    await assert_sound(tx)


@pytest.mark.parametrize("minor", [None, 0])
async def test_a_payment_of_nothing_only_matches_a_note_with_an_invoice(tx: Tx, minor: int | None) -> None:
    customer = await a_shop_by_hand(tx)
    note, invoice = await a_note(tx, customer), await another(tx, customer, "30.00")  # 36.00

    payment = await record_payment(tx, invoice.id, with_notes(note, minor=minor))

    assert payment.amount == euros(0)
    assert (await settlement_of(tx, invoice)).status is Status.SETTLED
    assert await left_of(tx, note) == 15_67
    await assert_sound(tx)


async def test_without_notes_nothing_is_no_payment_and_with_them_no_more_is_paid_than_is_due(tx: Tx) -> None:
    customer = await a_shop_by_hand(tx)
    note, invoice = await a_note(tx, customer), await another(tx, customer)

    async def code(request: NewPayment) -> str:
        with pytest.raises(DomainError) as refused:
            await record_payment(tx, invoice.id, request)
        return refused.value.code

    assert await code(with_notes(minor=0)) == "payment_not_positive"
    assert await code(with_notes(note, minor=68_34)) == "payment_exceeds_due"


# ── Marking used ────────────────────────────────────────────────────────────────────────────────────────


async def test_what_is_marked_used_is_left_no_more_and_is_to_be_explained_in_the_books(tx: Tx) -> None:
    customer = await a_shop_by_hand(tx)
    note = await a_note(tx, customer)
    before = await accounts_of(tx)

    marked = await mark_used(tx, note.id, NewUse(reason=Note("On paper"), amount=euros(20_00)))
    assert (marked.settlement.status, marked.settlement.left) == (NoteStatus.PARTLY_USED, euros(31_67))
    await assert_sound(tx)
    used = await mark_used(tx, note.id, NewUse(reason=Note("On paper")))

    assert (used.settlement.status, used.settlement.marked) == (NoteStatus.USED, euros(51_67))
    after = await accounts_of(tx)
    assert (after["471"], after.get("411", 0) - before["411"]) == (-51_67, 51_67)
    await assert_sound(tx)
    said = [each for each in tx.events if isinstance(each, CreditNoteMarkedUsed)]
    assert [(each.amount, each.reason) for each in said] == [
        (euros(20_00), "On paper"),
        (euros(31_67), "On paper"),
    ]
    assert {each.invoice_id for each in said} == {note.invoice_id}, "whose VAT moved with it"


async def test_no_more_is_marked_used_than_is_left(tx: Tx) -> None:
    customer = await a_shop_by_hand(tx)
    note = await a_note(tx, customer)

    async def code(minor: int | None) -> str:
        use = NewUse(reason=Note("On paper"), amount=None if minor is None else euros(minor))
        with pytest.raises(DomainError) as refused:
            await mark_used(tx, note.id, use)
        return refused.value.code

    assert await code(51_68) == "settlement_exceeds_left"
    assert await code(0) == "settlement_not_positive"
    await mark_used(tx, note.id, NewUse(reason=Note("On paper")))
    assert await code(None) == "nothing_left"


# ── At the same time: the second waits, and finds what the first left ────────────────────────────────────


async def test_two_who_apply_the_same_note_apply_it_once(pool: Pool, tenant: TenantId) -> None:
    async with transaction(pool, tenant, now=NOON) as tx:
        customer = await a_shop_by_hand(tx)
        note = await a_note(tx, customer)
        first, second = await another(tx, customer), await another(tx, customer)

    async with a_transaction(pool, tenant=tenant) as one, a_transaction(pool, tenant=tenant) as two:
        await match_documents(one, named([note], [first]))
        other = asyncio.create_task(match_documents(two, named([note], [second])))
        await until_it_waits(pool, other)
        await commit(one)
        with pytest.raises(Conflict) as refused:
            await other
    assert refused.value.code == "nothing_left"
    async with transaction(pool, tenant, now=NOON) as tx:
        assert (await settlement_of(tx, second)).due == euros(120_00)
        await assert_sound(tx)


async def test_an_invoice_that_is_credited_meanwhile_has_no_more_to_be_applied_to(
    pool: Pool, tenant: TenantId
) -> None:
    async with transaction(pool, tenant, now=NOON) as tx:
        customer = await a_shop_by_hand(tx)
        note, invoice = await a_note(tx, customer), await another(tx, customer)

    async with a_transaction(pool, tenant=tenant) as one, a_transaction(pool, tenant=tenant) as two:
        await credit_invoice(one, invoice.id, NewCreditNote(reason=Reason.DUPLICATE))
        other = asyncio.create_task(match_documents(two, named([note], [invoice])))
        await until_it_waits(pool, other)
        await commit(one)
        with pytest.raises(Conflict) as refused:
            await other
    assert refused.value.code == "nothing_due"
    async with transaction(pool, tenant, now=NOON) as tx:
        assert await left_of(tx, note) == 51_67
        await assert_sound(tx)


async def test_a_credit_that_comes_while_a_note_is_applied_gives_it_back(
    pool: Pool, tenant: TenantId
) -> None:
    async with transaction(pool, tenant, now=NOON) as tx:
        customer = await a_shop_by_hand(tx)
        note, invoice = await a_note(tx, customer), await another(tx, customer)

    async with a_transaction(pool, tenant=tenant) as one, a_transaction(pool, tenant=tenant) as two:
        await match_documents(one, named([note], [invoice]))
        other = asyncio.create_task(credit_invoice(two, invoice.id, NewCreditNote(reason=Reason.DUPLICATE)))
        await until_it_waits(pool, other)
        await commit(one)
        await other
        await commit(two)
    async with transaction(pool, tenant, now=NOON) as tx:
        assert await left_of(tx, note) == 51_67
        assert (await settlement_of(tx, invoice)).due == euros(0)
        await assert_sound(tx)


async def test_what_goes_back_to_the_customer_meanwhile_is_not_applied_too(
    pool: Pool, tenant: TenantId
) -> None:
    async with transaction(pool, tenant, now=NOON) as tx:
        customer = await a_shop_by_hand(tx)
        note, invoice = await a_note(tx, customer), await another(tx, customer)

    async with a_transaction(pool, tenant=tenant) as one, a_transaction(pool, tenant=tenant) as two:
        await record_refund(one, note.id, NewManualRefund(means=OutsideMeans.TRANSFER, amount=euros(51_67)))
        other = asyncio.create_task(match_documents(two, named([note], [invoice])))
        await until_it_waits(pool, other)
        await commit(one)
        with pytest.raises(Conflict) as refused:
            await other
    assert refused.value.code == "nothing_left"
    async with transaction(pool, tenant, now=NOON) as tx:
        await assert_sound(tx)


async def test_who_takes_back_and_who_takes_back_take_turns(pool: Pool, tenant: TenantId) -> None:
    async with transaction(pool, tenant, now=NOON) as tx:
        customer = await a_shop_by_hand(tx)
        note, invoice = await a_note(tx, customer), await another(tx, customer)
        [edge] = (await match_documents(tx, named([note], [invoice]))).settlements

    async with a_transaction(pool, tenant=tenant) as one, a_transaction(pool, tenant=tenant) as two:
        await take_back(one, edge.id, NewDissociation())
        other = asyncio.create_task(take_back(two, edge.id, NewDissociation()))
        await until_it_waits(pool, other)
        await commit(one)
        with pytest.raises(Conflict) as refused:
            await other
    assert refused.value.code == "settlement_undone"
    async with transaction(pool, tenant, now=NOON) as tx:
        assert await left_of(tx, note) == 51_67
        await assert_sound(tx)
