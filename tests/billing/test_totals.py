"""What an invoice adds up to: discounts on the lines, VAT per group."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.invoices import totals
from billing.invoices.model import NewDiscount, PricedLine, Status
from kernel.decimals import Rate
from kernel.errors import Invalid
from kernel.money import MAX_MINOR, Currency, Money
from kernel.text import Name
from tests.makers import EUR, a_line, euros, three_lines, vat


def percent(text: str) -> NewDiscount:
    return NewDiscount(name=Name("Bienvenue"), percent=Rate.parse(text))


def fixed(minor: int, currency: Currency = EUR) -> NewDiscount:
    return NewDiscount(name=Name("Bienvenue"), amount=Money(minor, currency))


def nets(lines: list[PricedLine]) -> list[int]:
    return [line.net.minor for line in lines]


def test_a_discount_is_frozen_on_the_lines_as_allowances() -> None:
    lines = three_lines()

    assert [line.discount.minor for line in lines] == [13_89, 6_94, 4_17]
    assert [line.allowances[0].name for line in lines] == ["Bienvenue"] * 3


def test_the_three_lines_add_up_to_179_76() -> None:
    sums = totals.totals_of(three_lines(), EUR)

    assert [(tax.group, tax.base, tax.tax) for tax in sums.taxes] == [
        (vat("5.5"), euros(43_06), euros(2_37)),
        (vat("20"), euros(111_94), euros(22_39)),
    ]
    assert (sums.net, sums.tax, sums.total) == (euros(155_00), euros(24_76), euros(179_76))


def test_a_percentage_is_rounded_once_on_the_sum() -> None:
    lines = totals.discounted([a_line(price="0.05")] * 3, "draft", percent("10"))

    assert nets(lines) == [4, 4, 5]  # 10 % of 0.15 is 0.02; of each 0.05 it would be 0.01


def test_the_second_discount_is_on_what_the_first_left() -> None:
    lines = totals.discounted([a_line(price="100.00")], "draft", percent("10"))
    lines = totals.discounted(lines, "draft", percent("50"))

    assert nets(lines) == [45_00]
    assert [allowance.amount.minor for allowance in lines[0].allowances] == [10_00, 45_00]


def test_a_discount_takes_no_more_than_is_there() -> None:
    assert nets(totals.discounted([a_line(price="10.00")] * 2, "draft", fixed(50_00))) == [0, 0]


def test_a_line_that_a_discount_does_not_touch_has_no_allowance() -> None:
    lines = totals.discounted([a_line(price="0.00"), a_line(price="10.00")], "draft", fixed(5_00))

    assert [len(line.allowances) for line in lines] == [0, 1]


@pytest.mark.parametrize(
    ("discount", "code"),
    [
        (NewDiscount(name=Name("x")), "discount_form"),
        (NewDiscount(name=Name("x"), percent=Rate(1), amount=euros(1)), "discount_form"),
        (fixed(-1), "discount_negative"),
        (fixed(1, Currency("USD")), "currency_mismatch"),
    ],
)
def test_a_discount_that_is_none_is_refused(discount: NewDiscount, code: str) -> None:
    with pytest.raises(Invalid) as refused:
        totals.discounted([a_line()], "draft", discount)
    assert refused.value.code == code


def test_an_amount_beyond_all_bounds_is_refused() -> None:
    totals.check_amount(euros(MAX_MINOR))
    with pytest.raises(Invalid, match=r"at most 100000000000\.00 EUR") as refused:
        totals.totals_of([a_line(price="99999999999.00")], EUR)  # its VAT is too much
    assert refused.value.code == "amount_too_large"


@pytest.mark.parametrize(
    ("settled", "status"),
    [(0, Status.OPEN), (1, Status.PARTLY_SETTLED), (99, Status.PARTLY_SETTLED), (100, Status.SETTLED)],
)
def test_the_status_says_what_is_settled(settled: int, status: Status) -> None:
    assert totals.status_of(total=euros(100), settled=euros(settled)) is status


def test_an_invoice_of_nothing_is_settled() -> None:
    assert totals.status_of(total=euros(0), settled=euros(0)) is Status.SETTLED


amounts = st.lists(st.integers(0, 10**8), min_size=1, max_size=8)
discounts = st.lists(
    st.one_of(
        st.integers(0, 1_000_000).map(lambda ppm: NewDiscount(name=Name("x"), percent=Rate(ppm))),
        st.integers(0, 10**9).map(fixed),
    ),
    max_size=4,
)


@given(amounts, discounts)
def test_whatever_is_taken_off_no_line_is_negative_and_the_sums_hold(
    minors: list[int], off: list[NewDiscount]
) -> None:
    lines = [a_line(price=euros(minor).decimal) for minor in minors]
    for discount in off:
        before = sum(nets(lines))
        lines = totals.discounted(lines, "draft", discount)
        assert before - sum(nets(lines)) == totals.amount_of(discount, euros(before)).minor

    sums = totals.totals_of(lines, EUR)
    assert all(net >= 0 for net in nets(lines))
    assert sums.net.minor == sum(nets(lines)) == sum(tax.base.minor for tax in sums.taxes)
    assert sums.total == sums.net + sums.tax
