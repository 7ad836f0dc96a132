"""How money goes back: in which mode, on which day, over which payments."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.invoices.model import InvoiceId
from billing.parties.model import CustomerId, RefundMode, Settings
from billing.payments.model import Means, Payment, PaymentId, Status
from kernel.errors import Invalid
from refunds.rules import Terms, refundable, spread, terms_of
from tests.makers import EUR, NOON, euros

TODAY = date(2026, 1, 15)


def in_days(count: int) -> date:
    return TODAY + timedelta(days=count)


def terms(
    asked: RefundMode | None = None,
    refund_on: date | None = None,
    *,
    setting: RefundMode = RefundMode.AUTOMATIC,
    after_days: int = 14,
) -> Terms:
    settings = Settings(refund_mode=setting, refund_after_days=after_days)
    return terms_of(settings, asked=asked, refund_on=refund_on, today=TODAY)


def a_payment(
    minor: int = 100_00,
    *,
    refunded: int = 0,
    means: Means = Means.PROVIDER,
    status: Status = Status.SUCCEEDED,
) -> Payment:
    return Payment(
        id=PaymentId.new(),
        customer_id=CustomerId.new(),
        invoice_id=InvoiceId.new(),
        currency=EUR,
        amount=euros(minor),
        refunded=euros(refunded),
        disputed=euros(0),
        charged_back=euros(0),
        status=status,
        means=means,
        reference=None,
        received_on=TODAY,
        gateway="sandbox",
        gateway_reference="ch_1",
        payment_method=None,
        failure_code=None,
        created_at=NOON,
    )


def parts_of(minor: int, *payments: Payment) -> tuple[list[int], int]:
    result = spread(euros(minor), payments)
    return [part.amount.minor for part in result.parts], result.by_hand.minor


def test_the_tenants_setting_holds_unless_the_call_says_otherwise() -> None:
    assert terms(setting=RefundMode.MANUAL).mode is RefundMode.MANUAL
    assert terms(RefundMode.NONE, setting=RefundMode.MANUAL).mode is RefundMode.NONE


@pytest.mark.parametrize("mode", [RefundMode.AUTOMATIC, RefundMode.MANUAL, RefundMode.NONE])
def test_what_is_not_deferred_is_due_today(mode: RefundMode) -> None:
    assert terms(mode).due_on == TODAY


def test_a_deferred_refund_is_due_after_the_tenants_days_or_on_the_day_asked_for() -> None:
    assert terms(RefundMode.DEFERRED).due_on == in_days(14)
    assert terms(RefundMode.DEFERRED, after_days=0).due_on == TODAY
    assert terms(RefundMode.DEFERRED, in_days(3)).due_on == in_days(3)
    assert terms(None, in_days(366), setting=RefundMode.DEFERRED).due_on == in_days(366)


@pytest.mark.parametrize(
    ("mode", "day", "code"),
    [
        (RefundMode.AUTOMATIC, in_days(1), "refund_on_not_deferred"),
        (RefundMode.NONE, TODAY, "refund_on_not_deferred"),
        (None, in_days(1), "refund_on_not_deferred"),
        (RefundMode.DEFERRED, in_days(-1), "refund_on_past"),
        (RefundMode.DEFERRED, in_days(367), "refund_on_far"),
    ],
)
def test_a_day_that_cannot_be_is_refused(mode: RefundMode | None, day: date, code: str) -> None:
    with pytest.raises(Invalid) as refused:
        terms(mode, day)
    assert refused.value.code == code


def test_the_first_payment_carries_what_it_can_and_the_next_the_rest() -> None:
    assert parts_of(50_00, a_payment(100_00), a_payment(100_00)) == ([50_00], 0)
    assert parts_of(150_00, a_payment(100_00), a_payment(100_00)) == ([100_00, 50_00], 0)


def test_what_went_back_or_is_on_its_way_back_is_no_longer_there() -> None:
    spent, half = a_payment(refunded=100_00), a_payment(refunded=50_00)

    assert parts_of(80_00, spent, half) == ([50_00], 30_00)


@pytest.mark.parametrize(
    "payment",
    [a_payment(means=Means.TRANSFER), a_payment(status=Status.FAILED), a_payment(status=Status.PENDING)],
)
def test_only_a_provider_payment_that_succeeded_carries_money_back(payment: Payment) -> None:
    assert refundable(payment) == euros(0)
    assert parts_of(10_00, payment) == ([], 10_00)


@given(st.integers(0, 10**6), st.lists(st.integers(1, 10**5), max_size=6))
def test_the_parts_and_what_goes_by_hand_are_the_whole(minor: int, paid: list[int]) -> None:
    parts, by_hand = parts_of(minor, *map(a_payment, paid))

    assert sum(parts) + by_hand == minor
    assert by_hand == max(minor - sum(paid), 0)
