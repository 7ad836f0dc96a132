"""The engine: the best offer of each lane, and a reason for every other."""

from collections.abc import Sequence
from datetime import timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.decimals import Rate
from kernel.money import Currency
from kernel.text import Reference
from promotions.engine import (
    Basket,
    BasketLine,
    Decision,
    InReach,
    evaluate,
    free_days,
    is_used_up,
    refusal_of,
)
from promotions.model import Conditions, Duration, Forever, Offer, OfferStatus, Once, Percent, Periods
from tests.makers import EUR, NOON, euros
from tests.promotions.offers import an_offer, days, fixed, percent

USD = Currency("USD")
PAUSED = OfferStatus.PAUSED
SECOND = timedelta(seconds=1)


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

    assert decide([second, first]).allocations[0].offer_id == first.id


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
    ],
)
def test_an_offer_lasts_as_long_as_it_says(duration: Duration, used: int, is_over: bool) -> None:
    offer = an_offer(duration=duration)
    granted = InReach(offer=offer, granted=True, periods_used=used)

    assert is_used_up(offer, used) is is_over
    refusal = refusal_of(a_basket(), granted, now=NOON)
    assert (refusal.code if refusal else None) == ("offer_used_up" if is_over else None)


# ── Whatever the offers ─────────────────────────────────────────────────────────────────────────────────

benefits = st.one_of(
    st.integers(1, 1_000_000).map(lambda ppm: Percent(percent=Rate(ppm))),
    st.integers(1, 10**6).map(fixed),
    st.integers(1, 30).map(days),
)
some_offers = st.lists(
    st.builds(
        lambda benefit, lane, status: an_offer(benefit, lane=lane, status=status),
        benefits,
        st.integers(0, 3),
        st.sampled_from(OfferStatus),
    ),
    max_size=8,
)
some_minors = st.lists(st.integers(0, 10**6), min_size=1, max_size=5)


@given(some_offers, some_minors, st.integers(0, 2**16))
def test_the_order_in_which_offers_arrive_does_not_matter(
    offers: list[Offer], minors: list[int], seed: int
) -> None:
    shuffled = Random(seed).sample(offers, len(offers))  # noqa: S311 - no secret

    one, other = decide(offers, *minors), decide(shuffled, *minors)

    assert one.allocations == other.allocations
    assert set(one.refusals) == set(other.refusals)


@given(some_offers, some_minors)
def test_every_offer_is_allocated_or_refused_and_never_both(offers: list[Offer], minors: list[int]) -> None:
    decision = decide(offers, *minors)

    answered = [each.offer_id for each in decision.allocations]
    answered += [each.offer_id for each in decision.refusals]
    assert sorted(answered) == sorted(offer.id for offer in offers)


@given(some_offers, some_minors)
def test_no_line_goes_below_zero(offers: list[Offer], minors: list[int]) -> None:
    for line, minor in enumerate(minors):
        off = sum(amounts[line] for amounts in taken_off(decide(offers, *minors)))
        assert 0 <= off <= minor
