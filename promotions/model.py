"""Offers and their redemptions.

active ◀──▶ paused ──▶ archived      an offer: whoever holds it keeps it, nobody new gets it
   └──────────────────▶

reserved ──▶ redeemed ──▶ exhausted ──▶ released      every period it was good for has been billed
   │            ├───────▶ revoked                     taken back
   │            └───────▶ released                    its slot is free again
   └──▶ expired | released

An offer is a promotion we run; a redemption is one customer's use of it.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Self

import msgspec

from billing.parties.model import CustomerId, Metadata
from kernel.decimals import Rate
from kernel.errors import Conflict
from kernel.ids import Id
from kernel.money import Currency, Money
from kernel.structs import Input, Value
from kernel.text import Name, Reference


class OfferId(Id, prefix="off"):
    """An offer."""


class RedemptionId(Id, prefix="red"):
    """One customer's use of an offer."""


class Percent(Input, frozen=True, kw_only=True, tag_field="type", tag="percent"):
    """A percentage off, rounded half up once on the sum of the lines."""

    percent: Rate


class FixedAmount(Input, frozen=True, kw_only=True, tag_field="type", tag="fixed_amount"):
    """An amount off, for baskets in its currency; net or gross, as the prices are that it comes off."""

    amount: Money


class FreePeriod(Input, frozen=True, kw_only=True, tag_field="type", tag="free_period"):
    """Days before the first invoice: the subscription is trialing."""

    days: Annotated[int, msgspec.Meta(ge=1, le=730)]


Benefit = Percent | FixedAmount | FreePeriod


class Once(Input, frozen=True, kw_only=True, tag_field="type", tag="once"):
    """The first invoice."""


class Periods(Input, frozen=True, kw_only=True, tag_field="type", tag="periods"):
    """The first `count` billing periods."""

    count: Annotated[int, msgspec.Meta(ge=1, le=1200)]


class Forever(Input, frozen=True, kw_only=True, tag_field="type", tag="forever"):
    """Every invoice."""


Duration = Once | Periods | Forever


class AtEnd(StrEnum):
    """What happens to the subscription when its offer is used up."""

    CONTINUE = "continue"  # at the plan's price
    END = "end"


class MoveTo(Input, frozen=True, kw_only=True):
    """It goes on with another plan, in the version that is the newest when the offer is given."""

    plan: str


class Conditions(Input, frozen=True, kw_only=True):
    """What must be true for the offer. An empty list of plans or currencies means all of them."""

    new_customers_only: bool = False
    plans: tuple[Reference, ...] = ()
    currencies: tuple[Currency, ...] = ()
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


class NewOffer(Input, frozen=True, kw_only=True):
    """Lanes run in order; inside a lane the best offer for the customer wins.

    It may be redeemed `max_redemptions` times in all, `max_per_customer` times by each customer, and take off
    no more than its `budget` over all invoices.
    """

    reference: Reference
    name: Name
    benefit: Benefit
    conditions: Conditions = Conditions()
    duration: Duration = Once()
    at_end: AtEnd | MoveTo = AtEnd.CONTINUE
    lane: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 0
    max_redemptions: Cap | None = None
    max_per_customer: CapPerCustomer = 1
    budget: Money | None = None
    metadata: Metadata = {}


class OfferChange(Input, frozen=True, kw_only=True):
    """What changes no promise: how it is called, when it runs, and how often it may still be used.

    `conditions` are sent whole; only their times may differ, and `starts_at` only while nobody has redeemed
    it. A cap can be raised, lowered to what is used, or taken away with null; an offer made without one was
    not counted, and gets none. The rest is fixed: it is taken only when it says what the offer says.
    """

    name: Name | msgspec.UnsetType = msgspec.UNSET
    metadata: Metadata | msgspec.UnsetType = msgspec.UNSET
    conditions: Conditions | msgspec.UnsetType = msgspec.UNSET
    max_redemptions: Cap | msgspec.UnsetType | None = msgspec.UNSET
    max_per_customer: CapPerCustomer | msgspec.UnsetType = msgspec.UNSET
    budget: Money | msgspec.UnsetType | None = msgspec.UNSET
    benefit: Benefit | msgspec.UnsetType = msgspec.UNSET
    duration: Duration | msgspec.UnsetType = msgspec.UNSET
    at_end: AtEnd | MoveTo | msgspec.UnsetType = msgspec.UNSET
    lane: Annotated[int, msgspec.Meta(ge=0, le=1000)] | msgspec.UnsetType = msgspec.UNSET


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
    Status.EXHAUSTED: frozenset({Status.RELEASED}),
    Status.EXPIRED: frozenset(),
    Status.REVOKED: frozenset(),
    Status.RELEASED: frozenset(),
}


class Redemption(Value, frozen=True, kw_only=True):
    """`periods_used` counts the invoices it took something off."""

    id: RedemptionId
    offer_id: OfferId
    customer_id: CustomerId
    status: Status
    periods_used: int
    redeemed_at: datetime

    def to(self, status: Status) -> Self:
        """This redemption in another state. Raises Conflict `redemption_state`."""
        if status is not self.status and status not in NEXT[self.status]:
            raise Conflict("redemption_state", f"A {self.status} redemption cannot be {status}.")
        return msgspec.structs.replace(self, status=status)
