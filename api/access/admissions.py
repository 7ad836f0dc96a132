"""Keys that were good a moment ago, so that a query need not ask again.

A command asks every time. What is remembered lapses within `FOR_SECONDS`, well inside the second in which a
revoked key must be refused, wherever it was revoked; in the process that revoked it, at once.
"""

import asyncio

from api.access.model import ApiKey, ApiKeyId
from kernel.ids import TenantId

FOR_SECONDS = 0.5
_TENANTS = 10_000


class Admissions:
    """Only of tenants that go by the world's time: a clock of their own must be read, not remembered."""

    def __init__(self) -> None:
        self._admitted: dict[TenantId, dict[ApiKeyId, tuple[float, ApiKey]]] = {}

    def recall(self, tenant_id: TenantId, api_key_id: ApiKeyId) -> ApiKey | None:
        good_until, key = self._admitted.get(tenant_id, {}).get(api_key_id, (0.0, None))
        return key if _time() < good_until else None

    def note(self, tenant_id: TenantId, key: ApiKey) -> None:
        if len(self._admitted) >= _TENANTS:
            self._admitted.clear()
        self._admitted.setdefault(tenant_id, {})[key.id] = (_time() + FOR_SECONDS, key)

    def forget(self, tenant_id: TenantId) -> None:
        """After every command: it may have changed a key, or given the tenant a clock."""
        self._admitted.pop(tenant_id, None)


def _time() -> float:
    """Passes evenly, whatever happens to the clock on the wall."""
    return asyncio.get_running_loop().time()
