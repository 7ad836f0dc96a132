"""What goes wrong with an invoice, told from beginning to end: to the cent, and nothing is left over."""

from datetime import timedelta

import pytest

from billing.credit_notes import store as credit_notes
from billing.credit_notes.model import NewCreditLine, NewCreditNote, Reason
from billing.invoices.model import Invoice, Status
from billing.parties import store as parties
from billing.parties.model import RefundMode, VatDue
from billing.payments.collect import finish_payment
from billing.settlement.balance import balance_of
from kernel.database import Pool, Tx, transaction
from kernel.errors import DomainError
from kernel.ids import TenantId
from refunds.cancel_refund import convert_refund
from refunds.credit_invoice import credit_invoice
from refunds.dispute import close_dispute, open_dispute
from refunds.disputes.model import NewDispute, NewVerdict, Verdict
from refunds.model import GivenBack, NewNoteRefund, NewRetry
from refunds.refund_note import refund_note
from refunds.retry_refund import retry_refund
from refunds.send_refund import finish_refund
from tests.books import accounts_of, assert_sound
from tests.makers import NOON, a_line, euros
from tests.refunds.cases import an_intent, declined, gone, paid_by_provider, settlement_of
from tests.shop import a_payment, a_shop, an_issued_invoice, at, while_open

ALL = 179_76


async def an_invoice(tx: Tx, *, vat_due: VatDue = VatDue.ON_PAYMENT) -> Invoice:
    """Of 179.76, with 22.39 VAT at 20 % and 2.37 at 5.5 %."""
    return await an_issued_invoice(tx, await a_shop(tx, vat_due=vat_due))


async def credit(
    tx: Tx, invoice: Invoice, minor: int | None = None, *, mode: RefundMode = RefundMode.AUTOMATIC
) -> GivenBack:
    total = None if minor is None else euros(minor)
    request = NewCreditNote(reason=Reason.RETURN_OR_DISPUTE, refund=mode, total=total)
    given = await credit_invoice(tx, invoice.id, request)
    await assert_sound(tx)
    return given


async def carried_out(tx: Tx, given: GivenBack) -> None:
    for refund in given.refunds:
        await finish_refund(tx, refund.id, gone(f"re_{refund.id}"))
    await assert_sound(tx)


async def balance(tx: Tx) -> int:
    return sum(amount.minor for amount in (await balance_of(tx, "user-42")).amounts)


@pytest.mark.parametrize("vat_due", VatDue)
async def test_partly_paid_then_credited_in_two_steps(tx: Tx, vat_due: VatDue) -> None:
    """100.00 of it is paid. The first 79.76 credited were never paid, the next 50.00 were, and the rest."""
    invoice = await an_invoice(tx, vat_due=vat_due)
    await paid_by_provider(tx, invoice, 100_00)

    first = await credit(tx, invoice, 79_76)
    assert (first.refunds, first.credit_note.destination.to_invoice) == ((), euros(79_76))
    assert (await settlement_of(tx, invoice)).status is Status.SETTLED
    second = await credit(tx, invoice, 50_00)
    assert [refund.amount.minor for refund in second.refunds] == [50_00]
    third = await credit(tx, invoice)
    assert [refund.amount.minor for refund in third.refunds] == [50_00]

    for given in (second, third):
        await carried_out(tx, given)
    assert await accounts_of(tx) == {}


async def test_a_payment_in_flight_holds_the_credit_until_it_is_decided(tx: Tx) -> None:
    invoice = await an_invoice(tx)
    intent = await an_intent(tx, invoice, 100_00)

    with pytest.raises(
        DomainError, match=r"A payment of 100\.00 EUR on F2026-000001 is under way"
    ) as refused:
        await credit(tx, invoice)
    assert refused.value.code == "payment_in_flight"
    assert (await settlement_of(tx, invoice)).credited == euros(0)

    await finish_payment(tx, intent, gone("ch_1"))
    given = await credit(tx, invoice)
    assert given.credit_note.destination.to_invoice == euros(79_76)
    await carried_out(tx, given)
    assert await accounts_of(tx) == {}


async def test_paid_twice_over_it_goes_back_over_the_newest_payment_first(tx: Tx) -> None:
    """By card 60.00, by transfer 19.76, by card 100.00: a credit of 120.00, then of the rest."""
    invoice = await an_invoice(tx)
    older = await paid_by_provider(tx, invoice, 60_00)
    await a_payment(at(tx, NOON + timedelta(hours=1)), invoice, 19_76)
    newer = await paid_by_provider(tx, invoice, now=NOON + timedelta(hours=2))

    first = await credit(tx, invoice, 120_00)
    second = await credit(tx, invoice)

    parts = [(each.payment_id, each.amount.minor) for each in (*first.refunds, *second.refunds)]
    assert parts == [(newer.id, 100_00), (older.id, 20_00), (older.id, 40_00)]
    assert (first.to_refund_by_hand, second.to_refund_by_hand) == (euros(0), euros(19_76))
    for given in (first, second):
        await carried_out(tx, given)
    assert await accounts_of(tx) == {"411": -19_76, "512": 19_76}


async def test_a_refund_that_failed_after_it_succeeded_is_tried_again_and_then_kept(tx: Tx) -> None:
    """The account was closed: the second try fails too, and the customer takes it as balance."""
    invoice = await an_invoice(tx)
    await paid_by_provider(tx, invoice)
    given = await credit(tx, invoice)
    await carried_out(tx, given)
    assert (await accounts_of(tx), await balance(tx)) == ({}, 0)

    later = at(tx, NOON + timedelta(days=12))
    await finish_refund(later, given.refunds[0].id, declined())
    assert (await accounts_of(tx), await balance(tx)) == ({"411": -ALL, "512": ALL}, 0)
    (again,) = (await retry_refund(later, given.refunds[0].id, NewRetry())).refunds
    await finish_refund(later, again.id, declined())
    await convert_refund(later, again.id)
    await assert_sound(tx)
    assert await balance(tx) == ALL

    # It pays the next invoice, by itself.
    customer = await parties.customer(tx, "user-42")
    following = await an_issued_invoice(later, customer, [a_line(price="149.80")])
    assert (await settlement_of(tx, following)).status is Status.SETTLED
    await assert_sound(tx)


async def test_two_refunds_of_60_percent_in_parallel_are_one_and_a_refusal(
    pool: Pool, tenant: TenantId
) -> None:
    """107.86 of 179.76, twice at once: the provider would have accepted 100 %, and we hold at 60."""
    async with transaction(pool, tenant, now=NOON) as tx:
        invoice = await an_invoice(tx)
        await paid_by_provider(tx, invoice)

    with pytest.raises(DomainError) as refused:
        await while_open(
            pool,
            tenant,
            lambda tx: credit(tx, invoice, 107_86),
            lambda tx: credit(tx, invoice, 107_86),
        )

    assert refused.value.code == "credit_exceeds_invoice"
    async with transaction(pool, tenant, now=NOON) as tx:
        assert (await settlement_of(tx, invoice)).credited == euros(107_86)
        await assert_sound(tx)


async def test_a_note_after_a_lost_dispute_takes_off_what_is_due_and_gives_nothing_back(tx: Tx) -> None:
    invoice = await an_invoice(tx)
    payment = await paid_by_provider(tx, invoice)
    dispute = await open_dispute(tx, payment.id, NewDispute())
    later = at(tx, NOON + timedelta(days=60))
    await close_dispute(later, dispute.id, NewVerdict(outcome=Verdict.LOST))
    await assert_sound(tx)

    given = await credit(later, invoice)

    assert (given.refunds, given.to_refund_by_hand, await balance(tx)) == ((), euros(0), 0)
    after = await settlement_of(tx, invoice)
    assert (after.status, after.paid, after.offset) == (Status.SETTLED, euros(0), euros(ALL))
    assert await accounts_of(tx) == {}


async def test_a_credit_of_zero_is_refused_and_takes_no_number(tx: Tx) -> None:
    invoice = await an_invoice(tx)
    by_line = [NewCreditLine(line=invoice.lines[0].id, amount=euros(0))]
    for request, code in (
        (NewCreditNote(reason=Reason.BILLING_ERROR, total=euros(0)), "credit_not_positive"),
        (NewCreditNote(reason=Reason.BILLING_ERROR, lines=by_line), "nothing_to_credit"),
    ):
        with pytest.raises(DomainError) as refused:
            await credit_invoice(tx, invoice.id, request)
        assert refused.value.code == code

    free = await an_issued_invoice(tx, await parties.customer(tx, "user-42"), [a_line(price="0")])
    with pytest.raises(DomainError) as refused:
        await credit_invoice(tx, free.id, NewCreditNote(reason=Reason.BILLING_ERROR))
    assert refused.value.code == "nothing_to_credit"
    given = await credit(tx, invoice)
    assert given.credit_note.number == "A2026-000001"


async def test_paid_by_an_older_note_and_credited_again_it_is_balance_and_never_cash(tx: Tx) -> None:
    """The first was paid by card and credited; its note pays half of the next, the card the other half. That
    is credited as a whole: the card gets back its half, the older note its own, and only by that is the rest
    given back: over the payment of the first."""
    first = await an_invoice(tx)
    await paid_by_provider(tx, first)
    kept = (await credit(tx, first, 89_88, mode=RefundMode.NONE)).credit_note
    customer = await parties.customer(tx, "user-42")
    second = await an_issued_invoice(tx, customer)
    assert (await credit_notes.get(tx, kept.id)).settlement.applied == euros(89_88)
    await paid_by_provider(tx, second)
    await assert_sound(tx)
    assert await balance(tx) == 0

    given = await credit(tx, second)

    assert given.credit_note.destination.to_invoice == euros(89_88)
    assert [refund.amount.minor for refund in given.refunds] == [89_88]
    assert await balance(tx) == 89_88
    await carried_out(tx, given)
    back = await refund_note(tx, kept.id, NewNoteRefund(mode=RefundMode.AUTOMATIC))
    await carried_out(tx, back)
    assert await balance(tx) == 0
    assert "411" not in await accounts_of(tx)
