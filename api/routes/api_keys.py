"""API keys: who may use a tenant, and for what."""

from datetime import datetime

from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from api.access import store
from api.access.create_key import create_key
from api.access.key_text import Hasher
from api.access.model import ApiKey, ApiKeyId, CreatedApiKey, NewApiKey, Rotation
from api.access.revoke_key import revoke_key
from api.access.rotate_key import rotate_key
from api.operations import command, query
from kernel.database import Tx
from kernel.paging import Page, Window


@query("/v1/api_keys", scope="api_keys:read")
async def list_api_keys(tx: NamedDependency[Tx], window: NamedDependency[Window]) -> Page[ApiKey]:
    """List API keys, newest first."""
    return await store.page(tx, window)


@query("/v1/api_keys/{api_key_id}", scope="api_keys:read")
async def get_api_key(tx: NamedDependency[Tx], api_key_id: FromPath[ApiKeyId]) -> ApiKey:
    """Read an API key, without its secret."""
    return await store.get(tx, api_key_id)


@command("/v1/api_keys", scope="api_keys:write", status=201, secret_fields=("secret",))
async def create_api_key(
    tx: NamedDependency[Tx],
    data: JSONBody[NewApiKey],
    caller: NamedDependency[ApiKey],
    hasher: NamedDependency[Hasher],
    now: NamedDependency[datetime],
) -> CreatedApiKey:
    """Make an API key.

    The answer holds the key in `secret`, this once. A key gives no scope that it does not have, and no life
    longer than its own.
    """
    own_scopes = frozenset(caller.scopes)
    return await create_key(
        tx, data, own_scopes=own_scopes, own_end=caller.expires_at, hasher=hasher, now=now
    )


@command(
    "/v1/api_keys/{api_key_id}/rotate",
    scope="api_keys:write",
    status=201,
    secret_fields=("secret",),
)
async def rotate_api_key(
    tx: NamedDependency[Tx],
    api_key_id: FromPath[ApiKeyId],
    data: JSONBody[Rotation],
    caller: NamedDependency[ApiKey],
    hasher: NamedDependency[Hasher],
    now: NamedDependency[datetime],
) -> CreatedApiKey:
    """Replace an API key by a new one.

    The old one goes on working for `overlap_seconds`.
    """
    own_scopes = frozenset(caller.scopes)
    return await rotate_key(tx, api_key_id, data, own_scopes=own_scopes, hasher=hasher, now=now)


@command("/v1/api_keys/{api_key_id}/revoke", scope="api_keys:write")
async def revoke_api_key(
    tx: NamedDependency[Tx], api_key_id: FromPath[ApiKeyId], now: NamedDependency[datetime]
) -> ApiKey:
    """Revoke an API key: it is refused from the next request on."""
    return await revoke_key(tx, api_key_id, now=now)


ROUTES = [list_api_keys, get_api_key, create_api_key, rotate_api_key, revoke_api_key]
