"""Back-tests: an offer, a rebate programme or the rules in force, tried on what was billed in the past.

queued ──▶ running ──▶ done | failed
   └──────────┴──────▶ cancelled

A worker goes through the invoices, some customers at a time, and keeps its mark: another goes on from there.
"""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Self

import msgspec

from billing.invoices.model import InvoiceId
from billing.parties.model import CustomerId
from kernel.errors import Conflict, Invalid
from kernel.ids import Id
from kernel.money import Currency, Money
from kernel.structs import Input, Value
from kernel.text import Reference
from promotions.model import NewOffer
from promotions.rebates.model import NewRebateContract

EARLIEST, LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
LISTED = 20  # winners, and customers below a threshold
DIFFERENCES_LISTED = 100


class BackTestId(Id, prefix="bt"):
    """An offer or a programme tried on the past."""


class BackTestStatus(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


NEXT: dict[BackTestStatus, frozenset[BackTestStatus]] = {
    BackTestStatus.QUEUED: frozenset({BackTestStatus.RUNNING, BackTestStatus.CANCELLED}),
    BackTestStatus.RUNNING: frozenset({BackTestStatus.DONE, BackTestStatus.FAILED, BackTestStatus.CANCELLED}),
    BackTestStatus.DONE: frozenset(),
    BackTestStatus.FAILED: frozenset(),
    BackTestStatus.CANCELLED: frozenset(),
}


class Rules(StrEnum):
    """What is evaluated again as it was: every invoice, by the offers that its customer held."""

    IN_FORCE = "in_force"


class NewBackTest(Input, frozen=True, kw_only=True):
    """Try one of these on the invoices issued in `[starts_at, ends_at)`: an `offer` that is not there yet, a
    rebate `programme`, or the `rules` in force. Of all customers, or of some, by id or reference.

    A programme is about days and customers of its own: of the customers it names, from `starts_on` on.
    """

    offer: NewOffer | None = None
    programme: NewRebateContract | None = None
    rules: Rules | None = None
    starts_at: Annotated[datetime, msgspec.Meta(tz=True)]
    ends_at: Annotated[datetime, msgspec.Meta(tz=True)]
    customers: Annotated[tuple[str, ...], msgspec.Meta(max_length=1000)] = ()

    def check(self) -> None:
        if sum(each is not None for each in (self.offer, self.programme, self.rules)) != 1:
            raise Invalid(
                "back_test_of_one",
                "Try one thing: an offer, a programme, or the rules in force.",
                param="offer",
            )
        if not EARLIEST <= self.starts_at < self.ends_at <= LATEST:
            raise Invalid(
                "back_test_dates",
                f"A back-test ends after it starts, and lies between {EARLIEST.year} and {LATEST.year}.",
                param="ends_at",
            )
        if self.programme is not None and self.customers:
            raise Invalid(
                "back_test_of_one", "The programme says whom it is for: leave this out.", param="customers"
            )


class InCurrency(Value, frozen=True, kw_only=True):
    """`given` is what offers really took off; `instead` what they would have, `cost` the difference.

    Of a programme, `instead` is what would be earned. Amounts are net or gross as prices were.
    """

    currency: Currency
    billed: Money
    given: Money
    instead: Money
    cost: Money


class Winner(Value, frozen=True, kw_only=True):
    """A customer who would have paid less."""

    customer_id: CustomerId
    wins: Money


class Cliff(Value, frozen=True, kw_only=True):
    """A customer who stayed at most a tenth below a threshold: `was` is what they had, `wanted` the least."""

    customer_id: CustomerId
    invoice_id: InvoiceId | None
    condition: str
    was: str
    wanted: str


class Difference(Value, frozen=True, kw_only=True):
    """An invoice on which the rules in force give another amount than it has."""

    invoice_id: InvoiceId
    offer: Reference
    billed: Money
    replayed: Money


class Findings(Value, frozen=True, kw_only=True):
    """`invoices` were looked at, `applied` are those on which it would have taken something off.

    `redeemed` counts the customers who would have had the offer. Lists are of the largest, counts of all.
    """

    invoices: int = 0
    applied: int = 0
    redeemed: int = 0
    spent: int = 0
    currencies: tuple[InCurrency, ...] = ()
    winner_count: int = 0
    winners: tuple[Winner, ...] = ()
    cliff_count: int = 0
    cliffs: tuple[Cliff, ...] = ()
    refusals: dict[str, int] = {}
    difference_count: int = 0
    differences: tuple[Difference, ...] = ()


class BackTest(Value, frozen=True, kw_only=True):
    """`done` of `total` invoices, or periods of a programme; the findings grow until it is over."""

    id: BackTestId
    request: NewBackTest
    status: BackTestStatus
    done: int
    total: int
    findings: Findings
    error: str | None
    created_at: datetime
    ended_at: datetime | None

    def to(self, status: BackTestStatus, **changes: object) -> Self:
        """This back-test in another state. Raises Conflict `back_test_over`."""
        if status is not self.status and status not in NEXT[self.status]:
            raise Conflict("back_test_over", f"The back-test is {self.status} already.")
        return msgspec.structs.replace(self, status=status, **changes)

    @property
    def is_over(self) -> bool:
        return not NEXT[self.status]
