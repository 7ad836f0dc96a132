"""The promotion engine: ten lines and twenty offers, beside a loop that only does the sums of them.

The loop knows before it begins which offers apply and to which lines: no reasons, no names, no money. What it
takes is what Python needs to multiply, compare and share out so many integers.
"""

import gc
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import click

from kernel.decimals import PPM, Measure, Quantity, Rate
from kernel.money import Currency, Money, allocate_minor, round_half_up
from kernel.structs import Value
from kernel.text import Country, Name, Reference
from promotions.basket import Share
from promotions.engine import Basket, BasketLine, Decision, InReach, evaluate
from promotions.model import (
    AtEnd,
    Benefit,
    Conditions,
    FixedAmount,
    FixedPrice,
    Forever,
    FreeUnits,
    Offer,
    OfferId,
    OfferStatus,
    Percent,
    Policy,
)

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
EUR = Currency("EUR")
PRO, SEATS, SUPPORT, OTHER = (Reference(name) for name in ("pro", "seats", "support", "other"))
POLICY = Policy(cumulative_lanes=(2,))
SLICE = 2_000  # evaluations between two looks at the clock
SLICES = 15
CLOSE = 25_00  # what free units and a fixed price take off depends on what came before


class Pace(Value, frozen=True, kw_only=True):
    """Of processor time, which others on the machine do not count for: the median slice, and the best."""

    median: float
    best: float


def measure() -> None:
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)  # as a process that serves
    click.echo("10 lines, 20 offers, on one core; processor time, so that others do not count")
    for name, offers in (("percentages that compete", percentages()), ("of all kinds", some_offers())):
        _measure(name, a_basket(), offers)


def _measure(name: str, basket: Basket, offers: Sequence[InReach]) -> None:
    decision = evaluate(basket, offers, POLICY, now=NOW)
    sums = Sums(basket, offers, decision)
    assert abs(off(decision) - sums.run()) < CLOSE, "both do the same sums"

    limit = pace(sums.run)
    engine = pace(lambda: evaluate(basket, offers, POLICY, now=NOW))
    click.echo(f"{name}: {len(decision.allocations)} allocated, {len(decision.refusals)} refused")
    click.echo(f"  only the sums  {limit.median:>9,.0f}/s   best {limit.best:>9,.0f}/s")
    click.echo(f"  the engine     {engine.median:>9,.0f}/s   best {engine.best:>9,.0f}/s")
    click.echo(f"  the engine does {engine.median / limit.median:.0%} of the sums alone")


def pace(run: Callable[[], object]) -> Pace:
    rates = sorted(_slice(run) for _ in range(SLICES))
    return Pace(median=rates[len(rates) // 2], best=rates[-1])


def _slice(run: Callable[[], object]) -> float:
    begun = time.process_time()
    for _ in range(SLICE):
        run()
    return SLICE / (time.process_time() - begun)


def off(decision: Decision) -> int:
    return sum(amount.minor for allocation in decision.allocations for amount in allocation.amounts)


# ── What is measured ────────────────────────────────────────────────────────────────────────────────────


def a_basket() -> Basket:
    """A plan in three tiers with its setup fee, two add-ons, usage, and charges, one not discounted."""

    def line(minor: int, plan: Reference | None, quantity: str, **fields: bool) -> BasketLine:
        return BasketLine(amount=Money(minor, EUR), plan=plan, quantity=Measure(quantity), **fields)

    return Basket(
        plan=PRO,
        addons=(SEATS, SUPPORT),
        currency=EUR,
        is_new_customer=True,
        is_first_invoice=True,
        country="FR",
        customer_metadata={"segment": "startup"},
        lines=(
            line(100_00, PRO, "10"),
            line(160_00, PRO, "20"),
            line(83_33, PRO, "11.9"),
            line(250_00, PRO, "1", recurring=False),
            line(99_00, SEATS, "3"),
            line(49_00, SUPPORT, "1"),
            line(17_41, PRO, "1741", recurring=False),
            line(3_97, PRO, "397", recurring=False),
            line(120_00, None, "2", recurring=False),
            line(900_00, None, "1", recurring=False, discountable=False),
        ),
    )


def percentages() -> list[InReach]:
    """The plainest case: the best of twenty."""
    return [_offer(_percent(str(rate)), 0) for rate in range(1, 21)]


def some_offers() -> list[InReach]:
    """In three lanes, the last of which is cumulative. Nine cannot be used, each for a reason of its own."""
    later, earlier = NOW + timedelta(days=1), NOW - timedelta(days=1)
    for_pro, for_seats = Conditions(plans=(PRO,)), Conditions(plans=(SEATS,))
    welcome = Conditions(new_customers_only=True, first_invoice_only=True, starts_at=earlier, ends_at=later)
    return [
        # The best of five percentages and amounts.
        _offer(_percent("20"), 0, welcome),
        _offer(_percent("25"), 0, for_pro),
        _offer(_fixed(75_00), 0),
        _offer(_percent("15"), 0, Conditions(countries=(Country("FR"), Country("BE")))),
        _offer(_percent("30"), 0, granted=True, covers=Share(part=4, whole=12)),
        _offer(_percent("90"), 0, Conditions(ends_at=earlier)),
        _offer(_percent("90"), 0, Conditions(plans=(OTHER,))),
        # The best of an amount, a price and free units.
        _offer(_fixed(30_00), 1, for_seats),
        _offer(FixedPrice(amount=Money(280_00, EUR)), 1, for_pro),
        _offer(FreeUnits(units=Quantity("5")), 1, for_pro),
        _offer(_fixed(50_00), 1, Conditions(min_amounts=(Money(5_000_00, EUR),))),
        _offer(_fixed(50_00), 1, Conditions(currencies=(Currency("USD"),))),
        _offer(_fixed(50_00), 1, Conditions(countries=(Country("DE"),))),
        # All of three.
        _offer(_percent("10"), 2, granted=True),
        _offer(_percent("2.5"), 2, Conditions(customer_metadata={"segment": ("startup", "school")})),
        _offer(_fixed(9_99), 2),
        _offer(_percent("50"), 2, Conditions(starts_at=later)),
        _offer(_percent("50"), 2, Conditions(min_quantity=Quantity("1000"))),
        _offer(_percent("50"), 2, Conditions(customer_metadata={"segment": ("bank",)})),
        _offer(_percent("50"), 2, granted=True, covers=Share(part=0, whole=12)),
    ]


def _offer(
    benefit: Benefit,
    lane: int,
    conditions: Conditions = Conditions(),  # noqa: B008 - frozen
    *,
    granted: bool = False,
    covers: Share = Share(),  # noqa: B008 - frozen
) -> InReach:
    offer = Offer(
        id=OfferId.new(),
        reference=Reference("BENCH"),
        name=Name("An offer"),
        lane=lane,
        benefit=benefit,
        conditions=conditions,
        duration=Forever(),
        at_end=AtEnd.CONTINUE,
        max_redemptions=None,
        redeemed=0,
        status=OfferStatus.ACTIVE,
        created_at=NOW,
    )
    return InReach(offer=offer, granted=granted, covers=covers)


def _percent(text: str) -> Percent:
    return Percent(percent=Rate.parse(text))


def _fixed(minor: int) -> FixedAmount:
    return FixedAmount(amount=Money(minor, EUR))


# ── What it is held to ──────────────────────────────────────────────────────────────────────────────────


Plain = tuple[list[int], int | None]  # parts per million of each line, and the amount where it is one


class Sums:
    """What applies, as integers that lie ready: a percentage of each line, or an amount and its lines."""

    def __init__(self, basket: Basket, in_reach: Sequence[InReach], decision: Decision) -> None:
        refused = {each.offer_id for each in decision.refusals if each.code != "offer_beaten"}
        applies = [each for each in in_reach if each.offer.id not in refused]
        lanes = sorted({each.offer.lane for each in applies})
        self.minors = [line.amount.minor for line in basket.lines]
        self.lanes = [
            (
                lane in POLICY.cumulative_lanes,
                [_plain(each, basket) for each in applies if each.offer.lane == lane],
            )
            for lane in lanes
        ]

    def run(self) -> int:
        left = self.minors
        for is_cumulative, offers in self.lanes:
            if is_cumulative:
                for offer in offers:
                    left = _less(left, offer, _amount(left, offer))
            else:
                amounts = [_amount(left, offer) for offer in offers]
                best = max(amounts)
                left = _less(left, offers[amounts.index(best)], best)
        return sum(self.minors) - sum(left)


def _amount(left: list[int], offer: Plain) -> int:
    parts, amount = offer
    off = sum(minor * part for minor, part in zip(left, parts, strict=True))
    return round_half_up(off, PPM) if amount is None else min(amount, off // PPM)


def _less(left: list[int], offer: Plain, amount: int) -> list[int]:
    weights = [minor * part for minor, part in zip(left, offer[0], strict=True)]
    return [minor - part for minor, part in zip(left, allocate_minor(amount, weights), strict=True)]


def _plain(each: InReach, basket: Basket) -> Plain:
    """The units that are free, and what is above a price, are worked out before."""
    plans = each.offer.conditions.plans
    mine = [int(line.discountable and (not plans or line.plan in plans)) for line in basket.lines]
    match each.offer.benefit:
        case Percent(percent=percent):
            share = percent * each.covers.part // each.covers.whole
            return [
                its * (share if line.recurring else percent)
                for its, line in zip(mine, basket.lines, strict=True)
            ], None
        case _:
            alone = evaluate(basket, [each], now=NOW)
            return [its * PPM for its in mine], off(alone)
