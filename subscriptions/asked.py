"""The offers that somebody asks for, by reference and by code."""

from collections.abc import Collection, Sequence
from datetime import datetime

from billing.parties.model import CustomerId
from kernel.database import Tx
from kernel.errors import Invalid
from promotions import store as promotions
from promotions.coupons import rules
from promotions.coupons import store as coupons
from promotions.redeem import Asked, code_invalid


async def offers_asked(tx: Tx, offer: str | None, codes: Collection[str] = ()) -> list[Asked]:
    """The one that is named comes first. Whether the codes can be used is asked later, by `check_asked`.

    Raises Conflict `coupon_invalid` where a code is nobody's.
    """
    asked = [] if offer is None else [Asked(offer=await promotions.offer(tx, offer))]
    found = await coupons.reached(tx, codes) if codes else {}
    if len(found) < len(set(codes)):
        raise code_invalid()
    once = {each.coupon.id: each for each in found.values()}
    asked += (Asked(offer=each.offer, coupon=each.coupon) for each in once.values())
    return asked


def check_asked(asked: Sequence[Asked], customer_id: CustomerId, *, now: datetime) -> None:
    """That the codes can be used by this customer now: which cannot, and why, a stranger is not told.

    Only then that no offer is asked for twice, which would tell of a code that it is one.
    """
    for each in asked:
        if each.coupon is not None and not rules.usable(each.coupon, customer_id, now=now):
            raise code_invalid()
    if len({each.offer.id for each in asked}) < len(asked):
        raise Invalid("offer_twice", "Two of these are for the same offer: leave one out.", param="coupons")
