"""Plans and signups for tests, with defaults: Pro at 29.00 a month, in advance."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from billing.invoices.model import Collection
from billing.parties.model import NewCustomer
from billing.tax.model import TaxBehavior
from kernel.database import Tx
from kernel.decimals import Quantity, UnitPrice
from kernel.money import Currency
from kernel.periods import Interval, Unit
from kernel.text import Email, Name, Reference
from promotions.create_offer import create_offer
from promotions.model import NewOffer
from subscriptions.create_plan import create_plan
from subscriptions.model import (
    ChargeWhen,
    Grant,
    NewAddon,
    NewCharge,
    NewMeteredPrice,
    NewMeterPrice,
    NewPlan,
    NewPrice,
    NewSignup,
    Plan,
    PlanKind,
    PriceModel,
    Renewal,
    Signup,
    Subscription,
)
from subscriptions.renew import renew
from subscriptions.sign_up import sign_up
from tests.makers import EUR, an_address
from tests.shop import a_shop, at

MONTHLY = Interval(Unit.MONTH)


def a_price(
    unit_price: str = "29.00",
    *,
    model: PriceModel = PriceModel.FLAT,
    currency: Currency = EUR,
    setup_fee: str | None = None,
) -> NewPrice:
    return NewPrice(
        currency=currency,
        unit_price=UnitPrice.parse(unit_price),
        model=model,
        setup_fee=UnitPrice.parse(setup_fee) if setup_fee else None,
    )


async def a_plan(
    tx: Tx,
    reference: str = "pro",
    *prices: NewPrice,
    interval: Interval = MONTHLY,
    entitlements: dict[str, Grant] | None = None,
    tax_behavior: TaxBehavior | None = None,
    name: str = "Pro",
    kind: PlanKind = PlanKind.PLAN,
    tax_rate: str | None = None,
    meters: Mapping[str, NewMeterPrice] | None = None,
) -> Plan:
    request = NewPlan(
        reference=Reference(reference),
        name=Name(name),
        kind=kind,
        interval=interval,
        tax_rate=tax_rate,
        prices=list(prices) or [a_price()],
        meters=[NewMeteredPrice(meter=meter, prices=[price]) for meter, price in (meters or {}).items()],
        tax_behavior=tax_behavior,
        entitlements={"export": True, "seats": 5} if entitlements is None else entitlements,
    )
    return await create_plan(tx, request)


async def a_shop_with_a_plan(tx: Tx, offer: NewOffer | None = None, *, price: str = "29.00") -> Plan:
    """And one customer, user-42, who has not subscribed; and an offer."""
    await a_shop(tx)
    if offer is not None:
        await create_offer(tx, offer)
    return await a_plan(tx, "pro", a_price(price))


def a_new_customer(reference: str = "user-77", *, payment_method: str | None = None) -> NewCustomer:
    return NewCustomer(
        reference=Reference(reference),
        name=Name("Ada Martin"),
        email=Email("ada@martin.example"),
        address=an_address(),
        payment_method=Name(payment_method) if payment_method else None,
    )


def a_signup(
    *,
    customer: str = "user-77",
    plan: str = "pro",
    offer: str | None = None,
    quantity: str = "1",
    addons: Sequence[NewAddon] = (),
    collection: Collection = Collection.SEND_INVOICE,
    currency: Currency | None = None,
    payment_method: str | None = None,
) -> NewSignup:
    return NewSignup(
        customer=a_new_customer(customer, payment_method=payment_method),
        plan=plan,
        offer=offer,
        quantity=Quantity.parse(quantity),
        addons=list(addons),
        collection=collection,
        currency=currency,
    )


async def an_addon(
    tx: Tx,
    reference: str = "seats",
    *prices: NewPrice,
    interval: Interval = MONTHLY,
    entitlements: dict[str, Grant] | None = None,
    tax_rate: str | None = None,
) -> Plan:
    """At 10.00 a seat, each of which is one more."""
    return await a_plan(
        tx,
        reference,
        *(prices or [a_price("10.00", model=PriceModel.PER_UNIT)]),
        interval=interval,
        entitlements={"seats": 1} if entitlements is None else entitlements,
        name=reference.title(),
        kind=PlanKind.ADDON,
        tax_rate=tax_rate,
    )


def beside(reference: str = "seats", quantity: str = "1") -> NewAddon:
    return NewAddon(plan=reference, quantity=Quantity.parse(quantity))


def a_charge(
    unit_price: str = "40.00",
    *,
    quantity: str = "1",
    tax_rate: str | None = None,
    discountable: bool = True,
    when: ChargeWhen = ChargeWhen.NEXT_INVOICE,
) -> NewCharge:
    return NewCharge(
        description=Name("Workshop"),
        unit_price=UnitPrice.parse(unit_price),
        quantity=Quantity.parse(quantity),
        tax_rate=tax_rate,
        discountable=discountable,
        when=when,
    )


async def signed_up(tx: Tx, *, offer: NewOffer | None = None, price: str = "29.00") -> Signup:
    """In a shop of its own, at the plan's price or with an offer."""
    await a_shop_with_a_plan(tx, offer, price=price)
    return await sign_up(tx, a_signup(offer=offer.reference if offer else None))


async def renewed(tx: Tx, subscription: Subscription, *, now: datetime | None = None) -> Renewal:
    """At the moment it is due."""
    assert subscription.next_billing_at is not None
    return await renew(at(tx, now or subscription.next_billing_at), subscription.id)


def net_of(renewal: Renewal) -> int | None:
    return renewal.invoice.net.minor if renewal.invoice else None
