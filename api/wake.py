"""Telling the workers that a tenant has work, without ever waiting for Redis.

A wake-up is a kindness: what has to be done stands in PostgreSQL and the workers look there anyway.
So a tenant is put on a list, one task carries the list to Redis, and whatever cannot be delivered
within a second is dropped.
"""

import asyncio
from contextlib import suppress
from typing import Any

import msgspec
import structlog
from arq.connections import ArqRedis
from redis.exceptions import RedisError

from kernel.ids import TenantId

JOB = "work"
DELIVERY_SECONDS = 1.0
PAUSE_SECONDS = 2.0

log = structlog.get_logger("api")


def serialize(job: dict[str, Any]) -> bytes:
    """JSON, never pickle: whoever reaches Redis must not run code in a worker."""
    return msgspec.json.encode(job)


def deserialize(raw: bytes) -> dict[str, Any]:
    return msgspec.json.decode(raw, type=dict[str, Any])


class Waker:
    """`wake` only notes the tenant; `run` is the task that delivers, until `stop`."""

    def __init__(self, redis_url: str) -> None:
        self._redis_url = redis_url
        self._waiting: set[TenantId] = set()
        self._something = asyncio.Event()
        self._stopping = asyncio.Event()
        self._reachable = True

    def wake(self, tenant_id: TenantId) -> None:
        self._waiting.add(tenant_id)
        self._something.set()

    def stop(self) -> None:
        """What was noted is still delivered. A cancellation could get lost inside the Redis client."""
        self._stopping.set()
        self._something.set()

    async def run(self) -> None:
        redis = _connect(self._redis_url)
        try:
            while not self._stopping.is_set():
                await self._something.wait()
                await self._deliver(redis)
        finally:
            await redis.aclose(close_connection_pool=True)

    async def _deliver(self, redis: ArqRedis) -> None:
        self._something.clear()
        tenants, self._waiting = self._waiting, set()
        try:
            async with asyncio.timeout(DELIVERY_SECONDS):
                for tenant_id in tenants:
                    await redis.enqueue_job(JOB, str(tenant_id))
        except (RedisError, OSError, TimeoutError) as error:
            self._tell(reachable=False, why=type(error).__name__)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), PAUSE_SECONDS)
        else:
            self._tell(reachable=True)

    def _tell(self, *, reachable: bool, why: str | None = None) -> None:
        """Once when it goes, once when it comes back."""
        if reachable != self._reachable:
            self._reachable = reachable
            log.warning("redis reachable again" if reachable else "redis out of reach", why=why)


def _connect(url: str) -> ArqRedis:
    redis: ArqRedis = ArqRedis.from_url(
        url,
        socket_connect_timeout=DELIVERY_SECONDS,
        socket_timeout=DELIVERY_SECONDS,
        single_connection_client=False,
    )
    redis.job_serializer = serialize
    redis.job_deserializer = deserialize
    return redis
