"""What a rebate programme gives. Pure, and exact: one rounding, at the end.

    marginal        sum over the tiers of  rate x what of the volume falls into the tier
    whole volume    rate of the tier that the volume reaches x the volume

Volume V is the net amount, or a quantity: then a rate is of the net amount x the units it is for / V.
"""

from collections.abc import Sequence
from datetime import date
from itertools import pairwise

from billing.rebates.model import Volume
from kernel.decimals import PPM, Measure, Rate
from kernel.errors import Invalid
from kernel.money import Currency, Money, allocate, round_half_up, total, zero
from kernel.periods import plus_months
from kernel.structs import Value
from promotions.rebates.model import (
    Basis,
    CustomerAccrual,
    Days,
    Mode,
    NewRebateContract,
    NextTier,
    PeriodAccrual,
    RebateContract,
    RebatePeriod,
    RebateSettlement,
    RebateTier,
    WhenNegative,
)

FIRST_START, LAST_START = date(2000, 1, 1), date(2200, 1, 1)
MONTHS = {RebatePeriod.MONTH: 1, RebatePeriod.QUARTER: 3, RebatePeriod.YEAR: 12}


class Act(Value, frozen=True, kw_only=True):
    """What is settled for a customer and a period: given where it is above zero, taken back below.

    `carried` is what earlier periods left: below zero they had given too much.
    """

    days: Days
    of: CustomerAccrual
    rate: Rate
    carried: Money
    net: Money


# ── What a contract must be like ────────────────────────────────────────────────────────────────────────


def check(request: NewRebateContract) -> None:
    if bool(request.customers) == bool(request.customer_metadata):
        raise Invalid(
            "rebate_customers",
            "A contract is with the customers it names, or with those that have its customer_metadata: "
            "give one of the two.",
            param="customers",
        )
    if not FIRST_START <= request.starts_on < LAST_START:
        raise Invalid(
            "rebate_dates",
            f"A contract starts between {FIRST_START.year} and {LAST_START.year}.",
            param="starts_on",
        )
    if request.ends_on is not None and request.ends_on <= request.starts_on:
        raise Invalid("rebate_dates", "A contract ends after it starts.", param="ends_on")
    if request.period is RebatePeriod.CUSTOM and request.ends_on is None:
        raise Invalid("rebate_dates", "A period of its own has an end: give ends_on.", param="ends_on")
    _check_tiers(request.tiers, request.basis, request.currency)


def _check_tiers(tiers: Sequence[RebateTier], basis: Basis, currency: Currency) -> None:
    for tier in tiers:
        by_amount, by_quantity = tier.from_amount is not None, tier.from_quantity is not None
        if by_amount == by_quantity or by_amount != (basis is Basis.NET_AMOUNT):
            wanted = "from_amount" if basis is Basis.NET_AMOUNT else "from_quantity"
            raise Invalid("rebate_tier_form", f"On this basis a tier has {wanted} alone.", param="tiers")
        if tier.from_amount is not None and tier.from_amount.currency != currency:
            raise Invalid(
                "currency_mismatch",
                f"The tier is in {tier.from_amount.currency}, the contract in {currency}.",
                param="tiers",
            )
    bounds = [_lower(tier) for tier in tiers]
    if bounds[0] < 0 or not all(before < after for before, after in pairwise(bounds)):
        raise Invalid("rebate_tiers_unordered", "Each tier begins above the one before.", param="tiers")


# ── Periods ─────────────────────────────────────────────────────────────────────────────────────────────


def periods_begun(contract: RebateContract, by: date) -> list[Days]:
    """The oldest first; the last is cut where the contract ends."""
    found: list[Days] = []
    while (days := _nth(contract, len(found))) is not None and days.starts_on <= by:
        found.append(days)
    return found


def first_end(contract: RebateContract, after: date) -> date | None:
    """The end of the period that the day is in; None when the contract is over by then."""
    for days in [*periods_begun(contract, after)][-1:]:
        return days.ends_on if days.ends_on > after else None
    first = _nth(contract, 0)
    return first.ends_on if first else None


def _nth(contract: RebateContract, n: int) -> Days | None:
    if contract.period is RebatePeriod.CUSTOM:
        assert contract.ends_on is not None, "a period of its own has an end"
        return Days(contract.starts_on, contract.ends_on) if n == 0 else None
    months = MONTHS[contract.period]
    start = plus_months(contract.starts_on, n * months)
    end = plus_months(contract.starts_on, (n + 1) * months)
    if contract.ends_on is None:
        return Days(start, end)
    return Days(start, min(end, contract.ends_on)) if start < contract.ends_on else None


# ── Tiers ───────────────────────────────────────────────────────────────────────────────────────────────


def rebate_on(contract: RebateContract, net: Money, quantity: Measure) -> Money:
    """R(V), rounded half up once."""
    volume = _volume(contract, net, quantity)
    if volume <= 0 or net.minor <= 0:
        return zero(net.currency)
    match contract.mode:
        case Mode.WHOLE_VOLUME:
            share = rate_at(contract, volume) * volume
        case Mode.MARGINAL:
            share = sum(
                tier.rate * max(min(volume, upper) - _lower(tier), 0)
                for tier, upper in _uppers(contract.tiers, volume)
            )
    match contract.basis:
        case Basis.NET_AMOUNT:
            minor = round_half_up(share, PPM)
        case Basis.QUANTITY:
            minor = round_half_up(share * net.minor, PPM * volume)
    return Money(minor, net.currency)


def rate_at(contract: RebateContract, volume: int) -> Rate:
    """Of the tier that the volume reaches: a tier includes its lower bound."""
    return next((tier.rate for tier in reversed(contract.tiers) if volume >= _lower(tier)), Rate(0))


def next_tier(contract: RebateContract, net: Money, quantity: Measure) -> NextTier | None:
    """On the quantity basis what it brings is at the price of the units so far."""
    volume = _volume(contract, net, quantity)
    tier = next((tier for tier in contract.tiers if _lower(tier) > max(volume, 0)), None)
    if tier is None:
        return None
    now = rebate_on(contract, net, quantity)
    if tier.from_amount is not None:
        more = tier.from_amount - net
        brings = rebate_on(contract, tier.from_amount, quantity) - now
        return NextTier(rate=tier.rate, more_amount=more, more_quantity=None, brings=brings)
    assert tier.from_quantity is not None, "a tier begins at an amount or a quantity"
    there = Money(
        round_half_up(net.minor * _lower(tier), volume) if volume > 0 else 0,
        net.currency,
    )
    return NextTier(
        rate=tier.rate,
        more_amount=None,
        more_quantity=Measure(tier.from_quantity - quantity),
        brings=rebate_on(contract, there, tier.from_quantity) - now,
    )


def _volume(contract: RebateContract, net: Money, quantity: Measure) -> int:
    return net.minor if contract.basis is Basis.NET_AMOUNT else quantity.micro


def _lower(tier: RebateTier) -> int:
    if tier.from_amount is not None:
        return tier.from_amount.minor
    assert tier.from_quantity is not None, "a tier begins at an amount or a quantity"
    return tier.from_quantity.micro


def _uppers(tiers: Sequence[RebateTier], volume: int) -> list[tuple[RebateTier, int]]:
    """Each with where the next begins; the last one goes on."""
    return list(zip(tiers, [*(_lower(tier) for tier in tiers[1:]), volume], strict=True))


# ── How a period stands, and what is settled ────────────────────────────────────────────────────────────


def accrual_of(
    contract: RebateContract, days: Days, volumes: Sequence[Volume], settled: Sequence[RebateSettlement]
) -> PeriodAccrual:
    """What all have earned together is shared out by what each was billed."""
    nothing = zero(contract.currency)
    net = total((each.net for each in volumes), contract.currency)
    quantity = Measure(sum((each.quantity for each in volumes), start=Measure(0)))
    earned = rebate_on(contract, net, quantity)
    shares = allocate(earned, [max(each.net.minor, 0) for each in volumes])
    customers = []
    for volume, share in zip(volumes, shares, strict=True):
        back = (
            each.net
            for each in settled
            if each.invoice_id is not None and (each.customer_id, each.days) == (volume.customer_id, days)
        )
        issued = volume.rebate - total(back, contract.currency)
        customers.append(
            CustomerAccrual(
                customer_id=volume.customer_id,
                volume=volume.net,
                quantity=volume.quantity,
                earned=share,
                issued=issued,
                due=share - issued,
                left=volume.left,
            )
        )
    issued = sum((each.issued for each in customers), nothing)
    coming = next_tier(contract, net, quantity)
    return PeriodAccrual(
        starts_on=days.starts_on,
        ends_on=days.ends_on,
        volume=net,
        quantity=quantity,
        rate=rate_at(contract, _volume(contract, net, quantity)),
        earned=earned,
        issued=issued,
        due=earned - issued,
        next_tier=coming,
        says=says(earned, coming),
        customers=tuple(customers),
    )


def says(earned: Money, coming: NextTier | None) -> str:
    """As a person would say it: `So far 1,240.00 EUR; 60 more units bring the next tier: +310.00 EUR.`"""
    so_far = f"So far {_spelled(earned)}"
    if coming is None:
        return f"{so_far}; the highest tier is reached."
    if coming.more_amount is not None:
        more, verb = f"{_spelled(coming.more_amount)} more", "brings"
    else:
        assert coming.more_quantity is not None, "a tier is away by an amount or a quantity"
        one = coming.more_quantity == 1
        more, verb = (
            f"{coming.more_quantity} more {'unit' if one else 'units'}",
            "brings" if one else "bring",
        )
    return f"{so_far}; {more} {verb} the next tier: +{_spelled(coming.brings)}."


def _spelled(amount: Money) -> str:
    whole, point, decimals = amount.decimal.partition(".")
    return f"{int(whole):,}{point}{decimals} {amount.currency}"


def acts_of(contract: RebateContract, periods: Sequence[PeriodAccrual], *, today: date) -> list[Act]:
    """The oldest period first. What is not earned any more lowers what later ones give, or is taken back.

    No more is given than can still be credited; the rest waits for the next period, too.
    """
    acts: list[Act] = []
    carried: dict[str, Money] = {}
    for period in periods:
        for each in period.customers:
            key = str(each.customer_id)
            before = carried.pop(key, zero(contract.currency))
            due = each.due + before
            takes_back = contract.when_negative is WhenNegative.CLAW_BACK and period.ends_on <= today
            net = min(due, each.left) if due.minor > 0 else due
            if net.minor > 0 or (net.minor < 0 and takes_back):
                acts.append(Act(days=period.days, of=each, rate=period.rate, carried=before, net=net))
                due -= net
            if due:
                carried[key] = due
    return acts
