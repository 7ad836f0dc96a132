"""What is billed once: setup fees with the first invoice, charges with the next one or at once."""

from datetime import timedelta

import msgspec
import pytest

from billing.invoices import store as invoices
from billing.invoices.model import Invoice
from billing.parties.change_customer import change_customer
from billing.parties.model import CustomerChange, RefundMode
from billing.tax.add_tax_rate import add_tax_rate
from billing.tax.model import NewTaxRate, TaxBehavior
from kernel.database import Pool, Tx, transaction
from kernel.decimals import Rate
from kernel.errors import Conflict, DomainError, Invalid, NotFound
from kernel.ids import TenantId
from kernel.paging import Window
from kernel.text import LONGEST_NAME, Name, Reference
from promotions.create_offer import create_offer
from promotions.model import AtEnd, Conditions, Forever, NewOffer
from refunds.cancel_subscription import cancel_subscription
from refunds.change_subscription import change_subscription
from refunds.model import Credit, NewCancellation, NewChange
from subscriptions import charge_store, charging
from subscriptions.add_charge import add_charge
from subscriptions.delete_charge import delete_charge
from subscriptions.events import ChargeAdded, ChargeDeleted
from subscriptions.model import ChargeId, ChargeWhen, NewPrice, PriceModel, Signup, Status, Subscription
from subscriptions.renew import renew
from subscriptions.sign_up import sign_up
from tests.books import assert_sound
from tests.makers import NOON, euros
from tests.promotions.offers import a_new_offer, days, percent
from tests.shop import a_shop, while_open
from tests.subscriptions.plans import a_charge, a_plan, a_price, a_signup, renewed, signed_up

LATER = NOON + timedelta(days=31)


async def with_a_setup_fee(tx: Tx, offer: NewOffer | None = None, *, price: NewPrice | None = None) -> Signup:
    await a_shop(tx)
    await a_plan(tx, "pro", price or a_price("29.00", setup_fee="49.00"))
    if offer is not None:
        await create_offer(tx, offer)
    return await sign_up(tx, a_signup(offer=offer.reference if offer else None))


def nets(invoice: Invoice | None) -> list[int]:
    assert invoice is not None
    return [line.net.minor for line in invoice.lines]


async def pending(tx: Tx, subscription: Subscription) -> list[int]:
    waiting = await charge_store.pending_of(tx, [subscription.id])
    return [
        charge.unit_price.times(charge.quantity, charge.currency).minor
        for charge in waiting.get(subscription.id, [])
    ]


# ── Setup fees ──────────────────────────────────────────────────────────────────────────────────────────


async def test_a_setup_fee_comes_once_with_the_first_invoice(tx: Tx) -> None:
    signup = await with_a_setup_fee(tx)

    assert nets(signup.invoice) == [29_00, 49_00]
    assert signup.invoice is not None
    fee = signup.invoice.lines[1]
    assert (fee.description, fee.recurring, fee.period) == ("Pro – frais de mise en service", False, None)
    assert (str(fee.quantity), str(fee.unit_price)) == ("1", "49.00")
    assert nets((await renewed(tx, signup.subscription)).invoice) == [29_00]
    await assert_sound(tx)


async def test_after_a_trial_it_comes_with_the_first_period_that_is_paid(tx: Tx) -> None:
    signup = await with_a_setup_fee(tx, a_new_offer(days(10)))
    assert signup.invoice is None
    assert await pending(tx, signup.subscription) == [49_00]

    first = await renewed(tx, signup.subscription)
    assert nets(first.invoice) == [29_00, 49_00]
    assert nets((await renewed(tx, first.subscription)).invoice) == [29_00]


async def test_a_setup_fee_of_a_trial_can_be_waived(tx: Tx) -> None:
    signup = await with_a_setup_fee(tx, a_new_offer(days(10)))
    [fee] = (await charge_store.pending_of(tx, [signup.subscription.id]))[signup.subscription.id]
    await delete_charge(tx, fee.id)

    assert nets((await renewed(tx, signup.subscription)).invoice) == [29_00]


async def test_a_setup_fee_is_kept_with_the_invoice_it_was_billed_on(tx: Tx) -> None:
    signup = await with_a_setup_fee(tx)

    [fee] = (await charge_store.page(tx, Window(), subscription_id=signup.subscription.id)).data
    assert signup.invoice is not None
    assert (fee.invoice_id, fee.plan_id) == (signup.invoice.id, signup.subscription.plan_id)


async def test_a_setup_fee_does_not_go_by_the_quantity(tx: Tx) -> None:
    await a_shop(tx)
    price = a_price("5.00", model=PriceModel.PER_UNIT, setup_fee="30.00")
    await a_plan(tx, "seats", price)

    signup = await sign_up(tx, a_signup(plan="seats", quantity="7"))
    assert nets(signup.invoice) == [35_00, 30_00]


async def test_a_setup_fee_falls_under_the_vat_of_its_plan(tx: Tx) -> None:
    reduced = NewTaxRate(reference=Reference("vat-5.5"), name=Name("TVA 5,5 %"), rate=Rate.parse("5.5"))
    await a_shop(tx)
    await add_tax_rate(tx, reduced)
    await a_plan(tx, "book", a_price("10.00", setup_fee="20.00"), tax_rate="vat-5.5")

    signup = await sign_up(tx, a_signup(plan="book"))
    assert signup.invoice is not None
    assert {line.tax.rate for line in signup.invoice.lines} == {Rate.parse("5.5")}
    assert signup.invoice.tax == euros(1_65)


async def test_an_offer_takes_its_part_off_the_setup_fee_too(tx: Tx) -> None:
    offer = a_new_offer(percent("50"), conditions=Conditions(plans=(Reference("pro"),)))
    assert nets((await with_a_setup_fee(tx, offer)).invoice) == [14_50, 24_50]


async def test_a_setup_fee_of_nothing_is_no_line(tx: Tx) -> None:
    assert nets((await with_a_setup_fee(tx, price=a_price("29.00", setup_fee="0"))).invoice) == [29_00]


async def test_a_setup_fee_that_no_document_can_carry_is_refused_with_the_plan(tx: Tx) -> None:
    with pytest.raises(Invalid) as refusal:
        await with_a_setup_fee(tx, price=a_price("29.00", setup_fee="100000000000.01"))
    assert refusal.value.code == "amount_too_large"


async def test_a_long_name_leaves_room_for_what_of_it_is_billed(tx: Tx) -> None:
    await a_shop(tx)
    await a_plan(tx, "long", a_price("9.00", setup_fee="5.00"), name="x" * LONGEST_NAME)
    signup = await sign_up(tx, a_signup(plan="long"))

    assert signup.invoice is not None
    fee = (await invoices.get(tx, signup.invoice.id)).lines[1].description
    assert len(fee) == LONGEST_NAME
    assert fee.endswith("x – frais de mise en service")


# ── Charges ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_charge_comes_once_with_the_next_period(tx: Tx) -> None:
    subscription = (await signed_up(tx)).subscription
    first = await add_charge(tx, subscription.id, a_charge("40.00", quantity="1.5"))
    second = await add_charge(tx, subscription.id, a_charge("0.30"))

    assert (first.invoice, first.charge.invoice_id) == (None, None)
    assert await pending(tx, subscription) == [60_00, 30]
    renewal = await renewed(tx, subscription)
    assert nets(renewal.invoice) == [29_00, 60_00, 30]
    assert renewal.invoice is not None
    assert {(line.recurring, line.period) for line in renewal.invoice.lines[1:]} == {(False, None)}
    assert (await charge_store.get(tx, second.charge.id)).invoice_id == renewal.invoice.id
    assert await pending(tx, subscription) == []
    assert nets((await renewed(tx, renewal.subscription)).invoice) == [29_00]
    await assert_sound(tx)


async def test_a_charge_during_a_trial_waits_for_the_first_period(tx: Tx) -> None:
    subscription = (await signed_up(tx, offer=a_new_offer(days(10)))).subscription
    await add_charge(tx, subscription.id, a_charge("40.00"))

    assert nets((await renewed(tx, subscription)).invoice) == [29_00, 40_00]


async def test_a_charge_comes_with_the_invoice_of_a_change_where_that_is_the_next(tx: Tx) -> None:
    subscription = (await signed_up(tx)).subscription
    await a_plan(tx, "max", a_price("62.00"))
    await add_charge(tx, subscription.id, a_charge("40.00"))

    change = await change_subscription(tx, subscription.id, NewChange(plan="max"))

    assert nets(change.invoice) == [62_00, 40_00]
    assert await pending(tx, subscription) == []
    await assert_sound(tx)


async def test_a_charge_keeps_its_prices_on_an_invoice_of_other_ones(tx: Tx) -> None:
    """40.00 without VAT are 48.00 on a gross invoice; 60.00 with VAT are 50.00 on a net one."""
    subscription = (await signed_up(tx)).subscription
    await a_plan(tx, "gross", a_price("62.00"), tax_behavior=TaxBehavior.INCLUSIVE)
    await add_charge(tx, subscription.id, a_charge("40.00"))

    change = await change_subscription(tx, subscription.id, NewChange(plan="gross"))
    assert change.invoice is not None
    assert [line.billed.minor for line in change.invoice.lines] == [62_00, 48_00]
    assert (change.invoice.net, change.invoice.total) == (euros(91_67), euros(110_00))

    await add_charge(tx, subscription.id, a_charge("60.00"))
    back = await change_subscription(tx, subscription.id, NewChange(plan="pro"))
    assert nets(back.invoice) == [29_00, 50_00]
    await assert_sound(tx)


async def test_a_charge_is_billed_at_once_where_that_is_asked(tx: Tx) -> None:
    """Held offers serve periods, and are not used up by it."""
    subscription = (await signed_up(tx, offer=a_new_offer(percent("50"), duration=Forever()))).subscription

    charged = await add_charge(tx, subscription.id, a_charge("40.00", when=ChargeWhen.NOW))

    assert nets(charged.invoice) == [40_00]
    assert charged.invoice is not None
    assert charged.charge.invoice_id == charged.invoice.id
    assert await charge_store.get(tx, charged.charge.id) == charged.charge
    assert nets((await renewed(tx, subscription)).invoice) == [14_50]
    await assert_sound(tx)


async def test_a_signup_that_is_repeated_does_not_show_a_charge_for_its_invoice(tx: Tx) -> None:
    offer = a_new_offer(days(10))
    subscription = (await signed_up(tx, offer=offer)).subscription
    await add_charge(tx, subscription.id, a_charge(when=ChargeWhen.NOW))

    assert (await sign_up(tx, a_signup(offer=offer.reference))).invoice is None


async def test_a_held_offer_takes_its_part_off_a_charge_unless_it_is_not_discountable(tx: Tx) -> None:
    subscription = (await signed_up(tx, offer=a_new_offer(percent("50"), duration=Forever()))).subscription
    await add_charge(tx, subscription.id, a_charge("40.00"))
    await add_charge(tx, subscription.id, a_charge("30.00", discountable=False))

    assert nets((await renewed(tx, subscription)).invoice) == [14_50, 20_00, 30_00]


async def test_a_line_says_what_it_is_for_and_whether_offers_could_take_something_off_it(tx: Tx) -> None:
    signup = await with_a_setup_fee(tx)
    assert signup.invoice is not None
    await add_charge(tx, signup.subscription.id, a_charge("30.00", discountable=False))
    renewal = (await renewed(tx, signup.subscription)).invoice
    assert renewal is not None

    said = [(line.item, line.discountable) for line in (*signup.invoice.lines, *renewal.lines)]
    assert said == [("pro", True), ("pro", True), ("pro", True), (None, False)]
    assert (await invoices.get(tx, renewal.id)).lines == renewal.lines


async def test_an_offer_for_the_plan_is_not_for_a_charge(tx: Tx) -> None:
    conditions = Conditions(plans=(Reference("pro"),))
    offer = a_new_offer(percent("50"), duration=Forever(), conditions=conditions)
    subscription = (await signed_up(tx, offer=offer)).subscription
    await add_charge(tx, subscription.id, a_charge("40.00"))

    assert nets((await renewed(tx, subscription)).invoice) == [14_50, 40_00]


async def test_a_charge_has_its_own_vat_unless_the_customer_has_theirs(tx: Tx) -> None:
    for percentage in ("5.5", "10"):
        name = f"vat-{percentage}"
        await add_tax_rate(
            tx, NewTaxRate(reference=Reference(name), name=Name(name), rate=Rate.parse(percentage))
        )
    subscription = (await signed_up(tx)).subscription
    for when in (ChargeWhen.NEXT_INVOICE, ChargeWhen.NOW):
        charged = await add_charge(tx, subscription.id, a_charge("40.00", tax_rate="vat-5.5", when=when))
    assert charged.invoice is not None
    assert charged.invoice.tax == euros(2_20)
    await change_customer(tx, "user-77", CustomerChange(tax_rate="vat-10"))

    renewal = await renewed(tx, subscription)
    assert renewal.invoice is not None
    assert {line.tax.rate for line in renewal.invoice.lines} == {Rate.parse("10")}


async def test_a_charge_can_be_deleted_until_it_is_billed(tx: Tx) -> None:
    subscription = (await signed_up(tx)).subscription
    gone = (await add_charge(tx, subscription.id, a_charge("40.00"))).charge
    kept = (await add_charge(tx, subscription.id, a_charge("30.00"))).charge

    await delete_charge(tx, gone.id)
    assert tx.events[-1] == ChargeDeleted(
        charge_id=gone.id, subscription_id=subscription.id, customer_id=subscription.customer_id
    )
    with pytest.raises(NotFound):
        await delete_charge(tx, gone.id)
    assert nets((await renewed(tx, subscription)).invoice) == [29_00, 30_00]
    with pytest.raises(Conflict) as refusal:
        await delete_charge(tx, kept.id)
    assert refusal.value.code == "charge_billed"


async def test_deleting_a_charge_waits_for_the_renewal_that_bills_it(pool: Pool, tenant: TenantId) -> None:
    async with transaction(pool, tenant, now=NOON) as tx:
        subscription = (await signed_up(tx)).subscription
        charge = (await add_charge(tx, subscription.id, a_charge())).charge

    with pytest.raises(Conflict) as refusal:
        await while_open(
            pool,
            tenant,
            lambda tx: renew(tx, subscription.id),
            lambda tx: delete_charge(tx, charge.id),
            now=LATER,
        )
    assert refusal.value.code == "charge_billed"


async def test_what_cannot_be_billed_is_refused(tx: Tx) -> None:
    subscription = (await signed_up(tx)).subscription
    refused = [a_charge(quantity="0"), a_charge("9999999999999"), a_charge(tax_rate="nowhere")]
    codes = []
    for request in refused:
        with pytest.raises(DomainError) as refusal:
            await add_charge(tx, subscription.id, request)
        codes.append(refusal.value.code)

    assert codes == ["quantity_zero", "amount_too_large", "tax_rate_not_found"]
    assert await pending(tx, subscription) == []


async def test_no_more_charges_wait_than_an_invoice_can_show(tx: Tx) -> None:
    subscription = (await signed_up(tx)).subscription
    one = (await add_charge(tx, subscription.id, a_charge("1.00"))).charge
    more = [msgspec.structs.replace(one, id=ChargeId.new()) for _ in range(charging.MOST_PENDING - 1)]
    await charge_store.insert(tx, more, invoice_id=None)

    with pytest.raises(Conflict) as refusal:
        await add_charge(tx, subscription.id, a_charge())
    assert refusal.value.code == "charges_too_many"
    await add_charge(tx, subscription.id, a_charge(when=ChargeWhen.NOW))


async def test_a_subscription_that_is_over_is_charged_no_more(tx: Tx) -> None:
    subscription = (await signed_up(tx)).subscription
    await cancel_subscription(tx, subscription.id, NewCancellation(credit=Credit.NONE))

    with pytest.raises(Conflict) as refusal:
        await add_charge(tx, subscription.id, a_charge())
    assert refusal.value.code == "subscription_over"


async def test_that_a_charge_was_added_is_an_event(tx: Tx) -> None:
    subscription = (await signed_up(tx)).subscription
    charge = (await add_charge(tx, subscription.id, a_charge())).charge

    assert tx.events[-1] == ChargeAdded(
        charge_id=charge.id, subscription_id=subscription.id, customer_id=subscription.customer_id
    )


# ── Cancelling ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("credit", "credited"), [(Credit.FULL, 29_00 + 49_00 + 40_00), (Credit.PRORATED, 29_00)]
)
async def test_only_a_full_credit_takes_back_what_was_billed_once(
    tx: Tx, credit: Credit, credited: int
) -> None:
    """On the first day nothing of the period is used."""
    subscription = (await with_a_setup_fee(tx)).subscription
    await add_charge(tx, subscription.id, a_charge("40.00", when=ChargeWhen.NOW))

    cancelled = await cancel_subscription(
        tx, subscription.id, NewCancellation(credit=credit, refund=RefundMode.NONE)
    )

    assert sum(note.net.minor for note in cancelled.credit_notes) == credited
    await assert_sound(tx)


@pytest.mark.parametrize("credit", [Credit.NONE, Credit.PRORATED])
async def test_what_waits_is_billed_when_the_subscription_is_cancelled(tx: Tx, credit: Credit) -> None:
    subscription = (await signed_up(tx)).subscription
    charge = (await add_charge(tx, subscription.id, a_charge("40.00"))).charge

    cancelled = await cancel_subscription(
        tx, subscription.id, NewCancellation(credit=credit, refund=RefundMode.NONE)
    )

    invoice_id = (await charge_store.get(tx, charge.id)).invoice_id
    assert invoice_id is not None
    assert nets(await invoices.get(tx, invoice_id)) == [40_00]
    assert sum(note.net.minor for note in cancelled.credit_notes) == (
        29_00 if credit is Credit.PRORATED else 0
    )
    await assert_sound(tx)


async def test_what_waits_is_billed_when_the_subscription_ends_with_its_offer(tx: Tx) -> None:
    signup = await signed_up(tx, offer=a_new_offer(percent("50"), at_end=AtEnd.END))
    charge = (await add_charge(tx, signup.subscription.id, a_charge("40.00"))).charge

    ended = await renewed(tx, signup.subscription)

    assert ended.subscription.status is Status.ENDED
    assert nets(ended.invoice) == [40_00]
    assert ended.invoice is not None
    assert (await charge_store.get(tx, charge.id)).invoice_id == ended.invoice.id
    await assert_sound(tx)


async def test_what_waits_is_forgone_where_all_is_given_back(tx: Tx) -> None:
    subscription = (await signed_up(tx)).subscription
    charge = (await add_charge(tx, subscription.id, a_charge("40.00"))).charge
    await cancel_subscription(
        tx, subscription.id, NewCancellation(credit=Credit.FULL, refund=RefundMode.NONE)
    )

    with pytest.raises(NotFound):
        await charge_store.get(tx, charge.id)
    assert (
        ChargeDeleted(
            charge_id=charge.id, subscription_id=subscription.id, customer_id=subscription.customer_id
        )
        in tx.events
    )
    await assert_sound(tx)


async def test_who_leaves_in_a_trial_pays_no_setup_fee(tx: Tx) -> None:
    subscription = (await with_a_setup_fee(tx, a_new_offer(days(10)))).subscription
    await cancel_subscription(tx, subscription.id, NewCancellation(credit=Credit.NONE))

    assert await pending(tx, subscription) == []
    assert await tx.conn.fetchval("SELECT count(*) FROM invoices") == 0
