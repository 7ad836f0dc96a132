"""Disputes: what is disputed does not go back another way, and what is lost is due again."""

from collections.abc import Awaitable, Callable
from datetime import date, timedelta
from itertools import product
from typing import TypeAlias

import pytest

from billing.credit_notes import store as credit_notes
from billing.credit_notes.model import CreditNote, NewCreditNote, NoteToApply, Reason
from billing.invoices.model import Invoice
from billing.invoices.model import Status as Settled
from billing.parties.model import RefundMode, VatDue
from billing.payments import store as payments
from billing.payments.model import Payment
from billing.settlement.dissociate import take_back
from billing.settlement.mark_used import mark_used
from billing.settlement.match import match_documents
from billing.settlement.model import InvoiceToSettle, NewDissociation, NewSettlements, NewUse
from kernel.database import Pool, Tx, transaction
from kernel.errors import DomainError
from kernel.ids import TenantId
from kernel.money import Currency, Money
from kernel.text import Name, Note
from refunds import store as refunds
from refunds.cancel_refund import cancel_refund, convert_refund
from refunds.credit_invoice import credit_invoice
from refunds.defer_refund import send_refund_now
from refunds.dispute import close_dispute, find_dispute, open_dispute
from refunds.disputes import store
from refunds.disputes.model import NEXT, Dispute, DisputeStatus, NewDispute, NewVerdict, Verdict
from refunds.model import GivenBack, NewRetry, Refund, RefundId, Status
from refunds.retry_refund import retry_refund
from refunds.send_refund import finish_refund, start_refund
from tests.books import accounts_of, assert_sound
from tests.makers import NOON, euros
from tests.refunds.cases import declined, gone, paid_by_provider, settlement_of
from tests.shop import a_payment, a_shop, an_issued_invoice, at, while_open

Verb: TypeAlias = Callable[[Tx, RefundId], Awaitable[Refund]]

ALL = 179_76
LATER = NOON + timedelta(days=30)


class Case:
    """An invoice of 179.76 that a provider was paid, and a dispute about it."""

    invoice: Invoice
    payment: Payment
    dispute: Dispute


async def a_case(
    tx: Tx, minor: int | None = None, *, paid: int = ALL, vat_due: VatDue = VatDue.ON_PAYMENT
) -> Case:
    case = Case()
    case.invoice = await an_issued_invoice(tx, await a_shop(tx, vat_due=vat_due))
    case.payment = await paid_by_provider(tx, case.invoice, paid)
    case.dispute = await dispute(tx, case.payment, minor)
    return case


async def dispute(tx: Tx, payment: Payment, minor: int | None = None, reference: str = "dp_1") -> Dispute:
    amount = None if minor is None else euros(minor)
    request = NewDispute(amount=amount, reason=Name("fraudulent"), reference=Name(reference))
    return await open_dispute(tx, payment.id, request)


async def end(tx: Tx, case: Case, outcome: Verdict) -> Dispute:
    closed = await close_dispute(tx, case.dispute.id, NewVerdict(outcome=outcome))
    await assert_sound(tx)
    return closed


async def credit(
    tx: Tx, invoice: Invoice, mode: RefundMode = RefundMode.AUTOMATIC, minor: int | None = None
) -> GivenBack:
    total = None if minor is None else euros(minor)
    request = NewCreditNote(reason=Reason.RETURN_OR_DISPUTE, refund=mode, total=total)
    given = await credit_invoice(tx, invoice.id, request)
    await assert_sound(tx)
    return given


async def again(tx: Tx, refund: Refund) -> Refund:
    return await refunds.get(tx, refund.id)


async def the_note(tx: Tx, given: GivenBack) -> CreditNote:
    return await credit_notes.get(tx, given.credit_note.id)


async def test_the_document_is_issued_and_its_refund_waits(tx: Tx) -> None:
    case = await a_case(tx)
    given = await credit(tx, case.invoice)

    (refund,) = given.refunds
    assert (refund.status, refund.blocked, refund.amount) == (Status.SCHEDULED, True, euros(ALL))
    assert (given.credit_note.settlement.held, given.to_refund_by_hand) == (euros(ALL), euros(0))
    found, _ = await start_refund(at(tx, LATER), refund.id)
    assert found.status is Status.SCHEDULED
    assert await tx.conn.fetchval("SELECT count(*) FROM jobs WHERE kind = 'send_refund'") == 0


@pytest.mark.parametrize("verb", [send_refund_now, cancel_refund])
async def test_what_waits_is_neither_sent_nor_made_balance_by_hand(tx: Tx, verb: Verb) -> None:
    case = await a_case(tx)
    given = await credit(tx, case.invoice)

    with pytest.raises(DomainError) as refused:
        await verb(tx, given.refunds[0].id)
    assert refused.value.code == "payment_disputed"


async def test_what_failed_before_the_dispute_does_not_become_balance_in_it(tx: Tx) -> None:
    invoice = await an_issued_invoice(tx, await a_shop(tx))
    payment = await paid_by_provider(tx, invoice)
    given = await credit(tx, invoice)
    await finish_refund(tx, given.refunds[0].id, declined())
    await dispute(tx, payment)

    with pytest.raises(DomainError) as refused:
        await convert_refund(tx, given.refunds[0].id)
    assert refused.value.code == "payment_disputed"


@pytest.mark.parametrize("mode", [RefundMode.MANUAL, RefundMode.NONE])
async def test_what_is_disputed_is_no_balance_and_does_not_go_back_by_hand(tx: Tx, mode: RefundMode) -> None:
    case = await a_case(tx)

    with pytest.raises(DomainError, match=r"179\.76 EUR of what paid F2026-000001 is disputed") as refused:
        await credit_invoice(
            tx, case.invoice.id, NewCreditNote(reason=Reason.CANCELLATION, refund=mode, total=euros(1_00))
        )
    assert refused.value.code == "payment_disputed"


async def test_only_the_part_that_is_disputed_waits(tx: Tx) -> None:
    case = await a_case(tx, 100_00)
    given = await credit(tx, case.invoice, minor=120_00)

    parts = [(each.amount.minor, each.status, each.blocked) for each in given.refunds]
    assert parts == [(79_76, Status.PENDING, False), (40_24, Status.SCHEDULED, True)]


async def test_what_was_paid_beside_what_is_disputed_may_be_balance(tx: Tx) -> None:
    case = await a_case(tx, paid=100_00)
    await a_payment(tx, case.invoice)
    await credit(tx, case.invoice, RefundMode.NONE, 79_76)

    with pytest.raises(DomainError) as refused:
        await credit_invoice(
            tx,
            case.invoice.id,
            NewCreditNote(reason=Reason.CANCELLATION, refund=RefundMode.NONE, total=euros(1)),
        )
    assert refused.value.code == "payment_disputed"


async def test_won_what_waited_is_sent(tx: Tx) -> None:
    case = await a_case(tx)
    (refund,) = (await credit(tx, case.invoice)).refunds
    closed = await end(tx, case, Verdict.WON)

    assert (closed.status, closed.closed_at) == (DisputeStatus.WON, tx.now)
    sent = await again(tx, refund)
    assert (sent.status, sent.blocked) == (Status.PENDING, False)
    await finish_refund(tx, refund.id, gone())
    assert await accounts_of(tx) == {}
    await assert_sound(tx)


async def test_won_a_deferred_refund_waits_for_its_day_again(tx: Tx) -> None:
    invoice = await an_issued_invoice(tx, await a_shop(tx))
    case = Case()
    case.payment = await paid_by_provider(tx, invoice)
    (refund,) = (await credit(tx, invoice, RefundMode.DEFERRED)).refunds
    case.dispute = await dispute(tx, case.payment)
    assert (await again(tx, refund)).blocked
    await assert_sound(tx)

    await end(tx, case, Verdict.WON)

    freed = await again(tx, refund)
    assert (freed.status, freed.blocked, freed.due_on) == (Status.SCHEDULED, False, date(2026, 1, 29))
    found, _ = await start_refund(at(tx, LATER), refund.id)
    assert found.status is Status.PENDING


async def test_won_in_part_only_what_the_payment_carries_is_sent(tx: Tx) -> None:
    """Two disputes of 100.00 and 79.76; the first is won."""
    case = await a_case(tx, 100_00)
    await dispute(tx, case.payment, 79_76, reference="dp_2")
    first, second = [(await credit(tx, case.invoice, minor=each)).refunds for each in (90_00, 89_76)]

    await end(tx, case, Verdict.WON)

    states = [(await again(tx, refund)).status for refund in (*first, *second)]
    assert states == [Status.PENDING, Status.SCHEDULED]


@pytest.mark.parametrize("vat_due", VatDue)
async def test_lost_the_money_has_gone_and_what_it_paid_is_due_again(tx: Tx, vat_due: VatDue) -> None:
    case = await a_case(tx, vat_due=vat_due)
    closed = await end(at(tx, LATER), case, Verdict.LOST)

    assert closed.status is DisputeStatus.LOST
    after = await settlement_of(tx, case.invoice)
    assert (after.status, after.paid, after.due) == (Settled.OPEN, euros(0), euros(ALL))
    payment = await payments.get(tx, case.payment.id)
    assert (payment.disputed, payment.charged_back) == (euros(ALL), euros(ALL))
    accounts = await accounts_of(tx)
    assert ("512" not in accounts, accounts["411"]) == (True, ALL)
    assert accounts["44571" if vat_due is VatDue.ON_INVOICE else "4458"] == -24_76


async def test_lost_in_part_the_rest_stays_paid(tx: Tx) -> None:
    case = await a_case(tx, 79_76)
    await end(tx, case, Verdict.LOST)

    after = await settlement_of(tx, case.invoice)
    assert (after.status, after.paid, after.due) == (Settled.PARTLY_SETTLED, euros(100_00), euros(79_76))
    (refund,) = (await credit(tx, case.invoice)).refunds
    assert (refund.amount, refund.blocked) == (euros(100_00), False)


async def test_lost_what_waited_is_called_off_and_the_note_pays_its_own_invoice(tx: Tx) -> None:
    case = await a_case(tx)
    given = await credit(tx, case.invoice)
    await end(tx, case, Verdict.LOST)

    assert (await again(tx, given.refunds[0])).status is Status.CANCELLED
    note = (await the_note(tx, given)).settlement
    assert (note.held, note.applied, note.left) == (euros(0), euros(ALL), euros(0))
    after = await settlement_of(tx, case.invoice)
    assert (after.status, after.paid, after.offset) == (Settled.SETTLED, euros(0), euros(ALL))
    assert await accounts_of(tx) == {}


async def test_a_note_after_a_lost_dispute_takes_off_what_is_due(tx: Tx) -> None:
    case = await a_case(tx)
    await end(tx, case, Verdict.LOST)
    given = await credit(tx, case.invoice, minor=100_00)

    assert (given.refunds, given.credit_note.destination.to_invoice) == ((), euros(100_00))
    assert (await settlement_of(tx, case.invoice)).due == euros(79_76)


@pytest.mark.parametrize("mode", [RefundMode.NONE, RefundMode.MANUAL])
async def test_what_an_older_note_leaves_or_promised_was_not_paid_after_all(tx: Tx, mode: RefundMode) -> None:
    """Never a balance against money that was not paid."""
    invoice = await an_issued_invoice(tx, await a_shop(tx))
    case = Case()
    case.payment = await paid_by_provider(tx, invoice)
    given = await credit(tx, invoice, mode, 100_00)
    case.dispute = await dispute(tx, case.payment)

    await end(tx, case, Verdict.LOST)

    note = (await the_note(tx, given)).settlement
    assert (note.promised, note.left, note.applied) == (euros(0), euros(0), euros(100_00))
    assert (await settlement_of(tx, invoice)).due == euros(79_76)


async def test_who_was_refunded_and_charged_back_owes_it(tx: Tx) -> None:
    invoice = await an_issued_invoice(tx, await a_shop(tx))
    case = Case()
    case.payment = await paid_by_provider(tx, invoice)
    (refund,) = (await credit(tx, invoice)).refunds
    await finish_refund(tx, refund.id, gone())
    case.dispute = await dispute(tx, case.payment)

    await end(tx, case, Verdict.LOST)

    assert (await settlement_of(tx, invoice)).due == euros(ALL)
    assert await accounts_of(tx) == {"411": ALL, "512": -ALL}


async def test_a_refund_that_failed_is_not_tried_over_what_was_lost(tx: Tx) -> None:
    invoice = await an_issued_invoice(tx, await a_shop(tx))
    case = Case()
    case.payment = await paid_by_provider(tx, invoice)
    given = await credit(tx, invoice, RefundMode.AUTOMATIC, 100_00)
    await finish_refund(tx, given.refunds[0].id, declined())
    case.dispute = await dispute(tx, case.payment)
    await end(tx, case, Verdict.LOST)

    with pytest.raises(DomainError) as refused:
        await retry_refund(tx, given.refunds[0].id, NewRetry())
    assert refused.value.code == "payments_cannot_carry"


async def test_told_again_it_is_the_same_dispute(tx: Tx) -> None:
    case = await a_case(tx)

    assert await dispute(tx, case.payment) == case.dispute
    assert await find_dispute(tx, "dp_1") == case.dispute == await store.get(tx, case.dispute.id)
    assert await find_dispute(tx, "dp_2") is None
    for _ in range(2):
        await end(tx, case, Verdict.LOST)
    assert (await settlement_of(tx, case.invoice)).due == euros(ALL)


@pytest.mark.parametrize(
    ("amount", "code"),
    [
        (euros(ALL + 1), "dispute_exceeds_payment"),
        (euros(0), "dispute_not_positive"),
        (Money(1, Currency("USD")), "currency_mismatch"),
    ],
)
async def test_no_more_is_disputed_than_was_paid(tx: Tx, amount: Money, code: str) -> None:
    invoice = await an_issued_invoice(tx, await a_shop(tx))
    payment = await paid_by_provider(tx, invoice)

    with pytest.raises(DomainError) as refused:
        await open_dispute(tx, payment.id, NewDispute(amount=amount))
    assert refused.value.code == code


@pytest.mark.parametrize(("before", "after"), list(product(Verdict, Verdict)))
async def test_what_is_closed_stays_closed(tx: Tx, before: Verdict, after: Verdict) -> None:
    case = await a_case(tx)
    await end(tx, case, before)

    if before is after:
        await end(tx, case, after)
    else:
        with pytest.raises(DomainError) as refused:
            await end(tx, case, after)
        assert refused.value.code == "dispute_state"
    assert NEXT[DisputeStatus(before)] == frozenset()


@pytest.mark.parametrize("way", ["dissociated", "credited"])
async def test_what_comes_back_after_a_loss_is_taken_off_the_invoice_that_is_due_again(
    tx: Tx, way: str
) -> None:
    shop = await a_shop(tx)
    invoice, other = [await an_issued_invoice(tx, shop) for _ in range(2)]
    payment = await paid_by_provider(tx, invoice)
    given = await credit(tx, invoice, RefundMode.NONE)
    (edge,) = (await match_documents(tx, matching(given, other))).settlements
    case = Case()
    case.dispute = await dispute(tx, payment, 100_00)
    await end(tx, case, Verdict.LOST)

    if way == "dissociated":
        await take_back(tx, edge.id, NewDissociation())
    else:
        await credit(tx, other, RefundMode.NONE)
    await assert_sound(tx)

    assert (await settlement_of(tx, invoice)).due == euros(0)
    assert (await the_note(tx, given)).settlement.left == euros(ALL - 100_00)


@pytest.mark.parametrize("decide", [cancel_refund, convert_refund])
async def test_what_failed_after_a_loss_is_taken_off_the_invoice_and_no_balance(
    tx: Tx, decide: Callable[[Tx, RefundId], Awaitable[Refund]]
) -> None:
    invoice = await an_issued_invoice(tx, await a_shop(tx))
    payment = await paid_by_provider(tx, invoice)
    given = await credit(tx, invoice)
    await finish_refund(tx, given.refunds[0].id, gone())
    case = Case()
    case.dispute = await dispute(tx, payment)
    await end(tx, case, Verdict.LOST)
    await finish_refund(tx, given.refunds[0].id, declined())

    await decide(tx, given.refunds[0].id)
    await assert_sound(tx)

    assert (await settlement_of(tx, invoice)).due == euros(0)
    assert (await the_note(tx, given)).settlement.left == euros(0)


async def test_what_was_left_before_a_dispute_pays_nothing_while_it_is_open(tx: Tx) -> None:
    shop = await a_shop(tx)
    invoice = await an_issued_invoice(tx, shop)
    payment = await paid_by_provider(tx, invoice)
    given = await credit(tx, invoice, RefundMode.NONE)
    case = Case()
    case.dispute = await dispute(tx, payment, 1_00)

    other = await an_issued_invoice(tx, shop)
    assert (await settlement_of(tx, other)).offset == euros(0), "nor by itself"
    with pytest.raises(DomainError) as refused:
        await match_documents(tx, matching(given, other))
    assert refused.value.code == "payment_disputed"
    with pytest.raises(DomainError) as refused:
        await mark_used(tx, given.credit_note.id, NewUse(reason=Note("Elsewhere")))
    assert refused.value.code == "payment_disputed"

    await end(tx, case, Verdict.WON)
    await match_documents(tx, matching(given, other))
    await assert_sound(tx)


def matching(given: GivenBack, other: Invoice) -> NewSettlements:
    return NewSettlements(
        credit_notes=[NoteToApply(credit_note=given.credit_note.id)],
        invoices=[InvoiceToSettle(invoice=other.id)],
    )


async def test_a_dispute_and_a_refund_of_the_same_money_take_turns(pool: Pool, tenant: TenantId) -> None:
    async with transaction(pool, tenant, now=NOON) as tx:
        invoice = await an_issued_invoice(tx, await a_shop(tx))
        payment = await paid_by_provider(tx, invoice)

    given = await while_open(
        pool, tenant, lambda tx: dispute(tx, payment), lambda tx: credit_invoice(tx, invoice.id, WHOLE)
    )

    assert [refund.blocked for refund in given.refunds] == [True]
    async with transaction(pool, tenant, now=NOON) as tx:
        await assert_sound(tx)


WHOLE = NewCreditNote(reason=Reason.CANCELLATION, refund=RefundMode.AUTOMATIC)
