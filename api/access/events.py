"""What happened to API keys."""

from datetime import datetime

from api.access.model import ApiKeyId
from kernel.events import Event


class ApiKeyCreated(Event, frozen=True, kw_only=True, tag="api_key.created"):
    api_key_id: ApiKeyId


class ApiKeyRotated(Event, frozen=True, kw_only=True, tag="api_key.rotated"):
    """`api_key_id` works until then; `successor_id` takes its place."""

    api_key_id: ApiKeyId
    successor_id: ApiKeyId
    expires_at: datetime


class ApiKeyRevoked(Event, frozen=True, kw_only=True, tag="api_key.revoked"):
    api_key_id: ApiKeyId
