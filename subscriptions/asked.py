"""The offers that somebody asks for, by reference and by code."""

from collections.abc import Collection

from billing.parties.model import Customer
from kernel.database import Tx
from kernel.errors import Invalid
from kernel.structs import Value
from promotions import store as promotions
from promotions.coupons import attempts, rules
from promotions.coupons import store as coupons
from promotions.model import Redemption
from promotions.redeem import Asked, code_invalid


class Wanted(Value, frozen=True, kw_only=True):
    """What is asked for, the offer that is named first; and how many codes, of which some may reach nothing.

    A code that is for somebody else reaches as little as one that is nobody's: nothing tells them apart.
    """

    asked: tuple[Asked, ...]
    codes: int
    all_reach: bool

    def is_given_by(self, redemption: Redemption) -> bool:
        """Whether it is what is asked for: had by the same code, if it is asked for by one."""
        return any(
            each.offer.id == redemption.offer_id
            and (each.coupon is None or each.coupon.id == redemption.coupon_id)
            for each in self.asked
        )


async def offers_asked(tx: Tx, offer: str | None, codes: Collection[str], customer: Customer) -> Wanted:
    """Whether the codes can be used is asked later, by `check_asked`: what was had before is had still.

    Raises TooMany `coupon_attempts` where the customer has tried too many that cannot.
    """
    named = [] if offer is None else [Asked(offer=await promotions.offer(tx, offer))]
    if not codes:
        return Wanted(asked=tuple(named), codes=0, all_reach=True)
    await attempts.check(tx, customer.reference)
    found = await coupons.reached(tx, codes)
    theirs = {code: each for code, each in found.items() if each.coupon.is_for(customer.id)}
    once = {each.coupon.id: each for each in theirs.values()}
    reached = [Asked(offer=each.offer, coupon=each.coupon) for each in once.values()]
    return Wanted(asked=(*named, *reached), codes=len(set(codes)), all_reach=len(theirs) == len(set(codes)))


def check_asked(tx: Tx, wanted: Wanted, customer: Customer) -> None:
    """That the codes can be used by this customer now: which cannot, and why, a stranger is not told.

    Only then that no offer is asked for twice, which would tell of a code that it is one.
    """
    used = [each.coupon for each in wanted.asked if each.coupon is not None]
    if not (wanted.all_reach and all(rules.usable(each, customer.id, now=tx.now) for each in used)):
        attempts.failed(tx, customer.reference, wanted.codes)
        raise code_invalid()
    if len({each.offer.id for each in wanted.asked}) < len(wanted.asked):
        raise Invalid("offer_twice", "Two of these are for the same offer: leave one out.", param="coupons")
