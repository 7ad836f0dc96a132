"""Making an API key."""

from datetime import datetime

from api.access import key_text, scopes, store
from api.access.events import ApiKeyCreated
from api.access.key_text import Hasher
from api.access.model import ApiKey, ApiKeyId, CreatedApiKey, NewApiKey
from kernel import outbox
from kernel.database import Tx
from kernel.errors import Invalid


async def create_key(
    tx: Tx,
    request: NewApiKey,
    *,
    own_scopes: frozenset[str],
    own_end: datetime | None = None,
    hasher: Hasher,
    now: datetime,
) -> CreatedApiKey:
    """`own_scopes` and `own_end` are those of the key that asks: it gives no more and no longer than it has.

    Keys live in wall time, on a test clock too: `now`.
    """
    wanted = scopes.expand(request.scopes)
    scopes.check_within(wanted, own_scopes)
    if request.expires_at is not None and request.expires_at <= now:
        raise Invalid("expiry_past", "A key cannot expire in the past.", param="expires_at")
    expires_at = request.expires_at or own_end
    if own_end is not None and expires_at is not None and expires_at > own_end:
        raise Invalid(
            "expiry_beyond_own",
            f"Your own key expires at {own_end.isoformat()}, and so must the keys it makes.",
            param="expires_at",
        )

    created = await issue(
        tx,
        name=request.name,
        scopes=wanted,
        expires_at=expires_at,
        hasher=hasher,
        now=now,
    )

    outbox.publish(tx, ApiKeyCreated(api_key_id=created.id))
    return created


async def issue(
    tx: Tx,
    *,
    name: str,
    scopes: frozenset[str],
    expires_at: datetime | None,
    hasher: Hasher,
    now: datetime,
) -> CreatedApiKey:
    """Mint a key of the tenant's mode and store it without its secret."""
    text = key_text.mint(await store.mode(tx))
    key = ApiKey(
        id=ApiKeyId.new(),
        public_id=text.public_id,
        name=name,
        scopes=sorted(scopes),
        created_at=now,
        expires_at=expires_at,
        revoked_at=None,
        last_used_at=None,
        successor_id=None,
    )
    await store.insert_directory_row(tx, key, key_hash=hasher.hash(text))
    await store.insert(tx, key)
    return CreatedApiKey(**{f: getattr(key, f) for f in key.__struct_fields__}, secret=text.text)
