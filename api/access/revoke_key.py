"""Taking an API key away, from the next request on."""

from datetime import datetime

import msgspec

from api.access import store
from api.access.events import ApiKeyRevoked
from api.access.model import ApiKey, ApiKeyId
from kernel import outbox
from kernel.database import Tx


async def revoke_key(tx: Tx, api_key_id: ApiKeyId, *, now: datetime) -> ApiKey:
    """Revoking again changes nothing."""
    key = await store.lock(tx, api_key_id)

    if key.revoked_at is not None:
        return key
    revoked = msgspec.structs.replace(key, revoked_at=now)

    await store.save_end(tx, revoked)
    outbox.publish(tx, ApiKeyRevoked(api_key_id=key.id))
    return revoked
