"""Giving who brought a customer what they were promised, once the newcomer has paid."""

from billing.parties import store as parties
from kernel import outbox
from kernel.database import Tx, savepoint
from kernel.errors import DomainError
from promotions import identity
from promotions import store as promotions
from promotions.coupons import store as coupons
from promotions.coupons.events import ReferralRefused, ReferralRewarded
from promotions.coupons.model import Referral
from promotions.model import RedemptionId
from promotions.redeem import Asked
from promotions.reserve import keep_for
from subscriptions import store
from subscriptions.grant_offer import grant_offer
from subscriptions.model import NewGrant


async def reward_referrer(tx: Tx, redemption_id: RedemptionId) -> None:
    """A newcomer is brought once, and by nobody who is the same; the second time it is known already."""
    referral = await coupons.referral_of(tx, redemption_id)
    if referral is None:
        return
    referrer = await parties.lock_customer(tx, referral.referrer_id)
    newcomer = await parties.customer(tx, referral.newcomer_id)
    if not await coupons.insert_referral(tx, referral):
        return

    if identity.are_one(referrer, newcomer):
        _refused(tx, referral, "referrer_is_newcomer")
        return
    try:
        async with savepoint(tx):
            reward = await _reward(tx, referral)
    except DomainError as refusal:
        _refused(tx, referral, refusal.code)
        return

    outbox.publish(
        tx,
        ReferralRewarded(
            referrer_id=referral.referrer_id, newcomer_id=referral.newcomer_id, redemption_id=reward
        ),
    )


async def _reward(tx: Tx, referral: Referral) -> RedemptionId:
    """To a subscription of theirs that runs, or kept for their next."""
    running = sorted(await store.running_of(tx, referral.referrer_id))
    if running:
        request = NewGrant(offer=str(referral.referrer_offer_id))
        granted = await grant_offer(tx, running[-1], request, again=True)
        return granted.redemption.id
    customer = await parties.lock_customer(tx, referral.referrer_id)
    asked = Asked(offer=await promotions.offer(tx, referral.referrer_offer_id))
    return (await keep_for(tx, asked, customer, lasts=None)).id


def _refused(tx: Tx, referral: Referral, code: str) -> None:
    outbox.publish(
        tx,
        ReferralRefused(referrer_id=referral.referrer_id, newcomer_id=referral.newcomer_id, code=code),
    )
