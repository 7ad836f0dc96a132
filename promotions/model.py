"""Offers and their redemptions.

active ◀──▶ paused ──▶ archived      an offer: whoever holds it keeps it, nobody new gets it
   └──────────────────▶

reserved ──▶ redeemed ──▶ exhausted                  every period it was good for has been billed
   │            │               └──▶ released | revoked
   │            ├───────▶ revoked                     taken back, its slot stays used
   │            └───────▶ released                    its slot is free again
   └──▶ expired | released

An offer is a promotion we run; a redemption is one customer's use of it.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, ClassVar, Self

import msgspec

from billing.parties.model import CustomerId, Metadata
from kernel.decimals import Quantity, Rate
from kernel.errors import Conflict
from kernel.ids import Id
from kernel.money import Currency, Money
from kernel.structs import Input, Value
from kernel.text import Country, Name, Reference

_SOME = msgspec.Meta(min_length=1, max_length=100)


class OfferId(Id, prefix="off"):
    """An offer."""


class RedemptionId(Id, prefix="red"):
    """One customer's use of an offer."""


class CouponId(Id, prefix="cpn"):
    """A code that puts an offer within reach of its holder."""


class Percent(Input, frozen=True, kw_only=True, tag_field="type", tag="percent"):
    """A percentage off, rounded half up once on the sum of the lines."""

    currency: ClassVar[None] = None
    percent: Rate


class FixedAmount(Input, frozen=True, kw_only=True, tag_field="type", tag="fixed_amount"):
    """An amount off, for baskets in its currency; net or gross, as the prices are that it comes off."""

    amount: Money

    @property
    def currency(self) -> Currency:
        return self.amount.currency


class Per(StrEnum):
    """What a fixed price is the price of."""

    PERIOD = "period"  # all that the period costs
    UNIT = "unit"  # each unit of it


class FixedPrice(Input, frozen=True, kw_only=True, tag_field="type", tag="fixed_price"):
    """What recurs costs this together: what is above it comes off, and nothing is added to reach it.

    Per unit it is multiplied by the quantity of the lines that have one.
    """

    amount: Money
    per: Per = Per.PERIOD

    @property
    def currency(self) -> Currency:
        return self.amount.currency


class FreeUnits(Input, frozen=True, kw_only=True, tag_field="type", tag="free_units"):
    """So many units of what recurs are free, counted from the first line on, rounded half up once."""

    currency: ClassVar[None] = None
    units: Quantity


class FreePeriod(Input, frozen=True, kw_only=True, tag_field="type", tag="free_period"):
    """Days before the first invoice: the subscription is trialing."""

    currency: ClassVar[None] = None
    days: Annotated[int, msgspec.Meta(ge=1, le=730)]


Benefit = Percent | FixedAmount | FixedPrice | FreeUnits | FreePeriod


class Once(Input, frozen=True, kw_only=True, tag_field="type", tag="once"):
    """The first invoice."""


class Periods(Input, frozen=True, kw_only=True, tag_field="type", tag="periods"):
    """The first `count` billing periods."""

    count: Annotated[int, msgspec.Meta(ge=1, le=1200)]


class Months(Input, frozen=True, kw_only=True, tag_field="type", tag="months"):
    """The first `count` months: of a period that is longer than what is left of them, that part."""

    count: Annotated[int, msgspec.Meta(ge=1, le=1200)]


class Days(Input, frozen=True, kw_only=True, tag_field="type", tag="days"):
    """The first `count` days: of a period that is longer than what is left of them, that part."""

    count: Annotated[int, msgspec.Meta(ge=1, le=36_500)]


class Until(Input, frozen=True, kw_only=True, tag_field="type", tag="until"):
    """Until a time: of a period that goes on after it, the part before."""

    at: Annotated[datetime, msgspec.Meta(tz=True)]


class Forever(Input, frozen=True, kw_only=True, tag_field="type", tag="forever"):
    """Every invoice."""


Duration = Once | Periods | Months | Days | Until | Forever


class AtEnd(StrEnum):
    """What happens to the subscription when its offer is used up."""

    CONTINUE = "continue"  # at the plan's price
    END = "end"


class MoveTo(Input, frozen=True, kw_only=True):
    """It goes on with another plan, in the version that is the newest when the offer is given."""

    plan: str


# A key of the customer's metadata, and the values that are allowed for it.
Allowed = Annotated[
    dict[Annotated[str, msgspec.Meta(min_length=1, max_length=40)], Annotated[tuple[str, ...], _SOME]],
    msgspec.Meta(max_length=20),
]


class Conditions(Input, frozen=True, kw_only=True):
    """What must be true for the offer. What is empty asks for nothing.

    `min_amounts` is one amount per currency, before any offer, and `min_quantity` the units of what recurs:
    both of the lines that the offer is for. These, plans and currencies are asked of every invoice, the
    others when the offer is given.
    """

    new_customers_only: bool = False
    first_invoice_only: bool = False
    plans: tuple[Reference, ...] = ()
    currencies: tuple[Currency, ...] = ()
    min_quantity: Quantity | None = None
    min_amounts: tuple[Money, ...] = ()
    countries: tuple[Country, ...] = ()
    customer_metadata: Allowed = {}
    starts_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    ends_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


class OfferStatus(StrEnum):
    """Who has been given the offer keeps it, whatever becomes of it."""

    ACTIVE = "active"
    PAUSED = "paused"
    ARCHIVED = "archived"


OFFER_NEXT: dict[OfferStatus, frozenset[OfferStatus]] = {
    OfferStatus.ACTIVE: frozenset({OfferStatus.PAUSED, OfferStatus.ARCHIVED}),
    OfferStatus.PAUSED: frozenset({OfferStatus.ACTIVE, OfferStatus.ARCHIVED}),
    OfferStatus.ARCHIVED: frozenset(),
}

Cap = Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000)]
CapPerCustomer = Annotated[int, msgspec.Meta(ge=1, le=1000)]
RemindDays = Annotated[int, msgspec.Meta(ge=1, le=60)]


class Percentages(StrEnum):
    """What several percentages are taken of."""

    COMPOUND = "compound"  # each of what the others have left: 10 % and 50 % are 55 %
    FULL_AMOUNT = "full_amount"  # each of the full amount: 10 % and 50 % are 60 %


class First(StrEnum):
    """What comes off first in a cumulative lane."""

    PERCENT = "percent_first"
    FIXED = "fixed_first"


Lane = Annotated[int, msgspec.Meta(ge=0, le=1000)]


class Policy(Value, frozen=True, kw_only=True):
    """How the offers of a tenant add up. In a cumulative lane all of them come off, not the best alone."""

    percentages: Percentages = Percentages.COMPOUND
    order: First = First.PERCENT
    cumulative_lanes: tuple[Lane, ...] = ()


class PolicyChange(Input, frozen=True, kw_only=True):
    """What is sent takes the place of what was; `cumulative_lanes` are sent whole."""

    percentages: Percentages | msgspec.UnsetType = msgspec.UNSET
    order: First | msgspec.UnsetType = msgspec.UNSET
    cumulative_lanes: Annotated[tuple[Lane, ...], msgspec.Meta(max_length=100)] | msgspec.UnsetType = (
        msgspec.UNSET
    )


class NewOffer(Input, frozen=True, kw_only=True):
    """Lanes run in order; inside a lane the best offer for the customer wins.

    It may be redeemed `max_redemptions` times in all, `max_per_customer` times by each customer, and take off
    no more than its `budget` over all invoices.

    `one_per_identity` refuses it to who has had it under another name, by e-mail address, VAT number or card,
    as offers for new customers do unless it is false. Customers are reminded so many days before it ends for
    them.
    """

    reference: Reference
    name: Name
    benefit: Benefit
    conditions: Conditions = Conditions()
    duration: Duration = Once()
    at_end: AtEnd | MoveTo = AtEnd.CONTINUE
    lane: Lane = 0
    max_redemptions: Cap | None = None
    max_per_customer: CapPerCustomer = 1
    budget: Money | None = None
    one_per_identity: bool | None = None
    remind_days_before: RemindDays | None = None
    metadata: Metadata = {}


class OfferChange(Input, frozen=True, kw_only=True):
    """What changes no promise: how it is called, when it runs, and how often it may still be used.

    `conditions` are sent whole; only their times may differ, and `starts_at` only while nobody has redeemed
    it. A cap can be raised, lowered to what is used, or taken away with null; an offer made without one was
    not counted, and gets none. Reminders change for those who get the offer from then on. The rest is fixed:
    it is taken only when it says what the offer says.
    """

    name: Name | msgspec.UnsetType = msgspec.UNSET
    metadata: Metadata | msgspec.UnsetType = msgspec.UNSET
    conditions: Conditions | msgspec.UnsetType = msgspec.UNSET
    max_redemptions: Cap | msgspec.UnsetType | None = msgspec.UNSET
    max_per_customer: CapPerCustomer | msgspec.UnsetType = msgspec.UNSET
    budget: Money | msgspec.UnsetType | None = msgspec.UNSET
    remind_days_before: RemindDays | msgspec.UnsetType | None = msgspec.UNSET
    benefit: Benefit | msgspec.UnsetType = msgspec.UNSET
    duration: Duration | msgspec.UnsetType = msgspec.UNSET
    at_end: AtEnd | MoveTo | msgspec.UnsetType = msgspec.UNSET
    lane: Lane | msgspec.UnsetType = msgspec.UNSET


class Offer(Value, frozen=True, kw_only=True):
    """`redeemed` counts against `max_redemptions`, `spent` against `budget`, where there is such a cap."""

    id: OfferId
    reference: Reference
    name: Name
    lane: int
    benefit: Benefit
    conditions: Conditions
    duration: Duration
    at_end: AtEnd | MoveTo
    max_redemptions: int | None
    redeemed: int
    max_per_customer: int = 1
    budget: Money | None = None
    spent: Money | None = None
    status: OfferStatus
    one_per_identity: bool = False
    remind_days_before: int | None = None
    metadata: dict[str, str] = {}
    created_at: datetime

    def to(self, status: OfferStatus) -> Self:
        """This offer in another state. Raises Conflict `offer_state`."""
        if status is not self.status and status not in OFFER_NEXT[self.status]:
            raise Conflict("offer_state", f"The offer is {self.status}, and cannot be {status} again.")
        return msgspec.structs.replace(self, status=status)


class Status(StrEnum):
    RESERVED = "reserved"
    REDEEMED = "redeemed"
    EXHAUSTED = "exhausted"
    EXPIRED = "expired"
    REVOKED = "revoked"
    RELEASED = "released"


NEXT: dict[Status, frozenset[Status]] = {
    Status.RESERVED: frozenset({Status.REDEEMED, Status.EXPIRED, Status.RELEASED}),
    Status.REDEEMED: frozenset({Status.EXHAUSTED, Status.REVOKED, Status.RELEASED}),
    Status.EXHAUSTED: frozenset({Status.REVOKED, Status.RELEASED}),
    Status.EXPIRED: frozenset(),
    Status.REVOKED: frozenset(),
    Status.RELEASED: frozenset(),
}


class Redemption(Value, frozen=True, kw_only=True):
    """It serves periods that begin at `applies_from`, which is the next when it is given, or later. Where the
    period it was given in is cut short, by a change or a pause, the one that begins in its place is the next.
    With an `ends_at` it serves what of them lies between the two.

    `periods_used` counts the periods it took something off, of which `served_at` is the start of the last;
    `given` is what it took off in all. Once it has given all that it was for, `ended_at` is when that is
    over: the end of the last period it served. `converted_at` is when the first invoice that asked for money
    was paid.

    One that began as a reservation says since when, and until when it is kept: null is until it is redeemed,
    by the next subscription. Nothing is `given` before it is redeemed.
    """

    id: RedemptionId
    offer_id: OfferId
    coupon_id: CouponId | None = None
    customer_id: CustomerId
    status: Status
    periods_used: int
    applies_from: datetime
    ends_at: datetime | None = None
    served_at: datetime | None = None
    given: Money | None
    redeemed_at: datetime
    converted_at: datetime | None = None
    ended_at: datetime | None = None
    reserved_at: datetime | None = None
    reserved_until: datetime | None = None

    def to(self, status: Status) -> Self:
        """This redemption in another state. Raises Conflict `redemption_state`."""
        if status is not self.status and status not in NEXT[self.status]:
            raise Conflict("redemption_state", f"A {self.status} redemption cannot be {status}.")
        return msgspec.structs.replace(self, status=status)

    @property
    def came_by_itself(self) -> bool:
        """It was kept until there was a subscription to hold it."""
        return self.reserved_at is not None and self.reserved_until is None

    def has_lapsed(self, *, now: datetime) -> bool:
        return self.reserved_until is not None and self.reserved_until <= now

    def serves_from(self, start: datetime) -> bool:
        """Whether a period that begins then is one for it: not the one that it was given in."""
        return self.applies_from <= start or self.redeemed_at < start

    @property
    def is_live(self) -> bool:
        """Whether it gives what it was for, or has given it all: not before it was had, nor taken back."""
        return self.status in (Status.REDEEMED, Status.EXHAUSTED)


class NewReservation(Input, frozen=True, kw_only=True):
    """An offer, by reference or id, or what a code brings, kept for a customer for so many seconds."""

    customer: str
    offer: str | None = None
    coupon: str | None = None
    expires_in_seconds: Annotated[int, msgspec.Meta(ge=60, le=90 * 86_400)] = 1800
