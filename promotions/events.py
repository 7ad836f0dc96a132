"""What happens to offers."""

from datetime import datetime

from billing.invoices.model import InvoiceId
from billing.parties.model import CustomerId
from kernel.events import Event
from promotions.model import First, OfferId, Percentages, RedemptionId


class OfferCreated(Event, frozen=True, kw_only=True, tag="offer.created"):
    offer_id: OfferId


class OfferChanged(Event, frozen=True, kw_only=True, tag="offer.changed"):
    offer_id: OfferId


class OfferPaused(Event, frozen=True, kw_only=True, tag="offer.paused"):
    offer_id: OfferId


class OfferResumed(Event, frozen=True, kw_only=True, tag="offer.resumed"):
    offer_id: OfferId


class OfferArchived(Event, frozen=True, kw_only=True, tag="offer.archived"):
    offer_id: OfferId


class OfferRedeemed(Event, frozen=True, kw_only=True, tag="offer.redeemed"):
    offer_id: OfferId
    redemption_id: RedemptionId
    customer_id: CustomerId


class RedemptionReserved(Event, frozen=True, kw_only=True, tag="redemption.reserved"):
    offer_id: OfferId
    redemption_id: RedemptionId
    customer_id: CustomerId


class RedemptionExpired(Event, frozen=True, kw_only=True, tag="redemption.expired"):
    """A reservation has lapsed: its slot is free again."""

    offer_id: OfferId
    redemption_id: RedemptionId
    customer_id: CustomerId


class StackingPolicyChanged(Event, frozen=True, kw_only=True, tag="stacking_policy.changed"):
    percentages: Percentages
    order: First
    cumulative_lanes: tuple[int, ...]


class RedemptionEnded(Event, frozen=True, kw_only=True, tag="redemption.ended"):
    """The last invoice that it serves has been issued. What it gives lasts until `ended_at`."""

    offer_id: OfferId
    redemption_id: RedemptionId
    customer_id: CustomerId
    ended_at: datetime


class RedemptionConverted(Event, frozen=True, kw_only=True, tag="redemption.converted"):
    """The first invoice that asked for money has been paid."""

    offer_id: OfferId
    redemption_id: RedemptionId
    customer_id: CustomerId
    invoice_id: InvoiceId


class RedemptionReleased(Event, frozen=True, kw_only=True, tag="redemption.released"):
    """By hand, or because nothing is left of what was billed with it: its slot is free again."""

    offer_id: OfferId
    redemption_id: RedemptionId
    customer_id: CustomerId


class RedemptionRevoked(Event, frozen=True, kw_only=True, tag="redemption.revoked"):
    """By hand, or for what was billed with it was fraud: it gives nothing any more, its slot stays used."""

    offer_id: OfferId
    redemption_id: RedemptionId
    customer_id: CustomerId
