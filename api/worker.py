"""The worker process. arq wakes it and keeps its hours; what there is to do stands in PostgreSQL.

With Redis away it waits and comes back by itself; nothing is lost meanwhile, because nothing is kept there.
"""

import logging
import os
from typing import Any, ClassVar

import structlog
from arq import cron
from arq.connections import RedisSettings
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff

from api import clock, logs, tidying
from api.gateways import Gateways, vault_of
from api.house import House
from api.settings import Settings
from api.wake import deserialize, serialize
from api.work import drain
from billing.gateways.sandbox import Sandbox
from billing.gateways.stripe_http import StripeHttp
from kernel.database import open_pool
from notifications.mailer import Mailer

SWEEP_SECONDS = 2

log = structlog.get_logger("worker")

Context = dict[str, Any]  # arq's


async def work(ctx: Context, tenant_id: str | None = None) -> int:  # noqa: ARG001 (who woke us says it)
    """Woken for a tenant, or looking around: all that is due gets done, whoever it belongs to."""
    return await drain(ctx["house"])


async def sweep(ctx: Context) -> int:
    """What no wake-up told us of: it was lost, or it is due at a time."""
    return await drain(ctx["house"])


async def tidy(ctx: Context) -> None:
    await tidying.tidy(ctx["house"], ctx["vault"])


async def start(ctx: Context) -> None:
    settings = Settings.from_environment(os.environ)
    logs.configure(settings)
    logging.getLogger("arq").setLevel(logging.WARNING)  # a line for every sweep says nothing
    pool = await open_pool(settings.app_database_url, size=settings.database_pool_size)
    # The provider's books are its own: what it did stays done when our transaction rolls back.
    ctx["provider"] = await open_pool(settings.app_database_url, size=2)
    ctx["stripe"] = StripeHttp()
    ctx["vault"] = vault_of(settings)
    ctx["house"] = House(
        pool=pool,
        gateways=Gateways(
            sandbox=Sandbox(ctx["provider"]),
            vault=ctx["vault"],
            http=ctx["stripe"],
            stripe_url=settings.stripe_url,
        ),
        mailer=Mailer(settings.smtp_url, settings.mail_from),
        now=clock.now,
    )
    log.info("worker ready")


async def stop(ctx: Context) -> None:
    await ctx["house"].pool.close()
    await ctx["provider"].close()
    await ctx["stripe"].close_async()


def redis_settings() -> RedisSettings:
    """A worker that loses Redis tries again for as long as it takes to come back."""
    settings = RedisSettings.from_dsn(Settings.from_environment(os.environ).redis_url)
    settings.conn_timeout = 1
    settings.conn_retries = 60
    settings.conn_retry_delay = 1
    settings.retry_on_timeout = True
    settings.retry_on_error = [OSError, ConnectionError, TimeoutError]
    settings.retry = Retry(ExponentialBackoff(cap=1, base=0.05), 60)
    return settings


class WorkerSettings:
    """What arq reads."""

    functions: ClassVar = [work]
    cron_jobs: ClassVar = [
        cron(sweep, second=set(range(0, 60, SWEEP_SECONDS)), timeout=60, keep_result=0),
        cron(tidy, hour=3, minute=17, timeout=600, keep_result=0),
    ]
    on_startup = start
    on_shutdown = stop
    redis_settings = redis_settings()
    job_serializer = serialize
    job_deserializer = deserialize
    job_timeout = 60
    keep_result = 0
    max_jobs = 4
    poll_delay = 0.1
    health_check_interval = 15
    log_results = False
