"""What a rebate programme gives on a volume: to the cent, both modes, both bases."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.parties.model import CustomerId
from kernel.decimals import Measure, Rate
from kernel.errors import Invalid
from promotions.rebates import rules
from promotions.rebates.model import (
    Basis,
    Days,
    Mode,
    NewRebateContract,
    RebateContract,
    RebateContractId,
    RebatePeriod,
    RebateTier,
)
from tests.makers import NOON, euros
from tests.promotions.rebates.contracts import BY_UNITS, ORACLE, a_new_contract, tiers

MODES = list(Mode)


def agreed(request: NewRebateContract) -> RebateContract:
    rules.check(request)
    return RebateContract(
        id=RebateContractId.new(),
        reference=request.reference,
        name=request.name,
        currency=request.currency,
        customers=(CustomerId.new(),),
        customer_metadata={},
        items=None,
        period=request.period,
        basis=request.basis,
        mode=request.mode,
        tiers=tuple(request.tiers),
        refund=request.refund,
        when_negative=request.when_negative,
        starts_on=request.starts_on,
        ends_on=request.ends_on,
        metadata={},
        created_at=NOON,
    )


def rebate(mode: Mode, net: int, units: int = 0, *, basis: Basis = Basis.NET_AMOUNT) -> int:
    contract = agreed(a_new_contract(mode=mode, basis=basis))
    return rules.rebate_on(contract, euros(net), Measure(units)).minor


@pytest.mark.parametrize(
    ("net", "marginal", "whole"),
    [
        (0, 0, 0),
        (99_99, 10_00, 10_00),
        (100_00, 10_00, 20_00),
        (299_99, 50_00, 60_00),
        (300_00, 50_00, 90_00),  # a tier includes its lower bound
        (300_01, 50_00, 90_00),
        (3800_00, 1100_00, 1140_00),
        (-5_00, 0, 0),
    ],
)
def test_the_oracle(net: int, marginal: int, whole: int) -> None:
    assert (rebate(Mode.MARGINAL, net), rebate(Mode.WHOLE_VOLUME, net)) == (marginal, whole)


@pytest.mark.parametrize(
    ("units", "net", "marginal", "whole"),
    [
        # of 1000.00 for 400 units, 100 are at 10 %, 200 at 20 % and 100 at 30 %
        (400, 1000_00, 200_00, 300_00),
        (100, 1000_00, 100_00, 200_00),
        (300, 333_33, 55_56, 100_00),
        (7, 0, 0, 0),
        (0, 0, 0, 0),
    ],
)
def test_on_the_quantity_basis_a_rate_is_of_the_net_amount_of_its_units(
    units: int, net: int, marginal: int, whole: int
) -> None:
    basis = Basis.QUANTITY
    assert rebate(Mode.MARGINAL, net, units, basis=basis) == marginal
    assert rebate(Mode.WHOLE_VOLUME, net, units, basis=basis) == whole


@given(one=st.integers(0, 10_000_00), more=st.integers(0, 10_000_00), mode=st.sampled_from(MODES))
def test_more_volume_is_never_less_rebate_and_never_more_than_the_highest_rate(
    one: int, more: int, mode: Mode
) -> None:
    assert 0 <= rebate(mode, one) <= rebate(mode, one + more) <= (one + more) * 0.3 + 1


# ── The next tier ───────────────────────────────────────────────────────────────────────────────────────


def test_it_is_told_how_much_more_the_next_tier_takes_and_what_it_brings() -> None:
    contract = agreed(a_new_contract(mode=Mode.WHOLE_VOLUME))
    coming = rules.next_tier(contract, euros(250_00), Measure(0))

    assert coming is not None
    assert (coming.more_amount, coming.brings) == (euros(50_00), euros(40_00))
    earned = rules.rebate_on(contract, euros(250_00), Measure(0))
    assert rules.says(earned, coming) == "So far 50.00 EUR; 50.00 EUR more brings the next tier: +40.00 EUR."


def test_units_are_told_at_the_price_they_had_so_far() -> None:
    contract = agreed(a_new_contract(mode=Mode.WHOLE_VOLUME, basis=Basis.QUANTITY))
    coming = rules.next_tier(contract, euros(2400_00), Measure(240))

    assert coming is not None
    assert (str(coming.more_quantity), coming.brings) == ("60", euros(420_00))
    said = rules.says(euros(1240_00), coming)
    assert said == "So far 1,240.00 EUR; 60 more units bring the next tier: +420.00 EUR."


def test_above_the_highest_tier_there_is_none() -> None:
    contract = agreed(a_new_contract())
    assert rules.next_tier(contract, euros(300_00), Measure(0)) is None
    assert rules.says(euros(50_00), None) == "So far 50.00 EUR; the highest tier is reached."


# ── Periods ─────────────────────────────────────────────────────────────────────────────────────────────


def test_periods_count_from_the_start_and_the_last_is_cut_at_the_end() -> None:
    contract = agreed(
        a_new_contract(period=RebatePeriod.QUARTER, starts_on=date(2026, 1, 31), ends_on=date(2026, 6, 15))
    )
    assert rules.periods_begun(contract, date(2027, 1, 1)) == [
        Days(date(2026, 1, 31), date(2026, 4, 30)),
        Days(date(2026, 4, 30), date(2026, 6, 15)),
    ]
    assert rules.periods_begun(contract, date(2026, 1, 30)) == []
    assert rules.first_end(contract, date(2026, 1, 1)) == date(2026, 4, 30)
    assert rules.first_end(contract, date(2026, 4, 29)) == date(2026, 4, 30)
    assert rules.first_end(contract, date(2026, 4, 30)) == date(2026, 6, 15)
    assert rules.first_end(contract, date(2026, 6, 15)) is None


def test_a_period_of_its_own_is_one() -> None:
    contract = agreed(a_new_contract(period=RebatePeriod.CUSTOM, ends_on=date(2026, 2, 10)))
    assert rules.periods_begun(contract, date(2028, 1, 1)) == [Days(date(2026, 1, 1), date(2026, 2, 10))]


# ── What a contract must be like ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (a_new_contract(customers=[]), "rebate_customers"),
        (a_new_contract(customers=["user-42"], customer_metadata={"a": "b"}), "rebate_customers"),
        (a_new_contract(ends_on=date(2026, 1, 1)), "rebate_dates"),
        (a_new_contract(period=RebatePeriod.CUSTOM), "rebate_dates"),
        (a_new_contract(starts_on=date(1, 1, 1)), "rebate_dates"),
        (a_new_contract(starts_on=date(9999, 12, 31)), "rebate_dates"),
        (a_new_contract(terms=BY_UNITS), "rebate_tier_form"),
        (a_new_contract(basis=Basis.QUANTITY, terms=ORACLE), "rebate_tier_form"),
        (a_new_contract(terms=[RebateTier(rate=Rate.parse("5"))]), "rebate_tier_form"),
        (a_new_contract(terms=tiers((1_00, "1"), (1_00, "2"))), "rebate_tiers_unordered"),
        (a_new_contract(terms=tiers((-1, "1"))), "rebate_tiers_unordered"),
    ],
)
def test_what_could_not_be_counted_is_refused(request_: NewRebateContract, code: str) -> None:
    with pytest.raises(Invalid) as refused:
        rules.check(request_)
    assert refused.value.code == code
