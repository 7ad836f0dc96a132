"""Following one of a provider's objects: fetch its state, and move ours forward to it.

Nothing foreign happens inside a transaction, and the events that were waiting are marked last: who dies
before that looks again, and finds that ours is there already.
"""

from billing.gateways.checkouts.save_method import save_method
from kernel.database import Door
from webhooks import store
from webhooks.drift.model import Finding
from webhooks.following.charge import follow_charge
from webhooks.following.dispute import follow_dispute
from webhooks.following.refund import follow_refund
from webhooks.model import ObjectKind, ProviderObject
from webhooks.provider import Provider


async def follow_waiting(door: Door, provider: Provider, about: ProviderObject) -> Finding | None:
    """None when there was nothing to look at: an earlier look has answered for all events so far."""
    async with door.open() as tx:
        waiting = await store.waiting_for(tx, provider.connection_id, about)
    if not waiting:
        return None

    finding = await follow(door, provider, about)

    async with door.open() as tx:
        await store.mark_handled(tx, waiting)
    return finding


async def follow(door: Door, provider: Provider, about: ProviderObject) -> Finding | None:
    """None when the provider does not know the object, or nothing of it is compared."""
    match about.kind:
        case ObjectKind.CHARGE:
            return await _charge(door, provider, about.reference)
        case ObjectKind.REFUND:
            return await _refund(door, provider, about.reference)
        case ObjectKind.CHECKOUT:
            await _checkout(door, provider, about.reference)
            return None
        case ObjectKind.DISPUTE:
            return await _dispute(door, provider, about.reference)


async def _charge(door: Door, provider: Provider, reference: str) -> Finding | None:
    charge = await provider.books.charge_of(reference)
    if charge is None:
        return None
    async with door.open() as tx:
        return await follow_charge(tx, provider, charge)


async def _refund(door: Door, provider: Provider, reference: str) -> Finding | None:
    """What it is a refund of may have come to nobody's ears yet: that is followed first."""
    made = await provider.books.refund_of(reference)
    if made is None:
        return None
    await _charge(door, provider, made.charge)
    async with door.open() as tx:
        return await follow_refund(tx, provider.name, made)


async def _dispute(door: Door, provider: Provider, reference: str) -> Finding | None:
    made = await provider.books.dispute_of(reference)
    if made is None:
        return None
    await _charge(door, provider, made.charge)
    async with door.open() as tx:
        return await follow_dispute(tx, provider.name, made)


async def _checkout(door: Door, provider: Provider, reference: str) -> None:
    saved = await provider.books.method_of(reference)
    if saved is not None:
        async with door.open() as tx:
            await save_method(tx, saved)
