"""Redis may be there, away or mute: no request waits for it and none fails."""

import asyncio
import time

import httpx
import msgspec
import pytest
from redis.asyncio import Redis

from api.app import create_app
from api.settings import Settings
from api.wake import Waker, deserialize, serialize
from kernel.ids import TenantId
from tests.client import client_for

NEW_KEY = {"name": "x", "scopes": ["events:read"]}


async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Take the connection and all that is said, and never say a word."""
    await reader.read()
    writer.close()


async def seconds_for_ten_commands(settings: Settings, redis_url: str, key: str) -> float:
    app = create_app(msgspec.structs.replace(settings, redis_url=redis_url))
    async with client_for(app) as client:
        headers = {"Authorization": f"Bearer {key}"}
        started = time.perf_counter()
        for _ in range(10):
            answer = await client.post("/v1/api_keys", json=NEW_KEY, headers=headers)
            assert answer.status_code == 201
        return time.perf_counter() - started


async def test_absent_redis_slows_nothing(settings: Settings, key: str) -> None:
    assert await seconds_for_ten_commands(settings, "redis://127.0.0.1:1", key) < 1


async def test_mute_redis_slows_nothing(settings: Settings, key: str) -> None:
    server = await asyncio.start_server(mute, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        assert await seconds_for_ten_commands(settings, f"redis://127.0.0.1:{port}", key) < 1
    finally:
        server.close()


async def test_a_command_that_leaves_work_wakes_a_worker(
    settings: Settings, client: httpx.AsyncClient, redis_url: str, key: str
) -> None:
    redis = Redis.from_url(redis_url)
    await redis.flushdb()
    assert (await client.post("/v1/api_keys", json=NEW_KEY)).status_code == 201
    job = await eventually(redis)
    assert job["f"] == "work"
    assert isinstance(job["a"], list)
    assert [TenantId.parse(text) for text in job["a"]]
    await redis.aclose()


async def test_a_query_wakes_nobody(client: httpx.AsyncClient, redis_url: str) -> None:
    redis = Redis.from_url(redis_url)
    await redis.flushdb()
    await client.get("/v1/api_keys")
    await client.post("/v1/api_keys?dry_run=true", json=NEW_KEY)
    await asyncio.sleep(0.2)
    assert await redis.keys("arq:job:*") == []
    await redis.aclose()


async def test_many_wake_ups_of_one_tenant_are_one_job(redis_url: str) -> None:
    redis = Redis.from_url(redis_url)
    await redis.flushdb()
    waker = Waker(redis_url)
    tenant = TenantId.new()
    for _ in range(1000):
        waker.wake(tenant)
    running = asyncio.create_task(waker.run())
    await eventually(redis)
    waker.stop()
    await running
    assert len(await redis.keys("arq:job:*")) == 1
    await redis.aclose()


async def test_stopping_does_not_wait_for_a_redis_that_is_away() -> None:
    waker = Waker("redis://127.0.0.1:1")
    running = asyncio.create_task(waker.run())
    waker.wake(TenantId.new())
    await asyncio.sleep(0.05)
    waker.stop()
    await asyncio.wait_for(running, 2)


def test_jobs_are_json() -> None:
    job: dict[str, object] = {"t": None, "f": "work", "a": ["ten_x"], "k": {}, "et": 1}
    assert deserialize(serialize(job)) == job
    with pytest.raises(msgspec.DecodeError):
        deserialize(b"\x80\x04K\x01.")


async def eventually(redis: Redis) -> dict[str, object]:
    for _ in range(100):
        keys = await redis.keys("arq:job:*")
        if keys:
            raw = await redis.get(keys[0])
            assert raw is not None
            return deserialize(raw)
        await asyncio.sleep(0.02)
    raise AssertionError("no worker was woken")
