"""Money on no invoice: it has books of its own, is the customer's balance, and pays what it is put on."""

import pytest

from billing.credit_notes.model import NewCreditNote, Reason
from billing.gateways.model import Outcome
from billing.gateways.model import Status as OutcomeStatus
from billing.invoices import store as invoices
from billing.invoices.model import Invoice, Status
from billing.parties.model import Customer, RefundMode, VatDue
from billing.payments import store
from billing.payments.collect import finish_payment
from billing.payments.model import NewAllocation, NewMoney, OutsideMeans, Payment
from billing.payments.model import Status as PaymentStatus
from billing.payments.unallocated import apply_payment, record_money
from billing.settlement.balance import balance_of
from kernel.database import Pool, Tx, transaction
from kernel.errors import Conflict, Invalid
from kernel.ids import TenantId
from kernel.money import Currency, Money
from refunds.credit_invoice import credit_invoice
from refunds.dispute import close_dispute, open_dispute
from refunds.disputes.model import NewDispute, NewVerdict, Verdict
from refunds.model import NewManualRefund
from refunds.record_refund import record_refund
from tests.books import accounts_of, assert_sound
from tests.makers import NOON, a_line, euros
from tests.refunds.cases import an_intent
from tests.shop import a_payment, a_shop, an_issued_invoice, while_open


async def money(tx: Tx, minor: int = 100_00) -> Payment:
    new = NewMoney(means=OutsideMeans.TRANSFER, amount=euros(minor))
    return await record_money(tx, "user-42", new)


async def balance(tx: Tx) -> list[Money]:
    return (await balance_of(tx, "user-42")).amounts


async def invoiced(tx: Tx, customer: Customer, price: str = "50.00") -> Invoice:
    """50.00 and 10.00 VAT."""
    return await an_issued_invoice(tx, customer, [a_line(price=price)])


async def test_it_is_booked_and_is_the_customers_balance(tx: Tx) -> None:
    await a_shop(tx)
    payment = await money(tx)

    assert (payment.invoice_id, payment.status) == (None, PaymentStatus.SUCCEEDED)
    assert await balance(tx) == [euros(100_00)]
    assert await accounts_of(tx) == {"512": 100_00, "411": -100_00}
    assert await store.get(tx, payment.id) == payment
    await assert_sound(tx)


async def test_it_pays_invoices_until_nothing_is_left(tx: Tx) -> None:
    customer = await a_shop(tx)
    one, other = [await invoiced(tx, customer) for _ in range(2)]
    payment = await money(tx)

    first = await apply_payment(tx, payment.id, NewAllocation(invoice=one.id))
    assert first.left == euros(40_00)
    second = await apply_payment(tx, payment.id, NewAllocation(invoice=other.id))
    assert not second.left

    assert (await invoices.get(tx, one.id)).settlement.status is Status.SETTLED
    assert (await invoices.get(tx, other.id)).settlement.due == euros(20_00)
    assert await balance(tx) == [euros(0)] or not await balance(tx)
    await assert_sound(tx)
    with pytest.raises(Conflict, match="All of this money"):
        await apply_payment(tx, payment.id, NewAllocation(invoice=other.id))


@pytest.mark.parametrize("vat_due", VatDue)
async def test_vat_falls_due_when_an_invoice_is_paid_with_it(tx: Tx, vat_due: VatDue) -> None:
    customer = await a_shop(tx, vat_due=vat_due)
    invoice, payment = await invoiced(tx, customer), await money(tx)

    await apply_payment(tx, payment.id, NewAllocation(invoice=invoice.id, amount=euros(30_00)))
    await assert_sound(tx)
    collected = (await accounts_of(tx))["44571"]
    assert collected == (-5_00 if vat_due is VatDue.ON_PAYMENT else -10_00)


async def test_no_more_than_is_left_and_due(tx: Tx) -> None:
    customer = await a_shop(tx)
    invoice, payment = await invoiced(tx, customer), await money(tx, 10_00)

    for minor in (10_01, 60_01):
        with pytest.raises(Conflict, match=r"10\.00 EUR is left"):
            await apply_payment(tx, payment.id, NewAllocation(invoice=invoice.id, amount=euros(minor)))
    for minor in (0, -1):
        with pytest.raises(Invalid, match="more than zero"):
            await apply_payment(tx, payment.id, NewAllocation(invoice=invoice.id, amount=euros(minor)))
    dollars = Money(1_00, Currency("USD"))
    with pytest.raises(Invalid, match="in EUR"):
        await apply_payment(tx, payment.id, NewAllocation(invoice=invoice.id, amount=dollars))


async def test_only_money_on_no_invoice_is_matched(tx: Tx) -> None:
    customer = await a_shop(tx)
    paid, due = [await invoiced(tx, customer) for _ in range(2)]
    payment = await a_payment(tx, paid, 60_00)

    with pytest.raises(Conflict, match="came for an invoice"):
        await apply_payment(tx, payment.id, NewAllocation(invoice=due.id))
    with pytest.raises(Conflict, match="Nothing is due"):
        await apply_payment(tx, (await money(tx)).id, NewAllocation(invoice=paid.id))


async def test_nothing_and_less_is_no_money(tx: Tx) -> None:
    await a_shop(tx)
    for minor in (0, -1):
        with pytest.raises(Invalid, match="more than zero"):
            await money(tx, minor)


async def test_what_is_in_dispute_pays_nothing_until_that_is_over(tx: Tx) -> None:
    customer = await a_shop(tx)
    invoice, payment = await invoiced(tx, customer), await money(tx)
    dispute = await open_dispute(tx, payment.id, NewDispute(amount=euros(90_00)))

    assert await balance(tx) == [euros(10_00)]
    assert not (await apply_payment(tx, payment.id, NewAllocation(invoice=invoice.id))).left
    await close_dispute(tx, dispute.id, NewVerdict(outcome=Verdict.WON))
    assert await balance(tx) == [euros(90_00)]
    await assert_sound(tx)


async def test_what_it_paid_and_is_credited_goes_back_by_hand(tx: Tx) -> None:
    customer = await a_shop(tx)
    invoice, payment = await invoiced(tx, customer), await money(tx)
    await apply_payment(tx, payment.id, NewAllocation(invoice=invoice.id))

    request = NewCreditNote(reason=Reason.CANCELLATION, refund=RefundMode.AUTOMATIC)
    given = await credit_invoice(tx, invoice.id, request)

    assert (given.refunds, given.to_refund_by_hand) == ((), invoice.total)
    await record_refund(tx, given.credit_note.id, NewManualRefund(means=OutsideMeans.TRANSFER))
    assert await balance(tx) == [euros(40_00)]
    await assert_sound(tx)


async def test_two_that_use_the_same_money_take_turns(pool: Pool, tenant: TenantId) -> None:
    async with transaction(pool, tenant, now=NOON) as tx:
        customer = await a_shop(tx)
        one, other = [await invoiced(tx, customer) for _ in range(2)]
        payment = await money(tx, 60_00)

    with pytest.raises(Conflict, match="All of this money"):
        await while_open(
            pool,
            tenant,
            lambda tx: apply_payment(tx, payment.id, NewAllocation(invoice=one.id)),
            lambda tx: apply_payment(tx, payment.id, NewAllocation(invoice=other.id)),
        )


async def test_what_succeeds_after_all_when_its_invoice_is_settled_is_not_lost(tx: Tx) -> None:
    invoice = await invoiced(tx, await a_shop(tx, payment_method="pm_sandbox_ok"))
    intent = await an_intent(tx, invoice, None)
    declined = Outcome(status=OutcomeStatus.FAILED, reference="pi_1", failure_code="card_declined")
    await finish_payment(tx, intent, declined)
    await a_payment(tx, invoice, 60_00)

    for _ in range(2):  # the second time is boring
        await finish_payment(tx, intent, Outcome(status=OutcomeStatus.SUCCEEDED, reference="pi_1"))

    assert await balance(tx) == [euros(60_00)]
    assert (await store.get(tx, intent.id)).status is PaymentStatus.FAILED
    known = await store.of_gateway(tx, "sandbox", "pi_1")
    assert known is not None
    assert (await store.get(tx, known)).invoice_id is None
    await assert_sound(tx)
