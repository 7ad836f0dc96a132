"""Offers and their redemptions.

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

from billing.parties.model import CustomerId
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


class NewOffer(Input, frozen=True, kw_only=True):
    """Lanes run in order; inside a lane the best offer for the customer wins."""

    reference: Reference
    name: Name
    benefit: Benefit
    conditions: Conditions = Conditions()
    duration: Duration = Once()
    at_end: AtEnd | MoveTo = AtEnd.CONTINUE
    lane: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 0
    max_redemptions: Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000)] | None = None


class Offer(Value, frozen=True, kw_only=True):
    """`redeemed` counts against `max_redemptions`, where there is such a cap."""

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
    active: bool
    created_at: datetime


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
