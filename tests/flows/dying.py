"""Processes that kill themselves at one point: SIGKILL, as the kernel would, with nothing tidied up.

    granian … --factory tests.flows.dying:create_dying_app     the API, at its first COMMIT
    python -m tests.flows.dying provider                       a worker, when it calls the provider
    python -m tests.flows.dying commits                        workers in a row, each one COMMIT later

`DIE` says on which side of the point: before or after.
"""

import asyncio
import itertools
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import TypeVar

from litestar import Litestar

from api import clock, commands, logs
from api.app import create_app
from api.house import House
from api.settings import Settings
from api.work import drain
from billing.gateways.model import ChargeIntent, Outcome, RefundIntent
from billing.gateways.sandbox import Sandbox
from kernel import database
from kernel.database import Tx, open_pool
from kernel.jobs import LEASE
from notifications.mailer import Mailer
from tests.gateways import Only

T = TypeVar("T")


async def last_act(act: Awaitable[T]) -> T:
    if os.environ["DIE"] == "after":
        await act
    os.kill(os.getpid(), signal.SIGKILL)
    return await act  # nobody comes here


# ── the API ──────────────────────────────────────────────────────────────────────────────────────


def create_dying_app() -> Litestar:
    commit = vars(commands)["commit"]

    async def last_commit(tx: Tx) -> None:
        await last_act(commit(tx))

    vars(commands)["commit"] = last_commit
    return create_app()


# ── workers ──────────────────────────────────────────────────────────────────────────────────────


class LastCall(Sandbox):
    """A provider whose answer nobody lives to hear."""

    async def charge(self, intent: ChargeIntent) -> Outcome:
        return await last_act(super().charge(intent))

    async def refund(self, intent: RefundIntent) -> Outcome:
        return await last_act(super().refund(intent))


def die_at_commit(number: int) -> None:
    commit, numbers = database.commit, itertools.count(1)

    async def counted(tx: Tx) -> None:
        await (last_act(commit(tx)) if next(numbers) == number else commit(tx))

    database.commit = counted


def workers_in_a_row() -> None:
    """Each is forked off, and comes when the leases of the one before are over, until one survives."""
    for number in itertools.count(1):
        worker = os.fork()
        if worker == 0:
            die_at_commit(number)
            asyncio.run(work(Sandbox, now=_later(number * (LEASE + timedelta(seconds=1)))))
            os._exit(0)
        _, status = os.waitpid(worker, 0)
        if not os.WIFSIGNALED(status):
            print(number)
            sys.exit(os.waitstatus_to_exitcode(status))


async def work(gateway: type[Sandbox], *, now: Callable[[], datetime]) -> None:
    settings = Settings.from_environment(os.environ)
    logs.configure(settings)
    pool, provider = [await open_pool(settings.app_database_url) for _ in range(2)]
    await drain(
        House(
            pool=pool,
            gateways=Only(gateway(provider)),
            mailer=Mailer(settings.smtp_url, settings.mail_from),
            now=now,
        )
    )


def _later(by: timedelta) -> Callable[[], datetime]:
    return lambda: clock.now() + by


if __name__ == "__main__":
    if sys.argv[1] == "provider":
        asyncio.run(work(LastCall, now=clock.now))
    else:
        workers_in_a_row()
