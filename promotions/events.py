"""What happens to offers."""

from billing.parties.model import CustomerId
from kernel.events import Event
from promotions.model import OfferId, RedemptionId


class OfferCreated(Event, frozen=True, kw_only=True, tag="offer.created"):
    offer_id: OfferId


class OfferRedeemed(Event, frozen=True, kw_only=True, tag="offer.redeemed"):
    offer_id: OfferId
    redemption_id: RedemptionId
    customer_id: CustomerId
