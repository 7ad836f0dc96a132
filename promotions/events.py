"""What happens to offers."""

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


class StackingPolicyChanged(Event, frozen=True, kw_only=True, tag="stacking_policy.changed"):
    percentages: Percentages
    order: First
    cumulative_lanes: tuple[int, ...]
