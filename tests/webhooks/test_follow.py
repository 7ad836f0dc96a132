"""Ours follows theirs: only forward, whatever order it is told in, and the second time is boring."""

import pytest

from billing.gateways.checkouts import store as checkouts
from billing.gateways.model import DisputeStatus as Theirs
from billing.gateways.model import Status
from billing.invoices import store as invoices
from billing.payments import store as payments
from billing.payments.model import NEXT
from billing.payments.model import Status as PaymentStatus
from billing.settlement.balance import balance_of
from kernel.database import transaction
from refunds import store as refunds
from refunds.model import Refund
from refunds.model import Status as RefundStatus
from tests.makers import NOON, euros
from tests.shop import a_door
from tests.webhooks.provider import HERE
from tests.webhooks.shop import CHARGE, PI, RE, REFUND, TOTAL, Shop
from webhooks import store
from webhooks.drift.model import Done, Finding, Kind
from webhooks.follow import follow_waiting
from webhooks.following.charge import decide
from webhooks.model import ObjectKind, ProviderObject


def done(found: Finding | None) -> Done:
    assert found is not None
    return found.done


# ── payments ─────────────────────────────────────────────────────────────────────────────────────


async def test_a_payment_that_succeeded_there_has_succeeded_here(shop: Shop) -> None:
    shop.charged()

    assert done(await shop.follow()) is Done.MOVED
    assert (await shop.status(), await shop.due()) == (PaymentStatus.SUCCEEDED, 0)
    assert done(await shop.follow()) is Done.AGREED


async def test_one_that_failed_there_has_failed_here(shop: Shop) -> None:
    shop.charged(Status.FAILED)

    assert done(await shop.follow()) is Done.MOVED
    assert (await shop.status(), await shop.due()) == (PaymentStatus.FAILED, 179_76)


async def test_one_that_failed_and_succeeded_after_all_is_money(shop: Shop) -> None:
    shop.charged(Status.FAILED)
    await shop.follow()
    shop.books.decide(PI, Status.SUCCEEDED)

    assert done(await shop.follow()) is Done.MOVED
    assert (await shop.status(), await shop.due()) == (PaymentStatus.SUCCEEDED, 0)


async def test_one_that_has_succeeded_stays_so_and_a_person_hears_of_it(shop: Shop) -> None:
    shop.charged()
    await shop.follow()
    shop.books.decide(PI, Status.PENDING)
    assert done(await shop.follow()) is Done.AGREED

    shop.books.decide(PI, Status.FAILED)
    found = await shop.follow()
    assert found is not None
    assert (found.kind, found.done) == (Kind.CHARGE_UNDONE, Done.LEFT)
    assert await shop.status() is PaymentStatus.SUCCEEDED


async def test_another_amount_than_was_asked_for_moves_nothing(shop: Shop) -> None:
    shop.charged(minor=179_75)

    found = await shop.follow()
    assert found is not None
    assert (found.kind, found.done) == (Kind.CHARGE_AMOUNT, Done.LEFT)
    assert (found.ours, found.theirs) == (TOTAL, euros(179_75))
    assert await shop.status() is PaymentStatus.PENDING


async def test_money_of_somebody_we_do_not_know_is_left_to_a_person(shop: Shop) -> None:
    shop.books.charged(PI, euros(10_00))

    found = await shop.follow()
    assert found is not None
    assert (found.kind, found.done, found.our_id) == (Kind.CHARGE_OF_NOBODY, Done.LEFT, None)


async def test_an_attempt_of_somebody_else_is_nobodys_affair(shop: Shop) -> None:
    shop.books.charged(PI, euros(10_00), Status.FAILED)
    assert done(await shop.follow()) is Done.AGREED


async def test_a_second_charge_that_carries_our_name_is_not_taken_for_the_first(shop: Shop) -> None:
    shop.charged()
    await shop.follow()
    shop.books.charged("pi_2", TOTAL, our_id=str(shop.payment.id))

    found = await shop.follow(ProviderObject(kind=ObjectKind.CHARGE, reference="pi_2"))
    assert found is not None
    assert (found.kind, found.done) == (Kind.CHARGE_OF_NOBODY, Done.LEFT)


async def test_a_name_that_is_none_of_ours_is_not_believed(shop: Shop) -> None:
    for name in ("pay_nonsense", "", str(shop.invoice.id), "x" * 500):
        shop.books.charged(PI, TOTAL, our_id=name)
        assert done(await shop.follow()) is Done.LEFT


async def test_what_the_provider_does_not_know_moves_nothing(shop: Shop) -> None:
    assert await shop.follow() is None
    assert await shop.status() is PaymentStatus.PENDING


@pytest.mark.parametrize("theirs", Status)
@pytest.mark.parametrize("ours", PaymentStatus)
async def test_every_pair_moves_forward_or_not_at_all(
    shop: Shop, ours: PaymentStatus, theirs: Status
) -> None:
    shop.charged(theirs)
    if ours is not PaymentStatus.PENDING:
        before = shop.books.charges[PI]
        shop.charged(Status(ours))
        await shop.follow()
        shop.books.charges[PI] = before

    payment = await shop.inside(lambda tx: payments.get(tx, shop.payment.id))
    assert payment.status is ours
    found = decide(payment, shop.books.charges[PI])
    assert (found.done is Done.MOVED) == (PaymentStatus(theirs) in NEXT[ours])
    await shop.follow()
    assert await shop.status() is (PaymentStatus(theirs) if found.done is Done.MOVED else ours)


# ── refunds ──────────────────────────────────────────────────────────────────────────────────────


async def status_of(shop: Shop, refund: Refund) -> RefundStatus:
    return (await shop.inside(lambda tx: refunds.get(tx, refund.id))).status


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (Status.PENDING, RefundStatus.PENDING),
        (Status.SUCCEEDED, RefundStatus.SUCCEEDED),
        (Status.FAILED, RefundStatus.FAILED),
    ],
)
async def test_a_refund_follows(shop: Shop, theirs: Status, ours: RefundStatus) -> None:
    refund = await shop.refunded()
    shop.books.decide(RE, theirs)

    await shop.follow(REFUND)
    await shop.follow(REFUND)
    assert await status_of(shop, refund) is ours


async def test_a_refund_whose_payment_nobody_had_told_of_waits_for_neither(shop: Shop) -> None:
    """Its event came first: the payment is followed before it."""
    shop.charged()
    shop.books.refunded(RE, PI, euros(10_00))

    found = await shop.follow(REFUND)
    assert found is not None
    assert (found.kind, found.done) == (Kind.REFUND_UNKNOWN, Done.RECORDED)
    assert await shop.status() is PaymentStatus.SUCCEEDED


async def test_a_refund_made_in_the_dashboard_gets_its_note_and_may_come_back(shop: Shop) -> None:
    shop.charged()
    shop.books.refunded(RE, PI, euros(10_00), Status.PENDING)
    assert done(await shop.follow(REFUND)) is Done.AGREED
    shop.books.decide(RE, Status.SUCCEEDED)

    found = await shop.follow(REFUND)
    assert found is not None
    assert (found.kind, found.done) == (Kind.REFUND_UNKNOWN, Done.RECORDED)
    assert done(await shop.follow(REFUND)) is Done.AGREED
    credited = (await shop.inside(lambda tx: invoices.get(tx, shop.invoice.id))).settlement.credited
    assert credited == euros(10_00)

    shop.books.decide(RE, Status.FAILED)
    assert done(await shop.follow(REFUND)) is Done.MOVED


async def test_another_amount_than_was_to_go_back_moves_nothing(shop: Shop) -> None:
    refund = await shop.refunded()
    shop.books.refunded(RE, PI, euros(1), our_id=str(refund.id))

    found = await shop.follow(REFUND)
    assert found is not None
    assert (found.kind, found.done) == (Kind.REFUND_AMOUNT, Done.LEFT)
    assert await status_of(shop, refund) is RefundStatus.PENDING


async def test_a_refund_that_failed_here_and_was_made_is_left_to_a_person(shop: Shop) -> None:
    refund = await shop.refunded()
    shop.books.decide(RE, Status.FAILED)
    await shop.follow(REFUND)
    shop.books.decide(RE, Status.SUCCEEDED)

    found = await shop.follow(REFUND)
    assert found is not None
    assert (found.kind, found.done) == (Kind.REFUND_MADE_ANYWAY, Done.LEFT)
    assert await status_of(shop, refund) is RefundStatus.FAILED


async def test_a_refund_of_a_payment_that_is_not_ours_is_left_to_a_person(shop: Shop) -> None:
    shop.books.charged("pi_theirs", euros(10_00))
    shop.books.refunded(RE, "pi_theirs", euros(10_00))

    found = await shop.follow(REFUND)
    assert found is not None
    assert (found.kind, found.done) == (Kind.REFUND_OF_NOBODY, Done.LEFT)


# ── money that only they know of ─────────────────────────────────────────────────────────────────


async def is_known_there(shop: Shop, reference: str = "cus_there") -> None:
    """The customer of the invoice, as the provider calls them."""
    async with transaction(shop.pool, shop.tenant, now=NOON) as tx:
        await tx.conn.execute(
            """
            INSERT INTO payment_connections
                (tenant_id, id, provider, status, key_hint, secret_key, created_at)
            VALUES ($1, $2, 'stripe', 'connected', 'x', '', $3)
            """,
            tx.tenant,
            HERE,
            tx.now,
        )
        await checkouts.keep_payer(tx, shop.invoice.customer_id, HERE, reference)


async def test_what_a_customer_paid_in_the_dashboard_is_theirs(shop: Shop) -> None:
    await is_known_there(shop)
    shop.books.charged("pi_2", euros(25_00), customer="cus_there")
    about = ProviderObject(kind=ObjectKind.CHARGE, reference="pi_2")

    found = await shop.follow(about)
    assert found is not None
    assert (found.kind, found.done) == (Kind.CHARGE_UNKNOWN, Done.RECORDED)
    assert done(await shop.follow(about)) is Done.AGREED
    assert (await shop.inside(lambda tx: balance_of(tx, "user-42"))).amounts == [euros(25_00)]


# ── disputes ─────────────────────────────────────────────────────────────────────────────────────

DP = "dp_1"
DISPUTE = ProviderObject(kind=ObjectKind.DISPUTE, reference=DP)


@pytest.mark.parametrize("told_before", [True, False])
@pytest.mark.parametrize(("theirs", "due"), [(Theirs.WON, 0), (Theirs.LOST, 60_00)])
async def test_a_dispute_is_opened_and_closed(
    shop: Shop, theirs: Theirs, due: int, *, told_before: bool
) -> None:
    """Also when nobody had told of it before it was over, nor of the payment."""
    shop.charged()
    if told_before:
        shop.books.dispute(DP, PI, euros(60_00))
        assert done(await shop.follow(DISPUTE)) is Done.RECORDED
        assert await shop.due() == 0
    shop.books.dispute(DP, PI, euros(60_00), theirs)

    assert done(await shop.follow(DISPUTE)) is (Done.MOVED if told_before else Done.RECORDED)
    assert done(await shop.follow(DISPUTE)) is Done.AGREED
    assert await shop.due() == due


async def test_a_dispute_that_is_over_stays_so_and_a_person_hears_of_it(shop: Shop) -> None:
    shop.charged()
    shop.books.dispute(DP, PI, euros(60_00), Theirs.WON)
    await shop.follow(DISPUTE)
    shop.books.dispute(DP, PI, euros(60_00), Theirs.LOST)

    found = await shop.follow(DISPUTE)
    assert found is not None
    assert (found.kind, found.done) == (Kind.DISPUTE_STATUS, Done.LEFT)
    assert await shop.due() == 0


async def test_a_dispute_of_nobodys_payment_is_left_to_a_person(shop: Shop) -> None:
    shop.books.charged("pi_theirs", euros(10_00))
    shop.books.dispute(DP, "pi_theirs", euros(10_00))

    found = await shop.follow(DISPUTE)
    assert found is not None
    assert (found.kind, found.done) == (Kind.DISPUTE_OF_NOBODY, Done.LEFT)


async def test_money_on_no_invoice_goes_back_in_the_dashboard_and_returns(shop: Shop) -> None:
    await is_known_there(shop)
    shop.books.charged("pi_2", euros(25_00), customer="cus_there")
    shop.books.refunded(RE, "pi_2", euros(10_00))

    assert done(await shop.follow(REFUND)) is Done.RECORDED
    assert (await shop.inside(lambda tx: balance_of(tx, "user-42"))).amounts == [euros(15_00)]

    shop.books.decide(RE, Status.FAILED)
    assert done(await shop.follow(REFUND)) is Done.MOVED
    assert (await shop.inside(lambda tx: balance_of(tx, "user-42"))).amounts == [euros(25_00)]


async def test_money_on_no_invoice_is_disputed_and_lost(shop: Shop) -> None:
    await is_known_there(shop)
    shop.books.charged("pi_2", euros(25_00), customer="cus_there")
    shop.books.dispute(DP, "pi_2", euros(25_00), Theirs.LOST)

    assert done(await shop.follow(DISPUTE)) is Done.RECORDED
    held = (await shop.inside(lambda tx: balance_of(tx, "user-42"))).amounts
    assert [amount for amount in held if amount] == []


# ── the inbox ────────────────────────────────────────────────────────────────────────────────────


async def test_events_about_one_object_are_one_look_at_it(shop: Shop) -> None:
    shop.charged()
    for n in range(3):
        await shop.tell(f"evt_{n}")

    door = a_door(shop.pool, shop.tenant)
    looks = [await follow_waiting(door, shop.books.provider, CHARGE) for _ in range(3)]

    assert [look is not None for look in looks] == [True, False, False]
    assert shop.books.asked == [PI]
    assert await shop.inside(lambda tx: store.waiting_for(tx, HERE, CHARGE)) == []


async def test_who_dies_before_the_events_are_marked_looks_again(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.charged()
    await shop.tell("evt_1")
    door = a_door(shop.pool, shop.tenant)

    with monkeypatch.context() as dying:
        dying.setattr(store, "mark_handled", None)
        with pytest.raises(TypeError):
            await follow_waiting(door, shop.books.provider, CHARGE)
    assert await shop.status() is PaymentStatus.SUCCEEDED

    assert done(await follow_waiting(door, shop.books.provider, CHARGE)) is Done.AGREED
    assert await follow_waiting(door, shop.books.provider, CHARGE) is None


async def test_what_is_told_while_we_look_is_looked_at_again(shop: Shop) -> None:
    """The look before it may have been too early to see what it is about."""
    shop.charged(Status.PENDING)
    await shop.tell("evt_1")
    looking = shop.books.charge_of

    async def charge_of(reference: str):  # type: ignore[no-untyped-def]
        seen = await looking(reference)
        shop.books.decide(PI, Status.SUCCEEDED)
        await shop.tell("evt_2")
        return seen

    shop.books.charge_of = charge_of  # type: ignore[method-assign]
    door = a_door(shop.pool, shop.tenant)
    await follow_waiting(door, shop.books.provider, CHARGE)
    assert await shop.status() is PaymentStatus.PENDING

    shop.books.charge_of = looking  # type: ignore[method-assign]
    await follow_waiting(door, shop.books.provider, CHARGE)
    assert await shop.status() is PaymentStatus.SUCCEEDED
