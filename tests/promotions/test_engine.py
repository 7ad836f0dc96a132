"""The engine: the best offer of each lane, and a reason for every other."""

from collections.abc import Sequence
from datetime import timedelta

import pytest
from msgspec.structs import fields, replace

from kernel.decimals import Measure, Quantity
from kernel.money import Currency, Money
from kernel.text import Country, Reference
from promotions.conditions import CONDITIONS
from promotions.engine import (
    Basket,
    BasketLine,
    Decision,
    InReach,
    Share,
    evaluate,
    free_days,
    is_used_up,
    refusal_of,
)
from promotions.model import (
    Benefit,
    Conditions,
    Days,
    Duration,
    First,
    FixedPrice,
    Forever,
    FreeUnits,
    Months,
    Offer,
    OfferStatus,
    Once,
    Per,
    Percentages,
    Periods,
    Policy,
    Until,
)
from tests.makers import EUR, NOON, euros
from tests.promotions.offers import an_offer, days, fixed, percent

USD = Currency("USD")
PAUSED = OfferStatus.PAUSED
SECOND = timedelta(seconds=1)
WHOLE, USUAL = Share(), Policy()


def a_basket(*minors: int, plan: str = "pro", is_new_customer: bool = True) -> Basket:
    name = Reference(plan)
    lines = tuple(BasketLine(amount=euros(minor), plan=name) for minor in minors or (100_00,))
    return Basket(plan=name, currency=EUR, is_new_customer=is_new_customer, lines=lines)


def decide(offers: Sequence[Offer], *minors: int) -> Decision:
    return evaluate(a_basket(*minors), [InReach(offer=offer) for offer in offers], now=NOON)


def taken_off(decision: Decision) -> list[list[int]]:
    return [[amount.minor for amount in allocation.amounts] for allocation in decision.allocations]


def why_not(offer: Offer, basket: Basket | None = None) -> str | None:
    refusal = refusal_of(basket or a_basket(), InReach(offer=offer), now=NOON)
    return refusal.code if refusal else None


# ── Lanes ───────────────────────────────────────────────────────────────────────────────────────────────


def test_an_offer_comes_off_the_lines_in_proportion() -> None:
    assert taken_off(decide([an_offer(fixed(25_00))], 100_00, 50_00, 30_00)) == [[13_89, 6_94, 4_17]]


def test_a_percentage_is_rounded_once_on_the_sum() -> None:
    assert taken_off(decide([an_offer(percent("10"))], 5, 5, 5)) == [[1, 1, 0]]


def test_in_a_lane_the_best_for_the_customer_wins() -> None:
    small, best, smaller = an_offer(fixed(10_00)), an_offer(percent("20")), an_offer(fixed(5_00))
    decision = decide([small, best, smaller])

    assert [allocation.offer_id for allocation in decision.allocations] == [best.id]
    assert {(refusal.offer_id, refusal.code) for refusal in decision.refusals} == {
        (small.id, "offer_beaten"),
        (smaller.id, "offer_beaten"),
    }


def test_of_equal_offers_the_one_made_first_wins() -> None:
    first, second = an_offer(fixed(20_00)), an_offer(percent("20"))

    decision = decide([second, first])
    assert decision.allocations[0].offer_id == first.id
    assert "takes off as much" in decision.refusals[0].detail


def test_a_lane_works_on_what_the_one_before_has_left() -> None:
    second = an_offer(percent("50"), lane=2)
    first = an_offer(percent("10"), lane=1)

    assert taken_off(decide([second, first])) == [[10_00], [45_00]]


def test_no_lane_takes_more_than_is_left() -> None:
    offers = [an_offer(fixed(80_00), lane=1), an_offer(fixed(80_00), lane=2), an_offer(fixed(1), lane=3)]

    assert taken_off(decide(offers)) == [[80_00], [20_00], [0]]


def test_an_offer_for_a_plan_comes_off_what_is_billed_for_it_alone() -> None:
    offer = an_offer(fixed(30_00), conditions=Conditions(plans=(Reference("pro"),)))
    lines = (
        BasketLine(amount=euros(20_00), plan=Reference("pro")),
        BasketLine(amount=euros(50_00), plan=Reference("other")),
        BasketLine(amount=euros(40_00), plan=Reference("pro")),
        BasketLine(amount=euros(60_00), plan=None),
    )
    basket = Basket(plan=Reference("pro"), currency=EUR, is_new_customer=True, lines=lines)

    assert taken_off(evaluate(basket, [InReach(offer=offer)], now=NOON)) == [[10_00, 0, 20_00, 0]]


def test_without_offers_nothing_comes_off() -> None:
    assert decide([]) == Decision(allocations=(), refusals=())


# ── Benefits ────────────────────────────────────────────────────────────────────────────────────────────


def seats(*lines: tuple[int, str | None], recurring: bool = True) -> Basket:
    """Lines of an amount and a quantity."""
    return replace(
        a_basket(),
        lines=tuple(
            BasketLine(
                amount=euros(minor),
                plan=Reference("pro"),
                quantity=None if quantity is None else Measure.parse(quantity),
                recurring=recurring,
            )
            for minor, quantity in lines
        ),
    )


def off(offer: Offer, basket: Basket, *, covers: Share = WHOLE, policy: Policy = USUAL) -> list[int]:
    [allocation] = evaluate(basket, [InReach(offer=offer, covers=covers)], policy, now=NOON).allocations
    return [amount.minor for amount in allocation.amounts]


@pytest.mark.parametrize(
    ("price", "per", "taken"),
    [
        (60_00, Per.PERIOD, [30_00, 10_00]),  # of 100.00 together
        (100_00, Per.PERIOD, [0, 0]),
        (120_00, Per.PERIOD, [0, 0]),  # nothing is added
        (0, Per.PERIOD, [75_00, 25_00]),
        (10_00, Per.UNIT, [45_00, 15_00]),  # four units for 40.00
        (25_00, Per.UNIT, [0, 0]),
    ],
)
def test_a_fixed_price_is_what_recurs_costs_together(price: int, per: Per, taken: list[int]) -> None:
    offer = an_offer(FixedPrice(amount=euros(price), per=per))

    assert off(offer, seats((75_00, "3"), (25_00, "1"))) == taken


def test_a_fixed_price_leaves_what_is_billed_once() -> None:
    basket = replace(seats((75_00, "3")), lines=(*seats((75_00, "3")).lines, *a_fee(30_00)))

    assert off(an_offer(FixedPrice(amount=euros(50_00))), basket) == [25_00, 0]


@pytest.mark.parametrize(
    ("units", "taken"),
    [
        ("1", [10_00, 0]),
        ("3", [30_00, 0]),
        ("4", [30_00, 8_33]),  # one of three for 24.99
        ("3.5", [30_00, 4_17]),  # half a unit is 4.165
        ("100", [30_00, 24_99]),
    ],
)
def test_free_units_are_counted_from_the_first_line_on(units: str, taken: list[int]) -> None:
    offer = an_offer(FreeUnits(units=Quantity.parse(units)))

    assert off(offer, seats((30_00, "3"), (24_99, "3"))) == taken


def test_what_has_no_quantity_has_no_units() -> None:
    basket = seats((30_00, None), (20_00, "2"))

    assert off(an_offer(FreeUnits(units=Quantity("1"))), basket) == [0, 10_00]
    assert off(an_offer(FixedPrice(amount=euros(1_00), per=Per.UNIT)), basket) == [0, 18_00]


def a_fee(minor: int) -> tuple[BasketLine, ...]:
    return (BasketLine(amount=euros(minor), plan=Reference("pro"), recurring=False),)


@pytest.mark.parametrize(
    ("benefit", "taken"),
    [
        (percent("30"), [12_00, 9_00]),  # four twelfths of 30 % of what recurs, 30 % of the fee
        (fixed(60_00), [16_00, 4_00]),  # four twelfths of 60.00
        (FixedPrice(amount=euros(60_00)), [20_00, 0]),  # four twelfths of 60.00 too much
        (FreeUnits(units=Quantity("2")), [8_00, 0]),  # four twelfths of two of ten
    ],
)
def test_an_offer_for_four_months_gives_four_twelfths_of_a_year(benefit: Benefit, taken: list[int]) -> None:
    year = seats((120_00, "10"))
    basket = replace(year, lines=(*year.lines, *a_fee(30_00)))

    assert off(an_offer(benefit), basket, covers=Share(part=4, whole=12)) == taken


def test_what_is_not_to_be_discounted_is_not() -> None:
    workshop = BasketLine(amount=euros(50_00), plan=None, discountable=False)
    basket = replace(a_basket(100_00), lines=(workshop, *a_basket(100_00).lines))

    assert off(an_offer(percent("100")), basket) == [0, 100_00]


# ── How they add up ─────────────────────────────────────────────────────────────────────────────────────


def total_off(offers: Sequence[Offer], policy: Policy, *minors: int) -> int:
    in_reach = [InReach(offer=offer) for offer in offers]
    decision = evaluate(a_basket(*minors), in_reach, policy, now=NOON)
    return sum(sum(amounts) for amounts in taken_off(decision))


@pytest.mark.parametrize(
    ("policy", "taken"),
    [
        (Policy(), 55_00),
        (Policy(percentages=Percentages.FULL_AMOUNT), 60_00),
    ],
)
def test_ten_and_fifty_percent_are_55_or_60(policy: Policy, taken: int) -> None:
    in_lanes = [an_offer(percent("10"), lane=1), an_offer(percent("50"), lane=2)]
    together = [an_offer(percent("10")), an_offer(percent("50"))]

    assert total_off(in_lanes, policy) == taken
    assert total_off(together, replace(policy, cumulative_lanes=(0,))) == taken
    assert total_off(together, policy) == 50_00


@pytest.mark.parametrize(
    ("order", "taken"),
    [(First.PERCENT, 10_00 + 20_00), (First.FIXED, 20_00 + 8_00)],
)
def test_in_a_cumulative_lane_the_policy_says_what_comes_first(order: First, taken: int) -> None:
    offers = [an_offer(fixed(20_00)), an_offer(percent("10"))]

    assert total_off(offers, Policy(order=order, cumulative_lanes=(0,))) == taken


def test_of_the_full_amount_a_line_that_is_free_already_gives_nothing_more() -> None:
    lines = (
        BasketLine(amount=euros(100_00), plan=Reference("pro")),
        BasketLine(amount=euros(60_00), plan=Reference("addon")),
    )
    offers = [
        an_offer(percent("100"), lane=1, conditions=Conditions(plans=(Reference("pro"),))),
        an_offer(percent("50"), lane=2),
    ]
    decision = evaluate(
        replace(a_basket(), lines=lines),
        [InReach(offer=offer) for offer in offers],
        Policy(percentages=Percentages.FULL_AMOUNT),
        now=NOON,
    )

    assert taken_off(decision) == [[100_00, 0], [0, 30_00]]


def test_percentages_that_compound_are_rounded_once() -> None:
    offers = [an_offer(percent("50"), lane=lane) for lane in (1, 2)]

    assert total_off(offers, Policy(), 1) == 1  # 0.75, not 1 (of 0.5) and then 0
    assert total_off(offers, Policy(), 2) == 2  # 1.5
    assert total_off(offers, Policy(), 5) == 4  # 3.75; rounding each would be 3 and 1
    assert total_off([an_offer(percent("33.3333"), lane=lane) for lane in (1, 2, 3)], Policy(), 10) == 7


def test_what_a_line_cannot_bear_is_borne_by_the_others() -> None:
    """A quarter of twice 0.01, and 10.00: of 10.005 the 10.00 would bear the cent that is rounded up."""
    basket = seats((1, "1"), (1, "1"))
    basket = replace(basket, lines=(*a_fee(10_00), *basket.lines))

    assert off(an_offer(percent("100")), basket, covers=Share(part=1, whole=4)) == [10_00, 1, 0]


def test_after_an_amount_percentages_begin_again_with_whole_cents() -> None:
    offers = [an_offer(percent("50"), lane=1), an_offer(fixed(1), lane=2), an_offer(percent("50"), lane=3)]

    assert taken_off(decide(offers, 5)) == [[3], [1], [1]]  # half of 0.01, where 0.015 is left exactly


def test_what_does_not_fit_the_budget_is_refused_and_the_next_best_wins() -> None:
    rich = an_offer(percent("50"), budget=euros(100_00), spent=euros(50_01))
    exact = an_offer(percent("40"), budget=euros(100_00), spent=euros(60_00))
    decision = decide([rich, exact])

    assert [each.offer_id for each in decision.allocations] == [exact.id]
    assert [(each.offer_id, each.code) for each in decision.refusals] == [(rich.id, "offer_budget_spent")]

    together = Policy(cumulative_lanes=(0,))
    assert total_off([rich, an_offer(fixed(1_00))], together) == 1_00
    assert why_not(an_offer(budget=Money(1, USD))) == "offer_other_currency"


# ── Reasons ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("offer", "code"),
    [
        (an_offer(status=PAUSED), "offer_inactive"),
        (an_offer(conditions=Conditions(starts_at=NOON + SECOND)), "offer_not_started"),
        (an_offer(conditions=Conditions(ends_at=NOON)), "offer_ended"),
        (an_offer(conditions=Conditions(plans=(Reference("basic"),))), "offer_other_plan"),
        (an_offer(conditions=Conditions(currencies=(USD,))), "offer_other_currency"),
        (an_offer(fixed(1, USD)), "offer_other_currency"),
        (an_offer(max_redemptions=2, redeemed=2), "offer_sold_out"),
        (an_offer(), None),
        (an_offer(conditions=Conditions(first_invoice_only=True)), "offer_not_first_invoice"),
        (an_offer(FixedPrice(amount=Money(1, USD))), "offer_other_currency"),
        (an_offer(conditions=Conditions(min_amounts=(Money(1, USD),))), "offer_other_currency"),
        (an_offer(conditions=Conditions(countries=(Country("FR"),))), "offer_other_country"),
        (an_offer(conditions=Conditions(customer_metadata={"tier": ("a", "b")})), "offer_other_customer"),
        (an_offer(conditions=Conditions(min_quantity=Quantity("1"))), "offer_quantity_too_low"),
        (an_offer(conditions=Conditions(min_amounts=(euros(100_01),))), "offer_amount_too_low"),
        (an_offer(conditions=Conditions(min_amounts=(Money(1, USD), euros(100_00)))), None),
        (an_offer(conditions=Conditions(starts_at=NOON)), None),
        (an_offer(conditions=Conditions(ends_at=NOON + SECOND)), None),
        (an_offer(conditions=Conditions(plans=(Reference("pro"),), currencies=(EUR,))), None),
        (an_offer(max_redemptions=2, redeemed=1), None),
    ],
)
def test_an_offer_says_why_it_cannot_be_used(offer: Offer, code: str | None) -> None:
    assert why_not(offer) == code


def test_an_offer_for_new_customers_is_for_them_alone() -> None:
    welcome = an_offer(conditions=Conditions(new_customers_only=True))

    assert why_not(welcome, a_basket(is_new_customer=True)) is None
    assert why_not(welcome, a_basket(is_new_customer=False)) == "offer_new_customers_only"


def test_the_person_is_asked_about_when_the_offer_is_given_and_what_they_buy_with_every_invoice() -> None:
    person = Conditions(
        new_customers_only=True,
        first_invoice_only=True,
        countries=(Country("FR"),),
        customer_metadata={"tier": ("gold",)},
    )
    basket = replace(
        seats((100_00, "5")),
        is_first_invoice=True,
        country="FR",
        customer_metadata={"tier": "gold", "other": "x"},
    )
    other = a_basket(is_new_customer=False)

    assert why_not(an_offer(conditions=person), basket) is None
    assert refusal_of(other, InReach(offer=an_offer(conditions=person), granted=True), now=NOON) is None

    bought = an_offer(conditions=Conditions(min_quantity=Quantity("6")))
    refusal = refusal_of(basket, InReach(offer=bought, granted=True), now=NOON)
    assert refusal is not None
    assert refusal.code == "offer_quantity_too_low"


def test_an_offer_whose_time_is_over_is_used_up() -> None:
    over = InReach(offer=an_offer(duration=Forever()), granted=True, covers=Share(part=0, whole=12))
    refusal = refusal_of(a_basket(), over, now=NOON)

    assert refusal is not None
    assert refusal.code == "offer_used_up"


def test_before_there_is_anything_to_bill_no_quantity_or_amount_is_asked_for() -> None:
    conditions = Conditions(min_quantity=Quantity("6"), min_amounts=(euros(10_00),))

    assert why_not(an_offer(conditions=conditions), replace(a_basket(), lines=())) is None


def test_quantity_and_amount_are_of_what_the_offer_is_for() -> None:
    addon = BasketLine(amount=euros(50_00), plan=Reference("addon"), quantity=Measure("5"))
    workshop = BasketLine(amount=euros(80_00), plan=None, quantity=Measure("8"), discountable=False)
    basket = seats((20_00, "2"))
    basket = replace(basket, lines=(*basket.lines, addon, workshop))
    for_all = Conditions(min_quantity=Quantity("7"), min_amounts=(euros(70_00),))
    for_pro = replace(for_all, plans=(Reference("pro"),))

    assert why_not(an_offer(conditions=for_all), basket) is None
    assert why_not(an_offer(conditions=for_pro), basket) == "offer_quantity_too_low"
    assert why_not(an_offer(conditions=replace(for_pro, min_quantity=None)), basket) == "offer_amount_too_low"


def test_every_condition_is_a_row_of_the_table() -> None:
    rows = {condition.field for condition in CONDITIONS}

    assert {f"conditions.{field.name}" for field in fields(Conditions)} <= rows


def test_days_come_before_the_first_invoice_and_take_nothing_off_it() -> None:
    offer = an_offer(days(14))

    assert [refusal.code for refusal in decide([offer]).refusals] == ["offer_before_invoice"]
    assert free_days(offer) == 14
    assert free_days(an_offer()) == 0


def test_an_offer_that_was_granted_goes_on_whatever_becomes_of_its_conditions() -> None:
    over = an_offer(
        status=PAUSED, conditions=Conditions(ends_at=NOON), duration=Forever(), max_redemptions=1, redeemed=1
    )
    granted = InReach(offer=over, granted=True, periods_used=7)

    assert evaluate(a_basket(is_new_customer=False), [granted], now=NOON).refusals == ()


@pytest.mark.parametrize(
    ("duration", "used", "is_over"),
    [
        (Once(), 0, False),
        (Once(), 1, True),
        (Periods(count=3), 2, False),
        (Periods(count=3), 3, True),
        (Forever(), 1000, False),
        (Months(count=1), 1000, False),  # over at a time, not after so many invoices
        (Days(count=1), 1000, False),
        (Until(at=NOON), 1000, False),
    ],
)
def test_an_offer_lasts_as_long_as_it_says(duration: Duration, used: int, is_over: bool) -> None:
    offer = an_offer(duration=duration)
    granted = InReach(offer=offer, granted=True, periods_used=used)

    assert is_used_up(offer, used) is is_over
    refusal = refusal_of(a_basket(), granted, now=NOON)
    assert (refusal.code if refusal else None) == ("offer_used_up" if is_over else None)
