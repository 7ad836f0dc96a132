"""What happens to plans and subscriptions."""

from datetime import datetime

from billing.invoices.model import InvoiceId
from billing.parties.model import CustomerId
from kernel.decimals import Quantity
from kernel.events import Event
from promotions.model import OfferId, RedemptionId
from subscriptions.model import Addon, ChargeId, PlanId, SubscriptionId


class PlanCreated(Event, frozen=True, kw_only=True, tag="plan.created"):
    plan_id: PlanId


class PlanVersionAdded(Event, frozen=True, kw_only=True, tag="plan.version_added"):
    plan_id: PlanId
    version: int


class SubscriptionStarted(Event, frozen=True, kw_only=True, tag="subscription.started"):
    subscription_id: SubscriptionId
    customer_id: CustomerId


class SubscriptionScheduled(Event, frozen=True, kw_only=True, tag="subscription.scheduled"):
    """It starts at a time to come."""

    subscription_id: SubscriptionId
    customer_id: CustomerId
    starts_at: datetime


class SubscriptionRenewed(Event, frozen=True, kw_only=True, tag="subscription.renewed"):
    subscription_id: SubscriptionId
    customer_id: CustomerId
    invoice_id: InvoiceId


class RenewalFailed(Event, frozen=True, kw_only=True, tag="subscription.renewal_failed"):
    """The period could not be billed, and is tried again later; `code` and `detail` are a problem's."""

    subscription_id: SubscriptionId
    code: str
    detail: str


class SubscriptionPastDue(Event, frozen=True, kw_only=True, tag="subscription.past_due"):
    """An invoice of it is overdue. It goes on, and entitles, until it is cancelled."""

    subscription_id: SubscriptionId
    customer_id: CustomerId


class SubscriptionRecovered(Event, frozen=True, kw_only=True, tag="subscription.recovered"):
    """No invoice of it is overdue any more: it is active again."""

    subscription_id: SubscriptionId
    customer_id: CustomerId


class SubscriptionPaused(Event, frozen=True, kw_only=True, tag="subscription.paused"):
    subscription_id: SubscriptionId
    customer_id: CustomerId
    resume_at: datetime | None


class PauseScheduled(Event, frozen=True, kw_only=True, tag="subscription.pause_scheduled"):
    subscription_id: SubscriptionId
    customer_id: CustomerId
    pause_at: datetime


class PauseUndone(Event, frozen=True, kw_only=True, tag="subscription.pause_undone"):
    subscription_id: SubscriptionId
    customer_id: CustomerId


class SubscriptionResumed(Event, frozen=True, kw_only=True, tag="subscription.resumed"):
    subscription_id: SubscriptionId
    customer_id: CustomerId


class SubscriptionCancelled(Event, frozen=True, kw_only=True, tag="subscription.cancelled"):
    subscription_id: SubscriptionId
    customer_id: CustomerId


class SubscriptionChanged(Event, frozen=True, kw_only=True, tag="subscription.changed"):
    """To these terms, now or with the period that begins."""

    subscription_id: SubscriptionId
    customer_id: CustomerId
    plan_id: PlanId
    version: int
    quantity: Quantity
    addons: tuple[Addon, ...]


class SubscriptionChangeScheduled(Event, frozen=True, kw_only=True, tag="subscription.change_scheduled"):
    subscription_id: SubscriptionId
    customer_id: CustomerId
    change_at: datetime


class MigrationFailed(Event, frozen=True, kw_only=True, tag="subscription.migration_failed"):
    """It stays on the version it has; `code` and `detail` are a problem's."""

    subscription_id: SubscriptionId
    customer_id: CustomerId
    code: str
    detail: str


class PhasesScheduled(Event, frozen=True, kw_only=True, tag="subscription.phases_scheduled"):
    subscription_id: SubscriptionId
    customer_id: CustomerId
    phases: int


class SubscriptionChangeUndone(Event, frozen=True, kw_only=True, tag="subscription.change_undone"):
    subscription_id: SubscriptionId
    customer_id: CustomerId


class CancellationScheduled(Event, frozen=True, kw_only=True, tag="subscription.cancellation_scheduled"):
    subscription_id: SubscriptionId
    customer_id: CustomerId
    cancel_at: datetime


class CancellationUndone(Event, frozen=True, kw_only=True, tag="subscription.cancellation_undone"):
    subscription_id: SubscriptionId
    customer_id: CustomerId


class SubscriptionEnded(Event, frozen=True, kw_only=True, tag="subscription.ended"):
    subscription_id: SubscriptionId
    customer_id: CustomerId


class ChargeAdded(Event, frozen=True, kw_only=True, tag="charge.added"):
    charge_id: ChargeId
    subscription_id: SubscriptionId
    customer_id: CustomerId


class ChargeDeleted(Event, frozen=True, kw_only=True, tag="charge.deleted"):
    """Before it was billed."""

    charge_id: ChargeId
    subscription_id: SubscriptionId
    customer_id: CustomerId


class OfferEndsSoon(Event, frozen=True, kw_only=True, tag="offer.ends_soon"):
    """For this subscription: so many days before it does as the offer says."""

    offer_id: OfferId
    redemption_id: RedemptionId
    subscription_id: SubscriptionId
    customer_id: CustomerId
    ends_at: datetime
