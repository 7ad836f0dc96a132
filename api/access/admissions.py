"""Keys that were good a moment ago, so that a query need not ask again.

A command asks every time. What is remembered lapses within `FOR_SECONDS`, well inside the second in which a
revoked key must be refused, wherever it was revoked; in the process that revoked it, at once.
"""

import asyncio
from typing import NamedTuple

from api.access.model import ApiKey, ApiKeyId
from kernel.ids import TenantId

FOR_SECONDS = 0.5
_TENANTS = 10_000


class Admitted(NamedTuple):
    """A clock of the tenant's own must be read, not remembered."""

    key: ApiKey
    has_clock: bool
    good_until: float


class Admissions:
    def __init__(self) -> None:
        self._admitted: dict[TenantId, dict[ApiKeyId, Admitted]] = {}

    def recall(self, tenant_id: TenantId, api_key_id: ApiKeyId) -> Admitted | None:
        admitted = self._admitted.get(tenant_id, {}).get(api_key_id)
        return admitted if admitted is not None and _time() < admitted.good_until else None

    def note(self, tenant_id: TenantId, key: ApiKey, *, has_clock: bool) -> None:
        if len(self._admitted) >= _TENANTS:
            self._admitted.clear()
        admitted = Admitted(key=key, has_clock=has_clock, good_until=_time() + FOR_SECONDS)
        self._admitted.setdefault(tenant_id, {})[key.id] = admitted

    def forget(self, tenant_id: TenantId) -> None:
        """After every command: it may have changed a key, or given the tenant a clock."""
        self._admitted.pop(tenant_id, None)


def _time() -> float:
    """Passes evenly, whatever happens to the clock on the wall."""
    return asyncio.get_running_loop().time()
