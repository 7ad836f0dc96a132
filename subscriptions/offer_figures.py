"""What came of an offer."""

from kernel.database import Tx
from kernel.decimals import PPM, Rate
from kernel.money import Money, round_half_up
from promotions import store as promotions
from promotions.model import OfferId
from subscriptions import offer_store
from subscriptions.offer_store import Counts


class OfferFigures(Counts, frozen=True, kw_only=True):
    """In each currency, `given` is what came off invoices, and `revenue` what was billed without VAT, less
    what was credited, from the first period on for which the offer was given.

    `conversion_rate` is the percentage that converted of those who started; null while nobody has.
    """

    offer_id: OfferId
    given: tuple[Money, ...]
    revenue: tuple[Money, ...]
    conversion_rate: Rate | None


async def offer_figures(tx: Tx, key: str) -> OfferFigures:
    offer = await promotions.offer(tx, key)
    counts = await offer_store.counts(tx, offer.id)
    sums = await offer_store.sums(tx, offer.id)
    return OfferFigures(
        offer_id=offer.id,
        offered=counts.offered,
        started=counts.started,
        converted=counts.converted,
        ended=counts.ended,
        running=counts.running,
        released=counts.released,
        revoked=counts.revoked,
        given=tuple(each.given for each in sums if each.given),
        revenue=tuple(each.revenue for each in sums if each.revenue),
        conversion_rate=rate(counts.converted, counts.started),
    )


def rate(part: int, whole: int) -> Rate | None:
    """Of a million, half up."""
    return Rate(round_half_up(part * PPM, whole)) if whole else None
