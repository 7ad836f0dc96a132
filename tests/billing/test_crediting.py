"""What a credit note takes off an invoice: in any order and any split, exactly the invoice."""

from collections.abc import Sequence
from contextlib import suppress
from itertools import permutations
from typing import TypedDict, Unpack

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.credit_notes.crediting import Credit, Credited, standing_of, work_out
from billing.credit_notes.model import CreditShare, NewCreditLine, NewCreditNote, Reason
from billing.invoices.model import Invoice, Line, LineId
from billing.tax.model import NET_OF_TAX, GroupTax, TaxBehavior, TaxGroup
from kernel.decimals import Quantity, Rate
from kernel.errors import Conflict, DomainError, Invalid, NotFound
from kernel.money import Currency, Money
from tests.makers import EUR, REVERSE_CHARGE, a_line, an_invoice, euros, vat, with_discount
from tests.shop import by_amount, by_quantity, the_rest_of


def nothing_of(line: Line) -> Credited:
    return Credited(
        invoice_line_id=line.id, amount=euros(0), quantity=Quantity(0), volume=euros(0), rebate=euros(0)
    )


class More(TypedDict, total=False):
    total: Money
    percent: Rate
    net_of_tax: bool


class Credits:
    """The credit notes on one invoice, one after the other."""

    def __init__(self, invoice: Invoice) -> None:
        self.invoice = invoice
        self.lines: dict[LineId, Credited] = {}
        self.taxes: dict[TaxGroup, GroupTax] = {}
        self.total = 0

    def credit(
        self, *requested: NewCreditLine, reason: Reason = Reason.CANCELLATION, **more: Unpack[More]
    ) -> tuple[int, int]:
        """Net and VAT of one more credit note."""
        credit = work_out(
            self.invoice.lines,
            NewCreditNote(reason=reason, lines=list(requested) or None, **more),
            earlier=self.lines,
            earlier_taxes=self.taxes,
            billed=self.invoice.taxes,
            currency=self.invoice.currency,
            behavior=self.invoice.tax_behavior,
        )
        self._remember(credit)
        return credit.net.minor, credit.tax.minor

    def _remember(self, credit: Credit) -> None:
        for each in credit.lines:
            before = self.lines.get(each.line.id, nothing_of(each.line))
            self.lines[each.line.id] = Credited(
                invoice_line_id=each.line.id,
                amount=before.amount + each.amount,
                quantity=Quantity(before.quantity + (each.quantity or 0)),
                volume=before.volume + each.volume,
                rebate=before.rebate - each.rebate_ended,
            )
        for tax in credit.taxes:
            earlier = self.taxes.get(tax.group, GroupTax(group=tax.group, base=euros(0), tax=euros(0)))
            self.taxes[tax.group] = GroupTax(
                group=tax.group, base=earlier.base + tax.base, tax=earlier.tax + tax.tax
            )
        self.total += credit.total.minor

    def assert_all_is_credited(self) -> None:
        invoice = self.invoice
        assert self.total == invoice.total.minor
        assert {tax.group: tax for tax in invoice.taxes if tax.base} == self.taxes
        assert {line.id: line.billed for line in invoice.lines if line.billed} == {
            each.invoice_line_id: each.amount for each in self.lines.values()
        }


def three_for_100() -> Invoice:
    return an_invoice([a_line(price="33.333333333333", quantity="3")])


def refusal(credits_: Credits, *requested: NewCreditLine) -> str:
    with pytest.raises(DomainError) as refused:
        credits_.credit(*requested)
    return refused.value.code


def test_half_of_a_then_the_rest_of_it_with_c_then_b() -> None:
    invoice = an_invoice()
    a, b, c = invoice.lines
    credits_ = Credits(invoice)

    assert credits_.credit(by_amount(a, 43_06)) == (43_06, 8_61)
    assert credits_.credit(the_rest_of(a), the_rest_of(c)) == (68_88, 13_78)
    assert credits_.credit(the_rest_of(b)) == (43_06, 2_37)
    credits_.assert_all_is_credited()


def test_half_of_a_by_quantity_is_half_of_what_was_billed() -> None:
    invoice = an_invoice()

    assert Credits(invoice).credit(by_quantity(invoice.lines[0], "0.5")) == (43_06, 8_61)


def test_in_gross_prices_half_of_a_then_the_rest_of_it_with_c_then_b() -> None:
    invoice = an_invoice(tax_behavior=TaxBehavior.INCLUSIVE)
    a, b, c = invoice.lines
    credits_ = Credits(invoice)

    assert credits_.credit(by_amount(a, 43_06)) == (35_88, 7_18)
    assert credits_.credit(the_rest_of(a), the_rest_of(c)) == (57_40, 11_48)
    assert credits_.credit(the_rest_of(b)) == (40_82, 2_24)
    credits_.assert_all_is_credited()


@pytest.mark.parametrize("behavior", TaxBehavior)
@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_in_every_order_the_credits_add_up_to_the_invoice(
    order: Sequence[int], behavior: TaxBehavior
) -> None:
    invoice = an_invoice(tax_behavior=behavior)
    a, b, c = invoice.lines
    steps = [by_amount(a, 43_06), by_amount(a, 43_05), by_amount(b, 43_06), by_amount(c, 25_83)]
    credits_ = Credits(invoice)

    for step in order:
        credits_.credit(steps[step])

    credits_.assert_all_is_credited()


def test_three_equal_lines_one_by_one() -> None:
    invoice = an_invoice([a_line(price="33.33")] * 3)
    credits_ = Credits(invoice)

    assert [credits_.credit(the_rest_of(line)) for line in invoice.lines] == [
        (33_33, 6_67),
        (33_33, 6_66),
        (33_33, 6_67),
    ]
    credits_.assert_all_is_credited()


def test_units_credited_one_by_one_are_exactly_the_line() -> None:
    invoice = three_for_100()
    (line,) = invoice.lines
    credits_ = Credits(invoice)

    assert [credits_.credit(by_quantity(line, "1"))[0] for _ in range(3)] == [33_33, 33_34, 33_33]
    credits_.assert_all_is_credited()


def test_what_an_amount_took_is_no_longer_there_for_a_quantity() -> None:
    invoice = three_for_100()
    (line,) = invoice.lines
    credits_ = Credits(invoice)
    credits_.credit(by_amount(line, 90_00))

    assert credits_.credit(by_quantity(line, "2"))[0] == 10_00
    assert refusal(credits_, by_quantity(line, "1")) == "nothing_to_credit"


def test_without_lines_everything_that_is_left_is_credited() -> None:
    invoice = an_invoice()
    credits_ = Credits(invoice)
    credits_.credit(by_amount(invoice.lines[0], 1))

    credits_.credit()

    credits_.assert_all_is_credited()
    assert refusal(credits_) == "nothing_to_credit"


def test_a_line_that_cost_nothing_is_not_on_the_note() -> None:
    invoice = an_invoice([a_line(price="0.00"), a_line(price="1.00")])
    credits_ = Credits(invoice)

    credits_.credit()

    assert set(credits_.lines) == {invoice.lines[1].id}


def test_not_one_cent_more_than_what_is_left_of_a_line() -> None:
    invoice = an_invoice()
    line = invoice.lines[0]
    credits_ = Credits(invoice)
    credits_.credit(by_amount(line, 86_10))

    assert refusal(credits_, by_amount(line, 2)) == "credit_exceeds_line"
    assert credits_.credit(by_amount(line, 1)) == (1, 0)
    assert refusal(credits_, by_amount(line, 1)) == "credit_exceeds_line"


@pytest.mark.parametrize("quantity", ["3.000001", "4", "0"])
def test_not_more_units_than_were_billed(quantity: str) -> None:
    invoice = three_for_100()

    assert refusal(Credits(invoice), by_quantity(invoice.lines[0], quantity)) == "credit_exceeds_quantity"


def test_the_units_credited_before_count() -> None:
    invoice = three_for_100()
    credits_ = Credits(invoice)
    credits_.credit(by_quantity(invoice.lines[0], "2.5"))

    with pytest.raises(Conflict, match=r"^0.5 of 3 units"):
        credits_.credit(by_quantity(invoice.lines[0], "1"))


def test_a_line_is_named_once_and_in_one_way() -> None:
    invoice = an_invoice()
    line = invoice.lines[0]
    both = NewCreditLine(line=line.id, amount=euros(1), quantity=Quantity(1))

    assert refusal(Credits(invoice), by_amount(line, 1), by_amount(line, 1)) == "credit_line_twice"
    with pytest.raises(Invalid, match="not both"):
        Credits(invoice).credit(both)


def test_a_net_amount_is_not_taken_for_a_gross_one() -> None:
    """`net` says what `amount` says, where prices are net."""
    for behavior, code in ((TaxBehavior.EXCLUSIVE, None), (TaxBehavior.INCLUSIVE, "credit_net_of_gross")):
        credits_ = Credits(an_invoice(tax_behavior=behavior))
        by_net = NewCreditLine(line=credits_.invoice.lines[0].id, net=euros(43_06))
        if code:
            assert refusal(credits_, by_net) == code
        else:
            assert credits_.credit(by_net) == (43_06, 8_61)


def test_a_line_of_another_invoice_is_not_found() -> None:
    with pytest.raises(NotFound):
        Credits(an_invoice()).credit(the_rest_of(an_invoice().lines[0]))


@st.composite
def invoices(draw: st.DrawFn) -> Invoice:
    groups = st.sampled_from([vat("20"), vat("5.5"), vat("2.1"), REVERSE_CHARGE])
    lines = [
        a_line(
            price=euros(draw(st.integers(1, 300_00))).decimal,
            quantity=draw(st.sampled_from(["1", "3", "7", "0.5", "12"])),
            tax=draw(groups),
        )
        for _ in range(draw(st.integers(1, 5)))
    ]
    off = draw(st.integers(0, sum(line.billed.minor for line in lines)))
    return an_invoice(with_discount(lines, off), tax_behavior=draw(st.sampled_from(TaxBehavior)))


def a_part(data: st.DataObject, credits_: Credits) -> NewCreditLine:
    """Of any line: an amount within what is left, or a number of units."""
    line = data.draw(st.sampled_from(credits_.invoice.lines))
    before = credits_.lines.get(line.id)
    left = line.billed - before.amount if before else line.billed
    units = line.quantity.micro - (before.quantity.micro if before else 0)
    if data.draw(st.booleans()) and units:
        micro = data.draw(st.integers(1, units))
        return NewCreditLine(line=line.id, quantity=Quantity(Quantity(micro).scaleb(-6)))
    return by_amount(line, data.draw(st.integers(1, max(left.minor, 1))))


@given(invoices(), st.data())
def test_any_split_in_any_order_adds_up_to_the_invoice(invoice: Invoice, data: st.DataObject) -> None:
    credits_ = Credits(invoice)
    for _ in range(data.draw(st.integers(0, 8))):
        try:
            net, tax = credits_.credit(a_part(data, credits_))
        except Conflict:  # nothing is left of that line
            continue
        assert net >= 0
        assert tax >= 0
        assert net + tax > 0
        assert credits_.total <= invoice.total.minor

    if credits_.total < invoice.total.minor:
        credits_.credit()
    credits_.assert_all_is_credited()


# ── By total, by percentage, and net of tax ─────────────────────────────────────────────────────────────


def test_a_total_is_spread_over_what_is_left_with_its_vat() -> None:
    """100.00 off 179.76: 74.78 of the 134.34 at 20 %, 25.22 of the 45.43 at 5.5 %."""
    credits_ = Credits(an_invoice())

    assert credits_.credit(total=euros(100_00)) == (62_26 + 23_96, 12_46 + 1_32)
    assert credits_.credit(total=euros(79_76))[0] == 155_00 - 86_22
    credits_.assert_all_is_credited()


@pytest.mark.parametrize("behavior", TaxBehavior)
def test_a_note_over_a_total_comes_to_it_whatever_the_rounding(behavior: TaxBehavior) -> None:
    """At 20 % no net amount comes to 0.03 with its VAT: a cent of VAT comes before the rest."""
    credits_ = Credits(an_invoice([a_line(price="0.05")], tax_behavior=behavior))

    each = [credits_.credit(total=euros(1)) for _ in range(credits_.invoice.total.minor)]

    assert [net + tax for net, tax in each] == [1] * credits_.invoice.total.minor
    credits_.assert_all_is_credited()


def test_not_one_cent_more_than_what_is_left_of_the_invoice() -> None:
    credits_ = Credits(an_invoice())
    credits_.credit(total=euros(100_00))

    for minor, code in ((79_77, "credit_exceeds_invoice"), (0, "credit_not_positive")):
        with pytest.raises(DomainError) as refused:
            credits_.credit(total=euros(minor))
        assert refused.value.code == code


def test_a_percentage_is_of_each_line_as_it_was_billed() -> None:
    """2 % of 86.11, 43.06 and 25.83."""
    credits_ = Credits(an_invoice())

    assert credits_.credit(percent=Rate.parse("2")) == (1_72 + 86 + 52, 45 + 5)
    assert credits_.credit(percent=Rate.parse("2")) == (1_72 + 86 + 52, 45 + 4)
    assert credits_.credit(percent=Rate.parse("100"))[0] == 155_00 - 2 * 3_10
    credits_.assert_all_is_credited()


def test_net_of_tax_the_vat_of_that_part_stays_due() -> None:
    """10.00 of 86.11 net of tax; of the rest all the VAT, which is 20 % of 101.94 and not of 111.94."""
    invoice = an_invoice()
    credits_ = Credits(invoice)

    assert credits_.credit(by_amount(invoice.lines[0], 10_00), net_of_tax=True) == (10_00, 0)
    assert credits_.taxes.keys() == {NET_OF_TAX}
    assert credits_.credit() == (145_00, 20_39 + 2_37)
    assert credits_.total == 179_76 - 2_00


def test_a_total_net_of_tax_is_without_vat() -> None:
    credits_ = Credits(an_invoice())

    assert credits_.credit(total=euros(100_00), net_of_tax=True) == (100_00, 0)
    with pytest.raises(Conflict, match=r"55\.00"):
        credits_.credit(total=euros(55_01), net_of_tax=True)


def test_what_is_asked_for_is_asked_in_one_way() -> None:
    credits_ = Credits(an_invoice())
    line = credits_.invoice.lines[0]
    for asked in (
        {"total": euros(1), "percent": Rate.parse("1")},
        {"total": Money(1, Currency("USD"))},
    ):
        with pytest.raises(Invalid):
            credits_.credit(**asked)
    with pytest.raises(Invalid, match="one of them"):
        credits_.credit(by_amount(line, 1), total=euros(1))
    with pytest.raises(Invalid, match="net_of_tax"):
        Credits(an_invoice(tax_behavior=TaxBehavior.INCLUSIVE)).credit(net_of_tax=True)


def credited_somehow(data: st.DataObject, credits_: Credits) -> None:
    """One more note: a line by amount or quantity, a total, a percentage, or something net of tax."""
    invoice = credits_.invoice
    match data.draw(st.sampled_from(["line", "total", "percent", "net", "net total"])):
        case "line":
            credits_.credit(a_part(data, credits_))
        case "total":
            minor = data.draw(st.integers(1, max(invoice.total.minor - credits_.total, 1)))
            before = credits_.total
            credits_.credit(total=euros(minor))
            assert credits_.total - before == minor
        case "percent":
            credits_.credit(percent=Rate(data.draw(st.integers(1, 1_000_000))))
        case "net":
            credits_.credit(a_part(data, credits_), net_of_tax=True)
        case _:
            minor = data.draw(st.integers(1, max(invoice.net.minor // 2, 1)))
            credits_.credit(total=euros(minor), net_of_tax=True)


@given(invoices(), st.data())
def test_any_mix_of_credits_and_then_the_rest_are_the_invoice_less_the_vat_of_what_was_net_of_tax(
    invoice: Invoice, data: st.DataObject
) -> None:
    credits_ = Credits(invoice)
    for _ in range(data.draw(st.integers(0, 8))):
        with suppress(Conflict, Invalid):  # nothing is left of that, or prices are gross
            credited_somehow(data, credits_)
        for tax in invoice.taxes:
            so_far = credits_.taxes.get(tax.group)
            if so_far:
                ahead = so_far.tax.minor - tax.group.rate.of(so_far.base).minor
                assert so_far.base <= tax.base
                assert 0 <= so_far.tax.minor <= tax.tax.minor
                assert invoice.tax_behavior is TaxBehavior.INCLUSIVE or ahead in (0, 1)
    with suppress(Conflict):
        credits_.credit()

    assert {each.invoice_line_id: each.amount for each in credits_.lines.values() if each.amount} == {
        line.id: line.billed for line in invoice.lines if line.billed
    }
    net_of_tax = credits_.taxes.pop(NET_OF_TAX, None)
    if net_of_tax is None:
        credits_.assert_all_is_credited()
    else:
        assert sum(tax.base.minor for tax in credits_.taxes.values()) == (
            invoice.net.minor - net_of_tax.base.minor
        )
        for tax in credits_.taxes.values():
            assert tax.tax in (tax.group.rate.of(tax.base), tax.group.rate.of(tax.base) + euros(1))


def test_the_vat_of_a_line_without_vat_is_nothing() -> None:
    invoice = an_invoice([a_line(price="10.00", tax=REVERSE_CHARGE)])

    assert Credits(invoice).credit() == (10_00, 0)
    assert invoice.currency == EUR


# ── After a rebate ──────────────────────────────────────────────────────────────────────────────────────


def rebated(notes: Credits, minor: int) -> None:
    """A rebate over many invoices has come off the first line of this one."""
    line = notes.invoice.lines[0]
    before = notes.lines.get(line.id, nothing_of(line))
    notes.lines[line.id] = msgspec.structs.replace(
        before, amount=before.amount + euros(minor), rebate=before.rebate + euros(minor)
    )


def standing(notes: Credits) -> tuple[int, int, int]:
    """Of the first line: what is left, its volume, and the rebates in force."""
    line = notes.invoice.lines[0]
    now = standing_of(line, notes.lines)
    return now.left.minor, now.volume.minor, now.rebate.minor


def test_a_share_of_a_line_gives_back_that_share_of_what_its_rebate_left() -> None:
    notes = Credits(an_invoice([a_line(price="30.00", quantity="10")]))
    rebated(notes, 60_00)
    line = notes.invoice.lines[0]

    assert notes.credit(by_quantity(line, "5"))[0] == 120_00
    assert standing(notes) == (120_00, 150_00, 30_00)
    assert notes.credit(CreditShare(line=line.id, share=euros(30_00)))[0] == 24_00
    assert standing(notes) == (96_00, 120_00, 24_00)
    assert notes.credit(by_amount(line, 48_00))[0] == 48_00
    assert standing(notes) == (48_00, 60_00, 12_00)
    assert notes.credit(the_rest_of(line))[0] == 48_00
    assert standing(notes) == (0, 0, 0)


def test_a_discount_for_early_payment_leaves_the_volume_and_goes_with_what_is_credited() -> None:
    notes = Credits(an_invoice([a_line(price="100.00")]))
    rebated(notes, 10_00)
    notes.credit(by_amount(notes.invoice.lines[0], 2_00), reason=Reason.EARLY_PAYMENT)

    assert standing(notes) == (88_00, 100_00, 10_00)
    assert notes.credit(CreditShare(line=notes.invoice.lines[0].id, share=euros(50_00)))[0] == 44_00
    assert standing(notes) == (44_00, 50_00, 5_00)
    notes.credit()
    assert standing(notes) == (0, 0, 0)


ACTS = st.lists(
    st.tuples(st.sampled_from(["rebate", "amount", "quantity", "share", "early"]), st.integers(1, 100)),
    max_size=12,
)


@given(price=st.integers(1, 10_000), quantity=st.integers(1, 12), acts=ACTS)
def test_rebates_and_credits_in_any_order_leave_nothing_once_all_is_credited(
    price: int, quantity: int, acts: list[tuple[str, int]]
) -> None:
    """And on the way no line, volume or rebate is below zero."""
    invoice = an_invoice([a_line(price=f"{price / 100:.2f}", quantity=str(quantity))])
    notes, line = Credits(invoice), invoice.lines[0]
    for act, percent in acts:
        left = standing(notes)[0]
        part = left * percent // 100
        with suppress(Conflict):
            if act == "rebate":
                rebated(notes, part)
            elif act == "quantity":
                notes.credit(by_quantity(line, str(1 + percent % quantity)))
            elif act == "share":
                notes.credit(CreditShare(line=line.id, share=euros(line.net.minor * percent // 100)))
            else:
                reason = Reason.EARLY_PAYMENT if act == "early" else Reason.CANCELLATION
                notes.credit(by_amount(line, part), reason=reason)
        left, volume, rebate = standing(notes)
        assert min(left, rebate, volume - left - rebate) >= 0
    with suppress(Conflict):
        notes.credit()
        assert standing(notes)[1:] == (0, 0)
    assert standing(notes)[0] == 0
