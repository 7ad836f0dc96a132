"""The engine, whatever the basket, the offers and the policy."""

from collections.abc import Sequence
from fractions import Fraction
from random import Random

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from kernel.decimals import PPM, Quantity, Rate
from kernel.money import round_half_up
from kernel.text import Name, Reference
from promotions.engine import Basket, BasketLine, Decision, InReach, Share, evaluate
from promotions.model import (
    Benefit,
    Conditions,
    First,
    FixedAmount,
    FixedPrice,
    FreePeriod,
    FreeUnits,
    OfferId,
    OfferStatus,
    Per,
    Percent,
    Percentages,
    Policy,
)
from tests.makers import EUR, NOON, euros
from tests.promotions.offers import an_offer

PRO, ADDON, OTHER = Reference("pro"), Reference("addon"), Reference("other")
WHOLE = Share()

minors = st.one_of(st.integers(0, 20), st.integers(0, 10**6), st.integers(0, 10**12))
quantities = st.integers(0, 5 * 10**6).map(lambda micro: Quantity(micro).scaleb(-6)).map(Quantity)
rates = st.one_of(st.sampled_from([100_000, 500_000, 333_333, PPM]), st.integers(1, PPM)).map(Rate)
shares = st.integers(1, 12).flatmap(
    lambda whole: st.builds(Share, part=st.integers(0, whole), whole=st.just(whole))
)

lines = st.builds(
    BasketLine,
    amount=minors.map(euros),
    plan=st.sampled_from([PRO, ADDON, None]),
    quantity=st.none() | quantities,
    recurring=st.booleans(),
    discountable=st.sampled_from([True, True, True, False]),
)
baskets = st.builds(
    Basket,
    plan=st.just(PRO),
    addons=st.just((ADDON,)),
    currency=st.just(EUR),
    is_new_customer=st.booleans(),
    lines=st.lists(lines, min_size=1, max_size=6).map(tuple),
)
benefits = st.one_of(
    st.builds(Percent, percent=rates),
    st.builds(Percent, percent=rates),
    st.builds(FixedAmount, amount=minors.map(euros)),
    st.builds(FixedPrice, amount=minors.map(euros), per=st.sampled_from(Per)),
    st.builds(FreeUnits, units=quantities),
    st.builds(FreePeriod, days=st.integers(1, 30)),
)
conditions = st.builds(
    Conditions,
    new_customers_only=st.booleans(),
    plans=st.sampled_from([(), (), (PRO,), (ADDON,), (PRO, ADDON), (OTHER,)]),
    min_quantity=st.none() | quantities,
    min_amounts=st.sampled_from([(), (), (euros(1),), (euros(10**4),)]),
)
policies = st.builds(
    Policy,
    percentages=st.sampled_from(Percentages),
    order=st.sampled_from(First),
    cumulative_lanes=st.sets(st.integers(0, 2)).map(tuple),
)


@st.composite
def offers_in_reach(draw: st.DrawFn) -> list[InReach]:
    """Each with a name of its own."""
    return [
        InReach(
            offer=replace(
                an_offer(
                    draw(benefits),
                    lane=draw(st.integers(0, 2)),
                    conditions=draw(st.just(Conditions()) | conditions),
                    budget=draw(st.none() | minors.map(euros)),
                    spent=draw(st.just(euros(0)) | minors.map(euros)),
                    status=draw(st.sampled_from([OfferStatus.ACTIVE] * 4 + [OfferStatus.PAUSED])),
                ),
                name=Name(f"Offer {number}"),
            ),
            granted=draw(st.booleans()),
            periods_used=draw(st.integers(0, 1)),
            covers=draw(st.just(WHOLE) | shares),
        )
        for number in range(draw(st.integers(0, 6)))
    ]


def decide(basket: Basket, in_reach: Sequence[InReach], policy: Policy) -> Decision:
    return evaluate(basket, in_reach, policy, now=NOON)


def off(decision: Decision) -> dict[OfferId, int]:
    return {each.offer_id: sum(amount.minor for amount in each.amounts) for each in decision.allocations}


@given(baskets, offers_in_reach(), policies)
def test_no_line_goes_below_zero_and_nothing_is_added(
    basket: Basket, in_reach: list[InReach], policy: Policy
) -> None:
    decision = decide(basket, in_reach, policy)

    for number, line in enumerate(basket.lines):
        parts = [allocation.amounts[number].minor for allocation in decision.allocations]
        assert all(part >= 0 for part in parts)
        assert sum(parts) <= line.amount.minor
        assert line.discountable or not any(parts)


@given(baskets, offers_in_reach(), policies, st.integers(0, 2**16))
def test_the_order_in_which_offers_arrive_does_not_matter(
    basket: Basket, in_reach: list[InReach], policy: Policy, seed: int
) -> None:
    shuffled = Random(seed).sample(in_reach, len(in_reach))  # noqa: S311 - no secret

    assert decide(basket, shuffled, policy) == decide(basket, in_reach, policy)


@given(baskets, offers_in_reach(), policies, st.data())
def test_every_offer_is_allocated_or_refused_and_never_both_nor_twice(
    basket: Basket, in_reach: list[InReach], policy: Policy, data: st.DataObject
) -> None:
    again = data.draw(st.lists(st.sampled_from(in_reach), max_size=3)) if in_reach else []
    decision = decide(basket, [*in_reach, *again], policy)

    answered = [each.offer_id for each in decision.allocations]
    answered += [each.offer_id for each in decision.refusals]
    assert sorted(answered) == sorted(each.offer.id for each in in_reach)
    assert decision == decide(basket, in_reach, policy)


@given(baskets, offers_in_reach(), policies)
def test_an_offer_stays_within_its_lines_and_its_budget(
    basket: Basket, in_reach: list[InReach], policy: Policy
) -> None:
    offers = {each.offer.id: each.offer for each in in_reach}
    for allocation in decide(basket, in_reach, policy).allocations:
        offer = offers[allocation.offer_id]
        plans = offer.conditions.plans
        for line, amount in zip(basket.lines, allocation.amounts, strict=True):
            assert not amount or not plans or line.plan in plans
        if offer.budget is not None and offer.spent is not None:
            taken = sum(amount.minor for amount in allocation.amounts)
            assert offer.spent.minor + taken <= offer.budget.minor


# ── The amounts ─────────────────────────────────────────────────────────────────────────────────────────


def exactly(benefit: Benefit, basket: Basket, covers: Share) -> Fraction:
    """What one offer takes off a basket that may all be discounted, had nobody to round."""
    share = Fraction(covers.part, covers.whole)
    units = [Fraction(line.quantity or 0) if line.recurring else Fraction() for line in basket.lines]
    minors = [Fraction(line.amount.minor) for line in basket.lines]
    recurring = sum(minor for minor, line in zip(minors, basket.lines, strict=True) if line.recurring)
    match benefit:
        case Percent(percent=percent):
            return Fraction(percent, PPM) * (recurring * share + sum(minors) - recurring)
        case FixedAmount(amount=amount):
            return min(Fraction(amount.minor) * share, sum(minors, Fraction()))
        case FixedPrice(amount=amount, per=Per.PERIOD):
            return max(recurring - amount.minor, Fraction()) * share
        case FixedPrice(amount=amount):
            counted = sum(minor for minor, has in zip(minors, units, strict=True) if has)
            price = Fraction(round_half_up(int(amount.minor * sum(units) * 10**6), 10**6))
            return max(counted - price, Fraction()) * share
        case FreeUnits(units=free):
            left, total = Fraction(free), Fraction()
            for minor, has in zip(minors, units, strict=True):
                total += minor * min(left, has) / has if has else 0
                left -= min(left, has)
            return total * share
        case FreePeriod():
            return Fraction()


def rounded(exact: Fraction) -> int:
    return round_half_up(exact.numerator, exact.denominator)


@given(
    baskets,
    benefits.filter(lambda each: not isinstance(each, FreePeriod)),
    shares.filter(lambda each: each.part > 0),
    policies,
)
def test_one_offer_takes_off_what_it_says_rounded_once(
    basket: Basket, benefit: Benefit, covers: Share, policy: Policy
) -> None:
    basket = replace(basket, lines=tuple(replace(line, discountable=True) for line in basket.lines))
    decision = decide(basket, [InReach(offer=an_offer(benefit), covers=covers)], policy)

    assert list(off(decision).values()) == [rounded(exactly(benefit, basket, covers))]


@given(
    baskets, st.lists(rates, min_size=1, max_size=5), st.sampled_from([(), (PRO,), (ADDON,)]), st.booleans()
)
def test_percentages_compound_exactly_and_are_rounded_once(
    basket: Basket, percents: list[Rate], plans: tuple[Reference, ...], one_lane: bool
) -> None:
    offers = [
        an_offer(Percent(percent=rate), lane=0 if one_lane else lane, conditions=Conditions(plans=plans))
        for lane, rate in enumerate(percents)
    ]
    decision = decide(basket, [InReach(offer=offer) for offer in offers], Policy(cumulative_lanes=(0,)))

    reached = [line for line in basket.lines if line.discountable and (not plans or line.plan in plans)]
    left = Fraction(sum(line.amount.minor for line in reached))
    whole = left
    for rate in percents:
        left *= Fraction(PPM - rate, PPM)
    assert sum(off(decision).values()) == rounded(whole - left)


@given(baskets, rates, rates, st.sampled_from(First), st.sampled_from([(0, 0), (0, 1), (1, 0)]), shares)
def test_two_percentages_that_compound_commute(
    basket: Basket, one: Rate, other: Rate, order: First, lanes: tuple[int, int], covers: Share
) -> None:
    """Whichever has which: the one made first or later, in the first lane or the second, or both in one."""
    policy = Policy(order=order, cumulative_lanes=(0,))
    totals = set()
    for rates_ in ((one, other), (other, one)):
        in_reach = [
            InReach(offer=an_offer(Percent(percent=rate), lane=lane), covers=covers)
            for rate, lane in zip(rates_, lanes, strict=True)
        ]
        totals.add(sum(off(decide(basket, in_reach, policy)).values()))
    assert len(totals) == 1


@given(baskets, rates, rates)
def test_percentages_of_different_lines_commute_to_the_cent_of_each(
    basket: Basket, one: Rate, other: Rate
) -> None:
    """Each is rounded on its own lines, so that it can be checked on them: twice half a cent may differ."""
    of_pro = an_offer(Percent(percent=one), conditions=Conditions(plans=(PRO,)))
    of_all = an_offer(Percent(percent=other))

    first, second = (
        sum(
            off(
                decide(
                    basket,
                    [InReach(offer=replace(of_pro, lane=lane)), InReach(offer=replace(of_all, lane=1))],
                    Policy(),
                )
            ).values()
        )
        for lane in (0, 2)
    )
    assert abs(first - second) <= 1 + len(basket.lines)


@given(baskets, st.lists(rates, min_size=1, max_size=4))
def test_of_the_full_amount_each_percentage_is_the_same_whatever_the_others_until_nothing_is_left(
    basket: Basket, percents: list[Rate]
) -> None:
    full = sum(line.amount.minor for line in basket.lines if line.discountable)
    offers = [an_offer(Percent(percent=rate), lane=lane) for lane, rate in enumerate(percents)]
    decision = decide(
        basket,
        [InReach(offer=offer) for offer in offers],
        Policy(percentages=Percentages.FULL_AMOUNT),
    )

    alone = [round_half_up(full * rate, PPM) for rate in percents]
    if sum(percents) <= PPM and sum(alone) <= full:
        assert all(
            abs(taken - each) <= len(basket.lines)
            for taken, each in zip(off(decision).values(), alone, strict=True)
        )
    assert sum(off(decision).values()) <= full


# ── The reasons ─────────────────────────────────────────────────────────────────────────────────────────

# Nothing that others do makes these true or false.
OF_ITS_OWN = {
    "offer_inactive",
    "offer_new_customers_only",
    "offer_other_plan",
    "offer_quantity_too_low",
    "offer_amount_too_low",
    "offer_used_up",
    "offer_before_invoice",
}


@given(baskets, offers_in_reach(), policies, st.data())
def test_without_one_of_the_offers_every_reason_is_still_true(
    basket: Basket, in_reach: list[InReach], policy: Policy, data: st.DataObject
) -> None:
    gone = data.draw(st.sampled_from(in_reach)) if in_reach else None
    rest = [each for each in in_reach if each is not gone]
    before = {each.offer_id: each.code for each in decide(basket, in_reach, policy).refusals}
    decision = decide(basket, rest, policy)
    offers = {each.offer.id: each for each in rest}

    for refusal in decision.refusals:
        each = offers[refusal.offer_id]
        if refusal.code == "offer_beaten":
            assert_beaten(each, refusal.detail, decision, basket, rest, policy)
        elif refusal.code == "offer_budget_spent":
            assert each.offer.budget is not None
            assert each.offer.spent is not None
            assert each.offer.spent.minor + would_take(each, basket, rest, policy) > each.offer.budget.minor
        else:
            assert refusal.code in OF_ITS_OWN
            assert before[refusal.offer_id] == refusal.code


def would_take(each: InReach, basket: Basket, others: Sequence[InReach], policy: Policy) -> int:
    """With all the money in the world, and alone in its lane but for what came off before it there."""
    offer = replace(each.offer, budget=None)
    before = [other for other in others if comes_before(other, each, policy)]
    decision = decide(basket, [*before, replace(each, offer=offer)], policy)
    return off(decision)[offer.id]


def comes_before(one: InReach, other: InReach, policy: Policy) -> bool:
    if one.offer.lane != other.offer.lane or one.offer.lane not in policy.cumulative_lanes:
        return one.offer.lane < other.offer.lane

    def place(each: InReach) -> tuple[bool, OfferId]:
        is_percent = isinstance(each.offer.benefit, Percent)
        return is_percent != (policy.order is First.PERCENT), each.offer.id

    return place(one) < place(other)


def assert_beaten(
    each: InReach, detail: str, decision: Decision, basket: Basket, others: Sequence[InReach], policy: Policy
) -> None:
    """By one that is there, in the same lane, and does take off more, or as much and was made first."""
    lanes = {other.offer.id: other.offer.lane for other in others}
    [winner] = [won for won in decision.allocations if lanes[won.offer_id] == each.offer.lane]
    assert repr(winner.name) in detail
    mine, best = would_take(each, basket, others, policy), off(decision)[winner.offer_id]
    if "as much" in detail:
        assert mine == best
        assert winner.offer_id < each.offer.id
    else:
        assert mine < best
