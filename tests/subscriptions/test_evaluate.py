"""What would this customer pay, and why did the offer not work: answered to the cent, recorded nowhere."""

from datetime import timedelta
from itertools import product
from typing import Any

import pytest

from billing.invoices.model import Invoice
from billing.tax.add_tax_rate import add_tax_rate
from billing.tax.model import TaxBehavior
from kernel.database import Tx
from kernel.decimals import Quantity
from kernel.errors import DomainError
from kernel.money import Currency, Money
from kernel.text import Country, Email, Name, Reference
from promotions.change_policy import change_policy
from promotions.coupons.codes import Code
from promotions.coupons.create_coupon import create_coupon
from promotions.coupons.model import NewCoupon
from promotions.coupons.revoke_coupon import revoke_coupon
from promotions.create_offer import create_offer
from promotions.model import (
    AtEnd,
    Conditions,
    First,
    FixedPrice,
    Forever,
    FreeUnits,
    Months,
    MoveTo,
    NewOffer,
    NewReservation,
    Percentages,
    Periods,
    PolicyChange,
)
from promotions.pause_offer import pause_offer
from promotions.reserve import reserve
from subscriptions.evaluating.evaluate import evaluate
from subscriptions.evaluating.model import AskedLine, Evaluation, Newcomer, NewEvaluation
from subscriptions.grant_offer import grant_offer
from subscriptions.model import BillingAnchor, NewAddon, NewGrant, NewSignup, Status, Subscription
from subscriptions.sign_up import sign_up
from tests.makers import NOON, euros
from tests.promotions.offers import a_new_offer, days, fixed, percent
from tests.shop import REVERSED, a_shop, another_customer, at
from tests.subscriptions.plans import (
    a_new_customer,
    a_plan,
    a_price,
    a_shop_with_a_plan,
    an_addon,
    beside,
    renewed,
)
from tests.subscriptions.population import ADDONS, OFFERS, PRICES

MORE_OFFERS: dict[str, NewOffer] = {
    "NINE": a_new_offer(FixedPrice(amount=euros(9_00)), reference="NINE", duration=Months(count=4)),
    "TWO-SEATS": a_new_offer(FreeUnits(units=Quantity(2)), reference="TWO-SEATS", duration=Forever()),
    "WEEK": a_new_offer(days(7), reference="WEEK"),
    "FOLLOWED": a_new_offer(days(7), reference="FOLLOWED", at_end=MoveTo(plan="flat")),
    "ALMOST": a_new_offer(percent("99.9"), reference="ALMOST", duration=Periods(count=2), at_end=AtEnd.END),
}
ANCHORS = (None, BillingAnchor(day=1))


async def a_market(tx: Tx) -> None:
    """Every price model that is not metered, two add-ons, and every kind of offer."""
    await a_shop(tx)
    for reference, price in PRICES.items():
        with_vat = TaxBehavior.INCLUSIVE if reference == "gross" else None
        await a_plan(tx, reference, price, tax_behavior=with_vat)
    await an_addon(tx)
    await an_addon(tx, "support", a_price("15.15", setup_fee="5.55"))
    for offer in (*OFFERS.values(), *MORE_OFFERS.values()):
        await create_offer(tx, offer)


async def asked(tx: Tx, **fields: Any) -> Evaluation:
    return await evaluate(tx, NewEvaluation(**fields))


def told(answer: Evaluation | Invoice | None) -> Any:
    """The amounts, line by line."""
    if answer is None:
        return None
    lines = [
        (
            line.description,
            line.quantity,
            line.unit_price,
            line.amount,
            line.discount,
            line.net,
            line.allowances,
        )
        for line in answer.lines
    ]
    return lines, answer.net, answer.tax, answer.total, answer.taxes


def reasons(answer: Evaluation) -> dict[str, str]:
    return {str(each.offer): each.code for each in answer.refused}


async def first_invoice(tx: Tx, request: NewSignup) -> Invoice | None:
    """At once, or when the trial is over."""
    signup = await sign_up(tx, request)
    if signup.subscription.status is not Status.TRIALING:
        return signup.invoice
    renewal = await renewed(tx, signup.subscription)
    return renewal.invoice


async def test_what_is_evaluated_is_what_a_signup_bills(tx: Tx) -> None:
    await a_market(tx)
    mixes = list(product(PRICES, [None, *OFFERS, *MORE_OFFERS], ANCHORS))
    for number, (plan, offer, anchor) in enumerate(mixes):
        addons: list[NewAddon] = list(ADDONS.get(plan, ()))
        quantity = Quantity(1 if plan in ("flat", "setup", "metered") else 12)
        terms: dict[str, Any] = {
            "plan": plan,
            "quantity": quantity,
            "addons": addons,
            "billing_anchor": anchor,
        }

        before = await asked(tx, **terms, offers=(offer,) if offer else ())
        billed = await first_invoice(
            tx, NewSignup(customer=a_new_customer(f"user-{number}"), offer=offer, **terms)
        )

        if billed is None:  # the offer ends it before anything is paid
            assert before.total == euros(0), (plan, offer)
        else:
            assert told(before) == told(billed), (plan, offer, anchor)
    assert len(mixes) >= 8 * 12 * 2


@pytest.mark.parametrize("percentages", Percentages)
@pytest.mark.parametrize("order", First)
@pytest.mark.parametrize("lanes", [(), (0,), (0, 1)])
async def test_several_offers_add_up_as_a_signup_with_them_does(
    tx: Tx, percentages: Percentages, order: First, lanes: tuple[int, ...]
) -> None:
    """One by its reference and four by codes, under every policy."""
    await a_shop_with_a_plan(tx, a_new_offer(percent("50")), price="100.00")
    more = {
        "TEN": a_new_offer(percent("10"), reference="TEN"),
        "FIVER": a_new_offer(fixed(5_00), reference="FIVER"),
        "ODD": a_new_offer(percent("33.3"), reference="ODD", lane=1),
        "THREE": a_new_offer(fixed(3_00), reference="THREE", lane=1),
    }
    for reference, offer in more.items():
        await create_offer(tx, offer)
        await create_coupon(tx, reference, NewCoupon(code=Code(reference)))
    await change_policy(tx, PolicyChange(percentages=percentages, order=order, cumulative_lanes=lanes))

    before = await asked(tx, plan="pro", offers=("WELCOME",), coupons=tuple(more))
    signup = await sign_up(
        tx,
        NewSignup(customer=a_new_customer(), plan="pro", offer="WELCOME", coupons=tuple(more)),
    )

    assert told(before) == told(signup.invoice)
    assert len(before.applied) + len(before.refused) == 5


async def test_nothing_is_recorded(tx: Tx) -> None:
    await a_shop_with_a_plan(tx, a_new_offer(max_redemptions=1))
    for _ in range(2):
        answer = await asked(tx, plan="pro", offers=("WELCOME",))
        assert answer.total == euros(27_84)
    for table in ("subscriptions", "redemptions", "invoices", "charges"):
        assert await tx.conn.fetchval(f"SELECT count(*) FROM {table}") == 0, table


async def test_every_offer_in_reach_is_applied_or_refused_with_a_reason(tx: Tx) -> None:
    await a_market(tx)
    offers = (
        a_new_offer(percent("30"), reference="GERMANS", conditions=Conditions(countries=(Country("DE"),))),
        a_new_offer(
            percent("5"),
            reference="PARTNERS",
            lane=2,
            conditions=Conditions(customer_metadata={"channel": ("partner",)}),
        ),
        a_new_offer(percent("5"), reference="MANY", lane=3, conditions=Conditions(min_quantity=Quantity(50))),
        a_new_offer(fixed(1_00, Currency("USD")), reference="DOLLAR", lane=4),
        a_new_offer(percent("1"), reference="PAUSED", lane=5),
    )
    for offer in offers:
        await create_offer(tx, offer)
    await pause_offer(tx, "PAUSED")
    every = ("LAUNCH", "TENNER", "HELLO", "TRIAL", *(str(offer.reference) for offer in offers))

    answer = await asked(
        tx,
        newcomer=Newcomer(country=Country("FR"), metadata={"channel": "partner"}),
        plan="per-unit",
        quantity=Quantity(12),
        offers=every,
    )

    assert {str(each.offer) for each in answer.applied} == {"HELLO", "PARTNERS"}
    assert reasons(answer) == {
        "LAUNCH": "offer_beaten",
        "TENNER": "offer_beaten",
        "GERMANS": "offer_other_country",
        "MANY": "offer_quantity_too_low",
        "DOLLAR": "offer_other_currency",
        "PAUSED": "offer_inactive",
    }
    assert answer.free_days == 31  # TRIAL gives days, and has nothing to say about money
    assert answer.discount == total_of(answer)
    assert all(refused.detail for refused in answer.refused)


def total_of(answer: Evaluation) -> Money:
    return Money(sum(each.discount.minor for each in answer.applied), answer.currency)


async def test_who_is_there_already_is_no_newcomer(tx: Tx) -> None:
    await a_shop_with_a_plan(
        tx, a_new_offer(percent("50"), conditions=Conditions(new_customers_only=True), max_per_customer=1)
    )
    await create_offer(tx, a_new_offer(percent("10"), reference="ANYBODY"))
    await sign_up(tx, NewSignup(customer=a_new_customer(), plan="pro", offer="ANYBODY"))

    answer = await asked(
        tx, customer="user-77", newcomer=Newcomer(), plan="pro", offers=("WELCOME", "ANYBODY")
    )

    assert answer.customer_id is not None
    assert reasons(answer) == {"WELCOME": "offer_new_customers_only", "ANYBODY": "offer_redeemed_before"}
    assert answer.total == euros(34_80)


async def test_free_days_come_before_the_first_invoice(tx: Tx) -> None:
    await a_shop_with_a_plan(tx, a_new_offer(days(14)))
    answer = await asked(tx, plan="pro", offers=("WELCOME",))
    assert (answer.free_days, answer.billed_at) == (14, NOON + timedelta(days=14))
    assert answer.period is not None
    assert answer.period.start == answer.billed_at
    assert (answer.total, answer.refused) == (euros(34_80), ())


async def test_what_is_reserved_for_somebody_is_there_for_them_and_for_nobody_else(tx: Tx) -> None:
    await a_shop(tx)
    await a_plan(tx, "flat")
    await another_customer(tx, "user-43")
    await create_offer(tx, a_new_offer(percent("50"), max_redemptions=1))
    await reserve(tx, NewReservation(customer="user-42", offer="WELCOME", expires_in_seconds=60))
    wanted: dict[str, Any] = {"plan": "flat", "offers": ("WELCOME",)}
    in_a_basket: dict[str, Any] = {"lines": (AskedLine(amount=euros(10_00)),), "offers": ("WELCOME",)}

    assert (await asked(tx, customer="user-42", **wanted)).discount == euros(14_50)
    assert (await asked(tx, customer="user-42", **in_a_basket)).discount == euros(5_00)
    assert reasons(await asked(tx, customer="user-43", **wanted)) == {"WELCOME": "offer_sold_out"}
    lapsed = at(tx, NOON + timedelta(seconds=60))
    assert reasons(await asked(lapsed, customer="user-42", **wanted)) == {"WELCOME": "offer_sold_out"}


async def test_lines_of_a_basket_need_no_plan(tx: Tx) -> None:
    await a_shop(tx)
    await create_offer(tx, a_new_offer(percent("10")))
    await create_offer(
        tx,
        a_new_offer(percent("50"), reference="PRO", lane=1, conditions=Conditions(plans=(Reference("pro"),))),
    )
    lines = (
        AskedLine(amount=euros(100_00), plan=Reference("pro"), quantity=Quantity(3)),
        AskedLine(amount=euros(50_00), description=Name("Workshop"), recurring=False),
        AskedLine(amount=euros(7_77), discountable=False),
    )

    answer = await asked(tx, lines=lines, offers=("WELCOME", "PRO"))

    assert [line.discount for line in answer.lines] == [euros(55_00), euros(5_00), euros(0)]
    assert [(str(each.offer), each.discount) for each in answer.applied] == [
        ("WELCOME", euros(15_00)),
        ("PRO", euros(45_00)),
    ]
    assert (answer.amount, answer.net, answer.tax) == (euros(157_77), euros(97_77), euros(19_55))


async def test_lines_without_a_plan_are_not_what_an_offer_for_one_is_for(tx: Tx) -> None:
    await a_shop(tx)
    await create_offer(tx, a_new_offer(conditions=Conditions(plans=(Reference("pro"),))))
    answer = await asked(tx, lines=(AskedLine(amount=euros(1_00)),), offers=("WELCOME",))
    assert reasons(answer) == {"WELCOME": "offer_other_plan"}


async def a_subscription(tx: Tx, offer: NewOffer | None) -> Subscription:
    await a_shop_with_a_plan(tx, offer)
    signup = await sign_up(
        tx, NewSignup(customer=a_new_customer(), plan="pro", offer=offer.reference if offer else None)
    )
    return signup.subscription


@pytest.mark.parametrize("more", [None, "EXTRA"])
async def test_the_next_invoice_of_a_subscription_is_what_its_renewal_bills(tx: Tx, more: str | None) -> None:
    subscription = await a_subscription(tx, a_new_offer(percent("50"), duration=Periods(count=2)))
    await create_offer(tx, a_new_offer(fixed(3_00), reference="EXTRA", lane=1))
    later = at(tx, NOON + timedelta(days=3))

    answer = await asked(later, subscription=subscription.id, offers=(more,) if more else ())
    if more:
        await grant_offer(later, subscription.id, NewGrant(offer=more))
    renewal = await renewed(tx, subscription)

    assert told(answer) == told(renewal.invoice)
    assert answer.billed_at == subscription.next_billing_at
    assert [str(each.offer) for each in answer.applied] == ["WELCOME", *([more] if more else [])]


async def test_an_offer_that_is_held_and_no_longer_applies_says_why(tx: Tx) -> None:
    subscription = await a_subscription(tx, a_new_offer(percent("50")))
    answer = await asked(at(tx, NOON + timedelta(days=3)), subscription=subscription.id)
    assert reasons(answer) == {"WELCOME": "offer_used_up"}
    assert answer.total == euros(34_80)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({}, "evaluation_of_one"),
        ({"plan": "pro", "lines": (AskedLine(amount=euros(1)),)}, "evaluation_of_one"),
        ({"lines": (AskedLine(amount=euros(-1)),)}, "line_negative"),
        (
            {"lines": (AskedLine(amount=euros(1)), AskedLine(amount=Money(1, Currency("USD"))))},
            "currency_mismatch",
        ),
        ({"lines": (AskedLine(amount=euros(1)),), "currency": Currency("USD")}, "currency_mismatch"),
        ({"plan": "never"}, "plan_not_found"),
        ({"plan": "pro", "addons": [beside("never")]}, "plan_not_found"),
        ({"plan": "pro", "offers": ("never",)}, "offer_not_found"),
        ({"plan": "pro", "customer": "never"}, "customer_not_found"),
        ({"plan": "pro", "newcomer": Newcomer(tax_rate="never")}, "tax_rate_not_found"),
        ({"plan": "pro", "newcomer": Newcomer(legal_entity="never")}, "legal_entity_not_found"),
        ({"plan": "pro", "customer": ""}, "customer_not_found"),
        ({"plan": "pro", "newcomer": Newcomer(tax_rate="")}, "tax_rate_not_found"),
        ({"plan": "pro", "newcomer": Newcomer(legal_entity="")}, "legal_entity_not_found"),
        ({"plan": "pro", "currency": Currency("USD")}, "price_missing"),
    ],
)
async def test_a_question_that_cannot_be_answered_says_what_is_wrong(
    tx: Tx, fields: dict[str, Any], code: str
) -> None:
    await a_shop_with_a_plan(tx)
    with pytest.raises(DomainError) as refused:
        await asked(tx, **fields)
    assert refused.value.code == code


async def test_the_policy_is_read_by_who_has_just_connected(tx: Tx) -> None:
    """An array inside of a row is read only by connections that have met one before."""
    await a_shop_with_a_plan(tx)
    for reference, part in (("TEN", "10"), ("HALF", "50")):
        await create_offer(tx, a_new_offer(percent(part), reference=reference, lane=7))
    await change_policy(tx, PolicyChange(percentages=Percentages.FULL_AMOUNT, cumulative_lanes=(7,)))

    await tx.conn.reload_schema_state()
    answer = await asked(tx, plan="pro", offers=("TEN", "HALF"))

    assert (answer.amount, answer.discount) == (euros(29_00), euros(17_40))


async def test_a_code_brings_its_offer_or_is_refused_as_any_other_that_cannot_be_used(tx: Tx) -> None:
    await a_shop_with_a_plan(tx, a_new_offer(percent("10")))
    await create_offer(
        tx, a_new_offer(percent("50"), reference="GERMANS", conditions=Conditions(countries=(Country("DE"),)))
    )
    coupons = {
        code: await create_coupon(tx, offer, NewCoupon(code=Code(code), **more))
        for code, offer, more in (
            ("HELLO-YOU", "WELCOME", {}),
            ("ZEHN", "GERMANS", {}),
            ("REVOKED", "WELCOME", {}),
            ("OVER", "WELCOME", {"expires_at": NOON}),
            ("HIS", "WELCOME", {"customer": "user-42"}),
        )
    }
    await revoke_coupon(tx, str(coupons["REVOKED"].id))

    answer = await asked(
        tx,
        newcomer=Newcomer(country=Country("FR")),
        plan="pro",
        coupons=("hello you", "Zehn", "REVOKED", "OVER", "HIS", "NEVER"),
    )

    assert [(str(each.offer), each.coupon) for each in answer.applied] == [("WELCOME", "hello you")]
    refused = {each.coupon: (each.offer, each.code, each.detail) for each in answer.refused}
    assert refused.pop("Zehn")[:2] == ("GERMANS", "offer_other_country")
    assert set(refused) == {"REVOKED", "OVER", "HIS", "NEVER"}
    assert len(set(refused.values())) == 1, "they cannot be told apart"

    his = await asked(tx, customer="user-42", plan="pro", coupons=("HIS",))
    assert [(str(each.offer), each.coupon) for each in his.applied] == [("WELCOME", "HIS")]


async def test_an_offer_that_is_named_and_brought_by_a_code_comes_off_once(tx: Tx) -> None:
    await a_shop_with_a_plan(tx, a_new_offer(percent("10")))
    await create_coupon(tx, "WELCOME", NewCoupon(code=Code("TEN")))
    answer = await asked(tx, plan="pro", offers=("WELCOME",), coupons=("TEN", "TEN"))
    assert answer.discount == euros(2_90)
    assert [(each.coupon, each.code) for each in answer.refused] == [("TEN", "offer_twice")]


async def test_who_comes_back_under_another_name_is_told_so(tx: Tx) -> None:
    await a_shop_with_a_plan(tx, a_new_offer(conditions=Conditions(new_customers_only=True)))
    await sign_up(tx, NewSignup(customer=a_new_customer(), plan="pro", offer="WELCOME"))
    again = Newcomer(email=Email(f"{a_new_customer().email.replace('@', '+again@')}"))
    assert reasons(await asked(tx, plan="pro", newcomer=again, offers=("WELCOME",))) == {
        "WELCOME": "offer_identity_used"
    }
    assert reasons(await asked(tx, plan="pro", newcomer=Newcomer(), offers=("WELCOME",))) == {}


async def test_who_is_charged_no_vat_is_told_so(tx: Tx) -> None:
    await a_shop_with_a_plan(tx)
    await add_tax_rate(tx, REVERSED)
    answer = await asked(
        tx, plan="pro", newcomer=Newcomer(tax_rate="reverse", vat_number=Name("DE136695976"))
    )
    assert (answer.net, answer.tax) == (euros(29_00), euros(0))
