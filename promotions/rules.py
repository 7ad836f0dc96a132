"""What an offer must be like. Pure."""

from kernel.errors import Invalid
from promotions.model import FixedAmount, Forever, FreePeriod, MoveTo, NewOffer, Once, Percent


def check(request: NewOffer) -> None:
    conditions = request.conditions
    match request.benefit:
        case Percent(percent=percent) if not percent:
            raise Invalid("benefit_nothing", "An offer takes something off.", param="benefit.percent")
        case FixedAmount(amount=amount) if amount.minor <= 0:
            raise Invalid("benefit_nothing", "An offer takes something off.", param="benefit.amount")
        case FreePeriod() if not isinstance(request.duration, Once):
            raise Invalid(
                "duration_of_free_period",
                "A free period lasts its days; leave the duration out.",
                param="duration",
            )
        case _:
            pass
    if isinstance(request.at_end, MoveTo) and isinstance(request.duration, Forever):
        raise Invalid("at_end_of_forever", "Nothing follows what never ends.", param="at_end")
    if conditions.starts_at and conditions.ends_at and conditions.ends_at <= conditions.starts_at:
        raise Invalid(
            "offer_ends_before_start", "The offer ends before it begins.", param="conditions.ends_at"
        )
