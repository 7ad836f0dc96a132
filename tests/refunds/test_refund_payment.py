"""Money that is on no invoice goes back without a credit note, and is balance no longer from then on."""

from datetime import timedelta

import pytest

from billing.gateways.model import Charge
from billing.gateways.model import Status as OutcomeStatus
from billing.parties import store as parties
from billing.payments import store as payments
from billing.payments.model import Means, NewAllocation, NewMoney, OutsideMeans, Payment
from billing.payments.unallocated import apply_payment, keep_from_provider, record_money
from billing.settlement.balance import balance_of
from kernel.database import Pool, Tx, transaction
from kernel.errors import DomainError
from kernel.ids import TenantId
from kernel.money import Currency, Money
from refunds import store
from refunds.cancel_refund import cancel_refund, convert_refund
from refunds.dispute import close_dispute, open_dispute
from refunds.disputes.model import NewDispute, NewVerdict, Verdict
from refunds.made_elsewhere import refund_made_elsewhere
from refunds.model import NewExternalRefund, NewPaymentRefund, NewRetry, Refund, Status
from refunds.record_external import record_external
from refunds.refund_payment import refund_payment
from refunds.retry_refund import retry_refund
from refunds.send_refund import finish_refund, start_refund
from tests.books import accounts_of, assert_sound
from tests.makers import NOON, a_line, euros
from tests.refunds.cases import declined, gone, made
from tests.shop import a_shop, an_issued_invoice, at, while_open


async def by_transfer(tx: Tx) -> Payment:
    await a_shop(tx)
    return await record_money(tx, "user-42", NewMoney(means=OutsideMeans.TRANSFER, amount=euros(100_00)))


async def by_provider(tx: Tx) -> Payment:
    customer = await a_shop(tx)
    charge = Charge(
        reference="ch_9",
        our_id=None,
        customer=None,
        payment_method=None,
        amount=euros(100_00),
        refunded=euros(0),
        status=OutcomeStatus.SUCCEEDED,
        failure_code=None,
        created_at=NOON,
    )
    return await keep_from_provider(tx, customer, charge, gateway="sandbox")


async def give(tx: Tx, payment: Payment, request: NewPaymentRefund | None = None) -> Refund:
    refund = await refund_payment(tx, payment.id, request or NewPaymentRefund())
    assert refund == await store.get(tx, refund.id)
    await assert_sound(tx)
    return refund


async def balance(tx: Tx) -> int:
    return sum(amount.minor for amount in (await balance_of(tx, "user-42")).amounts)


async def test_it_goes_back_through_the_provider(tx: Tx) -> None:
    payment = await by_provider(tx)
    refund = await give(tx, payment, NewPaymentRefund(amount=euros(60_00)))
    assert (refund.status, refund.credit_note_id, refund.of_rest) == (Status.PENDING, None, True)
    assert await balance(tx) == 40_00

    await finish_refund(tx, refund.id, gone())
    assert await accounts_of(tx) == {"411": -40_00, "512": 40_00}
    await assert_sound(tx)


async def test_what_came_past_us_goes_back_past_us(tx: Tx) -> None:
    payment = await by_transfer(tx)
    with pytest.raises(DomainError) as refused:
        await refund_payment(tx, payment.id, NewPaymentRefund())
    assert refused.value.code == "payments_cannot_carry"

    refund = await give(tx, payment, NewPaymentRefund(means=OutsideMeans.TRANSFER))
    assert (refund.status, refund.means, refund.succeeded_on) == (
        Status.SUCCEEDED,
        Means.TRANSFER,
        NOON.date(),
    )
    assert (await balance(tx), await accounts_of(tx)) == (0, {})


async def test_it_goes_back_on_a_day(tx: Tx) -> None:
    payment = await by_provider(tx)
    day = NOON.date() + timedelta(days=5)
    refund = await give(tx, payment, NewPaymentRefund(refund_on=day))

    for days, status in ((4, Status.SCHEDULED), (5, Status.PENDING)):
        found, _ = await start_refund(at(tx, NOON + timedelta(days=days)), refund.id)
        assert found.status is status


@pytest.mark.parametrize("choice", ["retry", "convert", "cancel", "external"])
async def test_one_that_failed_leaves_every_choice(tx: Tx, choice: str) -> None:
    payment = await by_provider(tx)
    refund = await give(tx, payment)
    await finish_refund(tx, refund.id, gone())
    await finish_refund(tx, refund.id, declined())
    await assert_sound(tx)
    assert await balance(tx) == 0

    match choice:
        case "retry":
            (again,) = (await retry_refund(tx, refund.id, NewRetry())).refunds
            await assert_sound(tx)
            await finish_refund(tx, again.id, gone())
            left = 0
        case "convert":
            await convert_refund(tx, refund.id)
            left = 100_00
        case "cancel":
            await cancel_refund(tx, refund.id)
            left = 100_00
        case _:
            await record_external(tx, refund.id, NewExternalRefund(means=OutsideMeans.CASH))
            left = 0
    assert await balance(tx) == left
    await assert_sound(tx)


async def test_what_pays_an_invoice_is_not_given_back_so(tx: Tx) -> None:
    payment = await by_provider(tx)
    found = await payments.get(tx, payment.id)
    invoice = await an_issued_invoice(tx, await parties.customer(tx, "user-42"), [a_line(price="50.00")])
    await apply_payment(tx, found.id, NewAllocation(invoice=invoice.id))

    with pytest.raises(DomainError) as refused:
        await refund_payment(tx, payment.id, NewPaymentRefund(amount=euros(40_01)))
    assert refused.value.code == "refund_exceeds_rest"
    assert (await give(tx, payment)).amount == euros(40_00)


@pytest.mark.parametrize(
    ("amount", "code"),
    [
        (euros(100_01), "refund_exceeds_rest"),
        (euros(0), "refund_not_positive"),
        (Money(1, Currency("USD")), "currency_mismatch"),
    ],
)
async def test_no_more_goes_back_than_came(tx: Tx, amount: Money, code: str) -> None:
    payment = await by_provider(tx)

    with pytest.raises(DomainError) as refused:
        await refund_payment(tx, payment.id, NewPaymentRefund(amount=amount))
    assert refused.value.code == code


async def test_made_at_the_provider_it_is_of_what_is_on_no_invoice(tx: Tx) -> None:
    payment = await by_provider(tx)
    refund = await refund_made_elsewhere(tx, payment, made(payment, 30_00))

    assert (refund.of_rest, await balance(tx)) == (True, 70_00)
    await assert_sound(tx)


async def test_what_is_disputed_waits(tx: Tx) -> None:
    payment = await by_provider(tx)
    refund = await give(tx, payment, NewPaymentRefund(refund_on=NOON.date() + timedelta(days=5)))
    dispute = await open_dispute(tx, payment.id, NewDispute())
    assert (await store.get(tx, refund.id)).blocked

    await close_dispute(tx, dispute.id, NewVerdict(outcome=Verdict.LOST))

    assert (await store.get(tx, refund.id)).status is Status.CANCELLED
    assert (await balance(tx), await accounts_of(tx)) == (0, {})
    await assert_sound(tx)


async def test_who_was_refunded_and_charged_back_owes_it(tx: Tx) -> None:
    payment = await by_provider(tx)
    await finish_refund(tx, (await give(tx, payment)).id, gone())
    dispute = await open_dispute(tx, payment.id, NewDispute())
    await close_dispute(tx, dispute.id, NewVerdict(outcome=Verdict.LOST))

    assert await accounts_of(tx) == {"411": 100_00, "512": -100_00}


async def test_two_refunds_of_60_percent_take_turns(pool: Pool, tenant: TenantId) -> None:
    async with transaction(pool, tenant, now=NOON) as tx:
        payment = await by_provider(tx)
    sixty = NewPaymentRefund(amount=euros(60_00))

    with pytest.raises(DomainError) as refused:
        await while_open(
            pool,
            tenant,
            lambda tx: refund_payment(tx, payment.id, sixty),
            lambda tx: refund_payment(tx, payment.id, sixty),
        )
    assert refused.value.code == "refund_exceeds_rest"


@pytest.mark.parametrize("means", [None, OutsideMeans.CASH])
async def test_what_a_dispute_takes_meanwhile_is_not_given_back(
    pool: Pool, tenant: TenantId, means: OutsideMeans | None
) -> None:
    async with transaction(pool, tenant, now=NOON) as tx:
        payment = await by_provider(tx)

    async def refused(tx: Tx) -> str:
        with pytest.raises(DomainError) as refusal:
            await refund_payment(tx, payment.id, NewPaymentRefund(means=means))
        return refusal.value.code

    opening = NewDispute()
    code = await while_open(pool, tenant, lambda tx: open_dispute(tx, payment.id, opening), refused)
    assert code == "payment_disputed"


async def test_what_a_dispute_takes_meanwhile_pays_no_invoice(pool: Pool, tenant: TenantId) -> None:
    async with transaction(pool, tenant, now=NOON) as tx:
        payment = await by_provider(tx)
        invoice = await an_issued_invoice(tx, await parties.customer(tx, "user-42"))

    async def refused(tx: Tx) -> str:
        with pytest.raises(DomainError) as refusal:
            await apply_payment(tx, payment.id, NewAllocation(invoice=invoice.id))
        return refusal.value.code

    opening = NewDispute()
    code = await while_open(pool, tenant, lambda tx: open_dispute(tx, payment.id, opening), refused)
    assert code == "nothing_left"
