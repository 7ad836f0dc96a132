"""Plans and subscriptions.

incomplete ──▶ trialing | active | cancelled | ended        (it starts at a time to come)
trialing   ──▶ active | past_due | paused | cancelled | ended
active     ──▶ past_due | paused | cancelled | ended
past_due   ──▶ active | paused | cancelled | ended
paused     ──▶ active | cancelled | ended

`cancelled` is by someone, `ended` is a term that is over. Scheduled changes are dated fields, not states.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Self

import msgspec

from billing.invoices.model import Collection, Invoice, InvoiceId
from billing.parties.model import Customer, CustomerId, Metadata, NewCustomer
from billing.tax.model import TaxBehavior, TaxRateId
from kernel.decimals import Measure, Quantity, UnitPrice
from kernel.errors import Conflict
from kernel.ids import Id
from kernel.money import Currency
from kernel.periods import Interval, Period
from kernel.structs import Input, Value
from kernel.text import Name, Reference
from promotions.model import OfferId, Redemption, RedemptionId
from subscriptions.meters.model import Aggregation, MeterId

# Python's $ also stands before a line break at the end.
Feature = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_]{0,63}$(?!\n)")]
Limit = Annotated[int, msgspec.Meta(ge=0, le=10**12)]


class Quota(Input, frozen=True, kw_only=True):
    """So many units of a meter in each period; `meter` is a reference or an id."""

    quota: Limit
    meter: str


# On or off, a limit, or a quota.
Grant = bool | Limit | Quota
Entitlements = Annotated[dict[Feature, Grant], msgspec.Meta(max_length=200)]


class PlanId(Id, prefix="plan"):
    """What can be subscribed to."""


class PriceId(Id, prefix="price"):
    """An amount for a plan's version, in one currency."""


class SubscriptionId(Id, prefix="sub"):
    """A customer's agreement to a plan."""


class ChargeId(Id, prefix="chg"):
    """What a subscription is billed once."""


class PriceModel(StrEnum):
    """How a quantity becomes an amount; subscriptions/pricing.py says it in full."""

    FLAT = "flat"
    PER_UNIT = "per_unit"
    PACKAGE = "package"
    VOLUME = "volume"
    GRADUATED = "graduated"


class PlanKind(StrEnum):
    """What a subscription is of, or what is had beside a plan and never alone."""

    PLAN = "plan"
    ADDON = "addon"


class Tier(Input, frozen=True, kw_only=True):
    """Up to and including `up_to` units; the last tier has none. `flat_price` is due once it is reached."""

    up_to: Measure | None = None
    unit_price: UnitPrice = UnitPrice("0.00")
    flat_price: UnitPrice = UnitPrice("0.00")


class Price(Value, frozen=True, kw_only=True):
    """`unit_price` is per period: of the whole plan when flat, of a unit, or of a package of units.

    `setup_fee` is billed once, whatever the quantity, with the first invoice of a subscription.
    """

    id: PriceId
    model: PriceModel
    currency: Currency
    unit_price: UnitPrice | None
    package_size: Quantity | None
    tiers: tuple[Tier, ...]
    setup_fee: UnitPrice | None = None


class MeteredPrice(Value, frozen=True, kw_only=True):
    """What a version charges for what a meter has counted, once the period is over; one price a currency."""

    meter_id: MeterId
    meter: Reference
    name: Name
    aggregation: Aggregation
    prices: tuple[Price, ...]


class Plan(Value, frozen=True, kw_only=True):
    """A plan in one of its versions, which never change; new subscriptions take the newest."""

    id: PlanId
    reference: Reference
    name: Name
    kind: PlanKind
    version: int
    interval: Interval
    prices: tuple[Price, ...]
    meters: tuple[MeteredPrice, ...] = ()
    tax_rate_id: TaxRateId | None
    tax_behavior: TaxBehavior
    entitlements: dict[str, Grant]
    trial_days: int
    minimum_term: Interval | None
    created_at: datetime


class NewPrice(Input, frozen=True, kw_only=True):
    """A `unit_price` for flat, per_unit and package, with the latter's `package_size`; otherwise `tiers`.

    A `setup_fee` comes once, with the first invoice: after a trial, with the first period that is paid.
    """

    currency: Currency
    model: PriceModel = PriceModel.FLAT
    unit_price: UnitPrice | None = None
    package_size: Quantity | None = None
    tiers: Annotated[tuple[Tier, ...], msgspec.Meta(max_length=100)] = ()
    setup_fee: UnitPrice | None = None


class NewMeterPrice(NewPrice, frozen=True, kw_only=True):
    """As a price of the plan, but never flat. A first tier's flat part is due without any usage as well."""

    model: PriceModel = PriceModel.PER_UNIT


class NewMeteredPrice(Input, frozen=True, kw_only=True):
    """`meter` is a reference or an id. It is priced in each currency of the plan."""

    meter: str
    prices: Annotated[list[NewMeterPrice], msgspec.Meta(min_length=1, max_length=150)]


MeteredPrices = Annotated[list[NewMeteredPrice], msgspec.Meta(max_length=20)]


class NewVersion(Input, frozen=True, kw_only=True):
    """Terms for new subscriptions. Existing ones keep the version they agreed to.

    Prices are without VAT or with it, as `tax_behavior` says, or else the settings of today. A subscription
    begins with `trial_days`, unless an offer brings free days of its own, and is not cancelled before the end
    of a `minimum_term`, which begins when it begins to be paid.
    """

    interval: Interval
    prices: Annotated[list[NewPrice], msgspec.Meta(min_length=1, max_length=150)]
    meters: MeteredPrices = []
    tax_rate: str | None = None
    tax_behavior: TaxBehavior | None = None
    entitlements: Entitlements = {}
    trial_days: Annotated[int, msgspec.Meta(ge=0, le=730)] = 0
    minimum_term: Interval | None = None


class NewPlan(Input, frozen=True, kw_only=True):
    """A plan, or an add-on, with its first version.

    `entitlements` are features: on or off, a limit, or a quota. `meters` are what is billed by usage, when
    the period is over.
    """

    reference: Reference
    name: Name
    kind: PlanKind = PlanKind.PLAN
    interval: Interval
    prices: Annotated[list[NewPrice], msgspec.Meta(min_length=1, max_length=150)]
    meters: MeteredPrices = []
    tax_rate: str | None = None
    tax_behavior: TaxBehavior | None = None
    entitlements: Entitlements = {}
    trial_days: Annotated[int, msgspec.Meta(ge=0, le=730)] = 0
    minimum_term: Interval | None = None


class Status(StrEnum):
    INCOMPLETE = "incomplete"
    TRIALING = "trialing"
    ACTIVE = "active"
    PAST_DUE = "past_due"
    PAUSED = "paused"
    CANCELLED = "cancelled"
    ENDED = "ended"


_OVER = frozenset({Status.CANCELLED, Status.ENDED})

NEXT: dict[Status, frozenset[Status]] = {
    Status.INCOMPLETE: frozenset({Status.TRIALING, Status.ACTIVE}) | _OVER,
    Status.TRIALING: frozenset({Status.ACTIVE, Status.PAST_DUE, Status.PAUSED}) | _OVER,
    Status.ACTIVE: frozenset({Status.PAST_DUE, Status.PAUSED}) | _OVER,
    Status.PAST_DUE: frozenset({Status.ACTIVE, Status.PAUSED}) | _OVER,
    Status.PAUSED: frozenset({Status.ACTIVE}) | _OVER,
    Status.CANCELLED: frozenset(),
    Status.ENDED: frozenset(),
}

ENTITLED = frozenset({Status.TRIALING, Status.ACTIVE, Status.PAST_DUE})


class Addon(Value, frozen=True, kw_only=True):
    """An add-on as a subscription has it: in the version it agreed to, and in a quantity of its own."""

    plan_id: PlanId
    version: int
    quantity: Quantity


class PendingChange(Value, frozen=True, kw_only=True):
    """The terms from the next period on; `restarts` when its periods are of another length, counted anew."""

    plan_id: PlanId
    version: int
    quantity: Quantity
    addons: tuple[Addon, ...] | None = None
    restarts: bool


class Phase(PendingChange, frozen=True, kw_only=True):
    """Terms to come: after so many paid periods on those before, or with the first period from a time on."""

    after_periods: int | None
    begins_at: datetime | None


class NewPhase(Input, frozen=True, kw_only=True):
    """Terms to come: after so many periods on those before, or with the first period from `begins_at` on."""

    plan: str
    quantity: Quantity | None = None
    after_periods: Annotated[int, msgspec.Meta(ge=1, le=1000)] | None = None
    begins_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


NewPhases = Annotated[tuple[NewPhase, ...], msgspec.Meta(max_length=20)]


class BillingAnchor(Input, frozen=True, kw_only=True):
    """Periods begin on this day of the month, or on the last day of one that is shorter.

    With a `month`, also on that month of the year: the 1st of the 1st for calendar years or quarters.
    """

    day: Annotated[int, msgspec.Meta(ge=1, le=31)]
    month: Annotated[int, msgspec.Meta(ge=1, le=12)] | None = None


class Subscription(Value, frozen=True, kw_only=True):
    """`period_number` counts from the anchor, where billing began; the trial before it is -1.

    Without a `billing_anchor`, periods begin on the day on which billing began. Until a start that is to
    come it is incomplete, its current period the time until then. It is not cancelled before `term_ends_at`.

    `cancel_at` is when a cancellation takes effect, `pending_change` what the next period begins with; both
    can still be undone. So can a pause, which begins with the end of the period at `pause_at`; it is over at
    `resume_at`, where there is one.
    """

    id: SubscriptionId
    customer_id: CustomerId
    plan_id: PlanId
    version: int
    currency: Currency
    quantity: Quantity
    addons: tuple[Addon, ...] = ()
    status: Status
    collection: Collection
    redemption_ids: tuple[RedemptionId, ...] = ()
    anchor_at: datetime
    period_number: int
    current_period: Period
    trial_ends_at: datetime | None
    next_billing_at: datetime | None
    term_ends_at: datetime | None = None
    billing_anchor: BillingAnchor | None = None
    pending_change: PendingChange | None = None
    phases: tuple[Phase, ...] = ()
    pause_at: datetime | None = None
    paused_at: datetime | None = None
    resume_at: datetime | None = None
    cancel_at: datetime | None
    cancelled_at: datetime | None
    ended_at: datetime | None
    metadata: dict[str, str]
    created_at: datetime

    def to(self, status: Status, **changes: object) -> Self:
        """This subscription in another state. Raises Conflict `subscription_state`."""
        if status is not self.status and status not in NEXT[self.status]:
            raise Conflict("subscription_state", f"A {self.status} subscription cannot be {status}.")
        return msgspec.structs.replace(self, status=status, **changes)

    @property
    def versions(self) -> list[tuple[PlanId, int]]:
        """What it agreed to: of its plan, and of its add-ons."""
        return [(self.plan_id, self.version), *((addon.plan_id, addon.version) for addon in self.addons)]

    @property
    def is_over(self) -> bool:
        return self.status in _OVER


class PeriodInvoice(Value, frozen=True, kw_only=True):
    """What a period was billed on: its own invoice is number 0, the others are of changes in it.

    `stopped_at` is when a change credited what was not used of its recurring lines.
    """

    invoice_id: InvoiceId
    change_number: int
    stopped_at: datetime | None


class NewAddon(Input, frozen=True, kw_only=True):
    """An add-on to have beside a plan, billed with it: of the same interval, in the same currency."""

    plan: str
    quantity: Quantity = Quantity(1)


NewAddons = Annotated[list[NewAddon], msgspec.Meta(max_length=20)]


# What somebody typed: what is nobody's code is refused like any other that cannot be used.
Code = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
Codes = Annotated[tuple[Code, ...], msgspec.Meta(max_length=10)]


class NewSignup(Input, frozen=True, kw_only=True):
    """One call for a person who signs up: who they are, what they take, and the welcome they get.

    Repeating it for the same customer reference and offer returns the first signup.
    """

    customer: NewCustomer
    plan: str
    offer: str | None = None
    coupons: Codes = ()
    quantity: Quantity = Quantity(1)
    addons: NewAddons = []
    currency: Currency | None = None
    collection: Collection = Collection.AUTOMATIC
    billing_anchor: BillingAnchor | None = None
    metadata: Metadata = {}


class NewSubscription(Input, frozen=True, kw_only=True):
    """A subscription for a customer who is there already.

    It starts now, or at `starts_at`: in the past, the periods since are billed at once, an invoice for each;
    to come, it entitles to nothing until then. A `minimum_term` overrides the plan's; `phases` follow.
    """

    customer: str
    plan: str
    offer: str | None = None
    coupons: Codes = ()
    quantity: Quantity = Quantity(1)
    addons: NewAddons = []
    currency: Currency | None = None
    collection: Collection = Collection.AUTOMATIC
    billing_anchor: BillingAnchor | None = None
    starts_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    minimum_term: Interval | None = None
    phases: NewPhases = ()
    metadata: Metadata = {}


class PhaseSchedule(Input, frozen=True, kw_only=True):
    """All that is to come, in order, counted from the period that runs; of nothing, nothing comes."""

    phases: NewPhases


class MigrationWhen(StrEnum):
    """When subscriptions move to the newest version of their plan."""

    RENEWAL = "renewal"  # with their next period
    NOW = "now"  # at once and prorated, each by a job of its own


class NewMigration(Input, frozen=True, kw_only=True):
    """Of the subscriptions that are named, or of all."""

    subscriptions: (
        Annotated[tuple[SubscriptionId, ...], msgspec.Meta(min_length=1, max_length=1000)] | None
    ) = None
    when: MigrationWhen = MigrationWhen.RENEWAL


class Migration(Value, frozen=True, kw_only=True):
    """Which subscriptions move to the version.

    `has_more` when others can, in another call once these have. Those stay that are over, have a change or
    phases to come, add-ons that cannot be beside it, or a currency in which it has no price.
    """

    plan_id: PlanId
    version: int
    subscriptions: tuple[SubscriptionId, ...]
    has_more: bool


class Given(Value, frozen=True, kw_only=True):
    """What one subscription gives, and its add-ons by their quantity.

    `used` is what has been counted in its current period, by the meter's reference.
    """

    entitlements: dict[str, Grant]
    addons: tuple[tuple[dict[str, Grant], Quantity], ...] = ()
    used: dict[str, Measure]
    resets_at: datetime


class QuotaLeft(Value, frozen=True, kw_only=True):
    """Of a quota in the current period, over all subscriptions that give it; the first resets then.

    What is used beyond it is counted, and `left` stays zero.
    """

    meter: Reference
    allowed: Measure
    used: Measure
    left: Measure
    resets_at: datetime


class Grants(Value, frozen=True, kw_only=True):
    """What a customer may use, over all their subscriptions: on, off, or the highest limit.

    A feature with a quota stands among `features` as a limit, and in `quotas` with what is left of it.
    """

    customer_id: CustomerId
    features: dict[str, bool | int]
    quotas: dict[str, QuotaLeft]


class Signup(Value, frozen=True, kw_only=True):
    """`invoice` is null during a trial; `is_new` is false when the signup was there already.

    `later_invoices` are of the periods since, where the subscription starts in the past.
    """

    is_new: bool
    customer: Customer
    subscription: Subscription
    offer_id: OfferId | None
    invoice: Invoice | None
    later_invoices: tuple[Invoice, ...] = ()
    entitlements: Grants


class NewGrant(Input, frozen=True, kw_only=True):
    """An offer to give to a subscription that runs, by its reference or id, or by a code."""

    offer: str | None = None
    coupon: Code | None = None


class Granted(Value, frozen=True, kw_only=True):
    """`is_new` is false when the subscription had the offer already."""

    is_new: bool
    redemption: Redemption
    subscription: Subscription


class Renewal(Value, frozen=True, kw_only=True):
    """`invoice` is null when no period began that is billed: the subscription ended, or was paused.

    Where one ended, it is of what was left of its usage, if that costs anything.
    """

    subscription: Subscription
    invoice: Invoice | None


# ── Charges: what is billed once ────────────────────────────────────────────────────────────────────────


class ChargeWhen(StrEnum):
    """When a charge is billed."""

    NOW = "now"  # at once, on an invoice of its own
    NEXT_INVOICE = "next_invoice"  # with the next period


class Charge(Value, frozen=True, kw_only=True):
    """A setup fee, which has the plan it is of, or a charge of another kind.

    It is pending as long as it has no invoice. Offers take nothing off it unless it is `discountable`.
    """

    id: ChargeId
    subscription_id: SubscriptionId
    plan_id: PlanId | None
    description: Name
    quantity: Quantity
    unit_price: UnitPrice
    currency: Currency
    tax_rate_id: TaxRateId | None
    tax_behavior: TaxBehavior
    discountable: bool
    invoice_id: InvoiceId | None
    created_at: datetime


class NewCharge(Input, frozen=True, kw_only=True):
    """Something to bill once, in the subscription's currency; until it is billed it can be deleted.

    Net or gross as the plan's prices are now; with VAT at the customer's own rate, or else at `tax_rate`, or
    at the legal entity's. Held offers take their part off what is billed with a period, unless `discountable`
    is false; never off an invoice of its own.
    """

    description: Name
    unit_price: UnitPrice
    quantity: Quantity = Quantity(1)
    tax_rate: str | None = None
    discountable: bool = True
    when: ChargeWhen = ChargeWhen.NEXT_INVOICE


class Charged(Value, frozen=True, kw_only=True):
    """`invoice` is null as long as the charge waits for the next one."""

    charge: Charge
    invoice: Invoice | None
