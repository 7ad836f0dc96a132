"""Whatever a customer changes, pays and takes back: once all is credited and given back, nothing is left."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import TypeAlias

from hypothesis import given, settings
from hypothesis import strategies as st

from billing.credit_notes import store as credit_notes
from billing.credit_notes.model import Reason
from billing.gateways.model import Outcome
from billing.gateways.model import Status as OutcomeStatus
from billing.invoices import store as invoices
from billing.invoices.model import CorrectedLine, Invoice, Status
from billing.parties.change_settings import change_settings
from billing.parties.model import Proration, RefundMode, SettingsChange, VatDue
from billing.payments.model import OutsideMeans
from billing.settlement.balance import balance_of
from billing.tax.model import TaxBehavior
from kernel.database import Pool, Tx
from kernel.decimals import Quantity, UnitPrice
from kernel.errors import Conflict
from kernel.paging import Window
from kernel.periods import Interval, Unit
from promotions.create_offer import create_offer
from promotions.model import NewOffer, Periods
from refunds.change_subscription import change_subscription
from refunds.fix_invoice import fix_invoice
from refunds.model import ChangeWhen, NewChange, NewFix, NewManualRefund, Refund
from refunds.record_refund import record_refund
from refunds.send_refund import finish_refund, start_refund
from subscriptions.model import PriceModel, Signup
from subscriptions.sign_up import sign_up
from tests.books import accounts_of, assert_sound
from tests.makers import NOON, euros
from tests.promotions.offers import a_new_offer, fixed, percent
from tests.refunds.cases import paid_by_provider
from tests.shop import a_credit, a_payment, a_shop, a_transaction, at, by_amount
from tests.subscriptions.plans import a_plan, a_price, a_signup

Act: TypeAlias = "Callable[[Tx, Signup, st.DataObject], Awaitable[None]]"

PLANS = ["pro", "seats", "yearly"]
OFFERS = [None, a_new_offer(percent("33"), duration=Periods(count=2)), a_new_offer(fixed(7_00))]


async def change(tx: Tx, signup: Signup, data: st.DataObject) -> None:
    plan = data.draw(st.sampled_from(PLANS))
    seats = data.draw(st.integers(1, 9)) if plan == "seats" else 1
    request = NewChange(
        plan=plan,
        quantity=Quantity(seats),
        proration=data.draw(st.sampled_from([None, *Proration])),
        refund=data.draw(st.sampled_from([None, None, *RefundMode])),
    )
    await _change(tx, signup, request)


async def change_later(tx: Tx, signup: Signup, data: st.DataObject) -> None:
    plan = data.draw(st.sampled_from(PLANS))
    await _change(tx, signup, NewChange(plan=plan, when=ChangeWhen.PERIOD_END))


async def _change(tx: Tx, signup: Signup, request: NewChange) -> None:
    try:
        changed = await change_subscription(tx, signup.subscription.id, request)
    except Conflict as refusal:
        assert refusal.code == "nothing_to_change"  # noqa: PT017
        return
    for refund in changed.refunds:
        await carry_out(tx, refund)


async def carry_out(tx: Tx, refund: Refund) -> None:
    tx = at(tx, max(tx.now, datetime.combine(refund.due_on, tx.now.timetz())))
    await start_refund(tx, refund.id)
    await finish_refund(tx, refund.id, Outcome(status=OutcomeStatus.SUCCEEDED, reference=str(refund.id)))


async def pay_a_part(tx: Tx, signup: Signup, data: st.DataObject) -> None:
    for invoice in await issued(tx, signup):
        if invoice.settlement.due:
            minor = data.draw(st.integers(1, invoice.settlement.due.minor))
            if data.draw(st.booleans()):
                await a_payment(tx, invoice, minor)
            else:
                await paid_by_provider(tx, invoice, minor)
            return


async def pay_everything(tx: Tx, signup: Signup, data: st.DataObject) -> None:
    for invoice in await issued(tx, signup):
        if invoice.settlement.due:
            await paid_by_provider(tx, invoice)


async def credit_a_part(tx: Tx, signup: Signup, data: st.DataObject) -> None:
    invoice = data.draw(st.sampled_from(await issued(tx, signup)))
    earlier = await credit_notes.credited_lines(tx, invoice.id)
    line = invoice.lines[0]
    left = line.billed - earlier[line.id].amount if line.id in earlier else line.billed
    if left:
        await a_credit(tx, invoice, by_amount(line, data.draw(st.integers(1, left.minor))))


async def fix_one(tx: Tx, signup: Signup, data: st.DataObject) -> None:
    invoice = data.draw(st.sampled_from(await issued(tx, signup)))
    again = CorrectedLine(
        line=invoice.lines[0].id, unit_price=data.draw(st.sampled_from([None, UnitPrice("17.33")]))
    )
    mode = data.draw(st.sampled_from(RefundMode))
    try:
        fixed = await fix_invoice(
            tx, invoice.id, NewFix(reason=Reason.BILLING_ERROR, lines=[again], refund=mode)
        )
    except Conflict as refusal:
        assert refusal.code == "nothing_to_credit"  # noqa: PT017
        return
    for refund in fixed.refunds:
        await carry_out(tx, refund)


async def issued(tx: Tx, signup: Signup) -> list[Invoice]:
    page = await invoices.page(tx, Window(limit=100), customer_id=signup.customer.id)
    return list(page.data)


async def a_new_subscription(tx: Tx, offer: NewOffer | None, vat_due: VatDue, prices: TaxBehavior) -> Signup:
    await a_shop(tx, vat_due=vat_due)
    await change_settings(tx, SettingsChange(tax_behavior=prices))
    await a_plan(tx, "pro", a_price("29.99"))
    await a_plan(tx, "seats", a_price("9.97", model=PriceModel.PER_UNIT))
    await a_plan(tx, "yearly", a_price("289.95"), interval=Interval(Unit.YEAR))
    if offer:
        await create_offer(tx, offer)
    return await sign_up(tx, a_signup(offer=offer.reference if offer else None))


@settings(max_examples=12)
@given(
    offer=st.sampled_from(OFFERS),
    vat_due=st.sampled_from(VatDue),
    prices=st.sampled_from(TaxBehavior),
    data=st.data(),
)
async def test_a_history_that_is_credited_whole_leaves_every_balance_at_zero(
    pool: Pool, offer: NewOffer | None, vat_due: VatDue, prices: TaxBehavior, data: st.DataObject
) -> None:
    acts: st.SearchStrategy[Act] = st.sampled_from(
        [change, change, change_later, pay_a_part, pay_everything, credit_a_part, fix_one, fix_one]
    )
    async with a_transaction(pool) as tx:
        signup = await a_new_subscription(tx, offer, vat_due, prices)
        now = NOON
        for act in data.draw(st.lists(acts, min_size=2, max_size=7)):
            now += data.draw(st.timedeltas(timedelta(0), timedelta(days=20)))
            await act(at(tx, now), signup, data)
            await assert_sound(tx)

        await undo_it_all(at(tx, now), signup)

        await assert_sound(tx)
        assert await accounts_of(tx) == {}
        assert all(balance == euros(0) for balance in (await balance_of(tx, "user-77")).amounts)
        for invoice in await issued(tx, signup):
            assert (invoice.settlement.status, invoice.settlement.credited) == (Status.SETTLED, invoice.total)


async def undo_it_all(tx: Tx, signup: Signup) -> None:
    """Credit what is left of every invoice, and give back what is left of every note."""
    for invoice in await issued(tx, signup):
        if invoice.settlement.credited < invoice.total:
            await a_credit(tx, invoice)
    notes = await credit_notes.page(tx, Window(limit=100), customer_id=signup.customer.id, invoice_id=None)
    for note in notes.data:
        rest = note.settlement.promised + note.settlement.left
        if rest:
            request = NewManualRefund(means=OutsideMeans.TRANSFER, amount=rest)
            await record_refund(tx, note.id, request)
