"""Any history of invoices, money, credits, applications, dissociations and refunds, beside a reference."""

import asyncio
import os

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from api.house import House
from kernel.database import Pool
from tests.flows.conftest import OpenTenant, Time
from tests.settling.machine import Settling, Stage

# `make torture` plays more of them.
HISTORIES = int(os.environ.get("HISTORIES", "8"))


async def test_after_any_history_every_sum_is_that_of_the_reference(
    open_tenant: OpenTenant, house: House, pool: Pool, time: Time
) -> None:
    stage = Stage(open_tenant, house, pool)
    machine = type("Machine", (Settling,), {"stage": stage})
    play = settings(
        max_examples=HISTORIES,
        stateful_step_count=40,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.explicit, Phase.reuse, Phase.generate),  # a shorter history is minutes of playing
    )
    await asyncio.to_thread(run_state_machine_as_test, machine, settings=play)
