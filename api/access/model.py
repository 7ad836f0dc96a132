"""Accounts own tenants; a tenant's API keys open it to programs.

        ┌──revoke──▶ revoked
active ─┤
        └──expires_at──▶ expired
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

import msgspec

from api.access.scopes import Scope
from kernel.errors import Conflict, Invalid
from kernel.ids import Id, TenantId
from kernel.structs import Input, Value
from kernel.text import Name

LONGEST_OVERLAP_SECONDS = 30 * 86400


class AccountId(Id, prefix="acc"):
    """A company. It owns a live and a test tenant for each of its products."""


class ApiKeyId(Id, prefix="key"):
    """What opens a tenant to a program."""


class Mode(StrEnum):
    LIVE = "live"
    TEST = "test"


class Tenant(Value, frozen=True, kw_only=True):
    id: TenantId
    account_id: AccountId
    name: str
    mode: Mode


class ApiKey(Value, frozen=True, kw_only=True):
    """A key without its secret. `public_id` is the part of it that logs and lists may show.

    `successor_id` is the key that a rotation replaced it by.
    """

    id: ApiKeyId
    public_id: str
    name: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    successor_id: ApiKeyId | None

    def check_usable(self, *, now: datetime) -> None:
        if self.revoked_at is not None:
            raise Invalid("key_revoked", "This API key was revoked. Use another one.")
        if self.expires_at is not None and self.expires_at <= now:
            raise Invalid("key_expired", "This API key has expired. Use another one.")

    def check_scope(self, scope: str) -> None:
        if scope not in self.scopes:
            raise Invalid("scope_missing", f"This needs the scope {scope}, which your key lacks.")

    def check_rotatable(self, *, now: datetime) -> None:
        if self.revoked_at is not None or (self.expires_at is not None and self.expires_at <= now):
            raise Conflict(
                "api_key_not_active",
                "This key was revoked or has expired. Make a new one instead of rotating it.",
            )
        if self.successor_id is not None:
            raise Conflict(
                "api_key_rotated",
                f"This key has been rotated: {self.successor_id} follows it. Rotate that one.",
            )


class CreatedApiKey(ApiKey, frozen=True, kw_only=True):
    """`secret` is the key itself. It is shown this once, and null when the answer is repeated."""

    secret: str | None


class NewApiKey(Input, frozen=True, kw_only=True):
    name: Name
    scopes: Annotated[list[Scope], msgspec.Meta(min_length=1, max_length=100)]
    expires_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


class Rotation(Input, frozen=True, kw_only=True):
    """For `overlap_seconds` both keys work; after that only the new one."""

    overlap_seconds: Annotated[int, msgspec.Meta(ge=0, le=LONGEST_OVERLAP_SECONDS)] = 0
