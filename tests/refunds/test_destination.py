"""Where a credit note goes is frozen when it is issued: on its page, in its mail, and in the answer."""

from collections.abc import Awaitable, Callable
from datetime import date
from itertools import product
from typing import TypeAlias

import pytest

from billing.credit_notes import store as credit_notes
from billing.credit_notes.model import CreditNote, NewCreditLine, NewCreditNote, Reason
from billing.documents import render
from billing.documents.terms import refund_terms
from billing.gateways.model import Outcome
from billing.gateways.model import Status as OutcomeStatus
from billing.invoices.model import Invoice
from billing.parties.model import RefundMode
from billing.payments.model import OutsideMeans
from kernel.database import Tx
from kernel.money import total
from notifications import letters
from refunds.credit_invoice import credit_invoice
from refunds.model import GivenBack, NewManualRefund
from refunds.record_refund import record_refund
from refunds.send_refund import finish_refund, start_refund
from tests.billing.test_documents import pages_of
from tests.books import assert_sound
from tests.makers import euros
from tests.refunds.cases import billed, paid_by_provider
from tests.shop import a_payment, by_amount

Pay: TypeAlias = Callable[[Tx, Invoice], Awaitable[object]]

TOTAL = 34_80
DAY = date(2026, 3, 31)


async def nothing(_: Tx, __: Invoice) -> None:
    """It stays unpaid."""


async def both(tx: Tx, invoice: Invoice) -> None:
    await a_payment(tx, invoice, 20_00)
    await paid_by_provider(tx, invoice)


async def in_part_by_both(tx: Tx, invoice: Invoice) -> None:
    await a_payment(tx, invoice, 10_00)
    await paid_by_provider(tx, invoice, 14_80)


async def in_two_parts(tx: Tx, invoice: Invoice) -> None:
    await paid_by_provider(tx, invoice, 4_80)
    await paid_by_provider(tx, invoice)


# What was paid through the provider, and past it.
WAYS: dict[str, tuple[Pay, int, int]] = {
    "not": (nothing, 0, 0),
    "in part, by provider": (lambda tx, invoice: paid_by_provider(tx, invoice, 14_80), 14_80, 0),
    "in part, by transfer": (lambda tx, invoice: a_payment(tx, invoice, 14_80), 0, 14_80),
    "in part, by both": (in_part_by_both, 14_80, 10_00),
    "by provider": (paid_by_provider, TOTAL, 0),
    "by provider, in two parts": (in_two_parts, TOTAL, 0),
    "by transfer": (a_payment, 0, TOTAL),
    "by both": (both, 14_80, 20_00),
}


async def a_note(
    tx: Tx, mode: RefundMode, way: str = "by provider", *, net: int | None = None
) -> tuple[Invoice, GivenBack]:
    """Of the whole invoice, or of this much net of its line."""
    invoice = (await billed(tx)).invoice
    pay, *_ = WAYS[way]
    await pay(tx, invoice)
    return invoice, await credit(tx, invoice, mode, net=net)


async def credit(tx: Tx, invoice: Invoice, mode: RefundMode, *, net: int | None = None) -> GivenBack:
    lines: list[NewCreditLine] | None = None if net is None else [by_amount(invoice.lines[0], net)]
    request = NewCreditNote(
        reason=Reason.COMMERCIAL_GESTURE,
        lines=lines,
        refund=mode,
        refund_on=DAY if mode is RefundMode.DEFERRED else None,
    )
    return await credit_invoice(tx, invoice.id, request)


def parts(note: CreditNote) -> tuple[int, int, int, int]:
    to = note.destination
    return to.to_invoice.minor, to.to_provider.minor, to.by_hand.minor, to.to_balance.minor


@pytest.mark.parametrize(("mode", "way", "net"), list(product(RefundMode, WAYS, [None, 12_00])))
async def test_every_cent_of_a_note_goes_somewhere(
    tx: Tx, mode: RefundMode, way: str, net: int | None
) -> None:
    _, given_back = await a_note(tx, mode, way, net=net)
    note = given_back.credit_note
    _, by_provider, by_transfer = WAYS[way]

    credited = TOTAL if net is None else 14_40
    to_invoice = min(credited, TOTAL - by_provider - by_transfer)
    paid = credited - to_invoice
    carried = min(paid, by_provider) if mode in (RefundMode.AUTOMATIC, RefundMode.DEFERRED) else 0
    to_balance = paid if mode is RefundMode.NONE else 0
    by_hand = paid - carried - to_balance
    assert parts(note) == (to_invoice, carried, by_hand, to_balance)
    assert note.total == euros(sum(parts(note)))
    assert note.refund_on == (DAY if mode is RefundMode.DEFERRED and carried else None)

    settlement, to = note.settlement, note.destination
    assert (settlement.applied, settlement.held) == (to.to_invoice, to.to_provider)
    assert (settlement.promised, settlement.left) == (to.by_hand, to.to_balance)
    assert total((refund.amount for refund in given_back.refunds), note.currency) == to.to_provider
    assert given_back.to_refund_by_hand == to.by_hand
    assert await credit_notes.get(tx, note.id) == note
    await assert_sound(tx)


async def test_what_an_earlier_note_sent_back_cannot_go_back_again(tx: Tx) -> None:
    invoice, _ = await a_note(tx, RefundMode.AUTOMATIC, "by both", net=10_00)  # 12.00 of the 14.80
    second = (await credit(tx, invoice, RefundMode.AUTOMATIC)).credit_note

    assert parts(second) == (0, 2_80, 20_00, 0)
    await assert_sound(tx)


@pytest.mark.parametrize("outcome", [OutcomeStatus.SUCCEEDED, OutcomeStatus.FAILED])
async def test_whatever_happens_to_its_money_the_page_stays_the_same(tx: Tx, outcome: OutcomeStatus) -> None:
    _, given_back = await a_note(tx, RefundMode.AUTOMATIC, "in part, by both")
    issued = given_back.credit_note
    assert parts(issued) == (10_00, 14_80, 10_00, 0)
    page, said = render.pdf(issued), refund_terms(issued)

    (refund,) = given_back.refunds
    await start_refund(tx, refund.id)
    await finish_refund(tx, refund.id, Outcome(status=outcome, reference="re_1"))
    await record_refund(tx, issued.id, NewManualRefund(means=OutsideMeans.TRANSFER, amount=euros(4_00)))

    later = await credit_notes.get(tx, issued.id)
    assert later.settlement != issued.settlement
    assert later.destination == issued.destination
    assert (render.pdf(later), refund_terms(later)) == (page, said)


async def test_a_later_payment_or_note_changes_nothing_on_the_page(tx: Tx) -> None:
    invoice, given_back = await a_note(tx, RefundMode.NONE, "in part, by transfer", net=12_00)
    issued = given_back.credit_note
    assert parts(issued) == (14_40, 0, 0, 0)
    page = render.pdf(issued)

    await a_payment(tx, invoice)
    await credit(tx, invoice, RefundMode.NONE)

    assert render.pdf(await credit_notes.get(tx, issued.id)) == page


@pytest.mark.parametrize(("mode", "way"), list(product(RefundMode, ["not", "in part, by both", "by both"])))
async def test_the_mail_says_what_the_page_says(tx: Tx, mode: RefundMode, way: str) -> None:
    _, given_back = await a_note(tx, mode, way)
    note = given_back.credit_note
    letter = await letters.credit_note_issued(tx, note.id)

    said = refund_terms(note)
    assert said
    assert letter is not None
    assert said in letter.body
    assert letter.attachments[0].content == render.pdf(note)
    (page,) = pages_of(letter.attachments[0].content)
    assert " ".join(said.split()) in page
