"""Settling by the thousand is settling one by one: the same rows, in a fixed number of statements."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.credit_notes import store as credit_notes
from billing.credit_notes.model import (
    CreditNoteId,
    CreditNoteSettlement,
    NewGlobalCreditNote,
    NewNoteLine,
    Reason,
)
from billing.credit_notes.model import Status as NoteStatus
from billing.dunning.begin import fall_overdue
from billing.invoices import store as invoices
from billing.invoices.model import InvoiceId, InvoiceSettlement, Status
from billing.parties.model import Customer, CustomerId, LegalEntityId, VatDue
from billing.payments.collect import start_payment
from billing.payments.model import PaymentId
from billing.settlement.apply import apply_note
from billing.settlement.bulk import rules, store
from billing.settlement.bulk.apply import settle_all
from billing.settlement.bulk.model import OpenInvoice, OpenNote, Pair
from billing.tax.model import TaxBehavior
from kernel.database import Tx
from kernel.decimals import UnitPrice
from kernel.money import Currency, Money
from kernel.text import Name
from refunds.credit_customer import credit_customer
from tests.books import assert_sound
from tests.makers import EUR, NOON, a_line, euros, three_lines, vat
from tests.promotions.rebates.contracts import a_contract, settled, tiers
from tests.shop import a_credit, a_payment, a_shop_by_hand, an_issued_invoice, another_customer, at, by_amount

# ── The same rows ───────────────────────────────────────────────────────────────────────────────────────


async def a_mixed_population(tx: Tx, vat_due: VatDue) -> None:
    """Customers with more notes than invoices and the other way round, of net and gross prices, several
    rates, a rebate, something paid already, something overdue, and something on its way."""
    first = await a_shop_by_hand(tx, vat_due=vat_due, payment_method="pm_sandbox_ok")
    second = await another_customer(tx)
    third = await another_customer(tx, "user-44", email="third@atelier.example")
    for n, customer in enumerate((first, second, third)):
        for gross in (False, True):
            await _notes(tx, customer, 1 + n, gross=gross)
            await _dues(tx, customer, 3 - n, gross=gross)
    await _on_no_invoice(tx, second)
    await _dues(tx, second, 1, gross=False)
    await _rebate(tx, await another_customer(tx, "user-45", email="fourth@atelier.example"))
    in_flight = await an_issued_invoice(tx, first, [a_line(price="30.00")])
    await start_payment(tx, "sandbox", PaymentId.new(), in_flight.id)
    overdue = await an_issued_invoice(tx, third, [a_line(price="20.00")])
    await fall_overdue(at(tx, NOON + timedelta(days=60)), overdue.id)


async def _notes(tx: Tx, customer: Customer, count: int, *, gross: bool) -> None:
    """On invoices of several rates that were paid, and of which a part had been credited before."""
    for n in range(count):
        invoice = await an_issued_invoice(tx, customer, three_lines(), tax_behavior=_prices(gross=gross))
        if n:
            await a_credit(tx, invoice, by_amount(invoice.lines[2], 7_01))
        await a_payment(tx, invoice)
        await a_credit(tx, invoice, by_amount(invoice.lines[0], 31_07 + n), by_amount(invoice.lines[1], 9_99))
    last = await an_issued_invoice(tx, customer, three_lines())
    await a_payment(tx, last)
    await a_credit(tx, last)


async def _on_no_invoice(tx: Tx, customer: Customer) -> None:
    """With books of its own, and VAT that falls due as it is used."""
    lines = [
        NewNoteLine(description=Name("Geste commercial"), unit_price=UnitPrice.parse(price))
        for price in ("9.99", "33.33")
    ]
    request = NewGlobalCreditNote(
        customer=customer.reference, currency=EUR, lines=lines, reason=Reason.COMMERCIAL_GESTURE
    )
    await credit_customer(tx, request)


async def _dues(tx: Tx, customer: Customer, count: int, *, gross: bool) -> None:
    for n in range(count):
        lines = [a_line(price=f"{17 + n}.93"), a_line(price="11.11", tax=vat("5.5"))]
        invoice = await an_issued_invoice(tx, customer, lines, tax_behavior=_prices(gross=gross))
        if n == 1:
            await a_payment(tx, invoice, 5_00)
        if n == 2:
            await a_credit(tx, invoice, by_amount(invoice.lines[1], 3_33))


async def _rebate(tx: Tx, customer: Customer) -> None:
    """Over invoices that were paid, and one that was not: it pays others with what is left."""
    for _ in range(2):
        await a_payment(tx, await an_issued_invoice(tx, customer))
    await an_issued_invoice(tx, customer)
    contract = await a_contract(tx, terms=tiers((0, "10")), customers=[customer.reference])
    await settled(tx, contract, tx.now.date())


def _prices(*, gross: bool) -> TaxBehavior:
    return TaxBehavior.INCLUSIVE if gross else TaxBehavior.EXCLUSIVE


async def one_by_one(tx: Tx, notes: Sequence[CreditNoteId], dues: Sequence[InvoiceId]) -> None:
    found = await store.lock_notes(tx, notes)
    open_invoices = await store.lock_invoices(tx, dues)
    for pair in rules.matched([found[each] for each in notes], [open_invoices[each] for each in dues]):
        note = await credit_notes.get(tx, pair.credit_note_id)
        await apply_note(tx, note, await invoices.get(tx, pair.invoice_id), pair.amount)


async def all_at_once(tx: Tx, notes: Sequence[CreditNoteId], dues: Sequence[InvoiceId]) -> None:
    await settle_all(tx, notes, dues)


async def written_by(tx: Tx, act: Callable[..., Awaitable[None]]) -> list[list[tuple[Any, ...]]]:
    """Every row it changes and every event, without the ids and their order; then it is undone."""
    notes = [
        CreditNoteId.of(row["id"]) for row in await tx.conn.fetch("SELECT id FROM credit_notes ORDER BY id")
    ]
    dues = [InvoiceId.of(row["id"]) for row in await tx.conn.fetch("SELECT id FROM invoices ORDER BY id")]
    tx.events.clear()
    await tx.conn.execute("SAVEPOINT before")
    await act(tx, notes, dues)
    await assert_sound(tx)
    rows = [
        [tuple(row) for row in await tx.conn.fetch(statement)]
        for statement in (
            "SELECT * FROM invoice_settlements ORDER BY invoice_id",
            "SELECT * FROM credit_note_settlements ORDER BY credit_note_id",
            "SELECT * FROM dunnings ORDER BY invoice_id",
            """
            SELECT invoice_id, payment_id, credit_note_id, currency, amount_minor, created_at, undone_at,
                   is_own
            FROM settlements ORDER BY 1, 3, 5
            """,
            """
            SELECT e.legal_entity_id, e.document, e.invoice_id, e.credit_note_id, e.customer_id, e.account,
                   e.tax_category, e.tax_rate_ppm, e.tax_reason, e.currency, e.amount_minor, e.label,
                   e.booked_on, e.created_at, s.invoice_id, s.credit_note_id,
                   array_agg(e.amount_minor) OVER (PARTITION BY e.transaction_id ORDER BY e.amount_minor
                                                   ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)
            FROM ledger_entries e LEFT JOIN settlements s ON s.id = e.document_id
            ORDER BY 3, 4, 12, 15, 16, 6, 8, 11
            """,
        )
    ]
    events = sorted((repr(event),) for event in tx.events)
    await tx.conn.execute("ROLLBACK TO SAVEPOINT before")
    return [*rows, events]


@pytest.mark.parametrize("vat_due", list(VatDue))
async def test_all_at_once_is_one_by_one(tx: Tx, vat_due: VatDue) -> None:
    await a_mixed_population(tx, vat_due)

    slowly = await written_by(tx, one_by_one)
    at_once = await written_by(tx, all_at_once)

    assert at_once == slowly
    events = [event for (event,) in at_once[-1]]
    for name in ("CreditNoteApplied", "InvoiceSettled", "InvoiceRecovered"):
        assert any(name in event for event in events), name


async def test_ten_are_as_many_statements_as_one(tx: Tx, asked: list[str]) -> None:
    customer = await a_shop_by_hand(tx)
    statements = []
    for count in (1, 10):
        notes = []
        for _ in range(count):
            paid = await an_issued_invoice(tx, customer)
            await a_payment(tx, paid)
            notes.append((await a_credit(tx, paid)).id)
        dues = [(await an_issued_invoice(tx, customer)).id for _ in range(count)]
        asked.clear()
        assert len(await settle_all(tx, notes, dues)) == count
        statements.append(len(asked))

    assert statements == [6, 6]


async def test_nothing_to_match_writes_nothing(tx: Tx) -> None:
    customer = await a_shop_by_hand(tx)
    invoice = await an_issued_invoice(tx, customer)

    assert await settle_all(tx, [], [invoice.id]) == []
    await assert_sound(tx)


async def test_a_note_for_early_payment_pays_like_any_other(tx: Tx) -> None:
    customer = await a_shop_by_hand(tx)
    paid, due = await an_issued_invoice(tx, customer), await an_issued_invoice(tx, customer)
    await a_payment(tx, paid)
    note = await a_credit(tx, paid, by_amount(paid.lines[0], 10_00), reason=Reason.EARLY_PAYMENT)

    [pair] = await settle_all(tx, [note.id], [due.id])

    assert pair.amount == note.total
    assert (await invoices.get(tx, due.id)).settlement.offset == note.total
    await assert_sound(tx)


# ── Who pays whom ───────────────────────────────────────────────────────────────────────────────────────

SELLER, BUYER = LegalEntityId.new(), CustomerId.new()
NOTHING = euros(0)


def a_rest(minor: int, *, currency: Currency = EUR, customer_id: CustomerId = BUYER) -> OpenNote:
    left, nothing = Money(minor, currency), Money(0, currency)
    return OpenNote(
        id=CreditNoteId.new(),
        number="A1",
        legal_entity_id=SELLER,
        customer_id=customer_id,
        invoice_id=InvoiceId.new(),
        currency=currency,
        vat_due=VatDue.ON_INVOICE,
        taxes=(),
        total=left,
        settlement=CreditNoteSettlement(
            status=NoteStatus.UNUSED,
            applied=nothing,
            refunded=nothing,
            held=nothing,
            promised=nothing,
            marked=nothing,
            left=left,
        ),
    )


def a_due(
    minor: int, *, pending: int = 0, currency: Currency = EUR, customer_id: CustomerId = BUYER
) -> OpenInvoice:
    due, nothing = Money(minor, currency), Money(0, currency)
    return OpenInvoice(
        id=InvoiceId.new(),
        number="F1",
        legal_entity_id=SELLER,
        customer_id=customer_id,
        currency=currency,
        issued_on=NOON.date(),
        vat_due=VatDue.ON_INVOICE,
        time_zone="Europe/Paris",
        taxes=(),
        total=due,
        settlement=InvoiceSettlement(
            status=Status.OPEN,
            paid=nothing,
            offset=nothing,
            pending=Money(pending, currency),
            credited=nothing,
            due=due,
            settled_at=None,
        ),
    )


def of(
    pairs: Sequence[Pair], notes: Sequence[OpenNote], dues: Sequence[OpenInvoice]
) -> list[tuple[int, int, int]]:
    """By their places."""
    of_note = {note.id: n for n, note in enumerate(notes)}
    of_due = {due.id: n for n, due in enumerate(dues)}
    return [(of_note[each.credit_note_id], of_due[each.invoice_id], each.amount.minor) for each in pairs]


def test_the_first_note_pays_the_first_invoice_as_far_as_both_reach() -> None:
    notes, dues = [a_rest(30), a_rest(50)], [a_due(40), a_due(100)]
    assert of(rules.matched(notes, dues), notes, dues) == [(0, 0, 30), (1, 0, 10), (1, 1, 40)]


def test_nobody_pays_for_another_customer_or_in_another_currency() -> None:
    notes = [a_rest(30, currency=Currency("USD")), a_rest(30, customer_id=CustomerId.new())]
    assert rules.matched(notes, [a_due(100)]) == []


def test_what_a_payment_under_way_will_settle_is_left_to_it() -> None:
    notes, dues = [a_rest(30)], [a_due(20, pending=20), a_due(20, pending=15), a_due(9)]
    assert of(rules.matched(notes, dues), notes, dues) == [(0, 1, 5), (0, 2, 9)]


amounts = st.lists(st.integers(0, 100), max_size=12)


@given(amounts, amounts)
def test_as_much_is_matched_as_the_smaller_side_has(left: list[int], due: list[int]) -> None:
    notes, dues = [a_rest(each) for each in left], [a_due(each) for each in due]
    pairs = of(rules.matched(notes, dues), notes, dues)

    assert sum(amount for _, _, amount in pairs) == min(sum(left), sum(due))
    assert all(amount > 0 for _, _, amount in pairs)
    assert pairs == sorted(pairs)
    assert len(pairs) <= max(0, len(left) + len(due) - 1)
    for n, most in enumerate(left):
        assert sum(amount for note, _, amount in pairs if note == n) <= most
    for n, most in enumerate(due):
        assert sum(amount for _, invoice, amount in pairs if invoice == n) <= most
