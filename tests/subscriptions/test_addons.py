"""Add-ons: plans beside a plan, billed with it, and never alone."""

import pytest

from billing.invoices.model import Invoice
from billing.parties.change_settings import change_settings
from billing.parties.model import SettingsChange
from billing.tax.add_tax_rate import add_tax_rate
from billing.tax.model import NewTaxRate, TaxBehavior
from kernel.database import Tx, leave_behind
from kernel.decimals import Quantity, Rate
from kernel.errors import Conflict, DomainError, Invalid, NotFound
from kernel.money import Currency
from kernel.paging import Window
from kernel.periods import Interval, Unit
from kernel.text import Name, Reference
from promotions.create_offer import create_offer
from promotions.model import Conditions, Forever
from subscriptions import plan_store, store
from subscriptions.create_plan import add_version
from subscriptions.entitlements import grants_of, with_addons
from subscriptions.model import (
    Addon,
    Grant,
    NewAddon,
    NewSubscription,
    NewVersion,
    PlanKind,
    PriceModel,
    Signup,
)
from subscriptions.sign_up import sign_up, subscribe
from tests.books import assert_sound
from tests.makers import euros
from tests.promotions.offers import a_new_offer, days, percent
from tests.subscriptions.plans import (
    MONTHLY,
    a_plan,
    a_price,
    a_shop_with_a_plan,
    a_signup,
    an_addon,
    beside,
    renewed,
    signed_up,
)


async def with_seats(tx: Tx, quantity: str = "3") -> Signup:
    """Pro at 29.00, and seats at 10.00."""
    await a_shop_with_a_plan(tx)
    await an_addon(tx)
    return await sign_up(tx, a_signup(addons=[beside("seats", quantity)]))


def lines(invoice: Invoice | None) -> list[tuple[str, int]]:
    assert invoice is not None
    return [(line.description, line.net.minor) for line in invoice.lines]


# ── Billing ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_addon_is_billed_with_its_plan_in_a_quantity_of_its_own(tx: Tx) -> None:
    signup = await with_seats(tx)

    assert lines(signup.invoice) == [("Pro", 29_00), ("Seats", 30_00)]
    assert signup.invoice is not None
    assert {line.period for line in signup.invoice.lines} == {signup.subscription.current_period}
    assert lines((await renewed(tx, signup.subscription)).invoice) == [("Pro", 29_00), ("Seats", 30_00)]
    await assert_sound(tx)


async def test_addons_are_shown_on_the_subscription(tx: Tx) -> None:
    signup = await with_seats(tx)
    seats = await plan_store.plan(tx, "seats")

    assert seats.kind is PlanKind.ADDON
    assert signup.subscription.addons == (Addon(plan_id=seats.id, version=1, quantity=Quantity(3)),)
    assert await store.get(tx, signup.subscription.id) == signup.subscription
    assert await store.lock(tx, signup.subscription.id) == signup.subscription
    page = await store.page(tx, Window(), customer_id=signup.customer.id)
    assert page.data == [signup.subscription]


async def test_addons_come_in_the_order_they_were_asked_for_and_before_what_is_billed_once(tx: Tx) -> None:
    await a_shop_with_a_plan(tx)
    for reference in ("one", "two"):
        await an_addon(tx, reference, a_price("5.00", setup_fee="2.00"))
    signup = await sign_up(tx, a_signup(addons=[beside("two"), beside("one")]))

    assert lines(signup.invoice) == [
        ("Pro", 29_00),
        ("Two", 5_00),
        ("One", 5_00),
        ("Two – frais de mise en service", 2_00),
        ("One – frais de mise en service", 2_00),
    ]


async def test_an_addon_has_the_vat_of_its_own(tx: Tx) -> None:
    await a_shop_with_a_plan(tx)
    await add_tax_rate(
        tx, NewTaxRate(reference=Reference("vat-5.5"), name=Name("TVA 5,5 %"), rate=Rate.parse("5.5"))
    )
    await an_addon(tx, "book", a_price("10.00"), tax_rate="vat-5.5")
    signup = await sign_up(tx, a_signup(addons=[beside("book")]))

    assert signup.invoice is not None
    assert [str(line.tax.rate) for line in signup.invoice.lines] == ["20", "5.5"]
    assert signup.invoice.tax == euros(5_80 + 55)


async def test_after_a_trial_addons_are_billed_with_the_plan(tx: Tx) -> None:
    await a_shop_with_a_plan(tx, a_new_offer(days(10)))
    await an_addon(tx)
    signup = await sign_up(tx, a_signup(offer="WELCOME", addons=[beside("seats", "2")]))

    assert signup.invoice is None
    assert lines((await renewed(tx, signup.subscription)).invoice) == [("Pro", 29_00), ("Seats", 20_00)]


async def test_a_subscription_keeps_the_version_of_its_addons(tx: Tx) -> None:
    signup = await with_seats(tx)
    dearer = a_price("99.00", model=PriceModel.PER_UNIT)
    await add_version(tx, "seats", NewVersion(interval=MONTHLY, prices=[dearer]))

    assert (await plan_store.plan(tx, "seats")).kind is PlanKind.ADDON
    assert lines((await renewed(tx, signup.subscription)).invoice) == [("Pro", 29_00), ("Seats", 30_00)]


async def test_a_further_subscription_may_have_addons_too(tx: Tx) -> None:
    await a_shop_with_a_plan(tx)
    await an_addon(tx)
    request = NewSubscription(customer="user-42", plan="pro", addons=[beside("seats", "2")])

    assert lines((await subscribe(tx, request)).invoice) == [("Pro", 29_00), ("Seats", 20_00)]


# ── Offers ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("plans", "nets"),
    [
        ((), [14_50, 15_00]),
        (("pro",), [14_50, 30_00]),
        (("seats",), [29_00, 15_00]),
        (("pro", "seats"), [14_50, 15_00]),
    ],
)
async def test_an_offer_is_for_what_it_names_or_for_everything(
    tx: Tx, plans: tuple[str, ...], nets: list[int]
) -> None:
    conditions = Conditions(plans=tuple(map(Reference, plans)))
    await a_shop_with_a_plan(tx, a_new_offer(percent("50"), duration=Forever(), conditions=conditions))
    await an_addon(tx)
    signup = await sign_up(tx, a_signup(offer="WELCOME", addons=[beside("seats", "3")]))

    assert [net for _, net in lines(signup.invoice)] == nets
    assert [net for _, net in lines((await renewed(tx, signup.subscription)).invoice)] == nets


async def test_an_offer_for_an_addon_is_not_had_without_it(tx: Tx) -> None:
    await a_shop_with_a_plan(tx)
    await an_addon(tx)
    await create_offer(tx, a_new_offer(conditions=Conditions(plans=(Reference("seats"),))))

    with pytest.raises(Conflict) as refusal:
        await sign_up(tx, a_signup(offer="WELCOME"))
    assert refusal.value.code == "offer_other_plan"


# ── What goes together ──────────────────────────────────────────────────────────────────────────────────


async def refusal_of(tx: Tx, *asked: NewAddon, plan: str = "pro") -> str:
    with pytest.raises(DomainError) as refusal:
        await sign_up(tx, a_signup(plan=plan, addons=asked))
    return refusal.value.code


async def test_what_does_not_go_together_is_refused(tx: Tx) -> None:
    await a_shop_with_a_plan(tx)
    await an_addon(tx)
    await an_addon(tx, "yearly", a_price("90.00"), interval=Interval(Unit.YEAR))
    await an_addon(tx, "dollars", a_price("5.00", currency=Currency("USD")))
    await an_addon(tx, "flat", a_price("5.00"))
    await change_settings(tx, SettingsChange(tax_behavior=TaxBehavior.INCLUSIVE))
    await an_addon(tx, "gross", a_price("5.00"))

    assert await refusal_of(tx, plan="seats") == "plan_is_addon"
    assert await refusal_of(tx, beside("pro")) == "addon_is_plan"
    assert await refusal_of(tx, beside("yearly")) == "addon_differs"
    assert await refusal_of(tx, beside("gross")) == "addon_differs"
    assert await refusal_of(tx, beside("dollars")) == "price_missing"
    assert await refusal_of(tx, beside("nowhere")) == "plan_not_found"
    assert await refusal_of(tx, beside("seats"), beside("seats", "2")) == "addon_twice"
    assert await refusal_of(tx, beside("seats", "0")) == "quantity_zero"
    assert await refusal_of(tx, beside("flat", "2")) == "quantity_of_flat_price"


async def test_twelve_months_go_with_a_year(tx: Tx) -> None:
    await a_shop_with_a_plan(tx)
    await a_plan(tx, "yearly", a_price("290.00"), interval=Interval(Unit.YEAR))
    await an_addon(tx, "storage", a_price("60.00"), interval=Interval(Unit.MONTH, 12))

    signup = await sign_up(tx, a_signup(plan="yearly", addons=[beside("storage")]))
    assert lines(signup.invoice) == [("Pro", 290_00), ("Storage", 60_00)]


async def test_an_addon_is_named_by_id_as_well_as_by_reference(tx: Tx) -> None:
    await a_shop_with_a_plan(tx)
    seats = await an_addon(tx)
    by_id = NewAddon(plan=str(seats.id))

    assert await refusal_of(tx, beside("seats"), by_id) == "addon_twice"
    assert lines((await sign_up(tx, a_signup(addons=[by_id]))).invoice)[1] == ("Seats", 10_00)


async def test_a_signup_that_is_repeated_has_the_same_addons(tx: Tx) -> None:
    first = await with_seats(tx, "3")

    again = await sign_up(tx, a_signup(addons=[beside("seats", "3")]))
    assert (again.is_new, again.subscription) == (False, first.subscription)
    for other in ([], [beside("seats", "4")]):
        with pytest.raises(Conflict) as refusal:
            await sign_up(tx, a_signup(addons=other))
        assert refusal.value.code == "signup_differs"


async def test_no_addon_costs_a_signup_no_statement(tx: Tx) -> None:
    await signed_up(tx)
    await leave_behind(tx)
    statements: list[str] = []
    with tx.conn.query_logger(lambda query: statements.append(query.query)):
        await sign_up(tx, a_signup(customer="user-78"))

    assert not [each for each in statements if "charges" in each or "ANY($3::text[])" in each]


async def test_an_addon_that_is_not_there_is_named(tx: Tx) -> None:
    await a_shop_with_a_plan(tx)
    with pytest.raises(NotFound) as refusal:
        await sign_up(tx, a_signup(addons=[beside("nowhere")]))
    assert "nowhere" in refusal.value.detail
    with pytest.raises(Invalid):
        await sign_up(tx, a_signup(addons=[beside("pro")]))


# ── Entitlements ────────────────────────────────────────────────────────────────────────────────────────


async def test_limits_of_addons_come_on_top_of_the_plans(tx: Tx) -> None:
    signup = await with_seats(tx, "3")
    assert signup.entitlements.features == {"export": True, "seats": 8}
    assert (await grants_of(tx, "user-77")) == signup.entitlements


async def test_over_all_subscriptions_the_highest_limit_counts(tx: Tx) -> None:
    await with_seats(tx, "3")
    await a_plan(tx, "small", entitlements={"seats": 7})
    await subscribe(tx, NewSubscription(customer="user-77", plan="small"))

    assert (await grants_of(tx, "user-77")).features == {"export": True, "seats": 8}


@pytest.mark.parametrize(
    ("plan", "addon", "quantity", "together"),
    [
        ({"seats": 5}, {"seats": 2}, "3", {"seats": 11}),
        ({"seats": 5}, {"seats": 2}, "1.5", {"seats": 8}),
        ({}, {"seats": 2}, "3", {"seats": 6}),
        ({"seats": False}, {"seats": 2}, "1", {"seats": 2}),
        ({"seats": True}, {"seats": 2}, "1", {"seats": True}),
        ({"seats": 5}, {"seats": True}, "1", {"seats": True}),
        ({"seats": 5}, {"seats": False}, "1", {"seats": 5}),
        ({"sso": False}, {"sso": True}, "1", {"sso": True}),
        ({"sso": True}, {"sso": False}, "1", {"sso": True}),
        ({"sso": False}, {"sso": False}, "2", {"sso": False}),
    ],
)
def test_a_feature_that_is_on_has_no_limit_to_raise(
    plan: dict[str, Grant], addon: dict[str, Grant], quantity: str, together: dict[str, Grant]
) -> None:
    found = with_addons(plan, [(addon, Quantity.parse(quantity))])
    assert [(name, type(grant), grant) for name, grant in found.items()] == [
        (name, type(grant), grant) for name, grant in together.items()
    ]
