"""Redemptions: within the cap however many try, and once per customer."""

from datetime import timedelta

import pytest

from billing.parties.model import Customer
from kernel.database import Pool, Tx, transaction
from kernel.decimals import Quantity
from kernel.errors import Conflict, Invalid, NotFound
from kernel.ids import TenantId
from kernel.money import Currency, Money
from kernel.paging import Window
from kernel.periods import Period
from kernel.text import Country, Reference
from promotions import store
from promotions.create_offer import create_offer
from promotions.duration import Serving, after_invoice
from promotions.engine import Basket, Held
from promotions.model import (
    Benefit,
    Conditions,
    FixedPrice,
    Forever,
    FreeUnits,
    NewOffer,
    Offer,
    Once,
    Per,
    Periods,
    Redemption,
    Status,
    Until,
)
from promotions.redeem import Asked, grant
from promotions.redeem import redeem as redeem_held
from tests.makers import EUR, NOON, euros
from tests.promotions.offers import a_new_offer, days, fixed, percent, redemptions_of
from tests.shop import a_shop, another_customer

USD = Currency("USD")
PER_UNIT = FixedPrice(amount=euros(9_00), per=Per.UNIT)
FROM_NOW = Serving(applies_from=NOON, ends_at=None)
MONTH = Period(NOON, NOON + timedelta(days=31))
NEXT = Period(MONTH.end, MONTH.end + timedelta(days=28))
BASKET = Basket(plan=Reference("pro"), currency=EUR, is_new_customer=True, lines=())


async def redeem(tx: Tx, offer: Offer, customer: Customer, basket: Basket) -> Redemption:
    held = grant(Asked(offer=offer), customer.id, basket, FROM_NOW, now=tx.now)
    await redeem_held(tx, [held], customer)
    return held.redemption


async def try_to_redeem(pool: Pool, tenant: TenantId, offer: Offer, customer: Customer) -> str:
    try:
        async with transaction(pool, tenant, now=NOON) as tx:
            await redeem(tx, offer, customer, BASKET)
    except Conflict as refused:
        return refused.code
    return "redeemed"


async def test_an_offer_is_read_back_as_it_was_made(tx: Tx) -> None:
    conditions = Conditions(
        new_customers_only=True,
        first_invoice_only=True,
        plans=(Reference("pro"),),
        currencies=(EUR,),
        min_quantity=Quantity("3"),
        min_amounts=(euros(10_00),),
        countries=(Country("FR"),),
        customer_metadata={"tier": ("gold", "silver")},
        ends_at=NOON,
    )
    benefits: list[Benefit] = [percent("5.5"), fixed(1), PER_UNIT, FreeUnits(units=Quantity("2")), days(30)]
    for n, benefit in enumerate(benefits):
        request = a_new_offer(benefit, reference=f"O{n}", conditions=conditions, max_redemptions=3)
        offer = await create_offer(tx, request)

        assert await store.offer(tx, f"O{n}") == offer == await store.offer(tx, str(offer.id))


async def test_an_offer_is_named_once(tx: Tx) -> None:
    await create_offer(tx, a_new_offer())
    with pytest.raises(Conflict) as refused:
        await create_offer(tx, a_new_offer())
    assert refused.value.code == "reference_taken"
    with pytest.raises(NotFound):
        await store.offer(tx, "NOWHERE")


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (a_new_offer(percent("0")), "benefit_nothing"),
        (a_new_offer(fixed(0)), "benefit_nothing"),
        (a_new_offer(fixed(-1)), "benefit_nothing"),
        (a_new_offer(FreeUnits(units=Quantity("0"))), "benefit_nothing"),
        (a_new_offer(FixedPrice(amount=euros(-1))), "fixed_price_negative"),
        (a_new_offer(days(14), duration=Periods(count=2)), "duration_of_free_period"),
        (a_new_offer(days(14), lane=1), "lane_of_free_period"),
        (a_new_offer(days(14), budget=euros(1)), "budget_of_free_period"),
        (a_new_offer(duration=Until(at=NOON)), "duration_over"),
        (a_new_offer(duration=Forever(), remind_days_before=3), "remind_of_forever"),
        (a_new_offer(conditions=Conditions(min_amounts=(euros(0),))), "min_amounts_form"),
        (a_new_offer(conditions=Conditions(min_amounts=(euros(1), euros(2)))), "min_amounts_form"),
        (a_new_offer(conditions=Conditions(min_quantity=Quantity("0"))), "min_quantity_zero"),
        (a_new_offer(fixed(1), conditions=Conditions(currencies=(USD,))), "offer_in_no_currency"),
        (a_new_offer(fixed(1), conditions=Conditions(min_amounts=(Money(1, USD),))), "offer_in_no_currency"),
        (a_new_offer(conditions=Conditions(starts_at=NOON, ends_at=NOON)), "offer_ends_before_start"),
    ],
)
async def test_an_offer_that_offers_nothing_is_refused(tx: Tx, request_: NewOffer, code: str) -> None:
    with pytest.raises(Invalid) as refused:
        await create_offer(tx, request_)
    assert refused.value.code == code


async def test_redeeming_counts_against_the_cap(tx: Tx) -> None:
    customer = await a_shop(tx)
    offer = await create_offer(tx, a_new_offer(max_redemptions=1))
    redemption = await redeem(tx, offer, customer, BASKET)

    assert await redemptions_of(tx, customer.id) == [redemption]
    assert (await store.offer(tx, "WELCOME")).redeemed == 1
    other = await another_customer(tx)
    with pytest.raises(Conflict) as refused:
        await redeem(tx, await store.offer(tx, "WELCOME"), other, BASKET)
    assert refused.value.code == "offer_sold_out"


async def test_a_redemption_is_exhausted_with_its_last_period(tx: Tx) -> None:
    customer = await a_shop(tx)
    offer = await create_offer(tx, a_new_offer(duration=Periods(count=2)))
    redemption = await redeem(tx, offer, customer, BASKET)

    once = after_invoice(Held(offer=offer, redemption=redemption), euros(7), MONTH)
    assert (once.status, once.periods_used) == (Status.REDEEMED, 1)
    change = after_invoice(Held(offer=offer, redemption=once), euros(2), MONTH)
    assert (change.status, change.periods_used) == (Status.REDEEMED, 1)  # of the same period
    twice = after_invoice(Held(offer=offer, redemption=change), euros(5), NEXT)
    assert (twice.status, twice.periods_used, twice.given) == (Status.EXHAUSTED, 2, euros(14))
    await store.count_periods(tx, [twice])
    assert (await store.held(tx, [redemption.id]))[redemption.id].redemption == twice


async def test_an_invoice_that_it_could_not_serve_is_not_counted(tx: Tx) -> None:
    customer = await a_shop(tx)
    offer = await create_offer(tx, a_new_offer(duration=Periods(count=2)))
    redemption = await redeem(tx, offer, customer, BASKET)

    assert after_invoice(Held(offer=offer, redemption=redemption), None, MONTH) == redemption


async def test_an_offer_for_one_invoice_is_exhausted_by_it(tx: Tx) -> None:
    customer = await a_shop(tx)
    offer = await create_offer(tx, a_new_offer(duration=Once()))
    redemption = await redeem(tx, offer, customer, BASKET)

    after = after_invoice(Held(offer=offer, redemption=redemption), euros(7), MONTH)
    assert after.status is Status.EXHAUSTED


async def test_an_offer_without_a_cap_is_counted_when_somebody_looks(tx: Tx) -> None:
    customer = await a_shop(tx)
    offer = await create_offer(tx, a_new_offer())
    await redeem(tx, offer, customer, BASKET)

    assert (await store.offer(tx, "WELCOME")).redeemed == 0
    assert (await store.offer(tx, "WELCOME", counted=True)).redeemed == 1
    assert [each.redeemed for each in (await store.page(tx, Window())).data] == [1]
