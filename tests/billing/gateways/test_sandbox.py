"""The sandbox keeps the promises of a gateway."""

import pytest
from msgspec.structs import replace

from billing.gateways.model import Status
from billing.gateways.sandbox import Sandbox
from kernel.database import Pool
from kernel.ids import Id
from tests.billing.gateways.contract import Behaviour, GatewayContract, back


class SandboxBehaviour(Behaviour):
    ok = "pm_sandbox_ok"
    declined = "pm_sandbox_declined"
    timeout = "pm_sandbox_timeout"
    late = "pm_sandbox_late"
    refund_declined = "pm_sandbox_refund_declined"
    refund_timeout = "pm_sandbox_refund_timeout"
    refund_late = "pm_sandbox_refund_late"

    def __init__(self, pool: Pool) -> None:
        super().__init__(Sandbox(pool))
        self.pool = pool

    async def decide(self, our_id: Id) -> None:
        await self.pool.execute("UPDATE sandbox.charges SET settles_at = now() WHERE our_id = $1", our_id)
        await self.pool.execute("UPDATE sandbox.refunds SET settles_at = now() WHERE our_id = $1", our_id)

    async def charges(self, our_id: Id) -> list[int]:
        rows = await self.pool.fetch("SELECT amount_minor FROM sandbox.charges WHERE our_id = $1", our_id)
        return [row["amount_minor"] for row in rows]

    async def refunds(self, our_id: Id) -> list[int]:
        rows = await self.pool.fetch("SELECT amount_minor FROM sandbox.refunds WHERE our_id = $1", our_id)
        return [row["amount_minor"] for row in rows]


@pytest.fixture
def provider(pool: Pool) -> Behaviour:
    return SandboxBehaviour(pool)


class TestSandbox(GatewayContract):
    """Every test of the contract."""


async def test_a_payment_method_it_does_not_know_fails(provider: Behaviour) -> None:
    outcome = await provider.charge("pm_elsewhere")

    assert (outcome.status, outcome.failure_code) == (Status.FAILED, "payment_method_unknown")


async def test_a_charge_it_does_not_know_cannot_be_given_back(provider: Behaviour) -> None:
    charge = await provider.charge(provider.ok)
    outcome = await provider.gateway.refund(replace(back(charge, 1), charge=charge.reference + "x"))

    assert (outcome.status, outcome.failure_code) == (Status.FAILED, "charge_not_refundable")
