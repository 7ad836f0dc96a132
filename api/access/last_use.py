"""When each key was last used: collected in memory, written once a minute, outside of any request."""

import asyncio
from datetime import datetime

import structlog

from api import clock
from api.access import store
from api.access.model import ApiKeyId
from api.access.store import Use
from kernel.database import Pool, transaction
from kernel.ids import TenantId

EVERY_SECONDS = 60.0

log = structlog.get_logger("api")


class LastUse:
    """A crash loses the last minute, which nothing depends on."""

    def __init__(self) -> None:
        self._uses: dict[TenantId, dict[ApiKeyId, datetime]] = {}

    def note(self, tenant_id: TenantId, api_key_id: ApiKeyId, *, now: datetime) -> None:
        self._uses.setdefault(tenant_id, {})[api_key_id] = now

    async def flush(self, pool: Pool) -> None:
        uses, self._uses = self._uses, {}
        for tenant_id, used in uses.items():
            async with transaction(pool, tenant_id, now=clock.now()) as tx:
                await store.save_uses(
                    tx, [Use(api_key_id=key, used_at=at) for key, at in sorted(used.items())]
                )

    async def keep_flushing(self, pool: Pool, *, every_seconds: float = EVERY_SECONDS) -> None:
        while True:
            await asyncio.sleep(every_seconds)
            try:
                await self.flush(pool)
            except Exception as error:  # noqa: BLE001 (the next minute tries again)
                log.warning("last use of keys not written", error=type(error).__name__)
