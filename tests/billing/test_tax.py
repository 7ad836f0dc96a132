"""VAT: rounded once per group of a document, and credited so that the parts add up to the whole."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.tax import rules, store
from billing.tax.add_tax_rate import add_tax_rate
from billing.tax.model import Category, GroupTax, NewTaxRate, TaxBehavior, TaxGroup
from kernel.database import Tx
from kernel.decimals import Rate
from kernel.errors import Conflict, Invalid, NotFound
from kernel.money import Money
from kernel.text import Name, Reference
from tests.makers import EUR, REVERSE_CHARGE, euros, vat

EXCLUSIVE, INCLUSIVE = TaxBehavior


def a_rate(
    percent: str = "20", category: Category = Category.STANDARD, reason: str | None = None
) -> NewTaxRate:
    return NewTaxRate(
        reference=Reference("rate"),
        name=Name("A rate"),
        category=category,
        rate=Rate.parse(percent),
        reason=Name(reason) if reason else None,
    )


def credited_one_by_one(
    group: TaxGroup,
    amounts: list[int],
    behavior: TaxBehavior = EXCLUSIVE,
    billed: GroupTax | None = None,
) -> list[GroupTax]:
    earlier: dict[TaxGroup, GroupTax] = {}
    taxes = []
    for amount in amounts:
        (tax,) = rules.taxes_credited(
            {group: euros(amount)}, earlier, behavior, billed=[billed] if billed else []
        )
        before = earlier.get(group, GroupTax(group=group, base=euros(0), tax=euros(0)))
        earlier[group] = GroupTax(group=group, base=before.base + tax.base, tax=before.tax + tax.tax)
        taxes.append(tax)
    return taxes


def test_vat_is_rounded_per_group_and_not_per_line() -> None:
    amounts = rules.amounts_of([(vat("20"), euros(33_33))] * 3, EUR)

    (tax,) = rules.taxes_on(amounts, EXCLUSIVE)

    assert (tax.base, tax.tax) == (euros(99_99), euros(20_00))  # three times 6.67 would be 20.01


def test_each_rate_and_reason_is_a_group_of_its_own() -> None:
    other_reason = TaxGroup(Category.REVERSE_CHARGE, Rate(0), "Art. 196")
    nets = [(group, euros(10_00)) for group in (vat("20"), REVERSE_CHARGE, vat("5.5"), other_reason)]

    taxes = rules.taxes_on(rules.amounts_of(nets, EUR), EXCLUSIVE)

    assert [(tax.group.category, tax.tax.minor) for tax in taxes] == [
        ("AE", 0),
        ("AE", 0),
        ("S", 55),
        ("S", 2_00),
    ]


def test_three_equal_lines_credited_one_by_one_add_up() -> None:
    taxes = credited_one_by_one(vat("20"), [33_33] * 3)

    assert [tax.tax.minor for tax in taxes] == [6_67, 6_66, 6_67]


def test_gross_prices_are_split_per_group_and_not_per_line() -> None:
    amounts = rules.amounts_of([(vat("20"), euros(86_11)), (vat("20"), euros(25_83))], EUR)

    (tax,) = rules.taxes_on(amounts, INCLUSIVE)

    assert (tax.base, tax.tax) == (euros(93_28), euros(18_66))  # one by one they would be 71.76 and 21.53


def test_gross_credits_telescope() -> None:
    taxes = credited_one_by_one(vat("20"), [43_06, 68_88], INCLUSIVE)

    assert [(tax.base.minor, tax.tax.minor) for tax in taxes] == [(35_88, 7_18), (57_40, 11_48)]


@given(
    st.integers(1, 1_000_000),
    st.lists(st.integers(0, 10**9), min_size=1, max_size=20),
    st.sampled_from(TaxBehavior),
)
def test_net_and_vat_of_all_parts_are_those_of_the_whole(
    ppm: int, parts: list[int], behavior: TaxBehavior
) -> None:
    group = TaxGroup(Category.STANDARD, Rate(ppm))

    taxes = credited_one_by_one(group, parts, behavior)

    (whole,) = rules.taxes_on({group: euros(sum(parts))}, behavior)
    assert sum(tax.base.minor for tax in taxes) == whole.base.minor
    assert sum(tax.tax.minor for tax in taxes) == whole.tax.minor
    assert all(tax.base.minor >= 0 and tax.tax.minor >= 0 for tax in taxes)


def a_tax(net: int, tax: int, group: TaxGroup | None = None) -> GroupTax:
    return GroupTax(group=group or vat("20"), base=euros(net), tax=euros(tax))


@pytest.mark.parametrize("tax", [19_99, 20_00, 20_02])
@pytest.mark.parametrize("behavior", TaxBehavior)
def test_vat_that_an_invoice_came_with_is_credited_to_the_cent(tax: int, behavior: TaxBehavior) -> None:
    billed = a_tax(100_00, tax)
    whole = 100_00 if behavior is EXCLUSIVE else 100_00 + tax

    taxes = credited_one_by_one(vat("20"), [50_00, 49_00, whole - 99_00], behavior, billed)

    assert sum(each.tax.minor for each in taxes) == tax
    assert sum(each.base.minor for each in taxes) == 100_00


def test_vat_that_is_less_than_its_rate_is_used_up_before_the_last_credit() -> None:
    taxes = credited_one_by_one(vat("20"), [99_98, 2], EXCLUSIVE, a_tax(100_00, 19_99))

    assert [each.tax.minor for each in taxes] == [19_99, 0]  # 20 % of 99.98 would be 20.00


@given(
    st.integers(1, 1_000_000),
    st.lists(st.integers(0, 10**6), min_size=1, max_size=20),
    st.integers(-20, 20),
    st.sampled_from(TaxBehavior),
)
def test_credits_of_given_vat_add_up_and_stay_within_it(
    ppm: int, parts: list[int], off: int, behavior: TaxBehavior
) -> None:
    group = TaxGroup(Category.STANDARD, Rate(ppm))
    (usual,) = rules.taxes_on({group: euros(sum(parts))}, behavior)
    tax = min(max(usual.tax.minor + off, 0), sum(parts))
    net = sum(parts) if behavior is EXCLUSIVE else sum(parts) - tax

    taxes = credited_one_by_one(group, parts, behavior, a_tax(net, tax, group))

    assert sum(each.tax.minor for each in taxes) == tax
    assert sum(each.base.minor for each in taxes) == net
    assert all(each.base.minor >= 0 and each.tax.minor >= 0 for each in taxes)


@pytest.mark.parametrize(
    "given_",
    [[], [a_tax(99_99, 20_00)], [a_tax(100_00, 20_00)] * 2, [a_tax(100_00, 20_00), a_tax(1, 0, vat("5.5"))]],
)
def test_given_vat_is_of_what_was_billed(given_: list[GroupTax]) -> None:
    amounts = {vat("20"): euros(100_00)}

    assert rules.taxes_given(amounts, [a_tax(100_00, 20_01)], EXCLUSIVE) == (a_tax(100_00, 20_01),)
    assert rules.taxes_given(amounts, [a_tax(83_34, 16_66)], INCLUSIVE) == (a_tax(83_34, 16_66),)
    with pytest.raises(Invalid) as refused:
        rules.taxes_given(amounts, given_, EXCLUSIVE)
    assert refused.value.code == "taxes_do_not_add_up"


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (a_rate("0"), "tax_rate_category"),
        (a_rate("20", Category.EXPORT, "Export"), "tax_rate_category"),
        (a_rate("0", Category.REVERSE_CHARGE), "tax_reason_required"),
        (a_rate("0", Category.EXEMPT), "tax_reason_required"),
    ],
)
def test_a_rate_of_another_kind_is_refused(request_: NewTaxRate, code: str) -> None:
    with pytest.raises(Invalid) as refused:
        rules.check(category=request_.category, rate=request_.rate, reason=request_.reason)
    assert refused.value.code == code


@pytest.mark.parametrize(
    "request_", [a_rate("20"), a_rate("0", Category.ZERO_RATED), a_rate("0", Category.EXEMPT, "Art. 261")]
)
async def test_a_rate_is_found_by_its_reference_and_by_its_id(tx: Tx, request_: NewTaxRate) -> None:
    rate = await add_tax_rate(tx, request_)

    assert await store.get(tx, "rate") == rate == await store.get(tx, str(rate.id))


async def test_a_reference_is_taken_once(tx: Tx) -> None:
    await add_tax_rate(tx, a_rate())
    with pytest.raises(Conflict) as refused:
        await add_tax_rate(tx, a_rate("5.5"))
    assert refused.value.code == "reference_taken"


async def test_a_rate_that_is_not_there_is_not_found(tx: Tx) -> None:
    with pytest.raises(NotFound, match="no tax rate 'nowhere'"):
        await store.get(tx, "nowhere")


def test_vat_of_a_currency_without_decimals_has_none() -> None:
    yen = Money(105, currency=EUR.__class__("JPY"))

    assert vat("10").rate.of(yen).minor == 11
