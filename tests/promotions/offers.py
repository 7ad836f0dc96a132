"""Offers for tests, with defaults: 20 % off, once, for everybody."""

from typing import TypedDict, Unpack

from msgspec.structs import replace

from billing.parties.model import CustomerId
from kernel.database import Tx
from kernel.decimals import Quantity, Rate
from kernel.money import Currency, Money
from kernel.paging import Window
from kernel.text import Name, Reference
from promotions import store
from promotions.model import (
    AtEnd,
    Benefit,
    Conditions,
    Duration,
    FixedAmount,
    FixedPrice,
    FreePeriod,
    FreeUnits,
    MoveTo,
    NewOffer,
    Offer,
    OfferId,
    OfferStatus,
    Once,
    Per,
    Percent,
    Redemption,
)
from tests.makers import EUR, NOON


class OfferFields(TypedDict, total=False):
    conditions: Conditions
    duration: Duration
    at_end: AtEnd | MoveTo
    lane: int
    max_redemptions: int | None
    budget: Money | None
    max_per_customer: int
    spent: Money | None
    one_per_identity: bool | None
    remind_days_before: int | None


def percent(text: str) -> Percent:
    return Percent(percent=Rate.parse(text))


def fixed(minor: int, currency: Currency = EUR) -> FixedAmount:
    return FixedAmount(amount=Money(minor, currency))


def at_a_price(minor: int, *, per: Per = Per.PERIOD) -> FixedPrice:
    return FixedPrice(amount=Money(minor, EUR), per=per)


def free_units(units: str) -> FreeUnits:
    return FreeUnits(units=Quantity.parse(units))


def days(count: int) -> FreePeriod:
    return FreePeriod(days=count)


def a_new_offer(
    benefit: Benefit | None = None, *, reference: str = "WELCOME", **fields: Unpack[OfferFields]
) -> NewOffer:
    offer = NewOffer(reference=Reference(reference), name=Name("Bienvenue"), benefit=benefit or percent("20"))
    return replace(offer, **fields)


def an_offer(
    benefit: Benefit | None = None,
    *,
    reference: str = "WELCOME",
    redeemed: int = 0,
    status: OfferStatus = OfferStatus.ACTIVE,
    **fields: Unpack[OfferFields],
) -> Offer:
    offer = Offer(
        id=OfferId.new(),
        reference=Reference(reference),
        name=Name("Bienvenue"),
        benefit=benefit or percent("20"),
        conditions=Conditions(),
        duration=Once(),
        at_end=AtEnd.CONTINUE,
        lane=0,
        max_redemptions=None,
        redeemed=redeemed,
        status=status,
        created_at=NOON,
    )
    return replace(offer, **fields)


async def redemptions_of(tx: Tx, customer_id: CustomerId) -> list[Redemption]:
    """All that a customer has or had, the first before the others."""
    page = await store.page_of_redemptions(tx, Window(), customer_id=customer_id, offer_id=None, status=None)
    assert page.next_cursor is None, "there are more than a page of them"
    return list(reversed(page.data))
