"""Signing up: one call, one subscription, entitled from the first second."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from api.access.create_tenant import create_tenant
from billing.documents import render
from billing.invoices.model import Collection
from billing.invoices.model import Status as InvoiceStatus
from billing.parties import store as parties
from kernel.database import Pool, Tx, leave_behind, transaction
from kernel.errors import Conflict, DomainError
from kernel.ids import TenantId
from kernel.money import Currency
from promotions import store as promotions
from promotions.create_offer import create_offer
from promotions.model import AtEnd, Conditions, NewOffer, Periods
from promotions.model import Status as RedemptionStatus
from subscriptions import billing_store, store
from subscriptions.entitlements import grants_of
from subscriptions.model import NewSubscription, PriceModel, Signup, Status
from subscriptions.sign_up import sign_up, subscribe
from tests.billing.test_documents import pages_of
from tests.books import assert_sound
from tests.makers import EUR, NOON, euros
from tests.promotions.offers import a_new_offer, days, fixed, percent, redemptions_of
from tests.shop import a_transaction, at, while_open
from tests.subscriptions.plans import (
    a_plan,
    a_price,
    a_shop_with_a_plan,
    a_signup,
    net_of,
    renewed,
    signed_up,
)

YEN = Currency("JPY")


async def count(tx: Tx, table: str) -> int:
    return int(await tx.conn.fetchval(f"SELECT count(*) FROM {table}"))


async def test_a_signup_is_a_customer_a_subscription_and_its_first_invoice(tx: Tx) -> None:
    signup = await signed_up(tx)

    assert signup.is_new
    assert signup.invoice is not None
    assert (signup.invoice.total, signup.invoice.customer_id) == (euros(34_80), signup.customer.id)
    subscription = signup.subscription
    assert (subscription.status, subscription.next_billing_at) == (
        Status.ACTIVE,
        datetime(2026, 2, 15, 11, tzinfo=UTC),
    )
    assert signup.entitlements.features == {"export": True, "seats": 5}
    assert await store.get(tx, subscription.id) == subscription
    await assert_sound(tx)


async def test_signing_up_twice_returns_the_first_signup(tx: Tx) -> None:
    first = await signed_up(tx)
    again = await sign_up(at(tx, NOON + timedelta(days=1)), a_signup())

    assert not again.is_new
    assert (again.customer, again.subscription, again.invoice) == (
        first.customer,
        first.subscription,
        first.invoice,
    )
    assert await count(tx, "invoices") == 1


async def test_signing_up_twice_with_an_offer_redeems_it_once(tx: Tx) -> None:
    first = await signed_up(tx, offer=a_new_offer())
    again = await sign_up(tx, a_signup(offer="WELCOME"))

    assert (again.is_new, again.subscription.id) == (False, first.subscription.id)
    assert (await promotions.offer(tx, "WELCOME", counted=True)).redeemed == 1


@pytest.mark.parametrize("offer", [None, "WELCOME"])
async def test_signing_up_twice_at_once_is_one_signup(
    pool: Pool, tenant: TenantId, offer: str | None
) -> None:
    async with transaction(pool, tenant, now=NOON) as tx:
        await a_shop_with_a_plan(tx, a_new_offer())

    async def join(tx: Tx) -> Signup:
        return await sign_up(tx, a_signup(offer=offer))

    second = await while_open(pool, tenant, join, join)

    assert not second.is_new
    async with transaction(pool, tenant, now=NOON) as tx:
        assert (await count(tx, "subscriptions"), await count(tx, "invoices")) == (1, 1)


async def test_a_signup_without_an_offer_may_come_again_when_the_first_is_over(tx: Tx) -> None:
    first = await signed_up(tx)
    over = first.subscription.to(Status.CANCELLED, next_billing_at=None)
    await store.update(tx, over)

    again = await sign_up(tx, a_signup())

    assert again.is_new
    assert again.subscription.id != first.subscription.id


async def test_a_customer_who_is_there_may_sign_up(tx: Tx) -> None:
    await a_shop_with_a_plan(tx)
    signup = await sign_up(tx, a_signup(customer="user-42"))

    assert signup.is_new
    assert await count(tx, "customers") == 1


async def test_each_further_subscription_is_one_more(tx: Tx) -> None:
    await signed_up(tx)
    await a_plan(tx, "addon", entitlements={"seats": 50})
    for _ in range(2):
        await subscribe(tx, NewSubscription(customer="user-77", plan="addon"))

    assert await count(tx, "subscriptions") == 3
    assert (await grants_of(tx, "user-77")).features == {"export": True, "seats": 50}


async def test_a_renewal_is_due_when_the_period_ends(tx: Tx) -> None:
    signup = await signed_up(tx)

    end = signup.subscription.current_period.end
    assert await billing_store.next_renewal(tx) == end
    assert await billing_store.count_due(tx) == 0
    assert await billing_store.claim_due(at(tx, end), limit=10, after=None) == [signup.subscription]


# ── With an offer ───────────────────────────────────────────────────────────────────────────────────────


async def test_a_discount_is_an_allowance_on_the_line(tx: Tx) -> None:
    signup = await signed_up(tx, offer=a_new_offer(percent("20")))

    assert signup.invoice is not None
    (line,) = signup.invoice.lines
    assert (line.amount, line.discount, line.net) == (euros(29_00), euros(5_80), euros(23_20))
    assert [(each.source, each.name) for each in line.allowances] == [("WELCOME", "Bienvenue")]
    await assert_sound(tx)


@pytest.mark.parametrize("offer", [a_new_offer(percent("100")), a_new_offer(fixed(50_00))])
async def test_all_of_it_off_is_an_invoice_of_nothing_that_is_settled(tx: Tx, offer: NewOffer) -> None:
    signup = await signed_up(tx, offer=offer)

    assert signup.invoice is not None
    assert signup.invoice.total == euros(0)
    assert signup.invoice.settlement.status is InvoiceStatus.SETTLED
    assert signup.subscription.status is Status.ACTIVE
    await assert_sound(tx)


async def test_free_days_are_a_trial_without_an_invoice(tx: Tx) -> None:
    signup = await signed_up(tx, offer=a_new_offer(days(14)))

    assert signup.invoice is None
    assert signup.subscription.status is Status.TRIALING
    assert signup.subscription.trial_ends_at == NOON + timedelta(days=14)
    assert signup.entitlements.features == {"export": True, "seats": 5}
    assert await count(tx, "invoices") == 0


async def test_a_trial_is_billed_when_it_ends(tx: Tx) -> None:
    signup = await signed_up(tx, offer=a_new_offer(days(16)))
    renewal = await renewed(tx, signup.subscription)

    assert (renewal.subscription.status, net_of(renewal)) == (Status.ACTIVE, 29_00)
    period = renewal.subscription.current_period
    assert period.start == signup.subscription.trial_ends_at == datetime(2026, 1, 31, 11, tzinfo=UTC)
    assert period.end == datetime(2026, 2, 28, 11, tzinfo=UTC)


async def test_a_trial_may_end_the_subscription(tx: Tx) -> None:
    signup = await signed_up(tx, offer=a_new_offer(days(14), at_end=AtEnd.END))
    renewal = await renewed(tx, signup.subscription)

    assert (renewal.subscription.status, renewal.invoice) == (Status.ENDED, None)
    assert (await grants_of(tx, "user-77")).features == {}


async def test_after_its_periods_the_plans_price_holds(tx: Tx) -> None:
    signup = await signed_up(tx, offer=a_new_offer(percent("50"), duration=Periods(count=3)))
    subscription, nets = signup.subscription, [signup.invoice.net.minor if signup.invoice else None]
    for _ in range(3):
        renewal = await renewed(tx, subscription)
        subscription = renewal.subscription
        nets.append(net_of(renewal))

    assert nets == [14_50, 14_50, 14_50, 29_00]
    (redemption,) = await redemptions_of(tx, signup.customer.id)
    assert (redemption.status, redemption.periods_used) == (RedemptionStatus.EXHAUSTED, 3)


async def test_an_offer_may_end_the_subscription_with_its_last_period(tx: Tx) -> None:
    offer = a_new_offer(percent("50"), duration=Periods(count=2), at_end=AtEnd.END)
    signup = await signed_up(tx, offer=offer)
    second = await renewed(tx, signup.subscription)
    end = await renewed(tx, second.subscription)

    assert net_of(second) == 14_50
    assert (end.subscription.status, end.subscription.next_billing_at) == (Status.ENDED, None)
    assert end.subscription.ended_at == second.subscription.current_period.end


# ── Again ───────────────────────────────────────────────────────────────────────────────────────────────

WELCOME, OTHER = a_new_offer(), a_new_offer(reference="OTHER")


async def a_shop_of_many(tx: Tx) -> None:
    """Per-unit plans in two currencies, and two offers."""
    await a_shop_with_a_plan(tx, WELCOME)
    await create_offer(tx, OTHER)
    per_unit = [a_price(model=PriceModel.PER_UNIT), a_price(model=PriceModel.PER_UNIT, currency=YEN)]
    for reference in ("seats", "other"):
        await a_plan(tx, reference, *per_unit)


@pytest.mark.parametrize("offer", [None, "WELCOME"])
@pytest.mark.parametrize(
    "other",
    [
        {"plan": "other"},
        {"quantity": "3"},
        {"quantity": "2.000001"},
        {"currency": YEN},
        {"offer": "OTHER"},
        {"offer": "with or without"},
    ],
)
async def test_a_signup_that_repeats_another_with_other_terms_is_refused(
    pool: Pool, tenant: TenantId, offer: str | None, other: dict[str, Any]
) -> None:
    if "offer" in other and other["offer"] != "OTHER":
        other = {"offer": None if offer else "WELCOME"}
    terms: dict[str, Any] = {"plan": "seats", "quantity": "2", "currency": EUR, "offer": offer}
    async with transaction(pool, tenant, now=NOON) as tx:
        await a_shop_of_many(tx)
        first = await sign_up(tx, a_signup(**terms))
        before = await everything(tx)

    with pytest.raises(Conflict, match=str(first.subscription.id)) as refused:
        async with transaction(pool, tenant, now=NOON) as tx:
            await sign_up(tx, a_signup(**{**terms, **other}))

    assert refused.value.code == "signup_differs"
    async with transaction(pool, tenant, now=NOON) as tx:
        assert await everything(tx) == before
        again = await sign_up(tx, a_signup(**terms))
        assert (again.is_new, again.subscription) == (False, first.subscription)


async def everything(tx: Tx) -> list[int]:
    await leave_behind(tx)
    tables = "customers subscriptions signups redemptions invoices ledger_entries events jobs"
    return [await count(tx, table) for table in tables.split()]


async def test_an_offer_is_over_with_its_subscription(tx: Tx) -> None:
    first = await signed_up(tx, offer=WELCOME)
    await store.update(tx, first.subscription.to(Status.CANCELLED, next_billing_at=None))

    with pytest.raises(Conflict) as refused:
        await sign_up(tx, a_signup(offer="WELCOME"))
    assert refused.value.code == "signup_over"

    again = await sign_up(tx, a_signup())
    assert again.is_new
    assert (again.subscription.redemption_ids, again.offer_id) == ((), None)
    with pytest.raises(Conflict) as refused:
        await sign_up(tx, a_signup(offer="WELCOME"))
    assert refused.value.code == "signup_over"


async def test_a_further_subscription_is_no_signup(tx: Tx) -> None:
    await a_shop_of_many(tx)
    await sign_up(tx, a_signup())
    await subscribe(tx, NewSubscription(customer="user-77", plan="seats", currency=EUR))

    assert not (await sign_up(tx, a_signup())).is_new


# ── Who pays ────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_payment_method_that_comes_with_a_signup_is_taken_over(tx: Tx) -> None:
    await a_shop_with_a_plan(tx)
    known = await parties.customer(tx, "user-42")
    signup = await sign_up(
        tx, a_signup(customer="user-42", collection=Collection.AUTOMATIC, payment_method="pm_new")
    )

    assert signup.customer == replace(known, payment_method="pm_new") == await parties.customer(tx, "user-42")
    assert signup.invoice is not None
    assert signup.invoice.collection is Collection.AUTOMATIC


@pytest.mark.parametrize("customer", ["user-42", "user-77"])
async def test_an_invoice_that_nothing_can_be_charged_for_is_sent(tx: Tx, customer: str) -> None:
    await a_shop_with_a_plan(tx)
    signup = await sign_up(tx, a_signup(customer=customer, collection=Collection.AUTOMATIC))
    renewal = await renewed(tx, signup.subscription)

    assert signup.subscription.collection is Collection.AUTOMATIC
    for invoice in (signup.invoice, renewal.invoice):
        assert invoice is not None
        assert invoice.collection is Collection.SEND_INVOICE
        assert invoice.due_on == invoice.issued_on + timedelta(days=30)
        (page,) = pages_of(render.invoice_pdf(invoice))
        assert "IBAN FR76 3000 6000 0112 3456 7890 189" in page
        assert "prélevé" not in page


async def test_with_a_payment_method_it_is_charged_on_the_day(tx: Tx) -> None:
    await a_shop_with_a_plan(tx)
    signup = await sign_up(tx, a_signup(collection=Collection.AUTOMATIC, payment_method="pm_card"))

    assert signup.invoice is not None
    assert (signup.invoice.collection, signup.invoice.due_on) == (
        Collection.AUTOMATIC,
        signup.invoice.issued_on,
    )
    assert "IBAN" not in pages_of(render.invoice_pdf(signup.invoice))[0]


@pytest.mark.parametrize("customer", ["user-42", "user-77"])
async def test_where_no_provider_is_connected_no_payment_method_is_taken(pool: Pool, customer: str) -> None:
    async with pool.acquire() as conn, conn.transaction():
        opened = await create_tenant(conn, "Nuage Clair", now=NOON)
    charged = a_signup(customer=customer, collection=Collection.AUTOMATIC, payment_method="pm_card")

    async with a_transaction(pool, tenant=opened.live.id) as tx:
        await a_shop_with_a_plan(tx)
        with pytest.raises(Conflict) as refused:
            await sign_up(tx, charged)
        assert refused.value.code == "gateway_missing"
        assert await count(tx, "subscriptions") == 0
    async with a_transaction(pool, tenant=opened.test.id) as tx:
        await a_shop_with_a_plan(tx)
        assert (await sign_up(tx, charged)).customer.payment_method == "pm_card"


# ── Refused ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("offer", "code"),
    [
        (a_new_offer(conditions=Conditions(ends_at=NOON)), "offer_ended"),
        (a_new_offer(conditions=Conditions(starts_at=NOON + timedelta(days=1))), "offer_not_started"),
        (a_new_offer(fixed(1, Currency("USD"))), "offer_other_currency"),
    ],
)
async def test_an_offer_that_cannot_be_had_says_why_and_leaves_nothing(
    pool: Pool, tenant: TenantId, offer: NewOffer, code: str
) -> None:
    async with transaction(pool, tenant, now=NOON) as tx:
        await a_shop_with_a_plan(tx, offer)

    with pytest.raises(Conflict) as refused:
        async with transaction(pool, tenant, now=NOON) as tx:
            await sign_up(tx, a_signup(offer="WELCOME"))

    assert refused.value.code == code
    async with transaction(pool, tenant, now=NOON) as tx:
        assert [await count(tx, table) for table in ("subscriptions", "redemptions", "invoices")] == [0, 0, 0]
        assert await count(tx, "customers") == 1
        assert (await promotions.offer(tx, "WELCOME")).redeemed == 0


async def test_a_welcome_is_for_who_has_not_subscribed_before(tx: Tx) -> None:
    await signed_up(tx)
    await create_offer(tx, a_new_offer(conditions=Conditions(new_customers_only=True)))

    with pytest.raises(Conflict) as refused:
        await subscribe(tx, NewSubscription(customer="user-77", plan="pro", offer="WELCOME"))
    assert refused.value.code == "offer_new_customers_only"
    assert (await sign_up(tx, a_signup(customer="user-78", offer="WELCOME"))).is_new


async def test_an_offer_is_not_had_twice_by_subscribing_again(tx: Tx) -> None:
    await signed_up(tx, offer=a_new_offer())

    with pytest.raises(Conflict) as refused:
        await subscribe(tx, NewSubscription(customer="user-77", plan="pro", offer="WELCOME"))
    assert refused.value.code == "offer_redeemed_before"


@pytest.mark.parametrize(
    ("plan", "offer", "code"),
    [("nowhere", None, "plan_not_found"), ("pro", "NOWHERE", "offer_not_found")],
)
async def test_what_is_not_there_is_not_found(tx: Tx, plan: str, offer: str | None, code: str) -> None:
    await a_shop_with_a_plan(tx)

    with pytest.raises(DomainError) as refused:
        await sign_up(tx, a_signup(plan=plan, offer=offer))
    assert refused.value.code == code
