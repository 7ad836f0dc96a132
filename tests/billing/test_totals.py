"""What an invoice adds up to: discounts on the lines, VAT per group."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from billing.invoices import totals
from billing.invoices.model import NewDiscount, PricedLine, Status
from billing.tax.model import Category, TaxBehavior, TaxGroup
from kernel.decimals import Quantity, Rate, UnitPrice
from kernel.errors import Invalid
from kernel.money import MAX_MINOR, Currency, Money, total
from kernel.text import Name
from tests.makers import EUR, REVERSE_CHARGE, a_line, euros, three_lines, vat

EXCLUSIVE, INCLUSIVE = TaxBehavior
EXPORT = TaxGroup(Category.EXPORT, Rate(0), "Art. 259 B du CGI")


def percent(text: str) -> NewDiscount:
    return NewDiscount(name=Name("Bienvenue"), percent=Rate.parse(text))


def fixed(minor: int, currency: Currency = EUR) -> NewDiscount:
    return NewDiscount(name=Name("Bienvenue"), amount=Money(minor, currency))


def nets(lines: list[PricedLine]) -> list[int]:
    return [line.billed.minor for line in lines]


def test_a_discount_is_frozen_on_the_lines_as_allowances() -> None:
    lines = three_lines()

    assert [line.discount.minor for line in lines] == [13_89, 6_94, 4_17]
    assert [line.allowances[0].name for line in lines] == ["Bienvenue"] * 3


def test_the_three_lines_add_up_to_179_76() -> None:
    sums = totals.totals_of(three_lines(), EUR, EXCLUSIVE)

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
        totals.totals_of([a_line(price="99999999999.00")], EUR, EXCLUSIVE)  # its VAT is too much
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

    sums = totals.totals_of(lines, EUR, EXCLUSIVE)
    assert all(net >= 0 for net in nets(lines))
    assert sums.net.minor == sum(nets(lines)) == sum(tax.base.minor for tax in sums.taxes)
    assert sums.total == sums.net + sums.tax


# ── Gross prices ────────────────────────────────────────────────────────────────────────────────────────


def test_the_three_lines_as_gross() -> None:
    sums = totals.totals_of(three_lines(), EUR, INCLUSIVE)

    assert [(tax.group, tax.base.minor, tax.tax.minor) for tax in sums.taxes] == [
        (vat("5.5"), 40_82, 2_24),
        (vat("20"), 93_28, 18_66),
    ]
    assert (sums.net, sums.tax, sums.total) == (euros(134_10), euros(20_90), euros(155_00))


def test_each_line_holds_its_share_of_the_vat_of_its_group() -> None:
    sums = totals.totals_of(three_lines(), EUR, INCLUSIVE)

    assert [tax.minor for tax in sums.included_tax] == [14_35, 2_24, 4_31]  # 18.66 over 86.11 and 25.83


def test_net_prices_hold_no_vat() -> None:
    assert not any(totals.totals_of(three_lines(), EUR, EXCLUSIVE).included_tax)


def test_who_is_charged_no_vat_pays_what_the_others_pay_net() -> None:
    (line,) = totals.totals_of([sold_to(REVERSE_CHARGE, a_line(price="29.00"))], EUR, INCLUSIVE).lines

    assert (line.amount, line.unit_price, line.tax) == (euros(24_17), UnitPrice("24.17"), REVERSE_CHARGE)


def test_fixed_discounts_are_gross_for_them_too() -> None:
    lines = [sold_to(EXPORT, line) for line in three_lines()]

    sums = totals.totals_of(lines, EUR, INCLUSIVE)

    assert (sums.net, sums.tax, sums.total) == (euros(134_10), euros(0), euros(134_10))
    assert [(line.amount.minor, line.discount.minor) for line in sums.lines] == [
        (83_34, 11_58),  # 86.11 less 14.35
        (47_40, 6_58),
        (25_00, 3_48),
    ]


def test_where_no_vat_is_charged_prices_are_net() -> None:
    assert totals.totals_of([sold_to(EXPORT, a_line())], EUR, INCLUSIVE).tax_behavior is EXCLUSIVE
    assert totals.totals_of([sold_to(EXPORT, a_line()), a_line()], EUR, INCLUSIVE).tax_behavior is INCLUSIVE


def test_net_prices_are_the_same_for_everybody() -> None:
    assert totals.totals_of([sold_to(EXPORT, a_line())], EUR, EXCLUSIVE).total == euros(100_00)


def test_a_price_made_without_vat_stays_as_it_is() -> None:
    assert totals.totals_of([a_line(tax=EXPORT)], EUR, INCLUSIVE).total == euros(100_00)


@pytest.mark.parametrize(
    ("of", "to", "amount", "unit_price"),
    [
        (EXCLUSIVE, INCLUSIVE, 104_40, "34.80"),
        (INCLUSIVE, EXCLUSIVE, 72_50, "24.167"),  # 87.00 / 1.2
        (EXCLUSIVE, EXCLUSIVE, 87_00, "29.00"),
        (INCLUSIVE, INCLUSIVE, 87_00, "29.00"),
    ],
)
def test_a_line_goes_from_net_prices_to_gross_ones_and_back(
    of: TaxBehavior, to: TaxBehavior, amount: int, unit_price: str
) -> None:
    line = totals.in_prices(a_line(price="29.00", quantity="3"), of=of, to=to)

    assert (line.amount, str(line.unit_price), str(line.quantity)) == (euros(amount), unit_price, "3")


@given(st.integers(0, 10**9), st.integers(1, 1_000_000))
def test_a_net_line_on_a_gross_invoice_is_the_same_net(minor: int, ppm: int) -> None:
    """Whether its VAT is charged or waived."""
    net = a_line(price=euros(minor).decimal, tax=TaxGroup(Category.STANDARD, Rate(ppm)))

    for line in (net, sold_to(EXPORT, net)):
        gross = totals.in_prices(line, of=EXCLUSIVE, to=INCLUSIVE)
        assert totals.totals_of([gross], EUR, INCLUSIVE).net == euros(minor)


def sold_to(group: TaxGroup, line: PricedLine) -> PricedLine:
    """The line of a customer who is not charged the VAT that its price was made with."""
    return replace(line, tax=group, waived=line.tax)


@st.composite
def some_lines(draw: st.DrawFn) -> list[PricedLine]:
    lines = [
        a_line(
            price=draw(st.decimals(0, 10_000, places=draw(st.integers(2, 5)))).to_eng_string(),
            quantity=draw(st.sampled_from(["1", "3", "7", "0.5", "12"])),
            tax=vat(draw(st.sampled_from(["20", "5.5", "2.1", "100"]))),
        )
        for _ in range(draw(st.integers(1, 6)))
    ]
    for discount in draw(discounts):
        lines = totals.discounted(lines, "draft", discount)
    return lines


@given(some_lines())
def test_the_lines_of_a_gross_invoice_add_up_to_its_net_and_to_its_vat(lines: list[PricedLine]) -> None:
    sums = totals.totals_of(lines, EUR, INCLUSIVE)

    assert sums.total == total((line.billed for line in lines), EUR)
    assert sums.tax == total(sums.included_tax, EUR)
    for line, tax in zip(sums.lines, sums.included_tax, strict=True):
        assert euros(0) <= tax <= line.billed


@given(some_lines())
def test_the_net_is_the_same_whether_vat_is_charged_or_not(lines: list[PricedLine]) -> None:
    charged = totals.totals_of(lines, EUR, INCLUSIVE)

    free = totals.totals_of([sold_to(EXPORT, line) for line in lines], EUR, INCLUSIVE)

    assert (free.total, free.tax) == (charged.net, euros(0))
    for line in free.lines:
        assert line.unit_price.times(line.quantity, EUR) == line.amount
        assert line.discount <= line.amount


@given(st.integers(0, 10**9), st.integers(1, 10**12))
def test_there_is_a_unit_price_for_every_amount(minor: int, micro: int) -> None:
    quantity = Quantity(Quantity(micro).scaleb(-6))

    assert UnitPrice.giving(euros(minor), quantity).times(quantity, EUR) == euros(minor)
