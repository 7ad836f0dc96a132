"""Settling of all customers: chunks of any size are one, killed or simulated, and say what they did."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.credit_notes import store as credit_notes
from billing.credit_notes.model import CreditNote
from billing.invoices import store as invoices
from billing.invoices.model import Invoice
from billing.parties.model import Customer, CustomerId, VatDue
from billing.payments import store as payments
from billing.payments.collect import start_payment
from billing.payments.model import PaymentId
from billing.settlement.batches import advance as advancing
from billing.settlement.batches import rules, store
from billing.settlement.batches.advance import advance
from billing.settlement.batches.create import cancel_settlement_batch, create_settlement_batch
from billing.settlement.batches.model import (
    NO_INVOICE,
    NOWHERE,
    BatchStatus,
    InCurrency,
    NewSettlementBatch,
    Refused,
    SettlementBatch,
)
from billing.settlement.batches.rules import Dues
from billing.settlement.bulk.apply import apply_pairs
from billing.settlement.bulk.model import OpenInvoice, OpenNote, Pair
from billing.settlement.bulk.rules import Applied
from kernel.database import Tx, rehearsal
from kernel.errors import Conflict, NotFound
from refunds.dispute import close_dispute, open_dispute
from refunds.disputes.model import NewDispute, NewVerdict, Verdict
from tests.billing.test_bulk import a_due, a_mixed_population, a_rest
from tests.books import assert_sound
from tests.makers import EUR, NOON, a_line, euros
from tests.shop import a_credit, a_payment, a_shop_by_hand, an_issued_invoice, another_customer, at


async def a_note(tx: Tx, customer: Customer, price: str = "50.00") -> CreditNote:
    invoice = await an_issued_invoice(tx, customer, [a_line(price=price)])
    await a_payment(tx, invoice)
    return await a_credit(tx, invoice)


async def a_due_invoice(tx: Tx, customer: Customer, price: str = "50.00") -> Invoice:
    return await an_issued_invoice(tx, customer, [a_line(price=price)])


async def settled(tx: Tx, *, limit: int = 100, **fields: Any) -> SettlementBatch:
    """To its end, a chunk after the other."""
    batch = await create_settlement_batch(tx, NewSettlementBatch(**fields))
    while not batch.is_over:
        batch = await advance(tx, batch.id, limit=limit)
    return batch


def said(batch: SettlementBatch) -> tuple[int, int, Sequence[InCurrency], Sequence[Refused]]:
    return batch.examined, batch.applications, batch.applied, batch.refused


# ── What is settled ─────────────────────────────────────────────────────────────────────────────────────


async def test_what_is_left_of_notes_settles_what_is_due_the_oldest_first(tx: Tx) -> None:
    first = await a_shop_by_hand(tx)
    second = await another_customer(tx)
    note, other = await a_note(tx, first), await a_note(tx, second, "10.00")
    old, young = await a_due_invoice(tx, first, "30.00"), await a_due_invoice(tx, first, "30.00")

    batch = await settled(tx)

    assert batch.status is BatchStatus.DONE
    assert said(batch) == (
        2,
        2,
        (InCurrency(currency=EUR, applications=2, amount=note.total),),
        (Refused(code="nothing_due", credit_notes=1),),
    )
    dues = [(await invoices.get(tx, each.id)).settlement.due.minor for each in (old, young)]
    assert dues == [0, 12_00]
    assert (await credit_notes.get(tx, other.id)).settlement.left == other.total
    await assert_sound(tx)


async def test_it_can_be_of_what_was_issued_before_a_day(tx: Tx) -> None:
    customer = await a_shop_by_hand(tx)
    await a_note(tx, customer)
    await a_due_invoice(at(tx, NOON + timedelta(days=3)), customer)
    day = NOON.date() + timedelta(days=2)

    assert (await settled(tx, issued_before=day)).refused == (Refused(code="nothing_due", credit_notes=1),)
    assert (await settled(tx, issued_before=NOON.date())).examined == 0
    assert (await settled(tx)).applications == 1


async def test_it_can_be_of_one_currency(tx: Tx) -> None:
    customer = await a_shop_by_hand(tx)
    await a_note(tx, customer)
    await a_due_invoice(tx, customer)

    assert (await settled(tx, currency="USD")).total == 0
    assert (await settled(tx, currency="EUR")).applications == 1


async def test_what_a_payment_under_way_will_settle_is_told_and_left(tx: Tx) -> None:
    customer = await a_shop_by_hand(tx, payment_method="pm_sandbox_ok")
    await a_note(tx, customer)
    invoice = await a_due_invoice(tx, customer)
    await start_payment(tx, "sandbox", PaymentId.new(), invoice.id)

    assert (await settled(tx)).refused == (Refused(code="payment_in_flight", credit_notes=1),)


async def test_what_was_paid_with_disputed_money_is_left(tx: Tx) -> None:
    customer = await a_shop_by_hand(tx)
    note = await a_note(tx, customer)
    await a_due_invoice(tx, customer)
    assert note.invoice_id is not None
    (payment,) = await payments.of_invoice(tx, note.invoice_id)
    dispute = await open_dispute(tx, payment.id, NewDispute())

    assert (await settled(tx)).applications == 0
    await close_dispute(tx, dispute.id, NewVerdict(outcome=Verdict.WON))
    assert (await settled(tx)).applications == 1


async def test_once_more_finds_nothing_more(tx: Tx) -> None:
    await a_mixed_population(tx, VatDue.ON_PAYMENT)
    assert (await settled(tx)).applications
    assert (await settled(tx)).applications == 0
    await assert_sound(tx)


# ── In chunks ───────────────────────────────────────────────────────────────────────────────────────────


async def rests_and_dues(tx: Tx) -> list[list[tuple[Any, ...]]]:
    return [
        [tuple(row) for row in await tx.conn.fetch(statement)]
        for statement in (
            "SELECT * FROM credit_note_settlements ORDER BY credit_note_id",
            "SELECT * FROM invoice_settlements ORDER BY invoice_id",
            """
            SELECT invoice_id, credit_note_id, amount_minor
            FROM settlements WHERE payment_id IS NULL ORDER BY 1, 2, 3
            """,
            """
            SELECT invoice_id, credit_note_id, account, tax_rate_ppm, sum(amount_minor)
            FROM ledger_entries GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
            """,
        )
    ]


async def test_chunks_of_any_size_come_to_the_same_end(tx: Tx) -> None:
    await a_mixed_population(tx, VatDue.ON_PAYMENT)
    ends = []
    for limit in (100, 1, 2, 3, 5):
        async with rehearsal(tx):
            batch = await settled(tx, limit=limit)
            await assert_sound(tx)
            ends.append((said(batch), await rests_and_dues(tx)))

    assert ends[0][0][1]
    for end in ends[1:]:
        assert end == ends[0]


async def test_simulated_it_says_the_same_and_does_nothing(tx: Tx) -> None:
    await a_mixed_population(tx, VatDue.ON_PAYMENT)
    before = await rests_and_dues(tx)
    tx.events.clear()
    simulated = [said(await settled(tx, limit=limit, simulate=True)) for limit in (100, 1, 2, 3)]

    assert (await rests_and_dues(tx), tx.events) == (before, [])
    really = said(await settled(tx))
    assert simulated == [really] * 4


async def test_whose_books_do_not_hold_is_left_out_and_the_others_are_settled(
    tx: Tx, monkeypatch: pytest.MonkeyPatch
) -> None:
    customers = [await a_shop_by_hand(tx)]
    customers += [await another_customer(tx, f"more-{n}", email=f"{n}@atelier.example") for n in range(4)]
    notes = [await a_note(tx, customer) for customer in customers]
    for customer in customers:
        await a_due_invoice(tx, customer)
    wrong = notes[2]

    async def refusing(tx: Tx, pairs: Sequence[Pair], *more: Any) -> Applied:
        applied = await apply_pairs(tx, pairs, *more)
        assert wrong.id not in {pair.credit_note_id for pair in pairs}, "something is wrong with it"
        return applied

    monkeypatch.setattr(advancing, "apply_pairs", refusing)
    for simulate in (True, False):
        batch = await settled(tx, simulate=simulate)
        assert (batch.examined, batch.applications) == (5, 4)
        assert batch.refused == (Refused(code="internal", credit_notes=1),)
        await assert_sound(tx)
    left = [(await credit_notes.get(tx, note.id)).settlement.left.minor for note in notes]
    assert left == [0, 0, wrong.total.minor, 0, 0]


async def test_called_off_what_is_settled_stays_and_nothing_more_is(tx: Tx) -> None:
    customer = await a_shop_by_hand(tx)
    for _ in range(3):
        await a_note(tx, customer)
        await a_due_invoice(tx, customer)
    batch = await create_settlement_batch(tx, NewSettlementBatch())
    assert (await advance(tx, batch.id, limit=1)).applications == 1

    assert (await cancel_settlement_batch(tx, batch.id)).status is BatchStatus.CANCELLED
    assert (await cancel_settlement_batch(tx, batch.id)).status is BatchStatus.CANCELLED
    assert (await advance(tx, batch.id, limit=1)).applications == 1
    over = await settled(tx)
    assert over.applications == 2
    with pytest.raises(Conflict) as refused:
        await cancel_settlement_batch(tx, over.id)
    assert refused.value.code == "settlement_batch_over"
    with pytest.raises(NotFound):
        await store.get(tx, type(over.id).new())


# ── How far a chunk comes ───────────────────────────────────────────────────────────────────────────────


def walked(
    notes: Sequence[OpenNote], dues: Sequence[OpenInvoice], *, many: int, few: int
) -> list[tuple[Any, Any, int]]:
    """Simulated, `many` notes and `few` invoices at a time: nothing moves but the mark."""
    mark, pairs = NOWHERE, []
    while True:
        coming = [note for note in notes if (note.customer_id, note.id) > (mark.customer_id, mark.after)]
        window = coming[:many]
        after = {(each.legal_entity_id, each.currency): each.after for each in mark.dues}
        found = {
            note.between: [
                due
                for due in dues
                if due.between == note.between
                and (
                    note.customer_id != mark.customer_id
                    or due.id > after.get((note.legal_entity_id, note.currency), NO_INVOICE)
                )
            ]
            for note in window
        }
        walk = rules.walk(
            window,
            {each: Dues(invoices=of[:few], more=len(of) >= few) for each, of in found.items()},
            mark,
            more=len(window) == many,
            simulated=True,
        )
        pairs += [(each.credit_note_id, each.invoice_id, each.amount.minor) for each in walk.pairs]
        if walk.mark is None:
            return pairs
        assert walk.mark != mark, "a chunk that comes no further would go on for ever"
        mark = walk.mark


amounts = st.lists(st.tuples(st.integers(1, 40), st.integers(0, 2)), max_size=12)
CUSTOMERS = sorted(CustomerId.new() for _ in range(3))


@given(amounts, amounts, st.integers(1, 5), st.integers(1, 5))
def test_chunks_match_as_one_would(
    left: list[tuple[int, int]], due: list[tuple[int, int]], many: int, few: int
) -> None:
    """Of customers whose documents were issued in any order."""
    notes = [a_rest(minor, customer_id=CUSTOMERS[who]) for minor, who in left]
    notes.sort(key=lambda note: (note.customer_id, note.id))
    dues = [a_due(minor, customer_id=CUSTOMERS[who]) for minor, who in due]

    assert walked(notes, dues, many=many, few=few) == walked(notes, dues, many=1000, few=1000)


def test_amounts_are_added_per_currency() -> None:
    before = rules.added((), [])
    assert before == ()
    refused = rules.refused_with((Refused(code="nothing_due", credit_notes=2),), {"internal": 1})
    assert refused == (Refused(code="internal", credit_notes=1), Refused(code="nothing_due", credit_notes=2))
    assert euros(1).currency == EUR
