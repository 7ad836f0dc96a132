"""Replacing an API key: the new one works at once, the old one for an overlap."""

from datetime import datetime, timedelta

import msgspec

from api.access import scopes, store
from api.access.create_key import issue
from api.access.events import ApiKeyRotated
from api.access.key_text import Hasher
from api.access.model import ApiKeyId, CreatedApiKey, Rotation
from kernel import outbox
from kernel.database import Tx


async def rotate_key(
    tx: Tx,
    api_key_id: ApiKeyId,
    request: Rotation,
    *,
    own_scopes: frozenset[str],
    hasher: Hasher,
    now: datetime,
) -> CreatedApiKey:
    """The new key has the name, the scopes and the length of life of the old one."""
    old = await store.lock(tx, api_key_id)

    old.check_rotatable(now=now)
    scopes.check_within(frozenset(old.scopes), own_scopes)
    overlap_end = now + timedelta(seconds=request.overlap_seconds)
    ends = overlap_end if old.expires_at is None else min(overlap_end, old.expires_at)

    created = await issue(
        tx,
        name=old.name,
        scopes=frozenset(old.scopes),
        expires_at=None if old.expires_at is None else now + (old.expires_at - old.created_at),
        hasher=hasher,
        now=now,
    )
    await store.save_end(tx, msgspec.structs.replace(old, expires_at=ends, successor_id=created.id))
    outbox.publish(tx, ApiKeyRotated(api_key_id=old.id, successor_id=created.id, expires_at=ends))
    return created
