"""The offers that somebody asks for, by reference and by code."""

from collections.abc import Collection, Iterator, Sequence

from msgspec.structs import replace

from billing.parties.model import Customer
from kernel.database import Tx
from kernel.errors import Invalid
from kernel.structs import Value
from promotions import store as promotions
from promotions.basket import Held
from promotions.coupons import attempts, rules
from promotions.coupons import store as coupons
from promotions.model import Redemption
from promotions.redeem import Asked, code_invalid
from promotions.release import reservations


class Wanted(Value, frozen=True, kw_only=True):
    """What is asked for, the offer that is named first; and how many codes, of which some may reach nothing.

    A code that is for somebody else reaches as little as one that is nobody's: nothing tells them apart.
    What is `kept` for the customer until they redeem it comes with their next subscription by itself.
    """

    asked: tuple[Asked, ...]
    kept: tuple[Asked, ...] = ()
    codes: int
    all_reach: bool

    def is_given_by(self, redemption: Redemption) -> bool:
        """Whether it is what is asked for: had by the same code, if it is asked for by one."""
        return any(
            each.offer.id == redemption.offer_id
            and (each.coupon is None or each.coupon.id == redemption.coupon_id)
            for each in self.asked
        )


async def offers_asked(
    tx: Tx, offer: str | None, codes: Collection[str], customer: Customer, *, is_new: bool = False
) -> Wanted:
    """Whether the codes can be used is asked later, by `check_asked`: what was had before is had still.

    The customer is locked; nothing is reserved for one who is new. Raises TooMany `coupon_attempts` where
    they have tried too many codes that cannot be used.
    """
    reserved = [] if is_new else await reservations(tx, customer.id)  # before what has lapsed is counted
    named = [] if offer is None else [Asked(offer=await promotions.offer(tx, offer))]
    if codes:
        await attempts.check(tx, customer.reference)
    found = await coupons.reached(tx, codes) if codes else {}
    theirs = {code: each for code, each in found.items() if each.coupon.is_for(customer.id)}
    once = {each.coupon.id: each for each in theirs.values()}
    reached = [Asked(offer=each.offer, coupon=each.coupon) for each in once.values()]
    asked = tuple(_with_reserved(each, reserved) for each in (*named, *reached))
    return Wanted(
        asked=asked,
        kept=tuple(_kept(asked, reserved)),
        codes=len(set(codes)),
        all_reach=len(theirs) == len(set(codes)),
    )


def _with_reserved(asked: Asked, reserved: Sequence[Held]) -> Asked:
    """What was reserved by a code is had by it, or by the name of its offer."""
    theirs = (
        each.redemption
        for each in reserved
        if each.offer.id == asked.offer.id
        and (asked.coupon is None or asked.coupon.id == each.redemption.coupon_id)
    )
    return replace(asked, reserved=next(theirs, None))


def _kept(asked: Sequence[Asked], reserved: Sequence[Held]) -> Iterator[Asked]:
    named = {each.offer.id for each in asked}
    for each in reserved:
        if each.redemption.reserved_until is None and each.offer.id not in named:
            named.add(each.offer.id)
            yield Asked(offer=each.offer, reserved=each.redemption, unasked=True)


def check_asked(tx: Tx, wanted: Wanted, customer: Customer) -> None:
    """That the codes can be used by this customer now: which cannot, and why, a stranger is not told.

    Only then that no offer is asked for twice, which would tell of a code that it is one.
    """
    used = [each.coupon for each in wanted.asked if each.coupon is not None and each.reserved is None]
    if not (wanted.all_reach and all(rules.usable(each, customer.id, now=tx.now) for each in used)):
        attempts.failed(tx, customer.reference, wanted.codes)
        raise code_invalid()
    if len({each.offer.id for each in wanted.asked}) < len(wanted.asked):
        raise Invalid("offer_twice", "Two of these are for the same offer: leave one out.", param="coupons")
