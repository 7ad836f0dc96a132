"""What the engine is asked about, and what it answers."""

from collections.abc import Mapping

from kernel.decimals import Measure
from kernel.money import Currency, Money
from kernel.structs import Value
from kernel.text import Reference
from promotions.model import Offer, OfferId, Redemption


class Share(Value, frozen=True, kw_only=True):
    """`part` of `whole` equal pieces of a period."""

    part: int = 1
    whole: int = 1


class BasketLine(Value, frozen=True, kw_only=True):
    """What is billed before offers, and the plan it is for; none where it is for something else.

    A line without a quantity counts no units.
    """

    amount: Money
    plan: Reference | None
    quantity: Measure | None = None
    recurring: bool = True
    discountable: bool = True


class Basket(Value, frozen=True, kw_only=True):
    """What is about to be billed, line by line, and whose it is: a plan, and its add-ons.

    Without lines there is nothing to bill yet, and no quantity or amount is asked for.
    """

    plan: Reference
    addons: tuple[Reference, ...] = ()
    currency: Currency
    is_new_customer: bool
    is_first_invoice: bool = False
    country: str | None = None
    customer_metadata: Mapping[str, str] = {}
    lines: tuple[BasketLine, ...]

    @property
    def plans(self) -> tuple[Reference, ...]:
        return (self.plan, *self.addons)


class InReach(Value, frozen=True, kw_only=True):
    """An offer this customer may use; `reserved` while it is kept for them: there it is as it was then. It is
    `granted` once they hold it, with the periods it has served.

    `covers` is the share of the period in which it holds: what recurs is discounted for that share.
    """

    offer: Offer
    granted: bool = False
    reserved: bool = False
    periods_used: int = 0
    covers: Share = Share()


class Allocation(Value, frozen=True, kw_only=True):
    """One offer's part, line by line, in the basket's order."""

    offer_id: OfferId
    reference: Reference
    name: str
    amounts: tuple[Money, ...]


class Refusal(Value, frozen=True, kw_only=True):
    """Why an offer did not apply; `code` is stable."""

    offer_id: OfferId
    reference: Reference
    code: str
    detail: str


class Decision(Value, frozen=True, kw_only=True):
    allocations: tuple[Allocation, ...]
    refusals: tuple[Refusal, ...]


class Held(Value, frozen=True, kw_only=True):
    """An offer a customer has been given."""

    offer: Offer
    redemption: Redemption


def refused(offer: Offer, code: str, detail: str) -> Refusal:
    return Refusal(offer_id=offer.id, reference=offer.reference, code=code, detail=detail)


def lines_for(offer: Offer, basket: Basket) -> list[BasketLine]:
    """The lines the offer is for: all that may be discounted, or those of the plans it names."""
    plans = offer.conditions.plans
    lines = [line for line in basket.lines if line.discountable]
    return [line for line in lines if line.plan in plans] if plans else lines
