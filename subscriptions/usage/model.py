"""Usage: what was counted, as the caller reports it, and what of it is still to be billed."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

import msgspec

from billing.parties.model import CustomerId
from billing.tax.model import TaxTreatment
from kernel.decimals import Measure
from kernel.ids import Id
from kernel.money import Currency, Money
from kernel.periods import Period
from kernel.structs import Input, Value
from kernel.text import Name, Reference
from subscriptions.meters.model import Aggregation, MeterId
from subscriptions.model import Plan, PlanId, Price, SubscriptionId

# The caller's own name for one happening; it may hold what their queue gives them, but for spaces.
EventKey = Annotated[str, msgspec.Meta(pattern=r"^[!-~]{1,100}$(?!\n)")]


class UsageId(Id, prefix="use"):
    """One report of usage."""


class NewRecord(Input, frozen=True, kw_only=True):
    """What happened once: of a customer or of a subscription, by id or reference; `at` is now unless sent.

    A `unique` meter takes a `value`, the others a `quantity`, which to a `sum` is one unless sent.
    """

    event_id: EventKey
    meter: str
    customer: str | None = None
    subscription: str | None = None
    quantity: Measure | None = None
    value: Name | None = None
    at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


class NewUsage(Input, frozen=True, kw_only=True):
    """Send it again as often as you like: each event counts once."""

    records: Annotated[list[NewRecord], msgspec.Meta(min_length=1, max_length=1000)]


class UsageRecord(Value, frozen=True, kw_only=True):
    """`counts_at` is its time, or, when that had been billed already, from when the next bill counts."""

    id: UsageId
    event_id: str
    customer_id: CustomerId
    subscription_id: SubscriptionId
    meter_id: MeterId
    quantity: Measure | None
    value: str | None
    at: datetime
    counts_at: datetime
    created_at: datetime


class Outcome(StrEnum):
    RECORDED = "recorded"
    DUPLICATE = "duplicate"  # recorded before, and counted once
    REFUSED = "refused"


class Recorded(Value, frozen=True, kw_only=True):
    """What became of one record; `code` and `detail` say why one was refused, as a problem would."""

    event_id: str
    outcome: Outcome
    id: UsageId | None
    code: str | None = None
    detail: str | None = None


class Report(Value, frozen=True, kw_only=True):
    """How many of a batch there were of each outcome, and each record's own, in the order sent."""

    recorded: int
    duplicates: int
    refused: int
    records: tuple[Recorded, ...]


class Counted(Value, frozen=True, kw_only=True):
    """What a meter has counted."""

    meter_id: MeterId
    meter: Reference
    name: Name
    aggregation: Aggregation
    quantity: Measure


class Open(Value, frozen=True, kw_only=True):
    """What of a subscription's usage is not billed yet, as it was counted, and the version it is on.

    `is_kept` is false where there has never been any: then nothing has to be remembered as billed.
    """

    subscription_id: SubscriptionId
    plan_id: PlanId
    version: int
    currency: Currency
    period: Period
    is_free: bool
    is_kept: bool
    counted: tuple[Counted, ...]


class Rated(Value, frozen=True, kw_only=True):
    """A meter's quantity of a period, and its price."""

    meter_id: MeterId
    name: Name
    price: Price
    quantity: Measure


class Usage(Value, frozen=True, kw_only=True):
    """What a period's usage costs, on the plan it was used under: nothing in a trial.

    `is_kept` is as of what is open.
    """

    subscription_id: SubscriptionId
    period: Period
    rated: tuple[Rated, ...]
    plan: Plan
    tax: TaxTreatment
    is_kept: bool


class MeterUsage(Value, frozen=True, kw_only=True):
    """What a meter has counted so far. `amount` is what it would cost now, before offers and tax."""

    meter_id: MeterId
    meter: Reference
    name: Name
    aggregation: Aggregation
    quantity: Measure
    amount: Money | None


class SubscriptionUsage(Value, frozen=True, kw_only=True):
    """What is not billed yet. Late records are in it; a trial's usage is shown and costs nothing."""

    subscription_id: SubscriptionId
    period: Period
    meters: tuple[MeterUsage, ...]


class CustomerUsage(Value, frozen=True, kw_only=True):
    """Of each subscription that is not over."""

    customer_id: CustomerId
    subscriptions: tuple[SubscriptionUsage, ...]
